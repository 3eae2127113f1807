//! Everything at once on plain threads, with what is counted recounted at the end.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use upbeat_core::campaign::Single;
use upbeat_core::decision::Reason;
use upbeat_core::decision::policy::Rule;
use upbeat_core::event::{DAY_MS, Event, EventKind, ImpressionOf, MINUTE_MS, Membership, Row, Time};
use upbeat_core::feedback::FeedbackPeriods;

use super::*;

const WALL_MS: i64 = 1_700_000_000_000;
const CUSTOMERS: u64 = 300;

/// An engine with the shipped model, in which everybody with enough plays is shown the ad.
fn engine() -> Engine {
    let mut campaign = Single { threshold: -1e6, ..Single::default() };
    campaign.cap.impressions = 64;
    let settings = Settings {
        window: Window::default(),
        clock: Clock::Wall,
        max_future_ms: 5 * MINUTE_MS,
        expected_customers: 0,
        max_customers: CUSTOMERS as usize / 2,
        max_profile_bytes: 1 << 30,
        max_retry_bytes: 1 << 20,
        max_tracks: 2,
        max_tombstones: 1000,
        first_decision: 1,
        feedback: FeedbackPeriods::default(),
    };
    let engine = Engine::new(settings, campaign.document());
    let model = Model::read(include_bytes!("../../../../model/default.json").as_slice()).expect("a model");
    engine.promote(model).expect("it fits");
    engine
}

/// Numbers in an order like chance (Steele, Lea and Flood's SplitMix64, 2014).
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 27)
}

/// An event of somebody, soon after `step`: later than most of what was deleted until then.
fn event(seed: u64, step: u64) -> Event {
    let chance = mix(seed);
    let kind = match chance % 12 {
        0 => EventKind::click(Id::Text(format!("an-ad-{}", chance % 5).into())),
        1 => EventKind::Impression(ImpressionOf::Campaign(Id::Text("another-campaign".into()))),
        2 => EventKind::Membership(if chance & 64 == 0 { Membership::Gold } else { Membership::Silver }),
        _ => EventKind::Play { track: Id::Number(chance % 50), mobile: chance & 1 == 0 },
    };
    let customer = mix(chance) % CUSTOMERS;
    // Some ids are texts, which take memory of their own.
    let text = |number: u64| Id::Text(format!("a-text-for-{number}").into());
    Event {
        customer: if customer.is_multiple_of(7) { text(customer) } else { Id::Number(customer) },
        id: if chance.is_multiple_of(5) { text(chance % 1000) } else { Id::Number(chance % 1000) },
        time: Time::from_unix_ms(at_step(step) + (chance % 8) as i64 * MINUTE_MS),
        kind,
    }
}

/// The time of a step, four days at most before [`WALL_MS`].
fn at_step(step: u64) -> i64 {
    WALL_MS - 4 * DAY_MS + step as i64 * MINUTE_MS
}

/// What the counters say, and the same counted over every record.
fn assert_recounted(engine: &Engine) {
    let (mut customers, mut bytes, mut plays) = (0, 0, 0);
    for shard in 0..engine.shards() {
        engine.customers.sweep(shard, |id, customer| {
            customers += 1;
            bytes += customer.bytes(id);
            plays += customer.profile.plays().len();
            Sweep::Keep
        });
    }
    assert!(customers > 0, "the test leaves nobody to count");
    assert_eq!(engine.customer_count(), customers);
    assert_eq!(engine.profile_bytes(), bytes);
    assert_eq!(engine.counters().plays_kept(), plays);
}

#[test]
fn counts_are_right_after_apply_decide_sweep_and_delete_at_once() {
    const STEPS: u64 = 4000;
    let engine = engine();
    let start = Barrier::new(6);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (engine, start, done) = (&engine, &start, &done);
        let background = [0, 1].map(|kind| {
            scope.spawn(move || {
                start.wait();
                let mut step = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    step += 1;
                    match kind {
                        // Some sweeps find everybody idle.
                        0 => {
                            let days = [0, 90][usize::from(step.is_multiple_of(200))];
                            engine.evict_idle(step as usize % engine.shards(), WALL_MS + days * DAY_MS);
                        }
                        // Of whoever is not there nothing is erased that is sent later.
                        _ => drop(engine.remove(&event(step, 0).customer, at_step(0))),
                    }
                }
            })
        });
        let threads: Vec<_> = (0..4u64)
            .map(|thread| {
                scope.spawn(move || {
                    start.wait();
                    for step in 0..STEPS {
                        // Each third time there are repeats.
                        let (seed, wall_ms) = (thread << 32 | (step - step % 3), at_step(step + 8));
                        let event = |seed| event(seed, step - step % 3);
                        match (thread, step % 50) {
                            (0, 0) => {
                                let rows = (0..40).map(|row| Ok(Row::Event(event(seed << 8 | row))));
                                drop(engine.apply_all(rows, wall_ms));
                            }
                            (0 | 1, _) => drop(engine.apply(event(seed), wall_ms)),
                            (2, _) => {
                                let event = event(seed);
                                let decision = engine.decide_once(&event.customer, false, wall_ms);
                                if decision.reason.shows() {
                                    let kind = EventKind::Impression(ImpressionOf::Decision(decision.id));
                                    let time = Time::from_unix_ms(wall_ms);
                                    drop(engine.apply(Event { kind, time, ..event }, wall_ms));
                                }
                            }
                            _ => {
                                let request_id = RequestId::parse(&(seed % 100).to_string()).ok();
                                let ask = Ask { dry_run: false, request_id, ..Ask::default() };
                                let _ = engine.decide(&event(seed).customer, &ask, wall_ms);
                            }
                        }
                    }
                })
            })
            .collect();
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(results.iter().all(Result::is_ok), "a thread panicked");
        background.into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
    // Whatever was deleted last, somebody is there to be counted.
    (0..20).for_each(|number| drop(engine.apply(event(number, 5700), WALL_MS)));
    assert_recounted(&engine);
    confirm_an_impression(&engine);
    assert_recounted(&engine);
}

