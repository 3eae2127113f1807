use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use super::*;
use crate::api;
use crate::tests::{DECISION, app};
use crate::wire::Scope;

/// Nothing here waits longer than this; it is far more than anything takes.
const TIMEOUT: Duration = Duration::from_secs(60);

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";

/// A loop that has not begun to run, with a router on a runtime of its own. Connections come with a sender that reports
/// their end by being dropped.
struct Idle {
    event_loop: EventLoop<Sender<()>>,
    handle: Handle<Sender<()>>,
    _runtime: tokio::runtime::Runtime,
}

fn idle() -> Idle {
    let app = app();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let router = RouterTasks::new(&app, api::router(&app), runtime.handle().clone());
    let (event_loop, handle) = EventLoop::new(app, router).expect("file descriptors");
    Idle { event_loop, handle, _runtime: runtime }
}

fn run(event_loop: EventLoop<Sender<()>>) -> JoinHandle<()> {
    std::thread::spawn(move || { event_loop }.run().expect("a kernel that waits"))
}

/// A client's end of a connection that the loop has; the receiver fails when it is closed.
fn connect(handle: &Handle<Sender<()>>) -> (std::net::TcpStream, Receiver<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let client =
        std::net::TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    client.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_nonblocking(true).expect("it does not block");
    let (open, closed) = mpsc::channel();
    handle.send(Command::Admit(stream, Scope::Everything, open)).expect("a loop");
    (client, closed)
}

/// One answer, whose body ends with `}`.
fn answer(client: &mut std::net::TcpStream) -> String {
    let mut text = String::new();
    while !text.ends_with('}') {
        let mut bytes = [0; 4096];
        let length = client.read(&mut bytes).expect("an answer");
        assert!(length > 0, "closed within {text:?}");
        text.push_str(std::str::from_utf8(&bytes[..length]).expect("text"));
    }
    text
}

/// An instant that no test reaches.
fn far() -> Instant {
    Instant::now() + TIMEOUT
}

#[test]
fn requests_before_the_stop_are_answered_and_the_loop_ends() {
    let Idle { event_loop, handle, _runtime } = idle();
    let (mut asking, asked) = connect(&handle);
    let (mut routed, routed_closed) = connect(&handle);
    asking.write_all(DECISION).expect("it is sent");
    routed.write_all(HEALTH).expect("it is sent");
    handle.send(Command::Stop(far())).expect("a loop");
    { event_loop }.run().expect("a kernel that waits");
    for client in [&mut asking, &mut routed] {
        let mut text = String::new();
        client.read_to_string(&mut text).expect("it is sent");
        assert!(
            text.starts_with("HTTP/1.1 200 OK") && text.contains("\r\nconnection: close\r\n"),
            "{text:?}"
        );
    }
    for closed in [asked, routed_closed] {
        assert!(closed.recv().is_err(), "what came with the connection is dropped");
    }
}

#[test]
fn connection_that_has_not_asked_is_answered_after_the_stop_began() {
    let Idle { event_loop, handle, _runtime } = idle();
    let (mut idle, idle_closed) = connect(&handle);
    let (mut late, late_closed) = connect(&handle);
    let running = run(event_loop);
    idle.write_all(DECISION).expect("it is sent");
    answer(&mut idle);
    handle.send(Command::Stop(far())).expect("a loop");
    assert!(idle_closed.recv_timeout(TIMEOUT).is_err());
    assert_eq!(idle.read(&mut [0]).expect("the end"), 0, "one that has its answer and is silent is closed");
    late.write_all(DECISION).expect("it is sent");
    assert!(answer(&mut late).contains("\r\nconnection: close\r\n"));
    assert!(late_closed.recv_timeout(TIMEOUT).is_err());
    running.join().expect("the loop ends");
}

#[test]
fn connection_without_a_request_does_not_outlast_the_deadline() {
    let Idle { event_loop, handle, _runtime } = idle();
    let (mut silent, closed) = connect(&handle);
    handle.send(Command::Stop(Instant::now())).expect("a loop");
    { event_loop }.run().expect("a kernel that waits");
    assert_eq!(silent.read(&mut [0]).expect("the end"), 0);
    assert!(closed.recv().is_err());
}

#[test]
fn busy_connection_keeps_no_other_from_its_turn() {
    let Idle { event_loop, handle, _runtime } = idle();
    let (mut client, _closed) = connect(&handle);
    let running = run(event_loop);
    let mut reader = client.try_clone().expect("a second handle");
    let asking = std::thread::spawn(move || {
        let many = DECISION.repeat(1000);
        while client.write_all(&many).is_ok() {}
    });
    let reading = std::thread::spawn(move || {
        let mut bytes = [0; 1 << 16];
        while reader.read(&mut bytes).is_ok_and(|length| length > 0) {}
    });
    for _ in 0..100 {
        let (mut other, _closed) = connect(&handle);
        other.write_all(DECISION).expect("it is sent");
        assert!(answer(&mut other).starts_with("HTTP/1.1 200 OK"));
    }
    handle.send(Command::Cut).expect("a loop");
    running.join().expect("no panic");
    reading.join().expect("no panic");
    asking.join().expect("no panic");
}

#[test]
fn connection_keeps_its_loop_whatever_it_carries() {
    let Idle { event_loop, handle, _runtime } = idle();
    let (mut client, closed) = connect(&handle);
    let running = run(event_loop);
    let chunked = b"POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-ndjson\r\n\
        transfer-encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n";
    let bulk = b"POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-ndjson\r\ncontent-length: 2\r\n\r\n\n\n";
    for _ in 0..10 {
        for request in [DECISION, HEALTH, chunked, bulk] {
            client.write_all(request).expect("it is sent");
            assert!(answer(&mut client).starts_with("HTTP/1.1 200 OK"));
        }
        // All at once, and the answers in order.
        client.write_all(&[HEALTH, DECISION, bulk].concat()).expect("it is sent");
        let mut text = String::new();
        while text.matches("HTTP/1.1 200 OK").count() < 3 || !text.ends_with("[]}") {
            text += &answer(&mut client);
        }
        let place = |part: &str| text.find(part).expect("an answer");
        assert!(place("alive") < place("customer") && place("customer") < place("accepted"), "{text}");
    }
    drop(client);
    assert!(closed.recv_timeout(TIMEOUT).is_err());
    handle.send(Command::Cut).expect("a loop");
    running.join().expect("no panic");
}
