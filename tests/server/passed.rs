//! Listening sockets that whoever starts the server passes to it, and keeps.

use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::durability::Kept;
use super::listeners::play;
use super::skipped::skipped;
use super::support::{JSON, Server, until, upbeat};
use super::wire::Wire;

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A command that starts the binary with these sockets, which stay open, by the protocol of `sd_listen_fds(3)`.
pub fn with_sockets(sockets: &[(&str, &dyn AsRawFd)]) -> Command {
    pass_sockets(Command::new("sh"), sockets)
}

/// Has a shell, or what runs one, start the binary with these sockets.
pub fn pass_sockets(mut shell: Command, sockets: &[(&str, &dyn AsRawFd)]) -> Command {
    let upbeat = upbeat();
    for (name, value) in upbeat.get_envs() {
        assert_eq!(value, None, "{name:?} is removed");
        shell.env_remove(name);
    }
    // The number of the process is known to itself alone.
    shell.args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\""]).arg(upbeat.get_program());
    let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
    shell.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
    // Copies out of the way of those numbers that are passed.
    let copy = |socket: &dyn AsRawFd| {
        // SAFETY: the descriptor is open, and the copy is nobody else's.
        unsafe { OwnedFd::from_raw_fd(libc::fcntl(socket.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 100)) }
    };
    let copies: Vec<OwnedFd> = sockets.iter().map(|(_, socket)| copy(*socket)).collect();
    let pass = move || {
        for (number, copy) in (3..).zip(&copies) {
            // SAFETY: the copy is open, and the call may be made between fork and exec.
            if unsafe { libc::dup2(copy.as_raw_fd(), number) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: it makes no call that is not allowed between fork and exec.
    unsafe { shell.pre_exec(pass) };
    shell
}

pub fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a port")
}

fn address(listener: &TcpListener) -> String {
    listener.local_addr().expect("an address").to_string()
}

#[test]
fn passed_sockets_are_served_on_by_their_names_and_count_more_than_flags() {
    let (data, admin) = (listener(), listener());
    let server = Server::spawn(with_sockets(&[("admin", &admin), ("data", &data)]), &[], &[]);
    assert_eq!((&server.data, &server.admin), (&address(&data), &address(&admin)));
    server.load("/events", JSON, play("48", 1, 60));
    assert_eq!(server.held("48")["plays"].as_array().expect("a list").len(), 1);
    for listener in [&server.data, &server.admin] {
        assert!(server.ask("GET", listener, "/readyz", &[], b"").ok()["status"] == "ready");
    }
    let said = server.stderr_text();
    assert!(said.contains("whatever --listen") && said.contains("whatever --admin-listen"), "{said}");
}

#[test]
fn listener_without_a_passed_socket_is_bound() {
    let data = listener();
    let server = Server::spawn(with_sockets(&[("data", &data)]), &[], &[]);
    assert_eq!(server.data, address(&data));
    assert_eq!(server.admin_get("/healthz").status, 200);
    drop(server);
    let admin = listener();
    let server = Server::spawn(with_sockets(&[("admin", &admin)]), &[], &[]);
    assert_eq!(server.admin, address(&admin));
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn descriptor_without_a_listening_socket_or_a_place_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("data");
    let file = std::fs::File::open("/dev/null").expect("it is there");
    let (data, other) = (listener(), listener());
    for (sockets, said) in [
        (&[("data", &file as &dyn AsRawFd)][..], "descriptor 3"),
        (&[("data", &data), ("data", &other)], "LISTEN_FDNAMES"),
        (&[("data", &data), ("admin", &other), ("metrics", &other)], "LISTEN_FDS"),
    ] {
        let mut command = with_sockets(sockets);
        command.args(["serve", "--data-dir"]).arg(&directory).stdin(Stdio::null());
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(said), "{text}");
        assert!(!directory.exists());
    }
}

