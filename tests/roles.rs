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
        let names = ["customers.csv", "music.csv", "tracks.csv", "clicks.csv"];
        names.map(|name| fs::read(out.join(name)).expect(name)).to_vec()
    };
    let first = files("3", "a");
    assert_eq!(first, files("3", "b"));
    assert_ne!(first, files("4", "c"));
    assert_eq!(first[2].iter().filter(|byte| **byte == b'\n').count(), 2200, "a tenth is sent again");
}

/// A server on ports of its own, killed when dropped.
struct Server {
    child: Child,
    data: String,
}

impl Server {
    fn start() -> Self {
        let addresses = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--clock", "event"];
        let mut child = upbeat(&[&["serve"], &addresses[..]].concat()).spawn().expect("it runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        let data = line.trim().strip_prefix("data  ").expect("the data listener's address").to_owned();
        Self { child, data }
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
    let roles = ["demo", "serve", "features", "train", "predict", "evaluate", "simulate", "replay", "health"];
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
