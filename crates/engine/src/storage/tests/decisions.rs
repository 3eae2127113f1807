//! Decisions in the log: each of a known customer once, with what it came to, in few bytes, and gone with its customer.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use upbeat_core::decision::Reason;
use upbeat_core::event::{DecisionId, Event, EventKind, Id, Membership};
use upbeat_core::feature::Counts;
use upbeat_journal::disk::Disk;
use upbeat_journal::disk::simulated::{Dice, SimulatedDisk};
use upbeat_journal::{HistoryFile, log_files, read_groups};

use super::*;
use crate::log::{Coins, Facts, kind};
use crate::storage::{ErasedCustomers, RecordClass, history, record_class, stats};
use crate::{Ask, Engine, Entry, LogState};

/// An engine that shows nothing to anybody: no score is so high.
fn refusing(window: u32) -> Engine {
    let mut settings = settings(Clock::Wall);
    settings.window.plays = window;
    settings.max_customers = 100_000;
    showing_with(settings, &Single { threshold: 1e9, ..campaign() })
}

fn flush(engine: &Engine, opened: &mut Opened<SimulatedDisk>) {
    while engine.durable() < engine.barrier() {
        opened.writer.step().expect("the disk is good");
    }
}

/// The decisions that a directory has, by their ids.
fn decided(disk: &SimulatedDisk) -> BTreeMap<DecisionId, (Id, Facts<'static>)> {
    let mut decided = BTreeMap::new();
    history(Arc::new(disk.clone()), &mut |_, entry| {
        if let Entry::Decided { customer, facts, has_state } = entry {
            assert!(!has_state);
            assert!(decided.insert(facts.id, (customer, *facts)).is_none(), "it is there once");
        }
        Ok(())
    })
    .expect("it can be read");
    decided
}

#[test]
fn every_decision_of_a_known_customer_is_in_the_log_once_and_no_dry_run_is() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let engine = refusing(6);
    let lanes = memories(1, 64 << 10);
    let mut log = opened(&engine, &disk, lanes.clone(), 1, 1);
    let mut answers = BTreeMap::new();
    let gold = Event { kind: EventKind::Membership(Membership::Gold), ..play(3, 1, WALL_MS) };
    engine.apply(gold, WALL_MS).expect("it is taken");
    for event_id in 0..9 {
        engine.apply(play(event_id % 3, event_id, WALL_MS), WALL_MS).expect("it is taken");
    }
    for round in 0..40 {
        for customer in 0..4 {
            let (id, now_ms) = (Id::Number(customer), WALL_MS + round);
            let ask = Ask { dry_run: round % 5 == 4, ..Ask::default() };
            let decision = engine.decide(&id, &ask, now_ms).expect("it has no request");
            if !ask.dry_run {
                answers.insert(decision.id, (id, now_ms, decision));
            }
        }
        engine.decide_once(&Id::Text("nobody".into()), false, WALL_MS);
        engine.explain(&Id::Number(1), WALL_MS);
        if round == 20 {
            flush(&engine, &mut log);
        }
    }
    // Killed: half of them are in the lane alone.
    disk.kill();
    let (again, _log) = {
        let again = refusing(6);
        let log = opened(&again, &disk, lanes, 2, 2);
        (again, log)
    };
    let model = engine.champion().expect("it has one");
    let decided = decided(&disk);
    assert_eq!(decided.len(), answers.len());
    for (id, (customer, now_ms, answer)) in &answers {
        let (of, facts) = &decided[id];
        assert_eq!((of, facts.time_ms, facts.reason), (customer, *now_ms, answer.reason));
        assert_eq!((facts.model, facts.campaign), (answer.model, Some(0)));
        let vector = facts.counts.and_then(|counts| counts.vector());
        let score = vector.map(|vector| model.scorer.score(&vector));
        match answer.reason {
            Reason::UnlikelyToClick => assert_eq!(score, answer.score.map(|score| score.value), "to the bit"),
            reason => assert_eq!((reason, facts.eligible), (Reason::AlreadyGold, false)),
        }
    }
    assert!(again.decision_ids.next().unshown > engine.decision_ids.next().unshown, "no number comes again");
}

