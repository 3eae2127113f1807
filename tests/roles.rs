//! Black-box tests of the other roles: `demo`, `simulate`, `replay`, `health`, `completions`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The command, with every `UPBEAT_` variable removed from its environment.
fn upbeat(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upbeat"));
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| name.to_string_lossy().starts_with("UPBEAT_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    upbeat(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn interrupt(child: &Child) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().expect("kill runs");
    assert!(sent.success());
}

const SMALL_DEMO: [&str; 9] = [
    "demo",
    "--customers",
    "300",
    "--plays",
    "60000",
    "--listen",
    "127.0.0.1:0",
    "--admin-listen",
    "127.0.0.1:0",
];

#[test]
fn demo_serves_prints_a_true_answer_and_ends_by_itself() {
    let output = run(&[&SMALL_DEMO[..], &["--for", "6s", "--rate", "200"]].concat());
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.starts_with("Upbeat demo: 300 listeners, 60000 plays"), "{said}");
    let mut lines = said.lines().skip_while(|line| !line.contains("curl 'http://127.0.0.1:"));
    assert!(lines.next().is_some_and(|line| line.contains("/should-show-ad/")), "{said}");
    let answer: Value = serde_json::from_str(lines.next().expect("an answer")).expect("JSON");
    assert_eq!(
        (&answer["show"], &answer["reason"]),
        (&Value::Bool(true), &"likely_to_click".into()),
        "{said}"
    );
    assert!(said.lines().any(|line| line.trim_start().starts_with("5s ")), "a line of figures: {said}");
    let summary = said.lines().find(|line| line.contains(" decisions in ")).expect("a summary");
    let decisions: u64 = summary.split(' ').next().and_then(|count| count.parse().ok()).expect("a count");
    assert!(decisions > 0, "{summary}");
    assert!(said.contains("0 failed requests"), "{said}");
}

const SMALL_FAST_DEMO: [&str; 10] = [
    "demo",
    "--fast",
    "--customers",
    "400",
    "--decisions",
    "4000",
    "--listen",
    "127.0.0.1:0",
    "--admin-listen",
    "127.0.0.1:0",
];

#[test]
fn fast_demo_tells_how_the_service_learns_and_what_that_was_worth() {
    let output = run(&SMALL_FAST_DEMO);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    assert!(said.starts_with("Upbeat demo --fast: 400 listeners, 10 days of decisions"), "{said}");
    let mut lines =
        said.lines().skip_while(|line| !line.contains("curl -w '\\n%{time_total} s\\n' 'http://127.0.0.1:"));
    assert!(lines.next().is_some_and(|line| line.contains("/should-show-ad/1?dry_run=true")), "{said}");
    let answer: Value = serde_json::from_str(lines.next().expect("an answer")).expect("JSON");
    assert_eq!(answer["customer"], "1", "{said}");
    let took = lines.next().and_then(|line| line.trim().strip_suffix(" s")).expect("the request's own time");
    assert!(took.parse::<f64>().is_ok_and(|took_s| took_s > 0.0), "{said}");
    let days = said
        .lines()
        .filter(|line| line.split_whitespace().nth(1) == Some("400") && line.split_whitespace().count() == 8);
    assert!(days.count() >= 5, "a line of figures for most days: {said}");
    for told in [
        "No model was trained, and the champion stays in force",
        "the taste moves",
        "candidates were held against the champion",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let mut end =
        said.lines().skip_while(|line| !line.starts_with("profit against show-all, from the decision log: "));
    assert!(end.next().is_some(), "{said}");
    assert!(end.next().is_some_and(|line| line.contains("95 % interval")), "{said}");
    assert!(end.next().is_some_and(|line| line.contains("by the planted truth")), "{said}");
}

#[test]
fn fast_demo_ends_cleanly_at_an_interrupt_and_leaves_no_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = upbeat(&SMALL_FAST_DEMO).env("TMPDIR", folder.path()).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let header = |line: &str| line.contains("show-all by truth");
    assert!(lines.by_ref().map_while(Result::ok).any(|line| header(&line)), "it never came up");
    interrupt(&child);
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{rest:?}");
    assert!(rest.iter().any(|line| line == "stopped before the end"), "{rest:?}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 0);
}

#[test]
fn demo_ends_cleanly_at_an_interrupt() {
    let mut child = upbeat(&SMALL_DEMO).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let header = |line: &str| line.contains("decisions") && line.contains("saved");
    assert!(lines.by_ref().map_while(Result::ok).any(|line| header(&line)), "it never came up");
    interrupt(&child);
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(rest.iter().any(|line| line.contains("0 failed requests")), "{rest:?}");
}

#[test]
fn demo_ends_when_its_output_is_closed() {
    let mut child = upbeat(&SMALL_DEMO).spawn().expect("it runs");
    drop(child.stdout.take());
    let status = child.wait().expect("it ends");
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().expect("stderr"), &mut said).expect("text");
    assert_eq!((status.code(), said.as_str()), (Some(0), ""), "as other filters do in front of head");
}

