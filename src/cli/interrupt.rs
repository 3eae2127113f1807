//! Ctrl-C and SIGTERM while a file is being written: the incomplete file is removed, then the process ends.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tokio::signal::unix::{SignalKind, signal};

/// Files that are not complete yet.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes this file if a signal ends the process, until [`keep`] is called. Before the first call of a
/// process signals have their default effect: there is nothing to remove.
pub(super) fn remove_at_signal(path: &Path) {
    static LISTENING: Once = Once::new();
    unfinished().push(path.to_owned());
    LISTENING.call_once(|| {
        // Without a listener a signal still ends the process, and only the incomplete file would stay.
        let _ = listen();
    });
}

/// This file is complete, or removed.
pub(super) fn keep(path: &Path) {
    unfinished().retain(|other| other != path);
}

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens on a thread of its own, which no work on other threads delays.
fn listen() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupts, mut terminations) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let number = runtime.block_on(async {
            tokio::select! {
                _ = interrupts.recv() => SignalKind::interrupt(),
                _ = terminations.recv() => SignalKind::terminate(),
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
