//! Black-box tests of `upbeat features`: files in, libSVM text out, compared with a slow and plain reference.

mod backtest;
mod impressions;
mod messages;
mod reference;
mod report;
mod rounding;
mod same_as_reference;
#[path = "../shared/skipped.rs"]
mod skipped;

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs `upbeat features` on two files of these contents.
fn features(flags: &[&str], tracks: &[u8], clicks: &[u8]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let (tracks_file, clicks_file) =
        (directory.path().join("tracks.csv"), directory.path().join("clicks.csv"));
    std::fs::write(&tracks_file, tracks).expect("a file");
    std::fs::write(&clicks_file, clicks).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_upbeat"));
    command.arg("features").arg("--tracks").arg(tracks_file).arg("--clicks").arg(clicks_file).args(flags);
    command.output().expect("it runs")
}

/// Runs it with other arguments and this standard input.
fn features_from_stdin(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upbeat"));
    command.arg("features").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    // It may refuse its arguments before it reads.
    let _ = child.stdin.take().expect("stdin").write_all(input);
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// The rows of a run that must succeed.
#[track_caller]
fn rows(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}
