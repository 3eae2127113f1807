//! What is refused where the log cannot take it, and that nothing is changed then.

use std::sync::Arc;

use upbeat_core::catalogue::Track;
use upbeat_core::decision::Reason;
use upbeat_core::event::{DAY_MS, DecisionId, Event, EventKind, Id, ImpressionOf, Row};
use upbeat_core::profile::Applied;
use upbeat_journal::disk::simulated::{Call, SimulatedDisk};

use super::model::held_by;
use super::{WALL_MS, campaign, memories, opened, play, settings, showing};
use crate::apply::Progress;
use crate::{Clock, Engine, LogState, NotPut, NotRemoved, Rejection, RowProblem, storage};

/// An engine with a log whose one lane holds so many bytes, and its writer.
fn engine(bytes: usize) -> (Engine, storage::Opened<SimulatedDisk>) {
    let engine = showing(settings(Clock::Wall));
    let opened = opened(&engine, &SimulatedDisk::new(1, 1 << 30), memories(1, bytes), 1, 1);
    (engine, opened)
}

fn decide(engine: &Engine, customer: u64, dry_run: bool) -> Reason {
    engine.decide_once(&Id::Number(customer), dry_run, WALL_MS).reason
}

#[test]
fn nothing_is_taken_that_the_state_of_the_log_does_not_allow() {
    use LogState::{Accepting, Failed, Full, Reserve};
    for (state, shows, changes) in
        [(Accepting, true, true), (Reserve, true, false), (Full, false, false), (Failed, false, false)]
    {
        let (engine, _opened) = engine(32 << 10);
        engine.apply(play(1, 1, WALL_MS), WALL_MS).expect("it is taken");
        let (before, barrier) = (held_by(&engine), engine.barrier());
        engine.set_log_state(state);
        assert_eq!(engine.log_state(), state);
        let track = Track { title: "t".into(), ..Track::default() };
        let rows = || {
            [Ok(Row::Event(play(2, 3, WALL_MS))), Ok(Row::Track(Id::Number(1), track.clone()))].into_iter()
        };
        if changes {
            assert_eq!(engine.put_track(Id::Number(1), track.clone()), Ok(Applied::Accepted));
            assert!(engine.apply_all(rows(), WALL_MS).is_ok());
            assert_eq!(engine.remove(&Id::Number(2), WALL_MS), Ok(true));
        } else {
            assert_eq!(engine.apply(play(1, 2, WALL_MS), WALL_MS), Err(Rejection::LogUnavailable));
            assert_eq!(engine.put_track(Id::Number(1), track.clone()), Err(NotPut::LogUnavailable));
            if !shows {
                assert_eq!(engine.remove(&Id::Number(1), WALL_MS), Err(NotRemoved::LogUnavailable));
            }
            (0..engine.shards())
                .for_each(|shard| assert_eq!(engine.evict_idle(shard, WALL_MS + 90 * DAY_MS), 0));
            let report = engine.apply_all(rows(), WALL_MS).expect_err("it is refused");
            assert_eq!((report.worst, report.refused_for_now), (Some(RowProblem::LogUnavailable), 2));
            assert_eq!(held_by(&engine), before, "{state:?}");
        }
        let expected = if shows { Reason::LikelyToClick } else { Reason::LogUnavailable };
        assert_eq!(decide(&engine, 1, true), expected, "{state:?}, a dry run");
        assert_eq!(decide(&engine, 1, false), expected, "{state:?}");
        assert_eq!(engine.profile(&Id::Number(1)).map(|p| p.impressions().count()), Some(usize::from(shows)));
        if state == Reserve {
            let published = engine.barrier();
            assert_eq!(engine.remove(&Id::Number(1), WALL_MS), Ok(true), "an erasure takes of the reserve");
            assert_eq!((engine.barrier(), engine.customer_count()), (published + 1, 0));
        }
        match state {
            Failed => {
                assert_eq!(engine.barrier(), u64::MAX, "nothing is acknowledged any longer");
                engine.set_log_state(Accepting);
                assert_eq!(engine.log_state(), Failed, "a failure is final");
            }
            _ if shows => assert!(engine.barrier() > barrier),
            _ => assert_eq!(engine.barrier(), barrier, "nothing was published"),
        }
    }
}

