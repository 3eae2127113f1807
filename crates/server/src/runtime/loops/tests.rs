use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::*;
use crate::api;
use crate::config::Config;
use crate::metrics::Format;
use crate::runtime::supervisor::Supervisor;
use crate::runtime::supervisor::tests::{heard, watched};
use crate::tests::DECISION;

/// Nothing here waits longer than this; it is far more than anything takes.
const TIMEOUT: Duration = Duration::from_secs(60);

const READY: &[u8] = b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n";

/// Two loops, with a router on a runtime of its own.
fn two() -> (EventLoops<()>, Arc<App>, Runtime) {
    two_watched_by(Supervisor::default())
}

fn two_watched_by(supervisor: Supervisor) -> (EventLoops<()>, Arc<App>, Runtime) {
    let config = Config { workers: 2, ..Config::default() };
    let app = App::new(config, upbeat_core::event::Zone::utc(), || 1_700_000_000_000);
    let app = Arc::new(app.with_supervisor(supervisor));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime");
    let router = RouterTasks::new(&app, api::router(&app), runtime.handle().clone());
    (EventLoops::start(&app, &router).expect("threads"), app, runtime)
}

/// Has a loop panic.
fn fail() -> Command<()> {
    Command::Test(Box::new(|| panic!("it was told to fail")))
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

    loops.shared.members[0].handle.send(fail()).expect("a loop");
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
    loops.shared.members[0].handle.send(fail()).expect("a loop");
    let mut clients: Vec<_> = (0..8).map(|_| connect(&loops)).collect();
    for client in &mut clients {
        assert!(ask(client, DECISION).starts_with("HTTP/1.1 200 "));
    }
}

#[test]
fn end_of_the_last_loop_is_reported() {
    let (loops, _app, runtime) = two();
    for member in &loops.shared.members {
        member.handle.send(fail()).expect("a loop");
    }
    let reported = async { tokio::time::timeout(TIMEOUT, loops.all_failed()).await };
    runtime.block_on(async { assert!(reported.await.is_ok()) });
    assert_eq!(ask(&mut connect(&loops), DECISION), "", "nobody holds it open");
}

/// How often the watchdog of these tests asks.
const PERIOD: Duration = Duration::from_millis(100);

#[test]
fn watchdog_is_told_nothing_while_the_journals_thread_stands_still() {
    let (supervisor, manager, _folder) = watched(2 * PERIOD);
    let (loops, app, runtime) = two_watched_by(supervisor);
    let loops = Arc::new(loops);
    // This thread takes its place.
    app.durability().serve();
    let _watchdog = runtime.block_on(async { crate::runtime::watchdog::start(&app, &loops) }).expect("one");
    manager.set_read_timeout(Some(5 * PERIOD)).expect("a time-out");
    assert!(manager.recv(&mut [0; 64]).is_err(), "nothing is told in five periods");
    manager.set_read_timeout(Some(Duration::from_millis(1))).expect("a time-out");
    let deadline = std::time::Instant::now() + TIMEOUT;
    while manager.recv(&mut [0; 64]).is_err() {
        assert!(std::time::Instant::now() < deadline, "it goes on, and nothing is told");
        app.durability().pulse.answer();
    }
}

#[test]
fn watchdog_is_told_nothing_while_a_loop_stands_still() {
    let (supervisor, manager, _folder) = watched(2 * PERIOD);
    manager.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    let (loops, app, runtime) = two_watched_by(supervisor);
    let loops = Arc::new(loops);
    let _watchdog = runtime.block_on(async { crate::runtime::watchdog::start(&app, &loops) }).expect("one");
    assert_eq!(heard(&manager), "WATCHDOG=1");

    let (goes_on, stands) = std::sync::mpsc::channel::<()>();
    let (stalls, stalled) = std::sync::mpsc::channel();
    let stall = move || {
        stalls.send(()).expect("the test waits");
        let _ = stands.recv();
    };
    loops.shared.members[1].handle.send(Command::Test(Box::new(stall))).expect("a loop");
    stalled.recv_timeout(TIMEOUT).expect("it stands still");
    // One may have been under way.
    manager.set_read_timeout(Some(PERIOD)).expect("a time-out");
    let _ = manager.recv(&mut [0; 64]);
    manager.set_read_timeout(Some(5 * PERIOD)).expect("a time-out");
    assert!(manager.recv(&mut [0; 64]).is_err(), "nothing is told in five periods");

    drop(goes_on);
    manager.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    assert_eq!(heard(&manager), "WATCHDOG=1", "it goes on");
    // A loop that has failed is told otherwise, and does not have the process ended.
    loops.shared.members[0].handle.send(fail()).expect("a loop");
    while !app.has_failed_loop() {
        std::thread::yield_now();
    }
    for _ in 0..3 {
        assert_eq!(heard(&manager), "WATCHDOG=1");
    }
}
