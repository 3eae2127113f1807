//! What the server tells the service manager that has started it.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::durability::Kept;
use super::support::{Server, TIMEOUT};

/// The manager's end, and where it is.
struct Manager {
    socket: UnixDatagram,
    path: String,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
        Self { socket, path: path.display().to_string(), _folder: folder }
    }

    /// The next message.
    fn hear(&self) -> String {
        let mut bytes = [0; 1024];
        let length = self.socket.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// The next message that begins so; those before it are signs of life or tell people how it goes.
    fn hear_of(&self, beginning: &str) -> String {
        loop {
            let said = self.hear();
            if said.starts_with(beginning) {
                return said;
            }
            assert!(
                said.starts_with("WATCHDOG=1") || said.starts_with("STATUS="),
                "{said} before {beginning}"
            );
        }
    }
}

#[test]
fn manager_hears_of_start_reload_and_stop() {
    let manager = Manager::new();
    let environment = [("NOTIFY_SOCKET", &*manager.path), ("UPBEAT_SHUTDOWN_DRAIN", "0s")];
    let mut server = Server::with(&[], &environment);
    manager.hear_of("READY=1\n");
    server.signal("HUP");
    let said = manager.hear_of("RELOADING=1\nMONOTONIC_USEC=");
    assert!(said.contains("\nSTATUS="), "{said}");
    manager.hear_of("READY=1\n");
    server.signal("TERM");
    manager.hear_of("STOPPING=1\n");
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn watchdog_hears_of_a_server_that_goes_on_and_not_of_one_that_stands_still() {
    let manager = Manager::new();
    let kept = Kept::new();
    let server = kept.start_with(&[("NOTIFY_SOCKET", &*manager.path), ("WATCHDOG_USEC", "400000")]);
    manager.hear_of("READY=1\n");
    for _ in 0..3 {
        manager.hear_of("WATCHDOG=1");
    }
    server.signal("STOP");
    manager.socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a time-out");
    // What was sent before the signal.
    while manager.socket.recv(&mut [0; 64]).is_ok() {}
    server.signal("CONT");
    manager.socket.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    manager.hear_of("WATCHDOG=1");
}

#[test]
fn manager_that_cannot_be_told_does_not_keep_the_server_from_serving() {
    let server = Server::with(&[], &[("NOTIFY_SOCKET", "vsock:2:99"), ("WATCHDOG_USEC", "400000")]);
    assert_eq!(server.get("/readyz").status, 200);
    let said = server.stderr_text();
    assert!(said.contains("NOTIFY_SOCKET is \"vsock:2:99\""), "{said}");
}
