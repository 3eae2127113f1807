mod racing;

use upbeat_core::campaign::Single;
use upbeat_core::catalogue::Track;
use upbeat_core::decision::Reason;
use upbeat_core::event::{DAY_MS, DecisionId, Event, EventKind, ImpressionOf, MINUTE_MS, Membership, Time};
use upbeat_core::feedback::{FeedbackKinds, FeedbackPeriods};
use upbeat_core::profile::{Applied, Bounds};

use super::*;

mod wall_clock;

const WALL_MS: i64 = 1_700_000_000_000;

fn settings() -> Settings {
    Settings {
        window: Window::default(),
        clock: Clock::Wall,
        max_future_ms: 5 * MINUTE_MS,
        expected_customers: 10,
        max_customers: 3,
        max_profile_bytes: 1 << 20,
        max_retry_bytes: 1 << 20,
        max_tracks: 2,
        max_tombstones: 1000,
        first_decision: 1,
        feedback: FeedbackPeriods::default(),
    }
}

fn engine_with(settings: Settings) -> Engine {
    Engine::new(settings, Single::default().document())
}

fn play(customer: u64, event_id: u64, unix_ms: i64) -> Event {
    Event {
        customer: Id::Number(customer),
        id: Id::Number(event_id),
        time: Time::from_unix_ms(unix_ms),
        kind: EventKind::Play { track: Id::Number(event_id), mobile: true },
    }
}

fn plays(engine: &Engine, customer: u64, count: u64) {
    for event_id in 0..count {
        let unix_ms = WALL_MS - DAY_MS + event_id as i64 * MINUTE_MS;
        assert_eq!(engine.apply(play(customer, event_id, unix_ms), WALL_MS), Ok(Applied::Accepted));
    }
}

fn reason(engine: &Engine, customer: u64) -> Reason {
    engine.decide_once(&Id::Number(customer), true, WALL_MS).reason
}

#[test]
fn event_is_visible_to_the_next_decision() {
    let engine = engine_with(settings());
    assert_eq!(reason(&engine, 48), Reason::UnknownCustomer);
    plays(&engine, 48, 1);
    assert_eq!(reason(&engine, 48), Reason::NoModel);
    assert_eq!(engine.remove(&Id::Number(48), WALL_MS), Ok(true));
    assert_eq!(reason(&engine, 48), Reason::UnknownCustomer);
    assert_eq!(engine.counters().plays_kept(), 0);
}

#[test]
fn events_far_ahead_of_the_wall_clock_are_refused_in_both_clock_modes() {
    for clock in [Clock::Wall, Clock::Event] {
        let engine = engine_with(Settings { clock, ..settings() });
        let (near, far) = (WALL_MS + 5 * MINUTE_MS, WALL_MS + 5 * MINUTE_MS + 1);
        assert!(engine.apply(play(48, 1, near), WALL_MS).is_ok());
        assert!(matches!(engine.apply(play(48, 2, far), WALL_MS), Err(Rejection::TooFarAhead { .. })));
        assert_eq!(engine.counters().plays_kept(), 1);
    }
}

#[test]
fn event_clock_uses_the_time_of_the_newest_event() {
    let engine = engine_with(Settings { clock: Clock::Event, ..settings() });
    assert_eq!(engine.now_ms(WALL_MS), WALL_MS);
    plays(&engine, 48, 2);
    assert!(engine.apply(play(48, 9, 1000), WALL_MS).is_ok());
    assert_eq!(engine.now_ms(WALL_MS), WALL_MS - DAY_MS + MINUTE_MS);
}

#[test]
fn full_store_refuses_new_customers_only() {
    let engine = engine_with(settings());
    for customer in 1..=3 {
        plays(&engine, customer, 1);
    }
    assert_eq!(engine.apply(play(4, 1, 0), WALL_MS), Err(Rejection::StoreFull(3)));
    assert!(engine.apply(play(3, 9, 0), WALL_MS).is_ok());
}

#[test]
fn refused_event_of_a_new_customer_makes_no_profile() {
    let engine = engine_with(settings());
    let kind = EventKind::Impression(ImpressionOf::Decision(DecisionId(5)));
    let impression = Event { kind, ..play(48, 1, WALL_MS) };
    assert!(matches!(engine.apply(impression, WALL_MS), Err(Rejection::Conflict(_))));
    assert_eq!(engine.customer_count(), 0);
    assert_eq!(reason(&engine, 48), Reason::UnknownCustomer);
}

#[test]
fn retry_within_the_minute_gets_the_same_answer_and_counts_once() {
    let engine = engine_with(settings());
    let ask =
        Ask { dry_run: false, request_id: Some(RequestId::parse("abc").expect("an id")), ..Ask::default() };
    let first = engine.decide(&Id::Number(48), &ask, WALL_MS).expect("room");
    plays(&engine, 48, 1);
    assert_eq!(engine.decide(&Id::Number(48), &ask, WALL_MS + RETRY_PERIOD_MS).expect("room"), first);
    assert_eq!(engine.counters().decisions().map(|(_, count)| count).sum::<u64>(), 1);
    assert_eq!(engine.counters().retries(), 1);
    let other = engine.decide(&Id::Number(49), &ask, WALL_MS).expect("room");
    assert_ne!(other.id, first.id);
    let later = engine.decide(&Id::Number(48), &ask, WALL_MS + RETRY_PERIOD_MS + 1).expect("room");
    assert_ne!(later.id, first.id);
    assert_eq!(later.reason, Reason::NoModel);
}

