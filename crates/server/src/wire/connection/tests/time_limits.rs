//! Time limits of heads, idle connections and clients that do not read, and what their answers may hold.

use upbeat_core::event::Zone;

use super::*;
use crate::api::{Kind, Problem};
use crate::config::{Config, Limits};
use crate::gate::{Admission, HeadFacts, Principal};
use crate::metrics::{CutCause, Format};

/// An app whose answers may wait for so long.
fn app_with(limits: Limits) -> Arc<App> {
    Arc::new(App::new(Config { limits, ..Config::default() }, Zone::utc(), || 0))
}

fn expired(bench: &mut Bench) -> Result<Next, CloseReason> {
    bench.drive(|connection, turn| connection.expired(turn))
}

#[test]
fn client_that_does_not_read_is_cut_once_it_has_taken_nothing_for_the_write_timeout() {
    let mut bench = Bench::new(&[DECISION], 0);
    let before = Instant::now();
    bench.turn().expect("an open connection");
    let timeout = bench.app.config.limits.write_timeout.get();
    assert!(bench.connection.due(&bench.app) >= before + timeout);
    assert!(matches!(expired(&mut bench), Ok(Next::Turn)), "it is not due yet");
    bench.app =
        app_with(Limits { write_timeout: crate::config::Duration::from_secs(0), ..Limits::default() });
    assert!(matches!(expired(&mut bench), Err(CloseReason::Cut(CutCause::Stalled))));
}

#[test]
fn answers_that_wait_for_their_client_are_counted_until_they_are_sent() {
    let mut bench = Bench::new(&[DECISION], 100);
    bench.turn().expect("an open connection");
    let held = bench.app.metrics.response_bytes.get();
    assert!(held > 0, "the rest of the answer is held");
    bench.connection.transport.stream.room = usize::MAX;
    bench.turn().expect("an open connection");
    assert_eq!((bench.answers(), bench.app.metrics.response_bytes.get()), (1, 0));

    let mut gone = Bench::new(&[DECISION], 0);
    gone.turn().expect("an open connection");
    let app = Arc::clone(&gone.app);
    assert!(app.metrics.response_bytes.get() > 0);
    drop(gone);
    assert_eq!(app.metrics.response_bytes.get(), 0);
}

#[test]
fn answer_without_memory_to_wait_in_cuts_its_connection_and_one_that_is_taken_needs_none() {
    let limits = Limits { response_memory_bytes: 1000, ..Limits::default() };
    let mut full = Bench::new(&[DECISION], 0);
    full.app = app_with(limits.clone());
    let app = Arc::clone(&full.app);
    let _others = app.response_memory().try_take(1000).expect("nothing is held");
    assert!(matches!(full.turn(), Err(CloseReason::Cut(CutCause::Memory))));
    assert_eq!(full.answerer.output.len(), 0, "the next connection sends nothing of it");
    let mut reading = Bench::new(&[DECISION], usize::MAX);
    reading.app = app;
    reading.turn().expect("an open connection");
    assert_eq!(reading.answers(), 1);
}

#[test]
fn head_under_way_has_its_own_time_from_its_first_byte() {
    let mut bench = Bench::new(&[], usize::MAX);
    let (idle, header) = {
        let limits = &bench.app.config.limits;
        (limits.idle_timeout.get(), limits.header_timeout.get())
    };
    assert_eq!(bench.connection.due(&bench.app), bench.connection.last() + idle);
    for head in [DECISION, HEALTH] {
        let before = Instant::now();
        bench.brings(&head[..8]).turn().expect("an open connection");
        let due = bench.connection.due(&bench.app);
        assert!(due >= before + header && due < before + idle, "not since the connection is idle");
        // Lines that follow do not put it off.
        bench.brings(&head[8..head.len() - 2]).turn().expect("an open connection");
        assert_eq!(bench.connection.due(&bench.app), due);
        bench.brings(b"\r\n").turn().expect("an open connection");
        if bench.connection.waits_for_server() {
            bench.reply().expect("the connection stays");
        }
        assert_eq!(bench.connection.due(&bench.app), bench.connection.last() + idle);
    }
}