#[test]
fn demo_with_a_port_in_use_names_the_address_and_the_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = run(&["demo", "--listen", &address, "--admin-listen", "127.0.0.1:0", "--for", "1s"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}

#[test]
fn simulate_writes_the_same_files_for_the_same_seed() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = |seed: &str, name: &str| -> Vec<Vec<u8>> {
        let out = folder.path().join(name);
        let path = out.to_str().expect("a path");
        let sizes = ["simulate", "--customers", "50", "--plays", "2000", "--resend", "0.1", "--late", "0.1"];
        let output = run(&[&sizes[..], &["--seed", seed, "-o", path]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let names = ["customers.csv", "music.csv", "tracks.csv", "clicks.csv", "impressions.csv"];
        names.map(|name| fs::read(out.join(name)).expect(name)).to_vec()
    };
    let first = files("3", "a");
    assert_eq!(first, files("3", "b"));
    assert_ne!(first, files("4", "c"));
    assert_eq!(first[2].iter().filter(|byte| **byte == b'\n').count(), 2200, "a tenth is sent again");
    let impressions = std::str::from_utf8(&first[4]).expect("text");
    assert_eq!(impressions.lines().count(), 2201, "as many impressions as plays, and a header");
}

#[test]
fn simulate_without_impressions_writes_the_same_other_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = |flags: &[&str], name: &str| -> Vec<(String, Vec<u8>)> {
        let out = folder.path().join(name);
        let call = ["simulate", "--customers", "20", "--plays", "500", "-o", out.to_str().expect("a path")];
        let output = run(&[&call[..], flags].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let entries = fs::read_dir(&out).expect("a folder").map(|entry| entry.expect("an entry"));
        let mut files: Vec<_> = entries
            .map(|entry| {
                (entry.file_name().into_string().expect("text"), fs::read(entry.path()).expect("a file"))
            })
            .collect();
        files.sort();
        files
    };
    let (mut all, without) = (files(&[], "a"), files(&["--no-impressions"], "b"));
    all.retain(|(name, _)| name != "impressions.csv");
    assert_eq!((all, without.len()), (without, 4));
}

/// A server on ports of its own, killed when dropped.
struct Server {
    child: Child,
    data: String,
    admin: String,
}

impl Server {
    fn start() -> Self {
        let addresses = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--clock", "event"];
        let mut child =
            upbeat(&[&["serve", "--in-memory"], &addresses[..]].concat()).spawn().expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let mut address = |name: &str| {
            let line = lines.next().expect("a line").expect("text");
            line.trim().strip_prefix(name).expect("a listener's address").trim().to_owned()
        };
        let (data, admin) = (address("data"), address("admin"));
        Self { child, data, admin }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn replay_sends_files_once_and_reports_the_outcome() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a path").to_owned();
    run(&["simulate", "--customers", "40", "--plays", "3000", "--seed", "1", "-o", &path("")]);
    let clicks = fs::read_to_string(path("clicks.csv")).expect("clicks").lines().count();
    let server = Server::start();
    let (tracks, clicks_file) = (path("tracks.csv"), path("clicks.csv"));
    let replay = ["replay", "--tracks", &tracks, "--clicks", &clicks_file, "--to", &server.data];
    for (accepted, duplicates) in [(3000 + clicks, 0), (0, 3000 + clicks)] {
        let output = run(&[&replay[..], &["--batch", "500"]].concat());
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let expected = format!("accepted {accepted}, duplicates {duplicates}, rejected 0");
        assert!(said.contains(&expected), "{expected}: {said}");
    }
    let bad = path("bad.csv");
    fs::write(&bad, "0,1,2,\"2014-10-23 03:26:20\",0,\"1\"\n1,1,2,\"yesterday\",0,\"1\"\n").expect("written");
    let output = run(&["replay", "--tracks", &bad, "--to", &server.data]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(":2:") && said.contains("yesterday"), "the line and the reason: {said}");
}

/// The counts of a summary add up to its rows, which may be fewer than the files hold.
#[track_caller]
fn assert_adds_up(summary: &str) {
    let numbers = |text: &str| -> Vec<u64> {
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
    };
    let (head, outcomes) = summary.trim().split_once(": ").expect("a summary");
    assert_eq!(numbers(head)[0], numbers(outcomes).iter().sum::<u64>(), "{summary}");
}

const PLAY: &str = "0,1,2,\"2014-10-23 03:26:20\",0,\"1\"\n";

#[test]
fn replay_tells_which_rows_were_not_sent_and_which_are_of_unknown_fate() {
    let folder = tempfile::tempdir().expect("a folder");
    let tracks = folder.path().join("tracks.csv").to_str().expect("a path").to_owned();
    fs::write(&tracks, PLAY.repeat(5)).expect("written");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = format!("http://{}", listener.local_addr().expect("an address"));
    // Takes every request and closes the connection without an answer.
    let silent = std::thread::spawn(move || {
        for _ in 0..6 {
            let (mut stream, _) = listener.accept().expect("a connection");
            std::io::Read::read(&mut stream, &mut [0; 4096]).expect("a request");
        }
    });
    let output = run(&["replay", "--tracks", &tracks, "--to", &to, "--batch", "2"]);
    silent.join().expect("six requests");
    let (said, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(said.trim().ends_with("rejected 0, of unknown fate 2"), "{said}");
    assert_adds_up(&said);
    assert!(told.contains("of unknown fate: ") && told.contains("lines 1 to 2 (2 rows)"), "{told}");
    assert!(told.contains("not sent: ") && told.contains("from line 3 on"), "{told}");
    // Nobody listens there any more.
    let output = run(&["replay", "--tracks", &tracks, "--to", &to, "--batch", "2"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).trim().ends_with("rejected 0, not sent 2"), "{}", text(&output.stdout));
}

/// The next row of a stream may be hours away.
#[test]
fn replay_that_waits_for_a_stream_ends_at_a_signal_with_its_summary() {
    let server = Server::start();
    let mut command = upbeat(&["replay", "--tracks", "-", "--to", &server.data]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it runs");
    let mut input = child.stdin.take().expect("stdin");
    std::io::Write::write_all(&mut input, PLAY.as_bytes()).expect("written");
    let customer = format!("{}/customers/1", server.admin);
    while run(&["health", "--url", &customer]).status.code() != Some(0) {
        assert!(child.try_wait().expect("it runs").is_none(), "it ended early");
    }
    interrupt(&child);
    let output = child.wait_with_output().expect("it ends");
    drop(input);
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert_adds_up(&text(&output.stdout));
    assert!(
        text(&output.stderr).contains("not sent: stdin, whatever comes after line 1"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn replay_is_judged_by_its_rows_and_not_by_its_readers() {
    let folder = tempfile::tempdir().expect("a folder");
    let tracks = folder.path().join("tracks.csv").to_str().expect("a path").to_owned();
    fs::write(&tracks, PLAY).expect("written");
    let server = Server::start();
    let replay = |to: &str, stdout: Stdio| {
        let mut command = upbeat(&["replay", "--tracks", &tracks, "--to", to]);
        command.stdout(stdout).output().expect("it runs")
    };
    let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").expect("the device"));
    let closed = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        Stdio::from(writer)
    };
    for (to, stdout, status) in [
        (&*server.data, full(), 1),
        (&server.data, closed(), 0),
        ("http://127.0.0.1:1", closed(), 1),
        ("http://127.0.0.1:1", full(), 1),
    ] {
        let output = replay(to, stdout);
        assert_eq!(output.status.code(), Some(status), "{to}: {}", text(&output.stderr));
        assert!(!text(&output.stderr).contains("panicked"));
    }
}

#[test]
fn health_exits_by_the_answer() {
    let server = Server::start();
    let ready = format!("{}/readyz", server.data);
    assert_eq!(run(&["health", "--url", &ready]).status.code(), Some(0));
    let elsewhere = format!("{}/nowhere", server.data);
    let output = run(&["health", "--url", &elsewhere]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("404"));
    drop(server);
    assert_eq!(run(&["health", "--url", &ready, "--timeout", "1s"]).status.code(), Some(1));
}

#[test]
fn help_of_every_role_has_an_example_and_wrong_calls_end_with_status_2() {
    let roles = [
        "demo",
        "serve",
        "features",
        "train",
        "predict",
        "evaluate",
        "report",
        "simulate",
        "replay",
        "journal",
        "export",
        "backtest",
        "check-consistency",
        "backup",
        "restore",
        "health",
    ];
    for role in roles {
        let output = run(&[role, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        let help = text(&output.stdout);
        assert!(help.contains("Example") && help.contains(&format!("upbeat {role}")), "{role}: {help}");
        assert_eq!(run(&[role, "--no-such-flag"]).status.code(), Some(2), "{role}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success() && text(&output.stdout).contains("simulate"), "{shell}");
    }
    assert_eq!(run(&[]).status.code(), Some(2));
    assert_eq!(run(&["no-such-role"]).status.code(), Some(2));
}