#[test]
fn full_lane_refuses_events_and_shows_before_they_count_and_heals_when_it_is_collected() {
    let (engine, mut opened) = engine(1 << 10);
    let mut taken = 0;
    while engine.apply(play(1, taken, WALL_MS - 1000 + taken as i64), WALL_MS).is_ok() {
        taken += 1;
        assert!(taken < 1000, "the lane never fills");
    }
    let held = held_by(&engine);
    assert_eq!(engine.apply(play(1, taken, WALL_MS), WALL_MS), Err(Rejection::LogUnavailable));
    assert_eq!(decide(&engine, 1, false), Reason::LogUnavailable);
    assert_eq!(decide(&engine, 1, true), Reason::LogUnavailable, "a dry run says what a decision would");
    assert_eq!(held_by(&engine), held);
    while engine.durable() < engine.barrier() {
        opened.writer.step().expect("the disk is good");
    }
    assert_eq!(engine.apply(play(1, taken, WALL_MS), WALL_MS), Ok(Applied::Accepted));
    assert_eq!(decide(&engine, 1, false), Reason::LikelyToClick);
}

#[test]
fn duplicates_and_decisions_that_show_nothing_publish_nothing() {
    let (engine, _opened) = engine(32 << 10);
    for event_id in 0..7 {
        assert_eq!(engine.apply(play(1, event_id, WALL_MS), WALL_MS), Ok(Applied::Accepted));
    }
    let barrier = engine.barrier();
    assert_eq!(engine.apply(play(1, 3, WALL_MS), WALL_MS), Ok(Applied::Duplicate));
    assert_eq!(decide(&engine, 2, false), Reason::UnknownCustomer);
    assert_eq!(decide(&engine, 1, true), Reason::LikelyToClick);
    assert_eq!(engine.barrier(), barrier);
    let shown = engine.decide_once(&Id::Number(1), false, WALL_MS);
    assert_eq!((shown.reason, engine.barrier()), (Reason::LikelyToClick, barrier + 1));
    // Of impressions too, however they are named.
    let [ours, other] = [campaign().id, Id::Number(7)].map(ImpressionOf::Campaign);
    let named = [ours, other, ImpressionOf::Decision(shown.id)];
    let events = named.map(|of| Event { kind: EventKind::Impression(of), ..play(1, 90, WALL_MS) });
    for event in &events {
        let before = engine.barrier();
        assert!(engine.apply(event.clone(), WALL_MS).is_ok());
        // A confirmation counts in the account of its campaign, too.
        let confirms = matches!(event.kind, EventKind::Impression(ImpressionOf::Decision(_)));
        assert_eq!(engine.barrier(), before + 1 + u64::from(confirms), "{event:?} changes what is kept");
    }
    let barrier = engine.barrier();
    for event in &events {
        assert_eq!(engine.apply(event.clone(), WALL_MS), Ok(Applied::Duplicate), "{event:?}");
    }
    let body = || events.iter().cloned().map(|event| Ok(Row::Event(event)));
    assert_eq!(engine.apply_each(body(), WALL_MS).duplicates, 3);
    assert_eq!(engine.barrier(), barrier);
    // One record closes an atomic body, whatever is in it.
    assert_eq!(engine.apply_all(body(), WALL_MS).map(|report| report.duplicates), Ok(3));
    assert!(engine.barrier() <= barrier + 1);
}

#[test]
fn atomic_body_waits_for_room_and_is_acknowledged_whole() {
    let (engine, mut opened) = engine(1 << 10);
    let rows = (0..100).map(|event_id| Ok(Row::Event(play(1, event_id, WALL_MS - 1000 + event_id as i64))));
    let mut body = engine.begin_atomic(rows, WALL_MS);
    let first = engine.barrier();
    let mut waited = 0;
    loop {
        let before = body.step();
        match engine.advance(body, 10) {
            Progress::UnderWay(rest) => {
                assert!(engine.durable() <= first, "a part of it is acknowledged");
                waited += usize::from(rest.step() == before);
                if rest.step() == before {
                    opened.writer.step().expect("the disk is good");
                }
                body = rest;
            }
            Progress::Applied(report, _) => {
                assert_eq!(report.accepted, 100);
                break;
            }
            Progress::Refused(..) => panic!("it is refused"),
        }
    }
    assert!(waited > 0, "the lane never filled");
    while engine.durable() < engine.barrier() {
        opened.writer.step().expect("the disk is good");
    }
}