#[test]
fn first_event_is_given_whatever_it_is_and_other_plays_are_not() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let engine = refusing(6);
    let mut log = opened(&engine, &disk, memories(1, 64 << 10), 1, 1);
    for event_id in 0..3 {
        engine.apply(play(1, event_id, WALL_MS), WALL_MS).expect("it is taken");
    }
    engine.decide_once(&Id::Number(1), false, WALL_MS);
    let silver = Event { kind: EventKind::Membership(Membership::Silver), ..play(1, 1, WALL_MS) };
    engine.apply(silver, WALL_MS).expect("it is taken");
    flush(&engine, &mut log);
    for with_decisions in [false, true] {
        let mut given = Vec::new();
        let visit = &mut |_: u64, entry: Entry| {
            match entry {
                Entry::Event { event, .. } => given.push(event.kind.name()),
                Entry::Decided { .. } => given.push("decision"),
                _ => {}
            }
            Ok(())
        };
        crate::storage::decisions(&Arc::new(disk.clone()), with_decisions, visit).expect("it can be read");
        let expected =
            if with_decisions { &["play", "decision", "membership"][..] } else { &["play", "membership"] };
        assert_eq!(given, expected);
    }
}

#[test]
fn decision_without_room_is_answered_and_counted_and_leaves_half_of_the_lane_to_others() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let engine = refusing(6);
    let mut log = opened(&engine, &disk, memories(1, 16 << 10), 1, 1);
    engine.apply(play(1, 1, WALL_MS), WALL_MS).expect("it is taken");
    let decide = || engine.decide_once(&Id::Number(1), false, WALL_MS);
    for _ in 0..1000 {
        assert_eq!(decide().reason, Reason::UnlikelyToClick);
    }
    let unlogged = engine.counters().unlogged();
    assert!(unlogged > 500, "{unlogged}");
    for event_id in 2..60 {
        engine.apply(play(1, event_id, WALL_MS), WALL_MS).expect("there is room for events");
    }
    assert!(engine.log_refusals().map(|(_, count)| count).sum::<u64>() == 0, "nothing was refused");
    flush(&engine, &mut log);
    assert_eq!(decided(&disk).len() as u64, 1000 - unlogged);
    for state in [LogState::Reserve, LogState::Full] {
        engine.set_log_state(state);
        assert_eq!(decide().reason, Reason::UnlikelyToClick);
    }
    assert_eq!(engine.counters().unlogged(), unlogged + 2);
}

#[test]
fn decisions_of_an_erased_customer_go_from_packed_records_and_those_of_others_stay() {
    /// Three bytes that are in nothing else, in a number of the usual form.
    const SECRET: u32 = 0xa1b2_c3d4;
    let disk = SimulatedDisk::new(1, 1 << 30);
    let engine = refusing(6);
    let mut log = opened(&engine, &disk, memories(1, 64 << 10), 1, 1);
    let secrets = [Id::Number(SECRET.into()), Id::Text("a-secret-id".into())];
    let mut kept = Vec::new();
    for round in 0..50 {
        for secret in &secrets {
            if round == 0 {
                let event = Event { customer: secret.clone(), ..play(0, 1, WALL_MS) };
                engine.apply(event, WALL_MS).expect("it is taken");
                engine.apply(play(5, 1, WALL_MS), WALL_MS).expect("it is taken");
            }
            engine.decide_once(secret, false, WALL_MS + round);
            kept.push(engine.decide_once(&Id::Number(5), false, WALL_MS + round).id);
        }
        if round % 20 == 19 {
            flush(&engine, &mut log);
        }
    }
    for secret in &secrets {
        engine.remove(secret, WALL_MS + 100).expect("there is room");
    }
    flush(&engine, &mut log);
    // What is listed leaves them out before they are gone.
    let mut erased = ErasedCustomers::default();
    history(Arc::new(disk.clone()), &mut |position, entry| {
        erased.note(position, &entry);
        Ok(())
    })
    .expect("it can be read");
    assert!(secrets.iter().all(|secret| erased.covers(Some(1), secret)));
    let needed_from = engine.barrier();
    let _ = log.writer.rotation().ask();
    log.writer.step().expect("the disk is good");
    let rule = engine.rewrite_rule();
    let mut rule = |record: upbeat_journal::Record<'_>| rule(&record).map_err(|error| error.to_string());
    for file in log_files(&disk, Some(needed_from)).expect("it can be read") {
        let Some(file) = HistoryFile::open(&disk, &file).expect("it can be read") else { continue };
        let rewritten = file.rewrite(&disk, (0, false), &mut rule, &mut |_| true).expect("the disk is good");
        assert!(rewritten.expect("it goes on").dropped > 0);
    }
    for name in disk.names().expect("names") {
        let bytes = disk.contents(&name);
        for pattern in [&SECRET.to_le_bytes()[..], b"a-secret-id"] {
            assert!(!bytes.windows(pattern.len()).any(|some| some == pattern), "{pattern:?} is in {name}");
        }
    }
    let left = decided(&disk);
    assert!(left.values().all(|(customer, _)| *customer == Id::Number(5)));
    assert_eq!(left.len(), kept.len());
    let is_packed = |disk: &SimulatedDisk| {
        let mut most = 0;
        let read = read_groups(disk, upbeat_journal::Start::BEGINNING, |group| {
            most = most.max(upbeat_journal::stored(group.records).map(|of| of.records).max().unwrap_or(0));
            Ok(())
        });
        read.expect("it can be read");
        most > 10
    };
    assert!(is_packed(&disk));
}

