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
    let done = work()?;
    files.retain(|other| other != path);
    Ok(done)
}

/// This file is removed, or stays on purpose.
pub(super) fn forget(path: &Path) {
    unfinished().retain(|other| other != path);
}

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens on a thread of its own, which no work on other threads delays.
fn listen() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let [mut interrupts, mut terminations, mut hangups] = {
        let _entered = runtime.enter();
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [one, two, three] = kinds.map(listener);
        [one?, two?, three?]
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let number = runtime.block_on(async {
            tokio::select! {
                () = arrival(&mut interrupts) => SignalKind::interrupt(),
                () = arrival(&mut terminations) => SignalKind::terminate(),
                () = arrival(&mut hangups) => SignalKind::hangup(),
            }
        });
        // Held to the end, so that no file is renamed after this.
        let files = unfinished();
        files.iter().for_each(|path| drop(std::fs::remove_file(path)));
        // The status that shells give to a process that a signal ended.
        std::process::exit(128 + number.as_raw_value());
    })?;
    Ok(())
}

/// Listens to a signal, unless the process was started with it ignored: `nohup` wants the work to outlive the terminal.
fn listener(kind: SignalKind) -> io::Result<Option<Signal>> {
    // SAFETY: a null action only asks for the present one, which is written to memory of its type.
    let ignored = unsafe {
        let mut present = std::mem::zeroed::<libc::sigaction>();
        libc::sigaction(kind.as_raw_value(), std::ptr::null(), &raw mut present) == 0
            && present.sa_sigaction == libc::SIG_IGN
    };
    if ignored { Ok(None) } else { signal(kind).map(Some) }
}

async fn arrival(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