#[test]
fn catalogue_is_bounded_and_recognises_repeats() {
    let engine = engine_with(settings());
    let track = Track { title: "Caught Up In You".into(), artist: ".38 Special".into(), length_s: 200 };
    assert_eq!(engine.put_track(Id::Number(0), track.clone()), Ok(Applied::Accepted));
    assert_eq!(engine.put_track(Id::Number(0), track.clone()), Ok(Applied::Duplicate));
    assert_eq!(engine.put_track(Id::Number(1), track.clone()), Ok(Applied::Accepted));
    assert_eq!(engine.put_track(Id::Number(2), track.clone()), Err(NotPut::Full(2)));
    assert_eq!(engine.track(&Id::Number(1)), Some(track));
}

#[test]
fn sizes_are_those_of_the_memory_sketch() {
    assert_eq!(size_of::<Profile>(), 48, "docs/decisions/profile-layout.md says 48");
    assert_eq!(size_of::<Customer>(), 80, "docs/decisions/profile-layout.md says 80");
    assert_eq!(size_of::<Option<(Id, Customer)>>(), 96, "docs/decisions/profile-layout.md says 96");
}

#[test]
fn idle_customer_is_evicted_but_a_paid_membership_is_kept() {
    let engine = engine_with(settings());
    let apply = |customer: u64, kind: EventKind, wall_ms: i64| {
        let event = Event { kind, ..play(customer, 1, WALL_MS) };
        assert_eq!(engine.apply(event, wall_ms), Ok(Applied::Accepted));
    };
    let sweep =
        |wall_ms: i64| (0..engine.shards()).map(|shard| engine.evict_idle(shard, wall_ms)).sum::<usize>();
    plays(&engine, 1, 20);
    plays(&engine, 2, 20);
    plays(&engine, 3, 20);
    apply(1, EventKind::Membership(Membership::Free), WALL_MS);
    apply(2, EventKind::Membership(Membership::Gold), WALL_MS);
    apply(3, EventKind::click(Id::Number(1)), WALL_MS + DAY_MS);
    let idle_ms = WALL_MS + 28 * DAY_MS;
    assert_eq!(sweep(idle_ms), 0, "not a moment earlier");
    assert_eq!(sweep(idle_ms + 1000), 2);
    assert!(!engine.contains(&Id::Number(1)));
    assert_eq!(engine.profile(&Id::Number(2)).expect("Gold").level(), Some(Membership::Gold));
    assert_eq!(engine.profile(&Id::Number(2)).expect("Gold").plays().len(), 0);
    assert_eq!(engine.profile(&Id::Number(3)).expect("not idle").plays().len(), 20);
    assert_eq!(engine.counters().plays_kept(), 20);
    assert_eq!(sweep(idle_ms + 1000), 0, "a membership alone is not evicted again");
    assert_eq!(engine.counters().evicted(), 2);
    for customer in [2, 3] {
        assert_eq!(engine.remove(&Id::Number(customer), WALL_MS), Ok(true));
    }
    assert_eq!(engine.profile_bytes(), 0);
}

#[test]
fn customer_just_shown_an_ad_is_not_idle() {
    let mut customer = Customer::default();
    let shown_ms = WALL_MS + 27 * DAY_MS;
    let (time, bounds) = (Time::from_unix_ms(shown_ms), Bounds { plays: 256, campaigns: &[] });
    customer.count_decided_impression(DecisionId(1), Id::Number(1), time, &bounds);
    assert!(!customer.is_idle(shown_ms));
    assert!(customer.is_idle(shown_ms + 1000));
}

#[test]
fn full_memory_refuses_only_events_that_need_more() {
    let engine =
        engine_with(Settings { max_profile_bytes: 1, window: Window { plays: 4, days: 28 }, ..settings() });
    // Before the first event the store takes no memory; the event then reserves room for four plays.
    plays(&engine, 1, 4);
    assert_eq!(engine.apply(play(1, 0, WALL_MS - DAY_MS), WALL_MS), Ok(Applied::Duplicate));
    let (ninth, tenth) = (play(1, 9, WALL_MS), play(1, 10, WALL_MS));
    assert_eq!(
        engine.apply(ninth.clone(), WALL_MS),
        Err(Rejection::MemoryFull(1)),
        "the first dropped play is recorded"
    );
    let applied =
        engine.apply_reserved(ninth, WALL_MS, &mut engine.customers.reservation(), None, &mut Vec::new());
    assert_eq!(applied, Ok((Applied::Accepted, FeedbackKinds::default())));
    assert_eq!(engine.apply(tenth, WALL_MS), Ok(Applied::Accepted), "from then on the oldest is dropped");
    let click = Event { kind: EventKind::click(Id::Number(1)), ..play(1, 1, WALL_MS) };
    assert_eq!(engine.apply(click, WALL_MS), Err(Rejection::MemoryFull(1)));
    assert_eq!(engine.apply(play(2, 1, WALL_MS), WALL_MS), Err(Rejection::MemoryFull(1)));
    assert!(engine.decide_once(&Id::Number(1), false, WALL_MS).reason != Reason::UnknownCustomer);
}

