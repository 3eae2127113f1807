use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::*;
use crate::tests::{DECISION, app};

/// Nothing here waits longer; it is far more than anything takes.
const TIMEOUT: Duration = Duration::from_secs(60);

fn ask(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).expect("an open connection");
    let mut bytes = [0; 4096];
    let length = stream.read(&mut bytes).expect("an answer");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_a_passed_socket_wait_while_what_was_kept_is_read_and_the_admin_listener_answers() {
    const READY: &[u8] = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let bind = || listen((Ipv4Addr::LOCALHOST, 0).into(), 16).expect("a free port");
    let listeners =
        || Listeners { data: Listening { socket: bind(), is_passed: true }, admin: bind().into() };
    let listeners = listeners();
    let addresses =
        [&listeners.data, &listeners.admin].map(|each| each.socket.local_addr().expect("an address"));
    let app = app();
    app.recovery().begin();
    app.recovery().note(Progress { phase: "log", bytes: 30, of_bytes: 120, records: 7 });
    let mut server = Server::listen(listeners, Arc::clone(&app)).expect("threads");
    let [mut data, mut admin] = addresses.map(|address| TcpStream::connect(address).expect("a connection"));
    for stream in [&data, &admin] {
        stream.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    }
    let clients = tokio::task::spawn_blocking(move || {
        data.write_all(DECISION).expect("an open connection");
        let said = ask(&mut admin, READY);
        assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("25 % of the log is read"), "{said}");
        for path in ["/healthz", "/metrics"] {
            let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
            let said = ask(&mut TcpStream::connect(addresses[1]).expect("a connection"), request.as_bytes());
            assert!(said.starts_with("HTTP/1.1 200 "), "{path}: {said}");
        }
        // Nobody has accepted it, so that nobody has answered it 503 either.
        data.set_nonblocking(true).expect("a socket");
        assert!(data.read(&mut [0]).is_err());
        data.set_nonblocking(false).expect("a socket");
        (data, admin)
    });
    let (mut data, mut admin) = clients.await.expect("no panic");
    app.recovery().end();
    server.accept_waiting();
    let clients = tokio::task::spawn_blocking(move || {
        let mut bytes = [0; 4096];
        let length = data.read(&mut bytes).expect("an answer");
        assert!(
            bytes[..length].starts_with(b"HTTP/1.1 200 "),
            "{}",
            String::from_utf8_lossy(&bytes[..length])
        );
        assert!(ask(&mut admin, READY).starts_with("HTTP/1.1 200 "));
    });
    clients.await.expect("no panic");
}
