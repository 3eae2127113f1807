//! The thread that makes files of the log ahead, so that no group waits for one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use upbeat_journal::disk::Disk;
use upbeat_journal::{Making, SpareMaker};

/// Bytes written at a time, between which the log's own writes find the disk free.
const BYTES_AT_ONCE: usize = 1 << 20;

/// How long to wait while more is to be written, while the next file waits, and where there was no space for it or the disk
/// failed.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSE_WHEN_READY: Duration = Duration::from_millis(100);
const PAUSE_WITHOUT_SPACE: Duration = Duration::from_secs(1);

/// The running thread.
pub(super) struct Spare {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

impl Spare {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(super) fn start<D: Disk>(mut maker: SpareMaker<D>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let run = move || {
            while !stopping.load(Ordering::Acquire) {
                let pause = match maker.step(BYTES_AT_ONCE) {
                    Ok(Making::More) => PAUSE,
                    Ok(Making::Ready) => PAUSE_WHEN_READY,
                    Ok(Making::NoSpace) => PAUSE_WITHOUT_SPACE,
                    Err(error) => {
                        // The log makes its files itself then, and tells of what fails.
                        tracing::warn!("a file of the log is not made ahead: {error}");
                        PAUSE_WITHOUT_SPACE
                    }
                };
                thread::park_timeout(pause);
            }
        };
        let thread = thread::Builder::new().name("spare".into()).spawn(run)?;
        Ok(Self { thread, stop })
    }

    /// Ends the thread.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests;
