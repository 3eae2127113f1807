//! What chance decides, looked at over many customers: who is held out, and what happens to them.

use std::collections::BTreeMap;

use upbeat_core::campaign::Document;
use upbeat_core::event::{DecisionId, Event, EventKind, Id, Time};
use upbeat_engine::campaigns::{NewCampaigns, parse};
use upbeat_engine::{Ask, Engine};

use crate::chance::Dice;
use crate::engine::{Subject, models, settings, text};
use crate::frequencies::Frequencies;
use crate::world::{self, Act, Campaign, Cap, DAY, HOUR, Kind, MINUTE, Ms, Setting, Step, Threshold};

const START: Ms = 1_790_000_000_000;

const PLAYS: u64 = 10;

/// An engine in which these campaigns run, with so many customers of as many plays, each on a phone or not by chance.
fn engine(document: &crate::world::Document, customers: u64) -> Engine {
    let setting = Setting { window_plays: 256, window_days: 28, by_events: false, seed_of_log: None };
    let engine = Engine::new(settings(&setting), Document::default());
    let mut dice = Dice::new(customers);
    for customer in 0..customers {
        let mobile = dice.below(101);
        for number in 0..PLAYS {
            let kind = EventKind::Play { track: Id::Number(number), mobile: dice.below(100) < mobile };
            let time = Time::from_unix_ms(START - (number as Ms + 1) * HOUR);
            let event = Event { customer: Id::Number(customer), id: Id::Number(number), time, kind };
            engine.apply(event, START).expect("it is taken");
        }
    }
    set(&engine, document);
    engine
}

fn set(engine: &Engine, document: &crate::world::Document) {
    let toml = document.toml();
    let document = parse(&toml).expect("campaigns");
    let new = NewCampaigns { toml, document, who: "test".to_owned(), models: models() };
    engine.set_campaigns(new, START).expect("they are set");
}

/// The reason and the id of a decision.
fn decide(engine: &Engine, customer: u64, preview: Option<&str>, now: Ms) -> (&'static str, DecisionId) {
    let ask = Ask { preview: preview.map(text), ..Ask::default() };
    let decision = engine.decide(&Id::Number(customer), &ask, now).expect("an answer");
    (decision.reason.name(), decision.id)
}

fn for_everybody(id: &str) -> Campaign {
    Campaign { threshold: Threshold::Score(-1e6), min_plays: 1, ..Campaign::plain(id) }
}

/// How far a count is from what is expected, in standard deviations.
fn deviation(count: u64, of: u64, probability: f64) -> f64 {
    let (count, of) = (count as f64, of as f64);
    (count - of * probability) / (of * probability * (1.0 - probability)).sqrt()
}

/// Each engine has a key of its own. A thousandth of a hundred thousand is three standard deviations, which chance passes in one
/// engine of seven hundred; it does not in three one after the other.
#[test]
fn two_holdouts_of_a_tenth_have_a_hundredth_in_common() {
    const CUSTOMERS: u64 = 100_000;
    let of = |id| Campaign { holdout: 0.1, ..for_everybody(id) };
    let campaigns = vec![of("one"), of("other")];
    let document = crate::world::Document { campaigns, ..Default::default() };
    let shares = |_| {
        let setting = Setting { window_plays: 256, window_days: 28, by_events: false, seed_of_log: None };
        let engine = Engine::new(settings(&setting), Document::default());
        for customer in 0..CUSTOMERS {
            let kind = EventKind::Play { track: Id::Number(1), mobile: true };
            let (customer, time) = (Id::Number(customer), Time::from_unix_ms(START - HOUR));
            engine.apply(Event { customer, id: Id::Number(1), time, kind }, START).expect("it is taken");
        }
        set(&engine, &document);
        let mut held_out = [0, 0, 0];
        for customer in 0..CUSTOMERS {
            let is = ["one", "other"].map(|id| decide(&engine, customer, Some(id), START).0 == "held_out");
            for (count, is) in held_out.iter_mut().zip([is[0], is[1], is[0] && is[1]]) {
                *count += u64::from(is);
            }
        }
        held_out
    };
    let is_right = |&[one, other, both]: &[u64; 3]| {
        (900..=1100).contains(&both) && [one, other].iter().all(|of| (9_500..=10_500).contains(of))
    };
    let found: Vec<[u64; 3]> = (0..3).map(shares).take_while(|found| !is_right(found)).collect();
    assert!(found.len() < 3, "of one, of the other, of both: {found:?}");
}

/// What a group has come to: customers, shows that were due, and those of them that explored, and plays on a phone of whom
/// they were due to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Group {
    customers: u64,
    due: u64,
    refused: u64,
}