#[test]
fn connections_that_come_between_two_processes_are_answered_by_the_second() {
    let (kept, data, admin) = (Kept::new(), listener(), listener());
    let directory = kept.directory();
    let start = || {
        let lanes = kept.lanes.path().display().to_string();
        let environment = [("UPBEAT_LANES_DIR", &*lanes), ("UPBEAT_SHUTDOWN_DRAIN", "0s")];
        let sockets: [(&str, &dyn AsRawFd); 2] = [("data", &data), ("admin", &admin)];
        Server::spawn(with_sockets(&sockets), &["--data-dir", &directory], &environment)
    };
    let event = |number: u64| {
        let body = play("48", number, 60);
        let length = body.len();
        format!(
            "POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-type: {JSON}\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    for (round, signal) in ["TERM", "KILL"].into_iter().enumerate() {
        let mut first = start();
        let mut kept_open = first.wire();
        assert_eq!(kept_open.send(HEALTH).answer().status, 200);
        first.signal(signal);
        let status = first.ended();
        assert!(signal == "KILL" || status.code() == Some(0), "{status}");
        // Nobody is there to accept them.
        let mut waiting: Vec<Wire> = (0..20).map(|_| Wire::to(&address(&data))).collect();
        let mut asks_admin = Wire::to(&address(&admin));
        asks_admin.send(HEALTH);
        let numbers = (0..).map(|number| 100 * round as u64 + number);
        for (wire, number) in waiting.iter_mut().zip(numbers) {
            wire.send(event(number));
        }
        let second = start();
        for wire in &mut waiting {
            assert_eq!(wire.answer().ok()["accepted"], 1);
        }
        assert_eq!(asks_admin.answer().status, 200);
        assert_eq!(second.held("48")["plays"].as_array().expect("a list").len(), 20 * (round + 1));
    }
}

/// A launcher, ended with the server that it runs.
struct Launcher(Child);

impl Launcher {
    /// The number of the process that it runs.
    fn server(&self) -> Option<u32> {
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        std::fs::read_to_string(children).ok()?.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        let server = self.server();
        let _ = self.0.kill();
        let _ = self.0.wait();
        if let Some(server) = server {
            kill(server);
        }
    }
}

fn kill(process: u32) {
    let process = libc::pid_t::try_from(process).expect("a number of a process");
    // SAFETY: the call has no preconditions; the process is one that the test's launcher runs.
    unsafe { libc::kill(process, libc::SIGKILL) };
}

#[test]
fn launcher_in_the_guide_starts_the_next_server_on_the_same_sockets() {
    let guide = include_str!("../../docs/guides/operating.md");
    let script =
        guide.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a launcher");
    let kept = Kept::new();
    // Ports that are free, and most likely will be a moment later.
    let ports = [listener(), listener()].map(|listener| listener.local_addr().expect("an address").port());
    let serve = format!("{} serve --data-dir {}", env!("CARGO_BIN_EXE_upbeat"), kept.directory());
    let script = script
        .replace("8080, 8081", &format!("{}, {}", ports[0], ports[1]))
        .replace("upbeat serve --data-dir /var/lib/upbeat", &serve);
    assert!(script.contains(&serve) && !script.contains("8080"), "{script}");
    let mut python = Command::new("python3");
    python
        .args(["-c", &script])
        .env("UPBEAT_LANES_DIR", kept.lanes.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(launcher) = python.spawn() else {
        skipped("python3 is not installed");
        return;
    };
    let launcher = Launcher(launcher);
    let address = format!("127.0.0.1:{}", ports[0]);
    until("the launcher listens", || std::net::TcpStream::connect(&address).is_ok());
    for _ in 0..2 {
        assert_eq!(Wire::to(&address).send(HEALTH).answer().status, 200);
        let first = launcher.server().expect("it has answered");
        kill(first);
        until("the next one is there", || launcher.server().is_some_and(|next| next != first));
    }
    assert_eq!(Wire::to(&address).send(HEALTH).answer().status, 200);
}