#[test]
fn body_amid_which_the_log_fails_is_refused_and_nothing_is_acknowledged() {
    let (engine, _opened) = engine(32 << 10);
    let rows = (0..9).map(|event_id| Ok(Row::Event(play(1, event_id, WALL_MS))));
    let mut body = engine.begin_atomic(rows, WALL_MS);
    for _ in 0..8 {
        let Progress::UnderWay(rest) = engine.advance(body, 2) else { panic!("it has nine rows") };
        body = rest;
    }
    assert_eq!(body.step(), (false, 6));
    engine.set_log_state(LogState::Failed);
    let Progress::Refused(report, _) = engine.advance(body, 2) else { panic!("it goes on") };
    assert_eq!((report.refused(), report.worst), (9, Some(RowProblem::LogUnavailable)));
    assert_eq!(engine.barrier(), u64::MAX);
}

#[test]
fn body_that_is_dropped_half_applied_fails_the_log() {
    let (engine, mut opened) = engine(32 << 10);
    let rows = || (0..9).map(|event_id| Ok(Row::Event(play(1, event_id, WALL_MS))));
    let body = engine.begin_atomic(rows(), WALL_MS);
    let Progress::UnderWay(body) = engine.advance(body, 3) else { panic!("it has nine rows") };
    drop(body);
    assert_eq!(engine.log_state(), LogState::Accepting, "only rows were checked");
    let mut body = engine.begin_atomic(rows(), WALL_MS);
    while body.step() != (false, 3) {
        let Progress::UnderWay(rest) = engine.advance(body, 3) else { panic!("it has nine rows") };
        body = rest;
    }
    let first = engine.durable();
    drop(body);
    assert_eq!(engine.log_state(), LogState::Failed);
    // A step that was under way already would have closed what is given up, and acknowledged repeats of its rows.
    for _ in 0..3 {
        opened.writer.step().expect_err("the log has failed");
    }
    assert_eq!(engine.durable(), first, "rows that are in no record are not durable");
}

