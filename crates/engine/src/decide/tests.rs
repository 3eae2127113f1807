use std::collections::BTreeMap;
use std::sync::Barrier;

use upbeat_core::event::{Event, EventKind, MINUTE_MS, Time};
use upbeat_core::profile::Window;
use upbeat_journal::Memory;
use upbeat_journal::disk::simulated::{Dice, SimulatedDisk};
use upbeat_svm::Model;

use super::*;
use crate::campaigns::parse;
use crate::{Clock, Settings, storage};

const WALL_MS: i64 = 1_700_000_000_000;

/// An engine with the shipped model in which this document runs, and so many customers with a play.
fn engine(toml: &str, customers: u64) -> Engine {
    let settings = Settings {
        window: Window::default(),
        clock: Clock::Wall,
        max_future_ms: 300_000,
        expected_customers: 0,
        max_customers: 10_000,
        max_profile_bytes: 1 << 24,
        max_retry_bytes: 1 << 20,
        max_tracks: 2,
        max_tombstones: 10,
        feedback: upbeat_core::feedback::FeedbackPeriods::default(),
        first_decision: 1,
    };
    let engine = Engine::new(settings, parse(toml).expect("a document"));
    let model = Model::read(include_bytes!("../../../../model/default.json")).expect("a model");
    engine.promote(model).expect("it fits");
    (0..customers).for_each(|customer| play(&engine, customer));
    engine
}

fn play(engine: &Engine, customer: u64) {
    let event = Event {
        customer: Id::Number(customer),
        id: Id::Number(1),
        time: Time::from_unix_ms(WALL_MS - MINUTE_MS),
        kind: EventKind::Play { track: Id::Number(7), mobile: true },
    };
    engine.apply(event, WALL_MS).expect("a play");
}

/// A campaign that shows to everybody, with more keys.
fn campaign(id: &str, more: &str) -> String {
    format!(
        "[[campaign]]\nid = \"{id}\"\nad = \"AD\"\nmin_plays = 1\nthreshold = {{ score = -1e9 }}\n{more}\n"
    )
}

fn reason(engine: &Engine, customer: u64, wall_ms: i64) -> Reason {
    engine.decide_once(&Id::Number(customer), false, wall_ms).reason
}

fn opened(engine: &Engine, disk: &SimulatedDisk) -> storage::Opened<SimulatedDisk> {
    let journal = upbeat_journal::Options { segment_bytes: 64 << 10, group_bytes: 16 << 10, sync: true };
    let (mut dice, options) = (Dice::new(7), storage::Options { journal, threads: 2 });
    let lanes = vec![Memory::anonymous(4096 + (64 << 10))];
    storage::open(
        engine,
        std::sync::Arc::new(disk.clone()),
        lanes,
        options,
        Box::new(move || dice.draw()),
        &|_| {},
    )
    .expect("it is opened")
}

fn flush(engine: &Engine, opened: &mut storage::Opened<SimulatedDisk>) {
    while engine.durable() < engine.barrier() {
        opened.writer.step().expect("the disk works");
    }
}

#[test]
fn budget_is_spent_to_the_last_show_and_not_beyond_by_threads_at_once() {
    const CUSTOMERS: u64 = 400;
    let budget = "impression_cost = 0.03\ndaily_budget = 3.01";
    let engine = engine(&campaign("a", budget), CUSTOMERS);
    let (threads, start) = (8, Barrier::new(8));
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    std::thread::scope(|scope| {
        let asked = (0..threads).map(|thread| {
            let (engine, start) = (&engine, &start);
            scope.spawn(move || {
                start.wait();
                let own = (0..CUSTOMERS).filter(move |customer| customer % threads == thread);
                own.map(|customer| reason(engine, customer, WALL_MS).name()).collect::<Vec<_>>()
            })
        });
        for asked in asked.collect::<Vec<_>>() {
            for reason in asked.join().expect("no panic") {
                *reasons.entry(reason).or_default() += 1;
            }
        }
    });
    assert_eq!(reasons, BTreeMap::from([("likely_to_click", 100), ("over_budget", 300)]));
}

#[test]
fn campaign_whose_budget_another_show_took_leaves_the_place_to_the_next() {
    let rich = campaign("b", "");
    let toml = campaign("a", "priority = 1\nimpression_cost = 0.5\ntotal_budget = 0.5") + &rich;
    let engine = engine("campaign = []", 3);
    let model = engine.champion().expect("a model").model.clone();
    let models = vec![upbeat_core::campaign::Served::new(
        "default",
        "0123456789ab",
        upbeat_core::campaign::Label::Impression,
        model,
    )];
    let document = parse(&toml).expect("a document");
    let new = crate::campaigns::NewCampaigns { toml, document, who: "anna".to_owned(), models };
    engine.set_campaigns(new, WALL_MS).expect("they are set");
    let shown = |customer| {
        let decision = engine.decide_once(&Id::Number(customer), false, WALL_MS);
        assert_eq!(decision.reason, Reason::LikelyToClick);
        engine.running().campaign(decision.campaign.expect("a campaign")).expect("its id").to_string()
    };
    assert_eq!([shown(0), shown(1), shown(2)], ["a", "b", "b"]);
}

