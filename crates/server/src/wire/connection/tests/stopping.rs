//! Answers while the server stops.

use super::*;

fn draining(pieces: &[&[u8]]) -> Bench {
    let mut bench = Bench::new(pieces, usize::MAX);
    bench.answerer.draining = true;
    bench
}

fn announcements(bench: &Bench) -> usize {
    bench.sent().matches("\r\nconnection: close\r\n").count()
}

#[test]
fn answer_of_the_fast_path_announces_the_close() {
    let mut bench = draining(&[DECISION]);
    assert!(matches!(bench.turn(), Err(CloseReason::Done)));
    assert_eq!((bench.answers(), announcements(&bench)), (1, 1));
}

#[test]
fn problem_of_the_fast_path_announces_the_close() {
    let event =
        b"POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let mut bench = draining(&[event]);
    assert!(matches!(bench.turn(), Err(CloseReason::Done)));
    assert!(bench.sent().starts_with("HTTP/1.1 422 "), "{}", bench.sent());
    assert_eq!((announcements(&bench), bench.routed.len()), (1, 0));
}

#[test]
fn reply_of_the_router_announces_the_close() {
    let mut bench = Bench::new(&[HEALTH], usize::MAX);
    bench.turn().expect("an open connection");
    bench.answerer.draining = true;
    assert!(matches!(bench.reply(), Err(CloseReason::Done)));
    assert_eq!(announcements(&bench), 1);
}

#[test]
fn requests_that_came_together_are_answered_before_the_close_is_announced() {
    let mut bench = draining(&[&[DECISION, DECISION, HEALTH, DECISION, b"\r\n"].concat()]);
    bench.turn().expect("an open connection");
    assert_eq!((bench.answers(), announcements(&bench)), (2, 0));
    assert!(matches!(bench.reply(), Err(CloseReason::Done)));
    assert_eq!((bench.answers(), announcements(&bench)), (4, 1));
    assert!(bench.sent().rfind("connection: close") > bench.sent().rfind("HTTP/1.1 200"));
}

#[test]
fn request_behind_the_announced_close_has_no_answer_lost() {
    let mut bench = draining(&[DECISION, DECISION]);
    bench.turn().expect("it lingers");
    assert!(bench.connection.transport.stream.shut, "the client sees the end behind its answer");
    assert!(bench.connection.transport.stream.brings.is_empty(), "a close with unread bytes resets");
    assert_eq!((bench.answers(), announcements(&bench)), (1, 1));
}

#[test]
fn connection_is_idle_only_after_its_first_answer_and_a_silence() {
    let deadline = Instant::now() + NEVER;
    let mut bench = Bench::new(&[], usize::MAX);
    let due = |bench: &Bench| bench.connection.due_at_stop(&bench.app, deadline);
    let timeout = bench.connection.due(&bench.app);
    assert_eq!(due(&bench), timeout, "one that has not asked has its time");
    bench.brings(DECISION).turn().expect("an open connection");
    assert_eq!(due(&bench), bench.connection.last() + IDLE_AT_STOP);
    bench.brings(&DECISION[..9]).turn().expect("an open connection");
    assert_eq!(due(&bench), bench.connection.due(&bench.app), "one that has begun to ask is not idle");
}
