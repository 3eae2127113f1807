//! Bodies: collected, refused, read past, and those that do not arrive.

use upbeat_core::event::Zone;

use super::*;
use crate::api::{Kind, Problem};
use crate::config::Config;
use crate::gate::{HeadFacts, Principal};
use crate::wire::body::Arrived;

/// What a request brought for a body.
fn arrived(request: &Request) -> Result<axum::body::Bytes, Fault> {
    let arrived = request.extensions().get::<Arrived>().expect("a body or a fault");
    arrived.take().expect("it is taken once").map(|collected| collected.join())
}

fn refuse_all(_: &HeadFacts<'_>) -> Result<Principal, Problem> {
    Err(Problem::new(Kind::NotReady, "refused"))
}

#[test]
fn body_is_collected_however_it_arrives_and_the_connection_stays_on_the_fast_path() {
    for request in [
        post("content-length: 11", "hello\nworld"),
        post("transfer-encoding: chunked", "6\r\nhello\n\r\n5\r\nworld\r\n0\r\n\r\n"),
    ] {
        for size in [1, 7, request.len()] {
            let pieces: Vec<&[u8]> = request.chunks(size).collect();
            let mut bench = Bench::new(&pieces, usize::MAX);
            assert!(matches!(bench.turn(), Ok(Next::Event)));
            assert_eq!(bench.routed.len(), 1, "pieces of {size}");
            let arrived = arrived(&bench.routed.pop().expect("a request"));
            assert_eq!(arrived.expect("a body"), "hello\nworld");
            bench.reply().expect("the connection stays");
            bench.brings(DECISION).turn().expect("the connection stays");
            assert_eq!((bench.answers(), bench.routed.len()), (2, 0), "the fast path answers");
        }
    }
}

#[test]
fn client_that_waits_to_be_asked_for_its_body_is_asked_once() {
    let mut bench = Bench::new(&[&post("content-length: 2\r\nexpect: 100-continue", "")], usize::MAX);
    bench.turn().expect("an open connection");
    assert_eq!(bench.sent(), "HTTP/1.1 100 Continue\r\n\r\n");
    bench.brings(b"{}").turn().expect("an open connection");
    assert_eq!(bench.routed.len(), 1);
    bench.reply().expect("the connection stays");
    assert_eq!(bench.sent().matches("100 Continue").count(), 1);
}

#[test]
fn refused_head_is_answered_without_asking_for_its_body_and_the_close_is_announced() {
    let request = b"POST /nowhere HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n";
    let mut bench = Bench::new(&[request], usize::MAX);
    bench.turn().expect("an open connection");
    assert_eq!(bench.routed.len(), 1);
    bench.reply().expect("it lingers");
    assert!(bench.sent().contains("connection: close\r\n") && !bench.sent().contains("100 Continue"));
    assert!(bench.connection.transport.stream.shut, "nothing more is sent");
    bench.brings(b"").connection.transport.finished = true;
    assert!(matches!(bench.turn(), Err(CloseReason::Done)));
}

#[test]
fn unwanted_body_is_read_past_and_the_next_request_answered() {
    let request =
        [&b"POST /nowhere HTTP/1.1\r\nhost: a\r\ncontent-length: 70000\r\n\r\n"[..], &[b'x'; 10_000]]
            .concat();
    let mut bench = Bench::new(&[&request], usize::MAX);
    bench.turn().expect("an open connection");
    bench.reply().expect("the connection stays");
    bench.brings(&[b'x'; 60_000]).brings(DECISION).turn().expect("the connection stays");
    assert_eq!(bench.answers(), 2);
}

#[test]
fn body_that_does_not_arrive_goes_to_the_router_as_a_fault() {
    let cut = post("content-length: 20", "hello");
    for (pieces, timeout, expected) in [
        (vec![&cut[..], b""], false, Fault::Ended { bytes: 5 }),
        (vec![&cut[..]], true, Fault::TimedOut),
        (vec![&post("content-length: 99999999", "")[..]], false, Fault::TooLarge { limit: 8 << 20 }),
        (
            vec![&post("transfer-encoding: chunked", "2\r\nab\r\nx\r\n")[..]],
            false,
            Fault::Malformed { bytes: 2 },
        ),
    ] {
        let mut bench = Bench::new(&pieces, usize::MAX);
        bench.connection.transport.finished = expected == Fault::Ended { bytes: 5 };
        bench.turn().expect("an open connection");
        if timeout {
            assert!(bench.routed.is_empty());
            bench.drive(|connection, turn| connection.expired(turn)).expect("an open connection");
        }
        assert_eq!(arrived(&bench.routed[0]), Err(expected));
        let _ = bench.reply();
        assert!(bench.sent().contains("connection: close\r\n"), "{expected:?}: {}", bench.sent());
    }
}

#[test]
fn fast_event_whose_body_does_not_arrive_is_answered_by_the_router() {
    let head =
        b"POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{";
    let mut bench = Bench::new(&[head], usize::MAX);
    bench.turn().expect("an open connection");
    assert!(bench.routed.is_empty());
    let body_timeout = bench.app.config.limits.body_timeout.get();
    let due = bench.connection.due(&bench.app);
    assert!(due <= Instant::now() + body_timeout, "the body has its own time");
    bench.drive(|connection, turn| connection.expired(turn)).expect("an open connection");
    assert_eq!(arrived(&bench.routed[0]), Err(Fault::TimedOut));
}

#[test]
fn refused_event_whose_body_does_not_arrive_keeps_its_reply_and_its_framing() {
    let head = b"POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 4000\r\n\r\n{";
    for refused_by_gate in [true, false] {
        let mut bench = Bench::new(&[head], usize::MAX);
        let mut config = Config::default();
        config.limits.event_bytes = 1024;
        config.limits.bulk_bytes = 1024;
        let app = App::new(config, Zone::utc(), || 0);
        bench.app = Arc::new(if refused_by_gate { app.with_admit(refuse_all) } else { app });
        bench.turn().expect("an open connection");
        bench.drive(|connection, turn| connection.expired(turn)).expect("an open connection");
        assert_eq!(bench.routed.len(), 1);
        assert!(bench.connection.waits_for_server(), "the reply is awaited");
        let _ = bench.reply();
        assert_eq!(bench.answers(), 1, "the reply is sent");
        // What still comes is the body, and no request.
        let _ = bench.brings(DECISION).turn();
        assert_eq!(bench.answers(), 1, "{}", bench.sent());
    }
}
