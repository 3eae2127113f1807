//! A real server on free ports, and two ways to send requests to it: an HTTP client, and plain sockets.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::http;

use super::lines::lines;
use super::skipped::skipped;
pub use super::wire::Wire;

/// The time limit of every wait in these tests: far more than any step takes, so that no test depends on speed.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Polls `done` until it holds; panics with `what` after [`TIMEOUT`].
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !done() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub const JSON: &str = "application/json";
pub const NDJSON: &str = "application/x-ndjson";
pub const CSV: &str = "text/csv";
pub const CLOUD_EVENT: &str = "application/cloudevents+json";
pub const CLOUD_EVENTS: &str = "application/cloudevents-batch+json";
pub const PROBLEM: &str = "application/problem+json";

/// The binary under test, with every `UPBEAT_` variable removed from its environment.
pub fn upbeat() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upbeat"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("UPBEAT_") {
            command.env_remove(name);
        }
    }
    command
}

/// One of the files of real history next to the project; `None` where they are missing, and the calling test is
/// then skipped.
#[track_caller]
pub fn real_history(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            skipped(format_args!("{}: {error}", path.display()));
            None
        }
    }
}

/// A running `upbeat serve`, killed when dropped.
pub struct Server {
    child: Child,
    /// `host:port` of the data plane.
    pub data: String,
    /// `host:port` of the control plane.
    pub admin: String,
    stderr: Output,
    agent: ureq::Agent,
}

/// The text that a process writes, read on a thread of its own so that the process never blocks on it.
struct Output {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// A server with the default configuration that keeps nothing on a disk, as all of these do whose flags name no
    /// `--data-dir`.
    pub fn start() -> Self {
        Self::with(&[], &[])
    }

    /// A server whose *now* is the newest event.
    pub fn by_event_clock() -> Self {
        Self::with(&["--clock", "event"], &[])
    }

    /// A server with more flags and environment.
    pub fn with(flags: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::spawn(upbeat(), flags, environment)
    }

    /// A server that may open so many files, which is both its soft and its hard limit.
    pub fn with_open_files(most: usize, environment: &[(&str, &str)]) -> Self {
        let mut shell = Command::new("sh");
        let upbeat = upbeat();
        for (name, value) in upbeat.get_envs() {
            assert_eq!(value, None, "{name:?} is removed");
            shell.env_remove(name);
        }
        shell.args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\"")]).arg(upbeat.get_program());
        Self::spawn(shell, &[], environment)
    }

    /// A server that `command` starts, whose arguments follow those that it has.
    pub fn spawn(mut command: Command, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(if flags.contains(&"--workers") { &[][..] } else { &["--workers", "2"] })
            .args(flags)
            .args((!flags.contains(&"--data-dir")).then_some("--in-memory"))
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stderr = collect(child.stderr.take().expect("stderr"));
        let lines = lines(child.stdout.take().expect("stdout"));
        let mut address = |name: &str| match lines.recv_timeout(TIMEOUT) {
            Ok(line) => {
                let url = line.strip_prefix(name).expect("the name of the listener").trim();
                url.strip_prefix("http://").expect("a URL").to_owned()
            }
            Err(_) => {
                let _ = child.kill();
                panic!("the server did not start: {}", stderr.text.lock().expect("stderr"));
            }
        };
        let (data, admin) = (address("data"), address("admin"));
        Self { child, data, admin, stderr, agent: agent() }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", &self.data, path, &[], b"")
    }

    pub fn admin_get(&self, path: &str) -> Answer {
        self.ask("GET", &self.admin, path, &[], b"")
    }

    pub fn post(&self, path: &str, content_type: &str, body: impl AsRef<[u8]>) -> Answer {
        self.ask("POST", &self.data, path, &[("content-type", content_type)], body.as_ref())
    }

    /// Posts a body of which every row must be accepted, and returns (accepted, duplicates).
    pub fn load(&self, path: &str, content_type: &str, body: impl AsRef<[u8]>) -> (u64, u64) {
        let report = self.post(path, content_type, body).ok();
        assert_eq!(report["rejected"], serde_json::json!([]), "{report}");
        (report["accepted"].as_u64().expect("a count"), report["duplicates"].as_u64().expect("a count"))
    }

    /// Any request to either listener.
    pub fn ask(
        &self,
        method: &str,
        address: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        ask(&self.agent, method, address, path, headers, body)
    }

    /// The decision for a customer; it counts an impression when it is shown.
    pub fn decide(&self, customer: &str) -> Value {
        self.get(&format!("/should-show-ad/{customer}")).ok()
    }

    /// The reason of a dry-run decision, which counts nothing.
    pub fn reason(&self, customer: &str) -> String {
        let answer = self.get(&format!("/should-show-ad/{customer}?dry_run=true")).ok();
        answer["reason"].as_str().expect("a reason").to_owned()
    }

    /// The whole profile of a customer, from the admin listener.
    pub fn held(&self, customer: &str) -> Value {
        self.admin_get(&format!("/customers/{customer}")).ok()
    }

    /// The number of profiles held, read from the metrics.
    pub fn profiles(&self) -> u64 {
        self.metric("upbeat_profiles") as u64
    }

    /// The value of one metric; `name` includes the labels as `/metrics` writes them.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.admin_get("/metrics").text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no metric {name} in\n{text}")).parse().expect("a number")
    }

    pub fn wire(&self) -> Wire {
        Wire::to(&self.data)
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, as in `TERM`, to this process only.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("a shell");
        assert!(status.success());
    }

    /// Waits until the process has exited by itself.
    pub fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the server did not exit; its stderr: {}", self.stderr_text());
    }

    /// The text written to stderr so far.
    pub fn stderr_text(&self) -> String {
        self.stderr.text.lock().expect("stderr").clone()
    }

    /// The whole text of stderr, once the process has exited.
    pub fn whole_stderr(&mut self) -> String {
        if let Some(reader) = self.stderr.reader.take() {
            reader.join().expect("stderr");
        }
        self.stderr_text()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have exited by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("stderr of the server: {}", self.stderr_text());
        }
    }
}

/// An HTTP client that returns an answer of any status instead of an error.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(TIMEOUT))
        .build()
        .into()
}

/// One request over `agent`.
pub fn ask(
    agent: &ureq::Agent,
    method: &str,
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut request = http::Request::builder().method(method).uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = if matches!(method, "GET" | "HEAD" | "DELETE" | "OPTIONS") {
        agent.run(request.body(()).expect("a request"))
    } else {
        agent.run(request.body(body).expect("a request"))
    };
    let mut response = response.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    let body = response.body_mut().with_config().limit(64 << 20).read_to_vec().expect("a body");
    Answer { status: response.status().as_u16(), headers: response.headers().clone(), body }
}

/// One answer: status, headers and the whole body.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header of text"))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a body of text")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The JSON of an answer that must be 200.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), JSON);
        self.json()
    }

    /// Asserts a problem document of this status and type, and returns its detail.
    #[track_caller]
    pub fn problem(&self, status: u16, slug: &str) -> String {
        let problem = self.json();
        assert_eq!(problem["type"], format!("/problems/{slug}"), "{problem}");
        assert_eq!((self.status, &problem["status"]), (status, &Value::from(status)), "{problem}");
        assert_eq!(self.header("content-type"), PROBLEM);
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(!detail.is_empty(), "{problem}");
        detail.to_owned()
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> Output {
    let text = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&text);
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            sink.lock().expect("stderr").push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
    Output { text, reader: Some(reader) }
}