mod scores {
    use proptest::prelude::*;

    use super::*;
    use upbeat_svm::Model;

    fn engine() -> Engine {
        let engine = engine_with(Settings { window: Window { plays: 6, days: 1 }, ..settings() });
        let model = String::from_utf8(include_bytes!("../../../model/default.json").to_vec()).expect("JSON");
        let model = model.replace("\"plays\":256", "\"plays\":6").replace("\"days\":28", "\"days\":1");
        engine.promote(Model::read(model.as_bytes()).expect("a model")).expect("it fits");
        engine
    }

    proptest! {
        // Each case creates many engines.
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// After any plays and decisions, a score of cached counts equals that of counting again.
        #[test]
        fn score_of_cached_counts_equals_that_of_counting_again(
            steps in prop::collection::vec((any::<bool>(), 0i64..3 * DAY_MS, 0u64..4), 1..40),
        ) {
            let caching = engine();
            let mut events = Vec::new();
            for (is_play, ms, track) in steps {
                if is_play {
                    let event = play(48, track, ms);
                    events.push(event.clone());
                    caching.apply(event, WALL_MS).expect("a play");
                }
                let recomputed = engine();
                for event in &events {
                    recomputed.apply(event.clone(), WALL_MS).expect("a play");
                }
                // The instants before and after each play leaves the window, and an arbitrary one.
                let edges = events.iter().flat_map(|event| [0, 1].map(|after| event.time.unix_ms + DAY_MS + after));
                for now_ms in edges.chain([ms]) {
                    let decide = |engine: &Engine| engine.decide_once(&Id::Number(48), true, now_ms);
                    let (cached, expected) = (decide(&caching), decide(&recomputed));
                    prop_assert_eq!((cached.reason, cached.score), (expected.reason, expected.score), "at {}", now_ms);
                }
            }
        }
    }
}

#[test]
fn wrong_date_far_ahead_keeps_its_customer_no_longer_than_the_window_on_the_event_clock() {
    let engine = engine_with(Settings { clock: Clock::Event, ..settings() });
    let start_ms = WALL_MS - 400 * DAY_MS;
    let apply = |customer, id, unix_ms| {
        assert_eq!(engine.apply(play(customer, id, unix_ms), WALL_MS), Ok(Applied::Accepted));
    };
    let sweep = || (0..engine.shards()).map(|shard| engine.evict_idle(shard, WALL_MS)).sum::<usize>();
    apply(1, 1, start_ms);
    apply(2, 1, start_ms);
    apply(1, 2, WALL_MS);
    assert_eq!((engine.now_ms(WALL_MS), sweep()), (start_ms, 0), "the date waits for another customer");
    apply(2, 2, start_ms + 28 * DAY_MS);
    assert_eq!(sweep(), 0, "not a moment earlier");
    apply(2, 3, start_ms + 28 * DAY_MS + 1000);
    assert_eq!(sweep(), 1);
    assert!(!engine.contains(&Id::Number(1)) && engine.contains(&Id::Number(2)));
}

#[test]
fn deletion_drops_the_answers_of_a_customer_who_is_not_known() {
    let engine = engine_with(settings());
    let ask =
        Ask { dry_run: false, request_id: Some(RequestId::parse("abc").expect("an id")), ..Ask::default() };
    let answer = || engine.decide(&Id::Number(48), &ask, WALL_MS).expect("room").id;
    let first = answer();
    assert_eq!(answer(), first);
    assert_eq!(engine.remove(&Id::Number(48), WALL_MS), Ok(false));
    assert_ne!(answer(), first);
}

#[test]
fn explanation_is_a_dry_run_of_its_own_snapshot() {
    let engine = engine_with(settings());
    assert!(engine.explain(&Id::Number(48), WALL_MS).is_none());
    plays(&engine, 48, 3);
    let explained = engine.explain(&Id::Number(48), WALL_MS).expect("a customer");
    assert_eq!((explained.decision.reason, explained.profile.plays().len()), (Reason::NoModel, 3));
    let refused = explained.traces[0].rules.iter().find(|rule| !rule.passed);
    assert_eq!(refused.map(|rule| rule.rule), Some(upbeat_core::decision::policy::Rule::Model));
    assert_eq!(engine.counters().dry_runs(), 1);
    assert_eq!(engine.counters().decisions().map(|(_, count)| count).sum::<u64>(), 0);
}