#[test]
fn held_out_customers_come_to_as_many_shows_that_are_due_as_others() {
    const CUSTOMERS: u64 = 6000;
    const STEPS: Ms = 30;
    let campaign = Campaign {
        threshold: Threshold::Probability(0.5),
        min_plays: 1,
        caps: vec![Cap { impressions: 2, hours: 24 }],
        after_impression_s: Some(7200),
        holdout: 0.5,
        exploration: 0.2,
        cost: 20_000,
        total: Some(1_000_000_000),
        ..Campaign::plain("gold")
    };
    let with = |holdout_all, campaign: &Campaign| crate::world::Document {
        holdout_all,
        campaigns: vec![campaign.clone()],
        ..Default::default()
    };
    // Whoever would be shown it tells at once of which group they are; nobody explores yet.
    let engine = engine(&with(0.0, &Campaign { exploration: 0.0, ..campaign.clone() }), CUSTOMERS);
    let preview = |customer| decide(&engine, customer, Some("gold"), START).0;
    let group_of: BTreeMap<u64, bool> = (0..CUSTOMERS)
        .filter_map(|customer| match preview(customer) {
            "held_out" => Some((customer, true)),
            "likely_to_click" => Some((customer, false)),
            _ => None,
        })
        .collect();
    set(&engine, &with(0.0, &campaign));
    let mut groups = [Group::default(); 2];
    let mut exploring = Group::default();
    let mut shown = 0;
    for (customer, now) in (0..STEPS).flat_map(|step| (0..CUSTOMERS).map(move |customer| (customer, step))) {
        let now = START + now * 53 * MINUTE;
        let (reason, id) = decide(&engine, customer, None, now);
        shown += u64::from(matches!(reason, "likely_to_click" | "exploring"));
        assert_eq!(id.is_shown(), matches!(reason, "likely_to_click" | "exploring"), "{reason}");
        let Some(is_held_out) = group_of.get(&customer) else {
            exploring.due += u64::from(matches!(reason, "exploring" | "held_out"));
            exploring.refused += u64::from(reason == "held_out");
            continue;
        };
        let group = &mut groups[usize::from(*is_held_out)];
        match reason {
            "held_out" | "likely_to_click" => {
                assert_eq!(reason == "held_out", *is_held_out, "customer {customer} changes groups");
                group.due += 1;
            }
            "capped" | "cooling_down" => group.refused += 1,
            _ => {}
        }
    }
    for is_held_out in group_of.values() {
        groups[usize::from(*is_held_out)].customers += 1;
    }
    let [treated, held_out] = groups;
    assert!(treated.customers > 1000 && exploring.due > 300, "{groups:?}, {exploring:?}");
    let half = deviation(held_out.customers, group_of.len() as u64, 0.5);
    assert!(half.abs() < 6.0, "half of them are held out: {groups:?}");
    // Ghosts take caps and cooldowns: with the same plays both groups come to exactly the same.
    let each = |group: Group| {
        (group.due as f64 / group.customers as f64, group.refused as f64 / group.customers as f64)
    };
    let ((due, refused), (due_of_held_out, refused_of_held_out)) = (each(treated), each(held_out));
    assert!((due - due_of_held_out).abs() < 1e-9, "{groups:?}");
    assert!((refused - refused_of_held_out).abs() < 1e-9, "{groups:?}");
    let half = deviation(exploring.refused, exploring.due, 0.5);
    assert!(half.abs() < 6.0, "half of those who explore are held out: {exploring:?}");
    // Nobody pays for ghosts.
    let last = START + STEPS * 53 * MINUTE + DAY;
    engine.tick(last);
    let report = engine.report(&text("gold"), i32::MIN, i32::MAX).expect("a report");
    assert_eq!((report.reserved + report.spent) / 20_000, shown as i64, "{report:?}");
}

#[test]
fn groups_stay_where_campaigns_change() {
    const CUSTOMERS: u64 = 3000;
    let gold = Campaign { holdout: 0.3, ..for_everybody("gold") };
    let document = |campaigns: Vec<Campaign>| crate::world::Document { campaigns, ..Default::default() };
    let engine = engine(&document(vec![gold.clone()]), CUSTOMERS);
    let held_out = |engine: &Engine| -> Vec<bool> {
        (0..CUSTOMERS).map(|customer| decide(engine, customer, Some("gold"), START).0 == "held_out").collect()
    };
    let before = held_out(&engine);
    assert!(deviation(before.iter().filter(|is| **is).count() as u64, CUSTOMERS, 0.3).abs() < 6.0);
    set(&engine, &document(vec![Campaign { holdout: 0.9, ..for_everybody("before") }, gold.clone()]));
    assert_eq!(held_out(&engine), before, "of another campaign");
    set(&engine, &document(vec![Campaign { cost: 1, priority: 3, holdout: 0.6, ..gold.clone() }]));
    let more = held_out(&engine);
    assert!(before.iter().zip(&more).all(|(before, more)| !before || *more), "a larger share takes more");
    set(&engine, &document(vec![gold]));
    assert_eq!(held_out(&engine), before);
}

