//! Against a server that answers as a test wants.

use std::path::Path;

use hyper::header::RETRY_AFTER;

use super::super::source::{Kind, Source, oldest_batch};
use super::*;
use crate::stub::{Stub, block_on, lose, respond, stub};

/// Sends `rows` from a file, two in a batch; the outcome, the notes and the delivery.
async fn deliver(stub: &Stub, rows: &str) -> (Result<(), DeliveryError>, Vec<String>, Delivery) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.csv");
    std::fs::write(&file, rows).unwrap();
    let mut sources = [Source::open(Kind::Plays, Path::new(&file), 2).unwrap()];
    let client = Client::new(&stub.url, Duration::from_secs(5)).unwrap();
    let mut delivery = Delivery::new(client);
    delivery.first_wait = Duration::from_millis(1);
    let mut notes = Vec::new();
    while let Some(batch) = oldest_batch(&mut sources).unwrap() {
        let sent = delivery.send(&batch, |line| {
            let name = line.rsplit('/').next().unwrap_or_default();
            notes.push(name.to_owned());
        });
        if let Err(error) = sent.await {
            return (Err(error), notes, delivery);
        }
    }
    (Ok(()), notes, delivery)
}

const ACCEPTED: &str = r#"{"accepted":2,"duplicates":0,"rejected":[]}"#;

#[test]
fn rejected_rows_are_named_by_their_line_in_the_file() {
    block_on(async {
        let stub = stub(|nth, _| match nth {
            0 => respond(200, ACCEPTED),
            _ => respond(200, r#"{"accepted":0,"duplicates":1,"rejected":[{"index":1,"detail":"no time"}]}"#),
        })
        .await;
        let (outcome, notes, delivery) = deliver(&stub, "a\n\nb\nc\n\"x\nd\n").await;
        outcome.unwrap();
        let notes: Vec<_> = notes.iter().filter_map(|note| note.split(',').next()).collect();
        assert_eq!(notes, ["t.csv:5: the quote that opens column 1 is not closed", "t.csv:6: no time"]);
        assert_eq!(
            delivery.summary(),
            "5 rows in 2 requests (0 sent again): accepted 2, duplicates 1, rejected 2"
        );
        let received = stub.received.lock().unwrap();
        assert_eq!(received[0].1, "/events?kind=plays");
        assert_eq!((&*received[0].2, &*received[1].2), ("a\nb\n", "c\nd\n"));
    });
}

#[test]
fn rows_that_the_server_does_not_list_count_as_rejected() {
    block_on(async {
        let stub = stub(|_, _| {
            let body = r#"{"accepted":0,"duplicates":0,
                "rejected":[{"index":0,"detail":"bad"}],"rejected_omitted":1}"#;
            respond(200, body)
        })
        .await;
        let (outcome, notes, delivery) = deliver(&stub, "a\nb\n").await;
        outcome.unwrap();
        assert_eq!((notes.len(), delivery.counts.rejected), (2, 2));
        assert!(!delivery.is_complete());
    });
}

