//! Answers that wait for the log.

use super::*;
use upbeat_core::event::Id;
use upbeat_engine::LogState;

use crate::api::Problem;
use crate::runtime::{Barrier, Log};
use crate::tests::{FakeLog, app_with_log};

fn play(event: u32, headers: &str) -> Vec<u8> {
    let body = format!(
        "{{\"type\":\"play\",\"event_id\":{event},\"customer_id\":48,\"track_id\":7,\
         \"time\":\"2023-11-14T20:00:00\",\"mobile\":false,\"zip\":\"1\"}}"
    );
    let length = body.len();
    format!(
        "POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A connection whose log is durable below 10 and gives 11 next.
fn bench(pieces: &[&[u8]], room: usize) -> (Arc<FakeLog>, Bench) {
    let log = FakeLog::new(11, 10);
    let bench = Bench::of(app_with_log(&log), pieces, room);
    (log, bench)
}

impl Bench {
    fn end_hold(&mut self, is_overdue: bool) -> Result<Next, CloseReason> {
        self.drive(|connection, turn| connection.end_hold(is_overdue, turn))?;
        self.turn()
    }

    fn barrier(&self) -> Option<u64> {
        self.connection.transport.held().map(|(Barrier(position), _)| position)
    }

    fn bodies(&self) -> Vec<String> {
        let sent = self.sent();
        sent.split("\r\n\r\n").skip(1).map(|rest| rest.split("HTTP/1.1").next().unwrap().to_owned()).collect()
    }
}

#[test]
fn event_is_acknowledged_only_when_the_log_has_passed_its_barrier() {
    let (log, mut bench) = bench(&[&play(1, "")], usize::MAX);
    assert!(matches!(bench.turn(), Ok(Next::Event)));
    assert_eq!((bench.sent().as_str(), bench.barrier()), ("", Some(11)));
    assert!(!bench.connection.is_between_requests(), "an answer is due");
    log.set_durable(10);
    assert!(matches!(bench.end_hold(false), Ok(Next::Event)));
    assert_eq!(bench.sent(), "", "it is not durable yet");
    log.set_durable(11);
    assert!(matches!(bench.end_hold(false), Ok(Next::Event)));
    assert_eq!((bench.answers(), bench.barrier()), (1, None));
    assert!(bench.sent().ends_with("{\"accepted\":1,\"duplicates\":0,\"rejected\":[]}"), "{}", bench.sent());
    assert!(bench.connection.is_between_requests());
}

#[test]
fn repeat_waits_for_its_first_copy_and_what_changed_nothing_does_not_wait() {
    let (log, mut bench) = bench(&[&play(1, "")], usize::MAX);
    bench.turn().expect("an open connection");
    log.set_durable(11);
    bench.end_hold(false).expect("an open connection");
    // Another connection has published something, which may be the first copy of what comes now.
    log.set_next(20);
    bench.brings(&play(1, ""));
    bench.turn().expect("an open connection");
    assert_eq!((bench.answers(), bench.barrier()), (1, Some(20)));
    log.set_durable(20);
    bench.end_hold(false).expect("an open connection");
    assert_eq!(bench.answers(), 2);

    bench.brings(&play(1, ""));
    bench.turn().expect("an open connection");
    assert_eq!(bench.answers(), 3, "everything is durable, the first copy, too");
    log.set_next(30);
    bench.brings(&post("content-length: 2", "{}"));
    bench.turn().expect("an open connection");
    bench.brings(DECISION);
    assert!(bench.connection.transport.held().is_none(), "what is refused changed nothing");
}

#[test]
fn erased_event_waits_for_the_erasure() {
    let log = FakeLog::new(11, 10);
    let app = app_with_log(&log);
    // Another connection has deleted the customer, and that is not durable yet.
    assert_eq!(app.engine.remove(&Id::Number(48), app.wall_ms()), Ok(false));
    let mut bench = Bench::of(app, &[&play(1, "")], usize::MAX);
    bench.turn().expect("an open connection");
    assert_eq!((bench.answers(), bench.barrier()), (0, Some(11)));
    log.set_durable(11);
    bench.end_hold(false).expect("an open connection");
    let sent = bench.sent();
    assert!(sent.ends_with("{\"accepted\":0,\"duplicates\":0,\"erased\":1,\"rejected\":[]}"), "{sent}");
}

#[test]
fn later_requests_wait_behind_and_earlier_answers_do_not_wait() {
    let (log, mut bench) = bench(&[&[DECISION, &play(1, ""), DECISION].concat(), DECISION], usize::MAX);
    assert!(matches!(bench.turn(), Ok(Next::Event)));
    assert_eq!(bench.answers(), 1, "the decision before the event");
    assert_eq!(bench.connection.transport.stream.brings.len(), 1, "nothing more is read");
    log.set_durable(11);
    bench.end_hold(false).expect("an open connection");
    let bodies = bench.bodies();
    let is_report: Vec<_> = bodies.iter().map(|body| body.contains("accepted")).collect();
    assert_eq!(is_report, [false, true, false, false], "{bodies:?}");
}

#[test]
fn answers_count_when_they_are_sent_and_not_when_503_is_sent_in_their_place() {
    let counted = |bench: &Bench| {
        let text = bench.app.metrics.render(Format::Classic).expect("text");
        ["/events", "/should-show-ad/{customer}"].map(|route| {
            let line = format!("upbeat_http_requests_total{{route=\"{route}\",status=\"200\"}} ");
            let value = text.lines().find_map(|other| other.strip_prefix(&*line)).expect("a series");
            value.parse::<u64>().expect("a number")
        })
    };
    for is_overdue in [false, true] {
        let all = [DECISION, &play(1, ""), DECISION, &play(2, "")].concat();
        let (log, mut bench) = bench(&[&all], usize::MAX);
        bench.turn().expect("an open connection");
        assert_eq!(counted(&bench), [0, 1], "the decision before them is sent");
        if !is_overdue {
            log.set_durable(11);
        }
        bench.end_hold(is_overdue).expect("an open connection");
        assert_eq!(counted(&bench), if is_overdue { [0, 1] } else { [2, 2] });
    }
}

#[test]
fn body_is_not_asked_for_while_the_log_takes_no_events() {
    use upbeat_engine::LogRefusal;

    let states = [
        (LogState::Reserve, LogRefusal::Reserve),
        (LogState::Full, LogRefusal::FullDisk),
        (LogState::Failed, LogRefusal::Failed),
        (LogState::Accepting, LogRefusal::Backlog),
    ];
    for (state, cause) in states {
        let (log, mut bench) =
            bench(&[&post("content-length: 900000\r\nexpect: 100-continue", "")], usize::MAX);
        log.set_state(state);
        if state == LogState::Accepting {
            log.back_up();
        }
        bench.turn().expect("an open connection");
        let request = bench.routed.pop().expect("its head alone is refused");
        let asked = request.extensions().get::<crate::gate::Admission>().expect("it was asked about");
        let kind = asked.admitted.as_ref().map(drop).map_err(Problem::kind);
        assert_eq!(kind, Err(crate::api::Kind::LogUnavailable), "{state:?}");
        assert_eq!(bench.sent(), "", "the client is not told to continue");
        let refused: Vec<_> = bench.app.engine.log_refusals().filter(|(_, count)| *count > 0).collect();
        assert_eq!(refused, [(cause, 1)]);
        bench.brings(DECISION);
    }
}

#[test]
fn decisions_alone_never_wait() {
    let (log, mut bench) = bench(&[&DECISION.repeat(3)], usize::MAX);
    log.set_state(LogState::Full);
    bench.turn().expect("an open connection");
    assert_eq!((bench.answers(), bench.barrier()), (3, None));
}

#[test]
fn several_events_wait_for_the_barrier_of_the_last() {
    let (log, mut bench) = bench(&[&[play(1, ""), DECISION.to_vec(), play(2, "")].concat()], usize::MAX);
    bench.turn().expect("an open connection");
    assert_eq!((bench.sent().as_str(), bench.barrier()), ("", Some(11)));
    log.set_durable(11);
    bench.end_hold(false).expect("an open connection");
    assert_eq!(bench.answers(), 3);
}

#[test]
fn overdue_answer_is_replaced_by_503_and_the_connection_closed_behind_it() {
    let event = play(1, "x-request-id: mine\r\n");
    let (_log, mut bench) = bench(&[&[DECISION, &event, DECISION].concat()], usize::MAX);
    bench.turn().expect("an open connection");
    assert!(matches!(bench.end_hold(true), Ok(Next::Event)), "it lingers");
    let sent = bench.sent();
    assert_eq!(bench.answers(), 1, "the decision before the event: {sent}");
    let problem = &sent[sent.find("HTTP/1.1 503").expect("a problem")..];
    for part in
        ["\r\nretry-after: 1\r\n", "\r\nconnection: close\r\n", "\r\nx-request-id: mine\r\n", "fate-unknown"]
    {
        assert!(problem.contains(part), "{part} in {problem}");
    }
    assert!(!problem[12..].contains("HTTP/1.1"), "what came behind it has no answer: {problem}");
    bench.brings(&play(2, "")).brings(b"");
    assert!(matches!(bench.turn(), Err(CloseReason::Done)));
    assert_eq!(bench.sent().len(), sent.len(), "nothing more is answered");
    let metrics = bench.app.metrics.render(Format::Classic).expect("text");
    for line in ["upbeat_journal_acks_unknown_total 1", "upbeat_problems_total{type=\"fate-unknown\"} 1"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[test]
fn overdue_answer_is_sent_if_it_became_durable_at_the_last_moment() {
    let (log, mut bench) = bench(&[&play(1, "")], usize::MAX);
    bench.turn().expect("an open connection");
    log.set_durable(11);
    let expired = bench.drive(|connection, turn| connection.expired(turn));
    assert!(matches!(expired, Ok(Next::Event)));
    assert_eq!(bench.answers(), 1);
}

#[test]
fn log_that_takes_no_more_ends_the_wait() {
    let (log, mut bench) = bench(&[&play(1, "")], usize::MAX);
    bench.turn().expect("an open connection");
    log.set_state(LogState::Full);
    bench.end_hold(false).expect("it lingers");
    assert!(bench.sent().starts_with("HTTP/1.1 503 "), "{}", bench.sent());
}

#[test]
fn reply_of_the_router_waits_for_its_barrier_with_its_whole_body() {
    let (log, mut bench) = bench(&[&post("content-length: 1", "x"), DECISION], usize::MAX);
    bench.turn().expect("an open connection");
    let body = "x".repeat(1 << 20);
    let mut reply = Reply::text(Box::leak(body.into_boxed_str()));
    reply.barrier = Some(Barrier(11));
    bench.drive(|connection, turn| connection.reply(Some(reply), turn)).expect("an open connection");
    assert!(matches!(bench.turn(), Ok(Next::Event)));
    assert_eq!((bench.sent().as_str(), bench.barrier()), ("", Some(11)));
    log.set_durable(11);
    bench.end_hold(false).expect("an open connection");
    assert!(bench.sent().len() > 1 << 20);
    assert_eq!(bench.answers(), 2);
}

#[test]
fn full_socket_and_the_log_are_waited_for_one_after_the_other() {
    let (log, mut bench) = bench(&[&[DECISION, &play(1, "")].concat()], 100);
    bench.turn().expect("an open connection");
    assert_eq!((bench.sent().len(), bench.barrier()), (100, Some(11)));
    log.set_durable(11);
    assert!(matches!(bench.end_hold(false), Ok(Next::Event)));
    assert_eq!(bench.sent().len(), 100, "the socket is full");
    bench.connection.transport.stream.room = usize::MAX;
    bench.turn().expect("an open connection");
    assert_eq!(bench.answers(), 2);
}

#[test]
fn rest_of_an_earlier_answer_is_sent_in_front_of_the_503() {
    let (_log, mut bench) = bench(&[&[DECISION, &play(1, "")].concat()], 100);
    bench.turn().expect("an open connection");
    bench.connection.transport.stream.room = usize::MAX;
    bench.end_hold(true).expect("it lingers");
    let sent = bench.sent();
    let (decision, problem) = sent.split_at(sent.find("HTTP/1.1 503").expect("a problem"));
    assert!(decision.starts_with("HTTP/1.1 200 OK") && decision.ends_with("\"}"), "{decision}");
    assert!(problem.ends_with('}'), "{problem}");
}

#[test]
fn wait_is_due_after_the_timeout_of_acknowledgements() {
    let (_log, mut bench) = bench(&[&play(1, "")], usize::MAX);
    bench.turn().expect("an open connection");
    let (_, since) = bench.connection.transport.held().expect("it waits");
    let timeout = bench.app.config.ack_timeout.get();
    assert_eq!(bench.connection.due(&bench.app), since + timeout);
    assert_eq!(bench.connection.due_at_stop(&bench.app, since), since + timeout, "a stop cuts no wait");
}
