//! The disk fails.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::inspect;
use crate::ledger::{Act, Book, Deed, Outcome};
use crate::load::{Client, work};
use crate::preload::{Control, Of, Watch, Word};
use crate::process::{Place, Server, folder};
use crate::trace;
use crate::wire::{TIMEOUT, Wire};

/// The metric of snapshots that could not be written.
const FAILED: &str = "upbeat_journal_snapshots_failed_total";

fn acknowledged(deeds: &[Vec<Deed>], since: trace::Instant) -> usize {
    let is_promised = |deed: &&Deed| match &deed.act {
        Act::Post { outcome, .. } | Act::Erase { outcome, .. } => *outcome == Outcome::Acknowledged,
        Act::Tracks { outcome, .. } => *outcome == Outcome::Acknowledged,
        Act::Decide { shown, .. } => matches!(shown, Some(Some(_))),
        Act::DecideMany { shown, .. } => shown.iter().flatten().any(Option::is_some),
    };
    deeds.iter().flatten().filter(|deed| deed.sent > since).filter(is_promised).count()
}

/// One call of the disk fails under load: nothing more is promised, and nothing that was is lost.
fn fails_for_good(word: Word, seed: u64) {
    let folder = folder();
    let root = folder.path().canonicalize().expect("a path");
    let place = Place::below(&root);
    let control = Control::new(&root.join("control"));
    let watch = Watch { directory: place.watched().to_owned(), trace: None, control: Some(&control) };
    let start = || Server::start(&place, Some(&watch)).unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
    let server = start();
    let mut clients: Vec<Client> = (0..4).map(|number| Client::new(seed, number)).collect();
    let stop = AtomicBool::new(false);
    work(&mut clients, &server.data, &server.admin, 40, &stop);
    // A play of a customer to whom the ad would be shown.
    let mut wire = Wire::to(&server.data);
    let time = jiff::Timestamp::now().to_string();
    let play = format!(
        r#"{{"type":"play","event_id":1,"customer_id":"asked","track_id":1,"time":"{time}","mobile":false}}"#
    );
    assert_eq!(wire.post("/events", "application/json", play.as_bytes()).expect("an answer").status, 200);

    // A snapshot that cannot be written is only tried again.
    control.set(Word::FaultOf, Of::Segment as u64);
    control.set(word, 1 + seed % 3);
    let deadline = Instant::now() + TIMEOUT;
    while control.get(Word::Faults) == 0 {
        assert!(Instant::now() < deadline, "the call is reached");
        work(&mut clients, &server.data, &server.admin, 5, &stop);
    }
    // The log may hear of the second half of a short write a little later.
    while wire.get("/readyz").expect("an answer").status == 200 {
        assert!(Instant::now() < deadline, "a server whose log has failed is not ready");
        work(&mut clients, &server.data, &server.admin, 1, &stop);
        std::thread::sleep(Duration::from_millis(5));
    }
    let readiness = wire.get("/readyz").expect("an answer").text();
    assert!(readiness.contains("log"), "the reason is told: {readiness}");
    let since = trace::now();
    work(&mut clients, &server.data, &server.admin, 15, &stop);
    let decision = wire.get("/should-show-ad/asked").expect("an answer");
    assert_eq!(decision.status, 200);
    let decision = decision.json();
    assert_eq!(
        (&decision["show"], &decision["reason"]),
        (&false.into(), &"log_unavailable".into()),
        "{decision}"
    );
    let deeds: Vec<Vec<Deed>> = clients.iter_mut().map(Client::take_deeds).collect();
    assert_eq!(acknowledged(&deeds, since), 0, "nothing is promised once the log has failed");
    assert!(acknowledged(&deeds, 0) > 50);

    let mut book = Book::default();
    book.enter(&deeds, trace::Instant::MAX, true);
    server.kill();
    let server = start();
    let asked = Wire::to(&server.admin).delete("/customers/asked").expect("an answer");
    assert_eq!(asked.status, 204, "the play that was acknowledged is there");
    let (held, mut faults) = inspect::faults(&server, &book);
    faults.extend(clients.iter_mut().flat_map(|client| std::mem::take(&mut client.faults)));
    assert!(faults.is_empty(), "{word:?}, seed {seed}: {}\n{}", faults.join("\n"), server.stderr());
    book.take_over(&held, &inspect::tracks(&server, &book), &inspect::spending(&server));
    work(&mut clients, &server.data, &server.admin, 10, &stop);
    assert_eq!(clients.iter().map(Client::unsure).sum::<usize>(), 0, "it works again");
    let deeds: Vec<Vec<Deed>> = clients.iter_mut().map(Client::take_deeds).collect();
    book.enter(&deeds, trace::Instant::MAX, true);
    let (_, faults) = inspect::faults(&server, &book);
    assert!(faults.is_empty(), "{word:?}, seed {seed}, started again: {}", faults.join("\n"));
}

fn each_round(word: Word) {
    for round in 0..crate::rounds().unwrap_or(1) {
        fails_for_good(word, crate::seed() + round);
    }
}

