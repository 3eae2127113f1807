//! A stop of a server that keeps what it acknowledges, from the signal to the exit.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::durability::Kept;
use super::fallible::Client;
use super::listeners::play;
use super::support::{JSON, NDJSON, Server, agent, ask, until};
use super::wire::Wire;

/// More than a MiB of log, of customers whose windows hold all of it.
const PLAYS: u64 = 40_000;

fn fill(server: &Server) {
    for part in 0..4 {
        let first = part * PLAYS / 4;
        let body: String = (first..first + PLAYS / 4)
            .map(|number| play(&format!("bulk-{}", number % 400), number, 60) + "\n")
            .collect();
        assert_eq!(server.load("/events", NDJSON, body), (PLAYS / 4, 0));
    }
}

/// Snapshots in the directory that are whole.
fn snapshots(kept: &Kept) -> usize {
    let entries = std::fs::read_dir(kept.directory()).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
    names.filter(|name| name.starts_with("snapshot-") && !name.ends_with(".tmp")).count()
}

fn recovered_records(server: &Server) -> u64 {
    server.get("/readyz?verbose").ok()["log"]["recovered_records"].as_u64().expect("a count")
}

/// A request that is under way, and the rest of its event, the first one of customer 48.
fn half_an_event(server: &Server) -> (Wire, String) {
    let body = play("48", 1, 60);
    let (first, rest) = body.split_at(20);
    let mut wire = server.wire();
    let length = body.len();
    wire.send(format!(
        "POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-type: {JSON}\r\ncontent-length: {length}\r\n\
         expect: 100-continue\r\n\r\n"
    ));
    assert_eq!(wire.answer().status, 100, "the server waits for the body");
    wire.send(first);
    (wire, rest.to_owned())
}

#[test]
fn stop_goes_from_unready_to_a_last_snapshot_and_exits_with_0() {
    let kept = Kept::new();
    let environment = [("UPBEAT_SHUTDOWN_DRAIN", "2s"), ("UPBEAT_SHUTDOWN_DEADLINE", "10m")];
    let mut server = kept.start_with(&environment);
    fill(&server);
    let (mut under_way, rest) = half_an_event(&server);
    let mut waits_to_ask = server.wire();

    server.signal("TERM");
    until("it is not ready", || server.get("/readyz").status == 503);
    waits_to_ask.send("GET /should-show-ad/48?dry_run=true HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let answer = waits_to_ask.answer();
    assert_eq!((answer.status, answer.header("connection")), (200, "close"));
    until("the listener is closed", || std::net::TcpStream::connect(&server.data).is_err());
    under_way.send(rest);
    let answer = under_way.answer();
    assert_eq!((answer.ok()["accepted"].as_u64(), answer.header("connection")), (Some(1), "close"));
    assert_eq!(server.ended().code(), Some(0), "{}", server.whole_stderr());
    let said = server.whole_stderr();
    assert!(said.contains("the next start reads a last snapshot"), "{said}");
    assert_eq!(snapshots(&kept), 1);

    let server = kept.start();
    assert!(recovered_records(&server) < 10, "the snapshot has all of it");
    assert_eq!(server.held("48")["plays"].as_array().expect("a list").len(), 1);
    assert_eq!(server.metric("upbeat_plays"), (PLAYS + 1) as f64);
}

#[test]
fn last_snapshot_is_left_out_where_it_saves_nothing_or_there_is_no_time_for_it() {
    let kept = Kept::new();
    let mut server = kept.start();
    server.load("/events", JSON, play("48", 1, 60));
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    let said = server.whole_stderr();
    assert!(said.contains("no last snapshot: the next start has little of the log to read"), "{said}");

    let mut server = kept.start_with(&[("UPBEAT_SHUTDOWN_DEADLINE", "0s")]);
    fill(&server);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0), "{}", server.whole_stderr());
    let said = server.whole_stderr();
    assert!(said.contains("no last snapshot: the deadline of the stop is over"), "{said}");
    assert_eq!(snapshots(&kept), 0);

    let server = kept.start();
    assert!(recovered_records(&server) > PLAYS, "all of it is in the log");
    assert_eq!(server.metric("upbeat_plays"), (PLAYS + 1) as f64);
}

