//! How a test says that it did not test, for want of a tool or of a kernel's leave.

use std::fmt::Display;
use std::io::Write as _;
use std::panic::Location;

/// Says that the calling test did not run, or not all of it. To be followed by the test's end.
///
/// The harness counts such a test as passed; `scripts/test` finds these lines and counts it as skipped.
#[track_caller]
pub fn skipped(reason: impl Display) {
    let place = Location::caller();
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // In one piece, on a line of its own, and not with eprintln!, whose text the harness keeps where a test passes.
    let line = format!("\nskipped: {}:{}: {test}: {reason}\n", place.file(), place.line());
    let _ = std::io::stderr().write_all(line.as_bytes());
}