/// Puts a customer in the place of one that is held, and confirms an ad that they were shown, by an id that takes memory.
fn confirm_an_impression(engine: &Engine) {
    // Later than anything that was deleted.
    let later_ms = WALL_MS + MINUTE_MS;
    let mut held = None;
    for shard in 0..engine.shards() {
        engine.customers.sweep(shard, |id, _| {
            held = Some(id.clone());
            Sweep::Keep
        });
    }
    let customer = held.expect("somebody is there");
    assert_eq!(engine.remove(&customer, later_ms), Ok(true));
    let event = |number: u64, kind| Event {
        customer: customer.clone(),
        id: Id::Text(format!("a-text-for-{number}").into()),
        time: Time::from_unix_ms(later_ms),
        kind,
    };
    for number in 0..30 {
        let play = EventKind::Play { track: Id::Number(number), mobile: true };
        engine.apply(event(number, play), later_ms).expect("a play");
    }
    let decision = engine.decide_once(&customer, false, later_ms);
    assert_eq!(decision.reason, Reason::LikelyToClick);
    let before = engine.profile_bytes();
    let confirmation = EventKind::Impression(ImpressionOf::Decision(decision.id));
    engine.apply(event(99, confirmation), later_ms).expect("the decision is held");
    assert!(engine.profile_bytes() > before, "its id takes memory");
}

#[test]
fn old_events_and_an_erasure_at_once_leave_nothing_of_the_customer() {
    const ROUNDS: u64 = 2000;
    let settings = Settings { max_tombstones: ROUNDS as usize, ..engine().settings().clone() };
    let engine = Engine::new(settings, Single::default().document());
    let (start, end, mut back) = (Barrier::new(2), Barrier::new(2), 0);
    let play = |customer: u64, number: u64| Event {
        customer: Id::Number(customer),
        id: Id::Number(number),
        time: Time::from_unix_ms(WALL_MS - 1),
        kind: EventKind::Play { track: Id::Number(number), mobile: true },
    };
    std::thread::scope(|scope| {
        let (engine, start, end) = (&engine, &start, &end);
        scope.spawn(move || {
            for customer in 0..ROUNDS {
                start.wait();
                // Most often it waits for the shard while the other thread erases: what it knew before does not hold any more.
                let mut number = 0;
                while engine.apply(play(customer, number), WALL_MS) != Ok(Applied::Erased) {
                    number += 1;
                }
                end.wait();
            }
        });
        for customer in 0..ROUNDS {
            start.wait();
            (0..customer % 64).for_each(|_| std::hint::spin_loop());
            engine.remove(&Id::Number(customer), WALL_MS).expect("there is room");
            end.wait();
            back += usize::from(engine.contains(&Id::Number(customer)));
        }
    });
    assert_eq!(back, 0, "customers are back");
    assert_eq!((engine.customer_count(), engine.profile_bytes()), (0, 0));
}

#[test]
fn explanation_never_contradicts_itself_beside_deletions() {
    const ROUNDS: usize = 3000;
    let engine = engine();
    let id = Id::Number(48);
    let play = |number: u64, unix_ms: i64| Event {
        customer: id.clone(),
        id: Id::Number(number),
        time: Time::from_unix_ms(unix_ms),
        kind: EventKind::Play { track: Id::Number(number), mobile: true },
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Bounded, so that a failure of the other thread ends the test.
            for round in 1..100_000 {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                // All later than what was deleted before.
                let wall_ms = WALL_MS + 20 * round;
                (0..15).for_each(|number| {
                    let event = play(number, wall_ms - number as i64);
                    assert_eq!(engine.apply(event, wall_ms), Ok(Applied::Accepted));
                });
                engine.decide_once(&id, false, wall_ms);
                assert_eq!(engine.remove(&id, wall_ms), Ok(true));
            }
        });
        let explain = |_| engine.explain(&id, WALL_MS + 60 * MINUTE_MS);
        for explained in (0..ROUNDS).filter_map(explain) {
            let settings = engine.settings();
            let plays = explained.profile.plays_in(&settings.window, explained.now_ms).len();
            let reason = explained.decision.reason;
            assert!(plays > 0 && reason != Reason::UnknownCustomer, "{reason:?} of {plays} plays");
            assert_eq!(usize::from(explained.counts.plays), plays);
            let trace = &explained.traces[0];
            assert_eq!(explained.decision.score, trace.score);
            match trace.rules.iter().find(|rule| !rule.passed).map(|rule| rule.rule) {
                Some(Rule::History) => assert!(plays < Single::default().min_plays as usize),
                None => assert_eq!(reason, Reason::LikelyToClick),
                other => panic!("{other:?} with {plays} plays"),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}