#[test]
fn second_signal_ends_at_once_and_takes_nothing_that_was_acknowledged() {
    const CLIENTS: u64 = 4;
    /// Events of a customer, fewer than a window holds.
    const A_CUSTOMER: u64 = 100;
    let customer = |client: u64, number: u64| format!("client-{client}-{number}");
    for (second, status) in [("TERM", 128 + 15), ("INT", 128 + 2)] {
        let kept = Kept::new();
        let environment = [("UPBEAT_SHUTDOWN_DRAIN", "10m"), ("UPBEAT_SHUTDOWN_DEADLINE", "10m")];
        let mut server = kept.start_with(&environment);
        let (acknowledged, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        let address = server.data.clone();
        // How many events of each client were acknowledged: they are sent one after the other.
        let counts: Vec<u64> = std::thread::scope(|scope| {
            let work = |client: u64| {
                let (address, acknowledged, is_over) = (&address, &acknowledged, &is_over);
                move || {
                    let mut wire = Client::new(address, client.is_multiple_of(2));
                    let mut number = 0;
                    while !is_over.load(Ordering::SeqCst) {
                        let body = play(&customer(client, number / A_CUSTOMER), number, 60);
                        match wire.post_event(&body) {
                            Ok((200, report)) => assert_eq!(report["accepted"], 1, "{report}"),
                            _ => break,
                        }
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                        number += 1;
                    }
                    number
                }
            };
            let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(work(client))).collect();
            let more = |what: &str| {
                let before = acknowledged.load(Ordering::SeqCst);
                until(what, || acknowledged.load(Ordering::SeqCst) >= before + 40);
            };
            more("the clients are at work");
            server.signal("TERM");
            until("it is not ready", || {
                ask(&agent(), "GET", &server.data, "/readyz", &[], b"").status == 503
            });
            more("events are taken in the drain, too");
            server.signal(second);
            assert_eq!(server.ended().code(), Some(status));
            is_over.store(true, Ordering::SeqCst);
            clients.into_iter().map(|client| client.join().expect("no panic")).collect()
        });

        let server = kept.start();
        for (client, count) in (0..CLIENTS).zip(counts) {
            let customers = (0..=count / A_CUSTOMER).map(|number| customer(client, number));
            let plays = |customer: String| {
                let answer = server.admin_get(&format!("/customers/{customer}"));
                // The first event of the last one may not have been sent.
                if answer.status == 200 {
                    answer.json()["plays"].as_array().expect("a list").len()
                } else {
                    0
                }
            };
            let found = customers.map(plays).sum::<usize>() as u64;
            // One more may have been under way.
            assert!(
                (count..=count + 1).contains(&found),
                "client {client}: {count} acknowledged, {found} there"
            );
        }
    }
}

#[test]
fn stop_that_cuts_a_request_keeps_what_was_acknowledged_and_leaves_its_lanes_to_the_next_start() {
    let kept = Kept::new();
    let lanes = || std::fs::read_dir(kept.lanes.path()).expect("a folder").count();
    let mut server = kept.start_with(&[("UPBEAT_SHUTDOWN_DEADLINE", "300ms")]);
    server.load("/events", JSON, play("49", 1, 60));
    let (mut under_way, _) = half_an_event(&server);
    server.signal("TERM");
    assert_eq!(under_way.rest(), "", "it is cut");
    assert_eq!(server.ended().code(), Some(1));
    assert_eq!(lanes(), 1, "what was cut may have published meanwhile");

    let mut server = kept.start();
    assert_eq!(server.held("49")["plays"].as_array().expect("a list").len(), 1);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    assert_eq!(lanes(), 0);
}
