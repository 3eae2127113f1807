use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::*;
use crate::api;
use crate::config::Config;
use crate::metrics::Format;
use crate::tests::DECISION;

/// Nothing here waits longer than this; it is far more than anything takes.
const TIMEOUT: Duration = Duration::from_secs(60);

const READY: &[u8] = b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n";

/// Two loops, with a router on a runtime of its own.
fn two() -> (EventLoops<()>, Arc<App>, Runtime) {
    let config = Config { workers: 2, ..Config::default() };
    let app = Arc::new(App::new(config, upbeat_core::event::Zone::utc(), || 1_700_000_000_000));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime");
    let router = RouterTasks::new(&app, api::router(&app), runtime.handle().clone());
    (EventLoops::start(&app, &router).expect("threads"), app, runtime)
}

fn connect(loops: &EventLoops<()>) -> TcpStream {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    client.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_nonblocking(true).expect("it does not block");
    // Where no loop is left the client sees the end.
    let _ = loops.admit(stream, Scope::Everything, ());
    client
}

/// The answer to a request, as far as one read brings it; empty where the connection is closed.
fn ask(client: &mut TcpStream, request: &[u8]) -> String {
    // It may be closed already.
    let _ = client.write_all(request);
    let mut bytes = [0; 4096];
    let length = client.read(&mut bytes).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[test]
fn failed_loop_is_told_and_gets_no_further_connection() {
    let (loops, app, _runtime) = two();
    let (mut first, mut second) = (connect(&loops), connect(&loops));
    for client in [&mut first, &mut second] {
        assert!(ask(client, DECISION).starts_with("HTTP/1.1 200 "));
    }
    assert!(ask(&mut second, READY).starts_with("HTTP/1.1 200 "));

    loops.shared.members[0].handle.send(Command::Fail).expect("a loop");
    assert_eq!(first.read(&mut [0]).unwrap_or(0), 0, "its connections are cut");
    for _ in 0..10 {
        assert!(
            ask(&mut connect(&loops), DECISION).starts_with("HTTP/1.1 200 "),
            "the other takes its share"
        );
    }
    let readiness = ask(&mut second, READY);
    assert!(readiness.starts_with("HTTP/1.1 503 ") && readiness.contains("event loop"), "{readiness}");
    let metrics = app.metrics.render(Format::OpenMetrics).expect("text");
    assert!(metrics.contains("upbeat_event_loops_failed_total 1"), "{metrics}");
}

#[test]
fn connection_that_was_on_its_way_to_a_failed_loop_is_answered() {
    let (loops, _app, _runtime) = two();
    // The first gets half of them, unless it has failed by then; it does not come to admit any.
    loops.shared.members[0].handle.send(Command::Fail).expect("a loop");
    let mut clients: Vec<_> = (0..8).map(|_| connect(&loops)).collect();
    for client in &mut clients {
        assert!(ask(client, DECISION).starts_with("HTTP/1.1 200 "));
    }
}

#[test]
fn end_of_the_last_loop_is_reported() {
    let (loops, _app, runtime) = two();
    for member in &loops.shared.members {
        member.handle.send(Command::Fail).expect("a loop");
    }
    let reported = async { tokio::time::timeout(TIMEOUT, loops.all_failed()).await };
    runtime.block_on(async { assert!(reported.await.is_ok()) });
    assert_eq!(ask(&mut connect(&loops), DECISION), "", "nobody holds it open");
}