#[test]
fn decisions_are_a_class_of_their_own_and_are_counted_by_what_they_take() {
    for kind in [kind::DECIDED, kind::DECIDED_STATE, kind::SHOWN] {
        assert_eq!(record_class(kind), RecordClass::Decision);
    }
    let disk = SimulatedDisk::new(1, 1 << 30);
    let engine = refusing(6);
    let mut log = opened(&engine, &disk, memories(1, 64 << 10), 1, 1);
    engine.apply(play(1, 1, WALL_MS), WALL_MS).expect("it is taken");
    for _ in 0..500 {
        engine.decide_once(&Id::Number(1), false, WALL_MS);
    }
    flush(&engine, &mut log);
    let stats = stats(Arc::new(disk)).expect("it can be read");
    let count = stats.records["decided"];
    assert!(count.records == 500 && count.bytes / 500 <= 33, "{count:?}");
}

/// What each kind of record takes of which decisions are told: `cargo test -p upbeat-engine --lib takes_its_bytes -- --nocapture` shows
/// the table of docs/decisions/decision-log.md.
#[test]
fn every_kind_of_record_about_a_decision_takes_its_bytes_and_no_more() {
    use crate::ledger::{Change, Charge, Confirmed};
    use crate::log::Payload;
    use upbeat_core::campaign::Bill;

    let engine = refusing(256);
    let customer = Id::Number(u32::MAX.into());
    let parts = [10, 20, 30, 4, 33, 60];
    let unshown = Facts {
        id: DecisionId(1 << 63 | 1 << 39),
        time_ms: WALL_MS,
        reason: Reason::UnlikelyToClick,
        eligible: true,
        campaign: Some(3),
        version: 150,
        model: Some(engine.champion().expect("it has one").id),
        counts: Some(Counts { plays: 64, parts }),
        coins: Coins::None,
    };
    let paced = Facts { coins: Coins::Pacing(vec![(1, 700), (2, 900)].into()), ..unshown.clone() };
    let tossed =
        Facts { coins: Coins::Exploration(vec![(1, 1 << 58), (2, 1 << 58)].into()), ..unshown.clone() };
    // With the tag that the id of a shown ad has.
    let shown = Facts { id: DecisionId(1 << 62 | 1 << 61), reason: Reason::LikelyToClick, ..unshown.clone() };
    let ghost = Facts { reason: Reason::HeldOut, ..unshown.clone() };
    let day = i32::try_from(WALL_MS / 86_400_000).expect("a day");
    let expires_s = WALL_MS / 1000 + 1800;
    let charge = Charge { expires_s, day, bill: Bill::Show, cost: 20_000 };
    let of: [(&str, Payload, usize); 9] = [
        ("shows nothing", Payload::of_decision(&customer, &unshown), 48),
        ("shows nothing, with two coins of pacing", Payload::of_decision(&customer, &paced), 64),
        (
            "shows nothing, after a toss that fell otherwise",
            Payload::of_decision_with_state(&customer, &tossed),
            80,
        ),
        ("shown, with its charge", Payload::of_show_in_plan(&customer, &shown, &charge, None), 64),
        ("ghost: held out", Payload::of_decision_with_state(&customer, &ghost), 48),
        ("toss of the day beside a shown ad", Payload::of_toss(&customer, day as u16), 32),
        ("money: a lease", Payload::of_money(3, &Change::Leased { day, until: 100_000_000 }), 32),
        ("money: a confirmation", Payload::of_money(3, &Change::Confirmed(charge, Confirmed::Held)), 32),
        (
            "money: the end of reservations",
            Payload::of_money(3, &Change::Expired { through_s: expires_s }),
            32,
        ),
    ];
    for (name, payload, bytes) in of {
        let (length, record) = (payload.bytes().len(), upbeat_journal::record_bytes(payload.bytes().len()));
        let _ = writeln!(std::io::stderr(), "| {name} | {length} | {record} |");
        assert!(record <= bytes, "{name}: {record}");
    }
}

