//! Planned stops under load lose no request. `just stops` does the same fifty times with the release.

use std::path::Path;
use std::process::Command;

use super::skipped::skipped;

#[test]
fn stop_loses_no_request_of_a_busy_client() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stops/run.py");
    let run = Command::new("python3")
        .arg(script)
        .args(["--binary", env!("CARGO_BIN_EXE_upbeat"), "--stops", "2", "--drain-ms", "2000"])
        .output();
    let Ok(output) = run else {
        skipped("python3 is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    // Clients that were not there.
    for line in said.lines().filter_map(|line| line.strip_prefix("skipped: ")) {
        skipped(line);
    }
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("0 lost over 2 stops"), "{said}");
}