#[test]
fn rows_too_old_to_tell_are_counted_apart() {
    block_on(async {
        let stub =
            stub(|_, _| respond(200, r#"{"accepted":0,"duplicates":1,"too_old":1,"rejected":[]}"#)).await;
        let (outcome, notes, delivery) = deliver(&stub, "a\nb\n").await;
        outcome.unwrap();
        assert!(notes.is_empty(), "{notes:?}");
        let expected = "2 rows in 1 requests (0 sent again): accepted 0, duplicates 1, too old 1, rejected 0";
        assert_eq!(delivery.summary(), expected);
        assert!(delivery.is_complete());
    });
}

#[test]
fn rows_of_erased_customers_are_counted_apart() {
    block_on(async {
        let stub =
            stub(|_, _| respond(200, r#"{"accepted":1,"duplicates":0,"erased":1,"rejected":[]}"#)).await;
        let (outcome, notes, delivery) = deliver(&stub, "a\nb\n").await;
        outcome.unwrap();
        assert!(notes.is_empty(), "{notes:?}");
        let expected = "2 rows in 1 requests (0 sent again): accepted 1, duplicates 0, erased 1, rejected 0";
        assert_eq!(delivery.summary(), expected);
        assert!(delivery.is_complete());
    });
}

#[test]
fn busy_server_gets_the_same_rows_again() {
    block_on(async {
        let stub = stub(|nth, _| {
            let mut busy = respond(503, "");
            busy.headers_mut().insert(RETRY_AFTER, "0".parse().unwrap());
            if nth < 2 { busy } else { respond(200, ACCEPTED) }
        })
        .await;
        let (outcome, notes, delivery) = deliver(&stub, "a\nb\n").await;
        outcome.unwrap();
        assert!(notes.is_empty(), "{notes:?}");
        assert_eq!(
            delivery.summary(),
            "2 rows in 3 requests (2 sent again): accepted 2, duplicates 0, rejected 0"
        );
    });
}

#[test]
fn attempts_are_bounded() {
    block_on(async {
        let stub = stub(|_, _| respond(503, r#"{"title":"draining"}"#)).await;
        let (outcome, _, delivery) = deliver(&stub, "a\n").await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("line 1 with status 503: draining"), "{error}");
        assert_eq!(delivery.requests, u64::from(MAX_ATTEMPTS));
    });
}

#[test]
fn refusals_and_unknown_answers_end_the_replay_at_once() {
    block_on(async {
        for (status, body, message) in [
            (404, "", "status 404"),
            (413, r#"{"detail":"too big"}"#, "status 413: too big"),
            (200, "<html>", "is --to the data address?"),
            (200, ACCEPTED, "counted 2 rows in"),
        ] {
            let stub = stub(move |_, _| respond(status, body)).await;
            let (outcome, _, delivery) = deliver(&stub, "a\n").await;
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
            assert_eq!(delivery.requests, 1);
        }
    });
}

/// The counts of a summary add up to its rows, whatever happened.
#[track_caller]
fn assert_adds_up(summary: &str) {
    let numbers = |text: &str| -> Vec<u64> {
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
    };
    let (head, outcomes) = summary.split_once(": ").expect("a colon");
    assert_eq!(numbers(head)[0], numbers(outcomes).iter().sum::<u64>(), "{summary}");
}

/// A server that takes the first request and closes the connection on others without an answer.
async fn silent_after_the_first() -> Stub {
    stub(|nth, _| if nth == 0 { respond(200, ACCEPTED) } else { lose() }).await
}

#[test]
fn rows_whose_answer_is_lost_are_of_unknown_fate() {
    block_on(async {
        let stub = silent_after_the_first().await;
        let (outcome, _, delivery) = deliver(&stub, "a\nb\nc\nd\ne\n").await;
        assert!(matches!(outcome, Err(DeliveryError::Client(ClientError::Broken { .. }))));
        let summary = delivery.summary();
        assert!(summary.ends_with("accepted 2, duplicates 0, rejected 0, of unknown fate 2"), "{summary}");
        assert_adds_up(&summary);
        let remains = delivery.remains();
        assert!(remains.len() == 1 && remains[0].contains("t.csv, lines 3 to 4 (2 rows)"), "{remains:?}");
        assert!(!delivery.is_complete());
    });
}

#[test]
fn rows_sent_again_after_a_lost_answer_are_counted_once() {
    block_on(async {
        let stub = stub(|nth, _| match nth {
            0 => lose(),
            _ => respond(200, r#"{"accepted":0,"duplicates":2,"rejected":[]}"#),
        })
        .await;
        let (outcome, _, delivery) = deliver(&stub, "a\nb\n").await;
        outcome.unwrap();
        let summary = delivery.summary();
        assert_eq!(summary, "2 rows in 2 requests (1 sent again): accepted 0, duplicates 2, rejected 0");
        assert!(delivery.remains()[0].contains("some answers were lost"), "{:?}", delivery.remains());
        assert!(delivery.is_complete());
    });
}

#[test]
fn rows_that_the_server_never_took_are_told_as_not_sent() {
    block_on(async {
        for status in [503, 429, 404, 413] {
            let stub = stub(move |_, _| respond(status, "")).await;
            let (outcome, _, delivery) = deliver(&stub, "a\nb\nc\n").await;
            outcome.unwrap_err();
            assert_adds_up(&delivery.summary());
            assert_eq!(
                delivery.remains(),
                [format!("not sent: {}", delivery.remains()[0].split(": ").nth(1).unwrap())]
            );
            assert!(delivery.summary().ends_with("rejected 0, not sent 2"), "{}", delivery.summary());
        }
        let unreachable =
            Stub { url: "http://127.0.0.1:1".to_owned(), ..stub(|_, _| respond(200, "")).await };
        let (_, _, delivery) = deliver(&unreachable, "a\nb\n").await;
        assert!(delivery.summary().ends_with("not sent 2"), "{}", delivery.summary());
    });
}

/// A failed server, or a proxy that waited in vain, may have passed some rows on.
#[test]
fn rows_of_a_failed_server_or_proxy_are_of_unknown_fate() {
    block_on(async {
        for status in [500, 502, 504] {
            let stub = stub(move |_, _| respond(status, "")).await;
            let (_, _, delivery) = deliver(&stub, "a\n").await;
            assert!(delivery.summary().ends_with("of unknown fate 1"), "{}", delivery.summary());
            assert_eq!(
                delivery.requests,
                u64::from(MAX_ATTEMPTS),
                "events are idempotent, so it is tried again"
            );
        }
    });
}

#[test]
fn unsent_rows_stay_of_unknown_fate_after_a_lost_answer() {
    block_on(async {
        let stub = stub(|nth, _| if nth == 0 { lose() } else { respond(503, "") }).await;
        let (_, _, delivery) = deliver(&stub, "a\n").await;
        assert!(delivery.summary().ends_with("of unknown fate 1"), "{}", delivery.summary());
    });
}

/// A 503 with a report: the other rows count, and what an earlier attempt brought is no duplicate.
#[test]
fn rows_without_room_are_sent_again_and_the_others_counted_as_accepted() {
    block_on(async {
        let full = |accepted: u64| {
            let report = format!(
                r#"{{"title":"full","accepted":{accepted},"duplicates":{},
                    "rejected":[{{"index":1,"detail":"no room"}}]}}"#,
                1 - accepted
            );
            let mut answer = respond(503, &report);
            answer.headers_mut().insert(RETRY_AFTER, "0".parse().unwrap());
            answer
        };
        let later = stub(move |nth, _| match nth {
            0 => full(1),
            1 => full(0),
            _ => respond(200, r#"{"accepted":1,"duplicates":1,"rejected":[]}"#),
        })
        .await;
        let (outcome, notes, delivery) = deliver(&later, "a\nb\n").await;
        outcome.unwrap();
        assert!(notes.is_empty(), "{notes:?}");
        assert!(
            delivery.summary().ends_with("accepted 2, duplicates 0, rejected 0"),
            "{}",
            delivery.summary()
        );
        let never = stub(move |nth, _| full(u64::from(nth == 0))).await;
        let (outcome, notes, delivery) = deliver(&never, "a\nb\nc\n").await;
        outcome.unwrap_err();
        assert_eq!(notes, ["t.csv:2: no room"]);
        assert!(
            delivery.summary().ends_with("accepted 1, duplicates 0, rejected 1"),
            "{}",
            delivery.summary()
        );
        assert_adds_up(&delivery.summary());
    });
}

#[test]
fn wait_that_is_too_long_is_told_and_not_waited_for() {
    block_on(async {
        let stub = stub(|_, _| {
            let mut busy = respond(503, "");
            busy.headers_mut().insert(RETRY_AFTER, "86400".parse().unwrap());
            busy
        })
        .await;
        let (outcome, _, delivery) = deliver(&stub, "a\n").await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("only in 86400 s"), "{error}");
        assert_eq!((delivery.requests, delivery.summary().ends_with("not sent 1")), (1, true));
    });
}

/// As when a signal ends the replay: what was under way has no outcome, what waited for its turn was not sent.
#[test]
fn batch_that_is_given_up_is_counted_by_what_is_known_of_it() {
    block_on(async {
        for (silent, said) in [(true, "of unknown fate 1"), (false, "not sent 1")] {
            let stub = stub(move |_, _| {
                let mut busy = respond(503, "");
                busy.headers_mut().insert(RETRY_AFTER, "60".parse().unwrap());
                busy
            })
            .await;
            // Nobody accepts at this address, and the kernel completes the connection.
            let unaccepting = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let url = if silent {
                format!("http://{}", unaccepting.local_addr().unwrap())
            } else {
                stub.url.clone()
            };
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("t.csv"), "a\n").unwrap();
            let mut sources = [Source::open(Kind::Plays, &folder.path().join("t.csv"), 2).unwrap()];
            let batch = oldest_batch(&mut sources).unwrap().unwrap();
            let mut delivery = Delivery::new(Client::new(&url, Duration::from_secs(60)).unwrap());
            tokio::select! {
                sent = delivery.send(&batch, |_| {}) => panic!("it ended: {sent:?}"),
                () = async {
                    while !silent && stub.received.lock().unwrap().is_empty() {
                        tokio::task::yield_now().await;
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                } => {}
            }
            delivery.abandon();
            assert!(delivery.summary().ends_with(said), "{}", delivery.summary());
            assert_adds_up(&delivery.summary());
        }
    });
}
