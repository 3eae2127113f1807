//! System calls of a decision: wait, read, write. Skipped where `strace` is missing or may not trace.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::listeners::unlikely;
use super::skipped::skipped;
use super::support::{JSON, upbeat};
use super::wire::Wire;

/// Waiting for sockets, reading a request, writing its answer.
const CALLS_PER_DECISION: u64 = 3;

/// The calls by which two runs may differ: signals, memory, threads that wake up.
const NOISE: u64 = 100;

/// System calls of a server from start to exit, with `decisions` requests on one connection; `None` where tracing is not
/// possible.
fn calls(decisions: usize, table: &Path) -> Option<u64> {
    let server = upbeat();
    let mut command = Command::new("strace");
    // The number of sleeps of the heap's thread depends on the length of the run, and so would sweeps for idle customers.
    command.args(["-f", "-c", "-e", "trace=!clock_nanosleep", "-o"]).arg(table).arg(server.get_program());
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--workers", "1"]);
    command.arg("--in-memory");
    command.envs([("UPBEAT_SHUTDOWN_DRAIN", "0s"), ("UPBEAT_LIMITS_EVICT_EVERY", "24h")]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut strace = command.spawn().ok()?;
    let mut lines = BufReader::new(strace.stdout.take().expect("stdout")).lines();
    let Some(Ok(line)) = lines.next() else {
        strace.wait().expect("it ran");
        return None;
    };
    let mut wire = Wire::to(line.split("http://").nth(1).expect("a URL"));
    // A customer with plays in the window, so that every decision is one about a score.
    for event in unlikely("48").lines() {
        let length = event.len();
        let head = format!(
            "POST /events HTTP/1.1\r\nhost: upbeat\r\ncontent-type: {JSON}\r\ncontent-length: {length}\r\n\r\n"
        );
        assert_eq!(wire.send(head + event).answer().ok()["accepted"], 1);
    }
    for _ in 0..decisions {
        let decision = wire.send("GET /should-show-ad/48 HTTP/1.1\r\nhost: upbeat\r\n\r\n").answer().ok();
        assert_eq!(decision["reason"], "unlikely_to_click");
        assert!(decision["score"].is_f64(), "{decision}");
    }
    drop(wire);
    signal_traced(strace.id(), "TERM");
    strace.wait().expect("it ran");
    let table = std::fs::read_to_string(table).expect("a table");
    let total = table.lines().find(|line| line.ends_with(" total")).expect("a total");
    // Shares of time, seconds, microseconds a call, calls.
    Some(total.split_whitespace().nth(3).expect("a count").parse().expect("a number"))
}

/// Sends a signal to the server that `strace` runs.
pub fn signal_traced(strace: u32, name: &str) {
    let children = format!("/proc/{strace}/task/{strace}/children");
    let server = std::fs::read_to_string(children).expect("the children");
    let signal = format!("-{name}");
    let status = Command::new("kill").args([&*signal, server.trim()]).status().expect("kill runs");
    assert!(status.success());
}

#[test]
fn decision_takes_three_system_calls() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |decisions| calls(decisions, &folder.path().join("table"));
    let (Some(few), Some(many)) = (of(100), of(1100)) else {
        skipped("strace is missing or may not trace");
        return;
    };
    let more = many - few;
    assert!(more >= 1000, "{more} calls for 1000 decisions: they were not counted");
    assert!(more <= 1000 * CALLS_PER_DECISION + NOISE, "{more} calls for 1000 decisions");
}
