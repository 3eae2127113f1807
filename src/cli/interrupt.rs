//! Ctrl-C, SIGTERM and SIGHUP while a file is being written: the incomplete file is removed, then the process ends.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tempfile::NamedTempFile;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Files that are not complete yet.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Creates a file that is removed if a signal ends the process, until [`complete`] or [`forget`] is called. Before the
/// first call of a process signals have their default effect: there is nothing to remove.
pub(super) fn create(create: impl FnOnce() -> io::Result<NamedTempFile>) -> io::Result<NamedTempFile> {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        // Without a listener a signal still ends the process, and only the incomplete file would stay.
        let _ = listen();
    });
    // Held while the file is made, so that there is no moment at which a signal leaves it.
    let mut files = unfinished();
    let file = create()?;
    files.push(file.path().to_owned());
    Ok(file)
}

/// Does what completes this file, with no signal ending the process in the middle of it.
pub(super) fn complete<T, E>(path: &Path, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let mut files = unfinished();
    let done = work();
    // Also where it failed: what is left may be the only copy.
    files.retain(|other| other != path);
    done
}

/// This file is removed, or stays on purpose.
pub(super) fn forget(path: &Path) {
    unfinished().retain(|other| other != path);
}

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The signals that ask a process to end.
pub(super) struct Signals([Option<Signal>; 3]);

impl Signals {
    /// Takes these signals over from here on; to be called on a runtime with I/O. One that the process was started with
    /// ignored stays so: `nohup` wants the work to outlive the terminal.
    pub(super) fn new() -> io::Result<Self> {
        let listener = |kind: SignalKind| if is_ignored(kind) { Ok(None) } else { signal(kind).map(Some) };
        let [one, two, three] = ENDING.map(listener);
        Ok(Self([one?, two?, three?]))
    }

    /// Waits for one of them; the status that shells give to a process that it ended.
    pub(super) async fn next(&mut self) -> u8 {
        let [one, two, three] = &mut self.0;
        let kind = tokio::select! {
            () = arrival(one) => ENDING[0],
            () = arrival(two) => ENDING[1],
            () = arrival(three) => ENDING[2],
        };
        128 + u8::try_from(kind.as_raw_value()).unwrap_or(0)
    }
}

const ENDING: [SignalKind; 3] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];

fn is_ignored(kind: SignalKind) -> bool {
    // SAFETY: a null action only asks for the present one, which is written to memory of its type.
    unsafe {
        let mut present = std::mem::zeroed::<libc::sigaction>();
        libc::sigaction(kind.as_raw_value(), std::ptr::null(), &raw mut present) == 0
            && present.sa_sigaction == libc::SIG_IGN
    }
}

async fn arrival(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Listens on a thread of its own, which no work on other threads delays.
fn listen() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::new()?
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let status = runtime.block_on(signals.next());
        // Held to the end, so that no file is renamed after this.
        let files = unfinished();
        files.iter().for_each(|path| drop(std::fs::remove_file(path)));
        std::process::exit(status.into());
    })?;
    Ok(())
}
