//! The units of deploy/ are what systemd takes, closed as far as can be, and let the server do all that it does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::durability::Kept;
use super::kernel_calls::signal_traced;
use super::listeners::{likely, play};
use super::passed::{listener, pass_sockets};
use super::skipped::skipped;
use super::support::{JSON, NDJSON, Server};

/// What `systemd-analyze security` may find at most, in tenths. The guide states what version 252 finds, and each version looks at
/// other things.
const MOST_EXPOSED: &str = "5";

const UNITS: [&str; 3] = ["upbeat.service", "upbeat.socket", "upbeat-admin.socket"];

fn deploy(unit: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(unit)
}

/// The units with the binary under test, which is not where they are installed.
fn units() -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = |unit: &str| {
        let text = fs::read_to_string(deploy(unit)).expect("a unit");
        let path = folder.path().join(unit);
        fs::write(&path, text.replace("/usr/local/bin/upbeat", env!("CARGO_BIN_EXE_upbeat")))
            .expect("a file");
        path
    };
    let paths = UNITS.iter().map(|unit| copy(unit)).collect();
    (folder, paths)
}

/// What `systemd-analyze` says; `None` where it is not installed, and the calling test is then skipped.
#[track_caller]
fn analyze(arguments: &[&str], paths: &[PathBuf]) -> Option<Output> {
    let run = Command::new("systemd-analyze").arg("--no-pager").args(arguments).args(paths).output();
    let Ok(output) = run else {
        skipped("systemd-analyze is not installed");
        return None;
    };
    Some(output)
}

fn said(output: &Output) -> String {
    let [out, errors] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    out + &errors
}

#[test]
fn units_are_taken_by_systemd_without_a_word() {
    let (_folder, paths) = units();
    let Some(output) = analyze(&["verify", "--man=no"], &paths) else { return };
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
}

#[test]
fn service_is_hardly_exposed_to_whoever_takes_it_over() {
    let (_folder, paths) = units();
    let threshold = format!("--threshold={MOST_EXPOSED}");
    let Some(output) = analyze(&["security", "--offline=true", &threshold], &paths[..1]) else { return };
    assert!(output.status.success() && said(&output).contains("exposure level"), "{}", said(&output));
}

/// The sets of system calls that systemd knows, by name.
#[track_caller]
fn sets() -> Option<BTreeMap<String, Vec<String>>> {
    let output = analyze(&["syscall-filter"], &[])?;
    let mut sets = BTreeMap::<String, Vec<String>>::new();
    let mut name = String::new();
    for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.trim().starts_with('#')) {
        match line.strip_prefix("    ") {
            Some(call) => sets.entry(name.clone()).or_default().push(call.trim().to_owned()),
            None => name = line.trim().to_owned(),
        }
    }
    Some(sets)
}

/// All calls of a set, those of the sets in it too.
fn calls_of(sets: &BTreeMap<String, Vec<String>>, name: &str) -> BTreeSet<String> {
    match sets.get(name) {
        Some(calls) => calls.iter().flat_map(|call| calls_of(sets, call)).collect(),
        None => BTreeSet::from([name.to_owned()]),
    }
}

/// The calls that the unit allows, as systemd reads its lines: the first makes a list, further ones add to it or take from it.
fn allowed(sets: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    let unit = fs::read_to_string(deploy("upbeat.service")).expect("a unit");
    let mut allowed = calls_of(sets, "@default");
    for line in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        for name in line.trim_start_matches('~').split(' ') {
            for call in calls_of(sets, name) {
                if line.starts_with('~') {
                    allowed.remove(&call);
                } else {
                    allowed.insert(call);
                }
            }
        }
    }
    allowed
}

/// The calls of a traced server from its start to its end: name and arguments, a line each.
fn trace(folder: &Path) -> Option<String> {
    let kept = Kept::new();
    let (data, admin, table) = (listener(), listener(), folder.join("trace"));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(&table).arg("sh");
    if Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success())
    {
        let command = pass_sockets(strace, &[("data", &data), ("admin", &admin)]);
        let lanes = kept.lanes.path().display().to_string();
        let notify = folder.join("notify");
        let _manager = std::os::unix::net::UnixDatagram::bind(&notify).expect("a socket");
        let environment = [
            ("UPBEAT_LANES_DIR", &*lanes),
            ("UPBEAT_SHUTDOWN_DRAIN", "0s"),
            ("NOTIFY_SOCKET", notify.to_str().expect("text")),
            ("WATCHDOG_USEC", "100000"),
        ];
        let directory = kept.directory();
        let mut server = Server::spawn(command, &["--data-dir", &directory], &environment);
        server.load("/events", NDJSON, likely("48"));
        assert_eq!(server.decide("48")["show"], true);
        // Enough for the bulk pool and for a last snapshot.
        let bulk: String =
            (0..20_000).map(|number| play(&format!("bulk-{}", number % 300), number, 60) + "\n").collect();
        server.load("/events", NDJSON, bulk);
        server.load("/events", JSON, play("49", 1, 60));
        server.metric("upbeat_plays");
        server.held("48");
        signal_traced(server.id(), "HUP");
        signal_traced(server.id(), "TERM");
        assert_eq!(server.ended().code(), Some(0), "{}", server.whole_stderr());
        return Some(fs::read_to_string(table).expect("a trace"));
    }
    None
}

#[test]
fn server_makes_no_system_call_that_its_unit_forbids() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(sets) = sets() else { return };
    let Some(trace) = trace(folder.path()) else {
        skipped("strace is missing or may not trace");
        return;
    };
    let allowed = allowed(&sets);
    assert!(allowed.contains("setpriority") && !allowed.contains("mount"), "{allowed:?}");
    let mut seen = BTreeSet::new();
    for line in trace.lines() {
        // The number of the thread comes first.
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        let Some((name, arguments)) = call.split_once('(') else { continue };
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            seen.insert(name.to_owned());
            // RestrictAddressFamilies= and MemoryDenyWriteExecute= look at the arguments.
            assert!(name != "socket" || arguments.starts_with("AF_UNIX"), "{line}");
            let is_executable = arguments.contains("PROT_EXEC");
            let is_denied = match name {
                "mmap" => is_executable && arguments.contains("PROT_WRITE"),
                "mprotect" | "pkey_mprotect" => is_executable,
                _ => false,
            };
            assert!(!is_denied, "{line}");
        }
    }
    assert!(seen.contains("accept4") && seen.contains("fdatasync") && seen.len() > 30, "{seen:?}");
    let forbidden: Vec<_> = seen.difference(&allowed).collect();
    assert!(forbidden.is_empty(), "deploy/upbeat.service forbids {forbidden:?}");
}