#[test]
fn tosses_choose_each_campaign_as_often_as_its_share_says() {
    const CUSTOMERS: u64 = 20_000;
    let never = Threshold::Score(1e6);
    let of = |id, exploration| Campaign { exploration, threshold: never, ..for_everybody(id) };
    let campaigns = vec![of("one", 0.3), of("other", 0.1)];
    let engine = engine(&crate::world::Document { campaigns, ..Default::default() }, CUSTOMERS);
    let (mut tosses, mut chosen) = (0, BTreeMap::new());
    for day in 0..2 {
        for customer in 0..CUSTOMERS {
            // One toss a day, whatever comes of it.
            for again in [false, true] {
                let now = START + day * DAY;
                let decision = engine.decide(&Id::Number(customer), &Ask::default(), now).expect("an answer");
                let explores = decision.reason.name() == "exploring";
                assert!(!(again && explores), "customer {customer} is tossed once a day");
                let running = engine.running();
                let campaign = decision.campaign.and_then(|slot| running.campaign(slot)).expect("a campaign");
                *chosen.entry(campaign.to_string()).or_insert(0) += u64::from(explores);
            }
            tosses += 1;
        }
    }
    for (id, share) in [("one", 0.3), ("other", 0.1)] {
        let off = deviation(chosen[id], tosses, share);
        assert!(off.abs() < 6.0, "{id} was chosen {} times in {tosses} tosses", chosen[id]);
    }
}

/// Pacing lets shows of two campaigns pass by coins. What comes of each decision has to fit the propensities that the log has of it.
#[test]
fn paced_shows_come_about_as_often_as_the_logged_propensities_say() {
    const CUSTOMERS: usize = 60;
    const MINUTES: usize = 24 * 60;
    const A_MINUTE: usize = 20;
    let setting = Setting { window_plays: 256, window_days: 28, by_events: false, seed_of_log: Some(1) };
    let mut subject = Subject::new(&setting);
    // A day of the time zone.
    let start = START.div_euclid(DAY) * DAY;
    for customer in 0..CUSTOMERS {
        let kind = Kind::Play { track: 1, mobile: true };
        let event = world::Event { customer, number: customer as u64, time: start - HOUR, kind };
        assert!(subject.event(&event, start), "a play is taken");
    }
    // Enough for two of five decisions, and for half of those that are left.
    let shows = (MINUTES * A_MINUTE) as i64;
    let of = |id, priority, shows| Campaign {
        priority,
        cost: 10_000,
        daily: Some(10_000 * shows),
        pacing: "even",
        ..for_everybody(id)
    };
    let campaigns = vec![of("one", 1, shows * 2 / 5), of("other", 0, shows * 3 / 10)];
    let document = world::Document { campaigns, ..Default::default() };
    subject.change(&document.toml(), start).expect("campaigns");
    let mut answers = BTreeMap::new();
    for number in 0..MINUTES * A_MINUTE {
        let wall = start + (number / A_MINUTE) as Ms * MINUTE;
        if number % A_MINUTE == 0 {
            subject.pass_time(wall);
        }
        let customer = number % CUSTOMERS;
        let act = Act::Decide { customer, dry_run: false, preview: None };
        answers.insert(number, subject.decide(&Step { number, wall, act }, customer, false, None));
    }
    let logged = subject.logged().expect("it has a log");
    assert_eq!(logged.len(), answers.len());
    let mut coins = Frequencies::default();
    for (number, answer) in &answers {
        let shown = answer.campaign.clone().filter(|_| answer.reason == "likely_to_click");
        for (action, propensity) in &logged[number].propensities {
            coins.count(*propensity, *action == shown);
        }
    }
    assert!(coins.outcomes() > 50_000, "{} coins of {} decisions", coins.outcomes(), answers.len());
    eprintln!("pacing: {} coins, chi-square {:?}", coins.outcomes(), coins.chi_square());
    coins.check().unwrap_or_else(|error| panic!("{error}"));
}