#[test]
fn nothing_is_promised_after_a_sync_failed() {
    each_round(Word::FailSync);
}

#[test]
fn nothing_is_promised_after_a_write_failed() {
    each_round(Word::FailWrite);
}

#[test]
fn nothing_is_promised_after_half_of_a_write() {
    each_round(Word::ShortWrite);
}

/// A snapshot that cannot be written is no reason to refuse anything, and the one before it and the log hold all.
#[test]
fn snapshot_that_cannot_be_written_takes_nothing() {
    for word in [Word::FailSync, Word::FailWrite, Word::ShortWrite] {
        let folder = folder();
        let root = folder.path().canonicalize().expect("a path");
        let place = Place::below(&root);
        let control = Control::new(&root.join("control"));
        let watch = Watch { directory: place.watched().to_owned(), trace: None, control: Some(&control) };
        let start =
            || Server::start(&place, Some(&watch)).unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
        let server = start();
        let mut clients: Vec<Client> = (0..4).map(|number| Client::new(crate::seed(), number)).collect();
        control.set(Word::FaultOf, Of::Snapshot as u64);
        control.set(word, 2);
        let (stop, deadline) = (AtomicBool::new(false), Instant::now() + TIMEOUT);
        while control.get(Word::Faults) == 0 || inspect::metric(&server, FAILED) == 0 {
            assert!(Instant::now() < deadline, "the snapshot fails");
            work(&mut clients, &server.data, &server.admin, 5, &stop);
        }
        work(&mut clients, &server.data, &server.admin, 15, &stop);
        assert_eq!(clients.iter().map(Client::unsure).sum::<usize>(), 0, "everything is promised");
        assert_eq!(Wire::to(&server.data).get("/readyz").expect("an answer").status, 200);
        server.kill();
        let deeds: Vec<Vec<Deed>> = clients.iter_mut().map(Client::take_deeds).collect();
        let mut book = Book::default();
        book.enter(&deeds, trace::Instant::MAX, true);
        let server = start();
        let (_, mut faults) = inspect::faults(&server, &book);
        faults.extend(clients.iter_mut().flat_map(|client| std::mem::take(&mut client.faults)));
        assert!(faults.is_empty(), "{word:?}: {}\n{}", faults.join("\n"), server.stderr());
    }
}

/// A disk that never returns keeps promises waiting, and nothing else.
#[test]
fn decisions_continue_where_a_sync_never_returns() {
    let folder = folder();
    let root = folder.path().canonicalize().expect("a path");
    let place = Place::below(&root);
    let config = std::fs::read_to_string(&place.config).expect("the configuration");
    std::fs::write(&place.config, config.replace("ack_timeout = \"20s\"", "ack_timeout = \"300ms\""))
        .expect("written");
    let control = Control::new(&root.join("control"));
    let watch = Watch { directory: place.watched().to_owned(), trace: None, control: Some(&control) };
    let start = || Server::start(&place, Some(&watch)).unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
    let server = start();
    let mut wire = Wire::to(&server.data);
    let time = jiff::Timestamp::now().to_string();
    let play = |customer: usize| {
        format!(
            r#"{{"type":"play","event_id":1,"customer_id":"c{customer}","track_id":1,"time":"{time}","mobile":false}}"#
        )
    };
    let mut post =
        |customer| wire.post("/events", "application/json", play(customer).as_bytes()).expect("an answer");
    for customer in 0..10 {
        assert_eq!(post(customer).status, 200);
    }
    control.set(Word::HangSync, 1);
    // The first write after that is the one whose sync hangs; a repeat is as unknown as its first copy.
    for customer in [10, 10, 11] {
        let answer = post(customer);
        assert_eq!((answer.status, answer.retry_after), (503, true), "{}", answer.text());
        assert_eq!(answer.problem(), "fate-unknown");
    }
    let mut wire = Wire::to(&server.data);
    for customer in 0..10 {
        let decision = wire.get(&format!("/should-show-ad/c{customer}")).expect("an answer").json();
        assert_eq!(decision["show"], true, "{decision}");
    }
    control.set(Word::HangSync, 0);
    let deadline = Instant::now() + TIMEOUT;
    for customer in [10, 11] {
        loop {
            let mut wire = Wire::to(&server.data);
            let answer =
                wire.post("/events", "application/json", play(customer).as_bytes()).expect("an answer");
            if answer.status == 200 {
                assert_eq!(answer.json()["duplicates"], 1);
                break;
            }
            assert!(Instant::now() < deadline, "a sync that returns late is heard of");
        }
    }
    server.kill();
    let server = start();
    let mut admin = Wire::to(&server.admin);
    for customer in 0..12 {
        let profile = admin.get(&format!("/customers/c{customer}")).expect("an answer").json();
        assert_eq!(profile["plays"].as_array().map(Vec::len), Some(1), "{profile}");
        assert_eq!(
            profile["impressions"].as_array().map(Vec::len),
            Some(usize::from(customer < 10)),
            "{profile}"
        );
    }
}
