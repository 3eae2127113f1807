//! `upbeat backup`: a consistent, checked copy of what a running server keeps.

mod directory;
mod pace;
mod remote;
mod stream;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::backed_up::Manifest;
use super::files::is_dash;
use super::output;
use pace::Pace;
use remote::Remote;
use upbeat_server::config::{Bytes, Duration};

/// Bytes a second that are copied where nothing else is asked for.
const RATE: &str = "32MiB";

/// Copy what a running server keeps, while it serves
///
/// The copy holds everything that the server had answered when the backup began. It is checked before this ends, and carries a
/// digest of each file, which `upbeat restore` asks for. Where this is interrupted, the same command goes on with what is there
/// already. With `-o -` it is one tar stream, for another machine or an object store; unpacked it can be restored, too, and is
/// checked then. Exit status 0 once the copy is whole, 1 with the reason where it is not.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  upbeat backup --from http://127.0.0.1:8081 -o backups/monday
  upbeat backup --from http://127.0.0.1:8081 -o - | zstd | ssh vault 'cat > monday.tar.zst'")]
pub(crate) struct Args {
    /// The server's admin listener, such as http://127.0.0.1:8081
    #[arg(long, value_name = "ADMIN_URL")]
    from: String,
    /// The directory of the copy, which is made; `-` for a tar stream on standard output
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Leave out what the log keeps only for looking back: the copy restores the same state, and has no older events for exports
    /// and backtests
    #[arg(long)]
    no_history: bool,
    /// Bytes a second, at most: what is read faster may delay the server's own writes
    #[arg(long, value_name = "BYTES", default_value = RATE, value_parser = rate)]
    rate: Bytes,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { from, output: output_dir, no_history, rate } = args;
    let remote = Remote::new(&from)?;
    let pace = Pace::new(rate.0);
    lower_priority();
    if is_dash(&output_dir) {
        stream::to_standard_output(&remote, !no_history, pace)?;
    } else {
        let copied = directory::to_directory(&remote, &output_dir, !no_history, pace)?.manifest;
        let Manifest { server, taken, position, files, .. } = &copied;
        output::print(format_args!(
            "{}: whole and checked: {} files of {} bytes, of server {server} as of {taken}, position {position}\n",
            output_dir.display(),
            files.len(),
            copied.bytes()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Copies what the server of this admin listener keeps into a directory that is not there yet, history and all, checked and at the
/// rate that a backup has where it names none. Returns how long after its ad a click counts on that server, if it says so.
pub(crate) fn copy(from: &str, directory: &Path) -> anyhow::Result<Option<Duration>> {
    let pace = Pace::new(rate(RATE).map_err(anyhow::Error::msg)?.0);
    lower_priority();
    directory::to_directory(&Remote::new(from)?, directory, true, pace).map(|copied| copied.attribution)
}

/// Gives way to the server where both run on one machine.
fn lower_priority() {
    const NICE: i32 = 10;
    // SAFETY: this changes only a number in the kernel; 0 names this process. Lowering its priority is always allowed.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

fn rate(text: &str) -> Result<Bytes, String> {
    match text.parse::<Bytes>() {
        Ok(rate) if rate.0 >= 4096 => Ok(rate),
        _ => Err("give the bytes of a second, from 4KiB on, such as 32MiB".to_owned()),
    }
}