#[test]
fn ghost_takes_its_place_in_the_cap_and_no_money_and_outlives_a_kill() {
    let toml = campaign(
        "a",
        "holdout = 1.0\ncaps = [{ impressions = 1, hours = 24 }]\nimpression_cost = 0.5\ndaily_budget = 0.5",
    );
    let (engine_of, disk) = (|customers| engine(&toml, customers), SimulatedDisk::new(1, 1 << 30));
    let first = engine_of(0);
    let mut log = opened(&first, &disk);
    play(&first, 1);
    assert_eq!([reason(&first, 1, WALL_MS), reason(&first, 1, WALL_MS)], [Reason::HeldOut, Reason::Capped]);
    let ghost = first.profile(&Id::Number(1)).expect("known").impressions().next().expect("a ghost").clone();
    assert!(ghost.decision().is_some_and(|decision| decision.0 >> 63 == 1), "nothing confirms it");
    flush(&first, &mut log);
    let second = engine_of(0);
    let _log = opened(&second, &disk.copy(2));
    assert_eq!(second.profile(&Id::Number(1)), first.profile(&Id::Number(1)));
    assert_eq!(reason(&second, 1, WALL_MS), Reason::Capped);
    play(&second, 2);
    assert_eq!(reason(&second, 2, WALL_MS), Reason::HeldOut, "the budget of one show was not touched");
}

#[test]
fn customer_is_tossed_once_a_local_day_also_after_a_kill_and_with_a_snapshot() {
    let toml = "[[campaign]]\nid = \"a\"\nad = \"AD\"\nmin_plays = 1\nthreshold = { score = 1e6 }\nexploration = 1.0\n\
                time_zone = \"Asia/Seoul\"\n";
    let disk = SimulatedDisk::new(1, 1 << 30);
    let first = engine(toml, 0);
    let mut log = opened(&first, &disk);
    play(&first, 1);
    let ask = Ask { request_id: RequestId::parse("abc").ok(), ..Ask::default() };
    let shown = first.decide(&Id::Number(1), &ask, WALL_MS).expect("it is kept");
    assert_eq!((shown.reason, reason(&first, 1, WALL_MS)), (Reason::Exploring, Reason::UnlikelyToClick));
    flush(&first, &mut log);
    for with_snapshot in [false, true] {
        let disk = disk.copy(2);
        let mut second = engine(toml, 0);
        let mut log = opened(&second, &disk);
        if with_snapshot {
            let written = log.snapshotter.write(&second, &mut |_| log.writer.step().is_ok());
            assert!(matches!(written, Ok(Some(_))), "{written:?}");
            second = engine(toml, 0);
            assert!(opened(&second, &disk.copy(3)).recovered.snapshot_bytes > 0);
        }
        assert_eq!(reason(&second, 1, WALL_MS), Reason::UnlikelyToClick, "with a snapshot: {with_snapshot}");
        assert_eq!(second.decide(&Id::Number(1), &ask, WALL_MS + 1), Ok(shown), "a retry");
        // 2023-11-14T22:13:20Z is the 15th in Seoul; the next day begins at 15:00 UTC.
        let midnight_ms = WALL_MS - WALL_MS % 86_400_000 + 39 * 3_600_000;
        assert_eq!(reason(&second, 1, midnight_ms - 1), Reason::UnlikelyToClick);
        assert_eq!(reason(&second, 1, midnight_ms), Reason::Exploring);
    }
}

#[test]
fn preview_answers_as_if_its_campaign_ran_alone_and_never_counts() {
    let toml = "holdout_all = 1.0\n".to_owned() + &campaign("a", "") + "\n";
    let (engine, disk) = (engine(&toml, 0), SimulatedDisk::new(1, 1 << 30));
    let _log = opened(&engine, &disk);
    play(&engine, 1);
    let (before, profile) = (engine.barrier(), engine.profile(&Id::Number(1)));
    let preview = |campaign: &str| {
        let ask = Ask { preview: Some(Id::Text(campaign.into())), ..Ask::default() };
        engine.decide(&Id::Number(1), &ask, WALL_MS).expect("nothing is kept").reason
    };
    assert_eq!(
        (preview("a"), preview("a"), preview("b")),
        (Reason::LikelyToClick, Reason::LikelyToClick, Reason::NoCampaign)
    );
    assert_eq!((engine.barrier(), engine.profile(&Id::Number(1))), (before, profile));
    assert_eq!(reason(&engine, 1, WALL_MS), Reason::HeldOut);
}

#[test]
fn paused_and_closed_campaigns_and_none_have_their_reasons() {
    for (toml, expected) in [
        ("campaign = []".to_owned(), Reason::NoCampaign),
        (campaign("a", "paused = true"), Reason::Paused),
        (campaign("a", "end = \"2023-11-14T22:00:00\""), Reason::NotScheduled),
        (campaign("a", "end = \"2023-11-14T22:30:00\""), Reason::LikelyToClick),
    ] {
        let engine = engine(&toml, 1);
        assert_eq!(reason(&engine, 0, WALL_MS), expected, "{toml}");
        assert_eq!(reason(&engine, 9, WALL_MS), Reason::UnknownCustomer);
    }
}