/// A million decisions as a busy service has them: 40,000 customers whose numbers take four bytes, up to 256 plays, in groups of
/// what comes in 50 ms at 20,000 a second. `cargo test --release -p upbeat-engine bytes_at_rest -- --nocapture` shows the table.
#[test]
fn million_decisions_take_40_bytes_each_at_most_in_the_files_of_the_log() {
    const DECISIONS: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    let disk = SimulatedDisk::new(1, 1 << 30);
    let engine = refusing(256);
    let journal = upbeat_journal::Options { segment_bytes: 8 << 20, group_bytes: 8 << 20, sync: true };
    let options = Options { journal, threads: 1 };
    let lanes = memories(2, 1 << 20);
    let mut log =
        open(&engine, Arc::new(disk.clone()), lanes, options, random(1), &|_| {}).expect("it opens");
    let mut dice = Dice::new(5);
    let model = engine.champion().expect("it has one").id;
    for number in 0..DECISIONS {
        let mut parts = [0; 6].map(|_: u16| dice.below(64) as u16);
        parts[5] = parts[..4].iter().sum();
        let facts = Facts {
            // As after some hundred restarts.
            id: DecisionId(1 << 63 | 1 << 39 | number),
            time_ms: WALL_MS + (number / 20) as i64,
            reason: Reason::UnlikelyToClick,
            eligible: true,
            campaign: Some(dice.below(4) as u16),
            version: 150,
            model: Some(model),
            counts: Some(Counts { plays: parts[5], parts }),
            coins: if number % 50 == 0 {
                Coins::Pacing(vec![(1, 700), (2, 900)].into())
            } else {
                Coins::None
            },
        };
        engine.log_decision(&Id::Number(u64::from(u32::MAX) - dice.below(40_000)), &facts);
        if number % 1000 == 999 {
            log.writer.step().expect("the disk is good");
        }
    }
    flush(&engine, &mut log);
    assert_eq!(engine.counters().unlogged(), 0);
    let mut groups = 0;
    let mut bytes = 0;
    read_groups(&disk, upbeat_journal::Start::BEGINNING, |group| {
        groups += 1;
        bytes += upbeat_journal::group_bytes(group.records.len());
        Ok(())
    })
    .expect("it can be read");
    let files = log_files(&disk, None).expect("it can be read").len() as u64;
    let each = (bytes + files * upbeat_journal::FILE_HEAD_BYTES) as f64 / DECISIONS as f64;
    let said =
        format!("{DECISIONS} decisions: {each:.2} bytes each at rest, in {groups} groups and {files} files");
    // A test that nobody listens to is one all the same.
    let _ = writeln!(std::io::stderr(), "{said}");
    assert!(each <= 40.0, "{each}");
}