#[test]
fn time_for_an_unwanted_body_begins_when_its_answer_is_sent() {
    let request = b"POST /nowhere HTTP/1.1\r\ncontent-length: 70000\r\n\r\n";
    let mut bench = Bench::new(&[request], 0);
    bench.turn().expect("an open connection");
    bench.reply().expect("the answer waits");
    let written = Instant::now();
    bench.connection.transport.stream.room = usize::MAX;
    bench.turn().expect("the connection stays");
    assert_eq!(bench.answers(), 1);
    let due = bench.connection.due(&bench.app);
    assert!(due > written + std::time::Duration::from_secs(1), "a second of silence from here on");
}

#[test]
fn answer_before_malformed_chunks_is_kept_and_what_follows_is_read_past() {
    let request = b"GET /nowhere HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\
        transfer-encoding: chunked\r\n\r\nnot a chunk";
    let mut bench = Bench::new(&[request], usize::MAX);
    bench.turn().expect("an open connection");
    bench.reply().expect("a plain close would reset the connection for what is unread");
    assert_eq!(bench.answers(), 1);
    assert!(bench.connection.transport.stream.shut, "nothing more is sent");
    bench.brings(&[b'x'; 1000]).turn().expect("it is read past");
    bench.brings(b"").connection.transport.finished = true;
    assert!(matches!(bench.turn(), Err(CloseReason::Done)));
    let errors = bench.app.metrics.render(Format::OpenMetrics).expect("text");
    assert!(errors.contains("upbeat_http_connection_errors_total{listener=\"data\"} 1"), "{errors}");
}

#[test]
fn unwanted_body_too_long_to_be_read_past_has_its_close_announced() {
    let request = b"POST /nowhere HTTP/1.1\r\ncontent-length: 100000000\r\n\r\n";
    let mut bench = Bench::new(&[request], usize::MAX);
    bench.turn().expect("an open connection");
    bench.reply().expect("it lingers");
    assert!(bench.sent().contains("connection: close\r\n"), "{}", bench.sent());
}

#[test]
fn decision_time_includes_the_wait_in_the_event_loops_queue() {
    for request in [DECISION, b"GET /should-show-ad/48 HTTP/1.1\r\nconnection: close\r\n\r\n"] {
        let mut bench = Bench::new(&[], usize::MAX);
        // The poller reported the bytes an hour ago; the turn of this connection comes now.
        let polled = Instant::now().checked_sub(std::time::Duration::from_secs(3600)).expect("an hour");
        bench.brings(request).connection.transport.notice(true, polled);
        bench.turn().expect("an open connection");
        if bench.connection.waits_for_server() {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let (request, router) = (bench.routed.remove(0), crate::api::router(&bench.app));
            let memory = Arc::clone(bench.app.response_memory());
            let reply = runtime.block_on(async {
                let Ok(response) = tower::ServiceExt::oneshot(router, request).await;
                Reply::collect(response, &memory).await
            });
            bench.drive(|connection, turn| connection.reply(reply, turn)).expect("an open connection");
        }
        let metrics = bench.app.metrics.render(Format::OpenMetrics).expect("text");
        let sum = metrics.lines().find_map(|line| line.strip_prefix("upbeat_decision_seconds_sum "));
        let sum_s: f64 = sum.expect("a sum").parse().expect("a number");
        assert!(sum_s >= 3600.0, "{sum_s}");
        assert!(metrics.contains("upbeat_decision_seconds_count 1\n"), "{metrics}");
    }
}

#[test]
fn gate_that_panics_is_answered_on_the_routed_path_too() {
    fn panics(_: &HeadFacts<'_>) -> Result<Principal, Problem> {
        panic!("a fault in the gate")
    }
    let mut bench = Bench::new(&[HEALTH], usize::MAX);
    bench.app = Arc::new(App::new(Config::default(), Zone::utc(), || 0).with_admit(panics));
    bench.turn().expect("an open connection");
    let request = bench.routed.pop().expect("the router answers it");
    let admission = request.extensions().get::<Admission>().expect("what the gate said");
    assert_eq!(admission.admitted.as_ref().map_err(Problem::kind), Err(Kind::Internal));
}
