//! Counts of records against those of the events before them.

use upbeat_core::decision::Reason;
use upbeat_core::event::{DecisionId, Event, Time};
use upbeat_engine::{Coins, Facts};

use super::*;

const HOUR_MS: i64 = 3_600_000;

/// A process of a window of so many plays, as the log has it.
fn started(plays: u8) -> Entry {
    /// The kind of such records, for ever.
    const BEGUN: u16 = 21;
    let payload = [&[plays, 28][..], &[0; 24]].concat();
    Entry::decode(BEGUN, &payload).expect("a window and three keys")
}

fn play(customer: u64, event_id: u64, time_ms: i64) -> Entry {
    let kind = EventKind::Play { track: Id::Number(event_id), mobile: true };
    let (customer, id, time) = (Id::Number(customer), Id::Number(event_id), Time::from_unix_ms(time_ms));
    Entry::Event { event: Event { customer, id, time, kind }, last_event_s: 0 }
}

/// A decision that says that so many plays of the first hours of the day, on a phone and each of another track, were before it.
fn decision(customer: u64, time_ms: i64, plays: u16) -> Entry {
    let facts = Facts {
        id: DecisionId(customer),
        time_ms,
        reason: Reason::UnlikelyToClick,
        eligible: false,
        campaign: None,
        version: 1,
        model: None,
        counts: Some(Counts { plays, parts: [0, 0, 0, plays, plays, plays] }),
        coins: Coins::None,
    };
    Entry::Decided { customer: Id::Number(customer), facts: Box::new(facts), has_state: false }
}

fn read(reading: &mut Consistency<'_>, entries: &[Entry]) {
    entries.iter().zip(1..).for_each(|(entry, position)| reading.entry(position, entry));
}

#[track_caller]
fn checked(entries: &[Entry]) -> Agreement {
    let found = Found::default();
    let mut reading = Consistency::new(&found, 0, 1 << 20);
    read(&mut reading, entries);
    let alone = reading.finish_alone();
    assert_eq!(alone.not_checkable.no_memory, 0);
    alone
}

#[test]
fn record_that_knows_a_play_behind_it_disagrees_whatever_the_time_of_the_play() {
    // A late event is behind the decision, and does not count there; in the next one it does.
    let log = [
        started(9),
        play(1, 1, 0),
        decision(1, HOUR_MS, 1),
        play(1, 2, -HOUR_MS * 24),
        decision(1, HOUR_MS, 2),
    ];
    assert_eq!(checked(&log).share(), Some(1.0));
    let leak = [started(9), play(1, 1, 0), decision(1, HOUR_MS, 2), play(1, 2, -HOUR_MS * 24)];
    let found = checked(&leak);
    assert_eq!((found.checked, found.agreed), (1, 0));
    let of = &found.disagreements[0];
    assert_eq!((of.position, &of.decision_id[..], &of.customer), (3, "0000000000000001", &Id::Number(1)));
    assert_eq!((of.logged[0], of.computed[0]), (2, 1));
}

#[test]
fn window_is_that_of_the_process_and_of_the_time_and_who_was_evicted_has_no_plays() {
    let evicted = Entry::Evicted { customer: Id::Number(1), kept: None };
    let day_ms = 24 * HOUR_MS;
    let log = [
        started(2),
        play(1, 1, 0),
        play(1, 2, day_ms),
        play(1, 3, 2 * day_ms),
        decision(1, 3 * day_ms, 2),
        decision(1, 29 * day_ms, 2),
        decision(1, 29 * day_ms + 1, 1),
        decision(1, 31 * day_ms, 0),
        started(3),
        play(1, 4, 3 * day_ms),
        decision(1, 4 * day_ms, 3),
        evicted,
        decision(1, 4 * day_ms, 0),
        decision(2, 0, 0),
    ];
    let found = checked(&log);
    assert_eq!((found.checked, found.agreed), (7, 7), "{:?}", found.disagreements);
}

#[test]
fn customers_beyond_the_memory_are_checked_by_later_readings_each_once() {
    const CUSTOMERS: u64 = 300;
    let mut log = vec![started(20)];
    log.extend((0..20).flat_map(|id| (0..CUSTOMERS).map(move |customer| play(customer, id, 0))));
    // One of ten knows too much.
    log.extend((0..CUSTOMERS).map(|customer| decision(customer, 1, 20 + u16::from(customer % 10 == 0))));
    let found = Found::default();
    let (mut all, mut readings, mut first) = (Agreement::default(), 0, Some(0));
    while let Some(hash) = first {
        let mut reading = Consistency::new(&found, hash, 40 << 10);
        read(&mut reading, &log);
        let (some, next) = reading.finish();
        assert!(some.checked < CUSTOMERS / 2);
        all.add(some);
        (readings, first) = (readings + 1, next);
    }
    assert!((4..100).contains(&readings), "{readings}");
    assert_eq!((all.checked, all.agreed, all.not_checkable.sum()), (CUSTOMERS, CUSTOMERS - 30, 0));
    assert_eq!(all.disagreements.len(), MOST_LISTED);
    let named: Vec<_> = all.disagreements.iter().map(|of| of.customer.clone()).collect();
    assert_eq!(named, (0..10).map(|of| Id::Number(of * 10)).collect::<Vec<_>>(), "the first by their place");
    // One reading alone says how many it left out.
    let mut reading = Consistency::new(&found, 0, 40 << 10);
    read(&mut reading, &log);
    let alone = reading.finish_alone();
    assert_eq!(alone.checked + alone.not_checkable.no_memory, CUSTOMERS);
    assert!(alone.checked > 0 && alone.not_checkable.no_memory > 0);
}

#[test]
fn decisions_before_what_the_snapshot_knows_are_not_checked_and_those_after_it_are() {
    let mut found = Found::default();
    found.note(1, &started(9));
    let mut reading = Consistency::new(&found, 0, 1 << 20);
    reading.profile(started(9));
    reading.profile(play(1, 1, 0));
    reading.profile(play(1, 2, 0));
    reading.begin(ProfilesBefore { from: 10, known_from: 12 });
    let log = [
        (9, play(1, 7, 0)),
        (9, decision(1, 1, 9)),
        (11, play(1, 2, 0)),
        (11, decision(1, 1, 9)),
        (12, play(1, 3, 0)),
        (13, decision(1, 1, 3)),
    ];
    log.iter().for_each(|(position, entry)| reading.entry(*position, entry));
    let all = reading.finish_alone();
    assert_eq!((all.checked, all.agreed, all.not_checkable.events_gone), (1, 1, 2));
}