#[test]
fn sync_that_never_returns_stops_no_decision_before_the_lanes_are_full_and_loses_nothing() {
    for lanes_outlive in [true, false] {
        let (disk, lanes) = (SimulatedDisk::new(1, 1 << 30), memories(1, 16 << 10));
        let engine = showing(settings(Clock::Wall));
        let mut first = opened(&engine, &disk, lanes.clone(), 1, 1);
        for customer in 0..600 {
            engine.apply(play(customer, 1, WALL_MS), WALL_MS).expect("there is room");
            while engine.durable() < engine.barrier() {
                first.writer.step().expect("the disk is good");
            }
        }
        let durable = held_by(&engine);
        disk.hang_after(Call::Sync, 0);
        engine.apply(play(1, 2, WALL_MS), WALL_MS).expect("there is room");
        let acknowledged = engine.durable();
        assert!(disk.catch_hang(|| first.writer.step()).is_none(), "the thread never runs again");

        let shown =
            (0..600).take_while(|customer| decide(&engine, *customer, false) == Reason::LikelyToClick);
        let shown = shown.count();
        assert!((100..600).contains(&shown), "{shown} shows found room");
        assert_eq!(decide(&engine, 599, false), Reason::LogUnavailable);
        assert_eq!(engine.apply(play(2, 2, WALL_MS), WALL_MS), Err(Rejection::LogUnavailable));
        assert!(
            engine.durable() == acknowledged && engine.barrier() > acknowledged,
            "nobody is told of more"
        );

        let again = showing(settings(Clock::Wall));
        if lanes_outlive {
            disk.kill();
            opened(&again, &disk, lanes, 2, 2);
            assert_eq!(
                held_by(&again),
                held_by(&engine),
                "all is there, shows and what was not acknowledged"
            );
        } else {
            disk.lose_power();
            opened(&again, &disk, memories(1, 16 << 10), 2, 2);
            // The customer's second play may be there or not.
            let (mut found, mut expected) = (held_by(&again), durable);
            found.remove(&Id::Number(1));
            expected.remove(&Id::Number(1));
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn numbers_of_decisions_begin_above_all_of_former_processes() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let mut given = DecisionId(0);
    for life in 0..4 {
        let engine = showing(settings(Clock::Wall));
        let lanes = memories(1, 32 << 10);
        let _opened = opened(&engine, &disk, lanes, 1, life);
        let decision = engine.decide_once(&Id::Number(1), false, WALL_MS);
        assert!(decision.id > given, "{} after {given}", decision.id);
        given = decision.id;
        disk.lose_power();
    }
}

#[test]
fn plays_beyond_a_window_that_was_made_smaller_count_for_nothing() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let engine = showing(settings(Clock::Wall));
    let mut before = opened(&engine, &disk, memories(1, 32 << 10), 1, 1);
    for event_id in 0..6 {
        engine.apply(play(1, event_id, WALL_MS - 1000 + event_id as i64), WALL_MS).expect("it is taken");
    }
    while engine.durable() < engine.barrier() {
        before.writer.step().expect("the disk is good");
    }
    disk.kill();
    let mut smaller = settings(Clock::Wall);
    smaller.window.plays = 3;
    // Of an engine that never had more than the newest three.
    let fresh = showing(smaller.clone());
    for event_id in 3..6 {
        fresh.apply(play(1, event_id, WALL_MS - 1000 + event_id as i64), WALL_MS).expect("it is taken");
    }
    let reopened = showing(smaller.clone());
    let _after = opened(&reopened, &disk, memories(1, 32 << 10), 2, 2);
    let says = |engine: &Engine| {
        let said = engine.explain(&Id::Number(1), WALL_MS).expect("there are plays");
        let counted = said.profile.plays_in(&smaller.window, WALL_MS).len();
        (said.counts.plays, said.decision.score, counted)
    };
    assert_eq!(says(&reopened), says(&fresh));
    assert_eq!(says(&reopened).0, 3);
    // Further plays push the older ones out of what counts, one by one.
    for engine in [&reopened, &fresh] {
        engine.apply(play(1, 9, WALL_MS), WALL_MS).expect("it is taken");
    }
    assert_eq!(says(&reopened), says(&fresh));
}

#[test]
fn engine_is_opened_once() {
    let (engine, _opened) = engine(32 << 10);
    let disk = Arc::new(SimulatedDisk::new(2, 1 << 30));
    let again =
        storage::open(&engine, disk, memories(1, 32 << 10), super::options(1), super::random(1), &|_| {});
    assert!(matches!(again, Err(storage::OpenError::Twice)));
}

/// What a newer program wrote, whose kinds this one does not know.
#[test]
fn record_that_is_not_readable_is_named_and_leaves_the_directory_as_it_is() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let journal = super::options(1).journal;
    let mut none = |_: upbeat_journal::Record<'_>| Ok(());
    let start = upbeat_journal::Start::BEGINNING;
    let opened = upbeat_journal::open(
        disk.clone(),
        journal,
        start,
        memories(1, 32 << 10),
        super::random(1),
        &mut none,
    );
    let mut opened = opened.expect("an empty directory");
    // An event of a customer, so that another thread finds it.
    let position = opened.lanes[0].publish(2, 0, 3, |into| into.copy_from_slice(&[0, 48, 7]));
    opened.writer.step().expect("the disk is good");
    drop(opened);
    let names = || upbeat_journal::disk::Disk::names(&disk).expect("the disk is good");
    let before = names();
    for threads in [1, 2, 8] {
        let engine = showing(settings(Clock::Wall));
        let lanes = memories(1, 32 << 10);
        let again = storage::open(
            &engine,
            Arc::new(disk.clone()),
            lanes,
            super::options(threads),
            super::random(2),
            &|_| {},
        );
        let error = again.err().expect("it is not readable").to_string();
        assert!(
            error.contains(&format!("position {position}: ")) && error.contains("an event id"),
            "{error}"
        );
        assert_eq!((engine.log_state(), names()), (LogState::Off, before.clone()));
    }
}
