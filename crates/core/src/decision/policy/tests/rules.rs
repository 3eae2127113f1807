//! Each reason by a table; which campaign an answer names.

use super::*;
use crate::campaign::{CapRule, Money, SignedUp, Threshold};

fn hours(impressions: u32, hours: u32) -> CapRule {
    CapRule { impressions, hours: Some(hours), days: None }
}

fn money(micro: i64) -> Money {
    Money::from_micro(micro)
}

#[test]
fn each_rule_of_one_campaign_gives_its_reason_at_its_limit_and_not_before() {
    type Edit = fn(&mut Campaign);
    let (hour_ms, free) = (60 * MINUTE_MS, Profile::default);
    let cases: Vec<(&str, Edit, Profile, Reason)> = vec![
        ("nothing refuses", |_| {}, free(), Reason::LikelyToClick),
        ("paused", |c| c.paused = true, free(), Reason::Paused),
        ("gold", |_| {}, member(&[(5, Membership::Gold)]), Reason::AlreadyGold),
        (
            "gold in the audience",
            |c| c.audience = vec![Membership::Gold],
            member(&[(5, Membership::Gold)]),
            Reason::LikelyToClick,
        ),
        ("free as none is known", |c| c.audience = vec![Membership::Silver], free(), Reason::NotInAudience),
        (
            "signed up 7 days ago",
            |c| c.signed_up_days = Some(SignedUp { min: Some(7), max: None }),
            signed_up(7 * DAY_MS),
            Reason::LikelyToClick,
        ),
        (
            "a moment less",
            |c| c.signed_up_days = Some(SignedUp { min: Some(7), max: None }),
            signed_up(7 * DAY_MS - 1),
            Reason::NotInAudience,
        ),
        (
            "at most 7 days ago",
            |c| c.signed_up_days = Some(SignedUp { min: None, max: Some(7) }),
            signed_up(8 * DAY_MS - 1),
            Reason::LikelyToClick,
        ),
        (
            "8 days ago",
            |c| c.signed_up_days = Some(SignedUp { min: None, max: Some(7) }),
            signed_up(8 * DAY_MS),
            Reason::NotInAudience,
        ),
        (
            "no file told it",
            |c| c.signed_up_days = Some(SignedUp { min: Some(0), max: None }),
            member(&[(5, Membership::Free)]),
            Reason::NotInAudience,
        ),
        ("10 plays of 10", |c| c.min_plays = 10, free(), Reason::LikelyToClick),
        ("10 plays of 11", |c| c.min_plays = 11, free(), Reason::TooLittleHistory),
        ("once of once", |c| c.caps = vec![hours(1, 1)], shown(&[("a", hour_ms - 1)]), Reason::Capped),
        ("an hour ago", |c| c.caps = vec![hours(1, 1)], shown(&[("a", hour_ms)]), Reason::LikelyToClick),
        ("another campaign's", |c| c.caps = vec![hours(1, 1)], shown(&[("b", 1)]), Reason::LikelyToClick),
        (
            "second cap",
            |c| c.caps = vec![hours(1, 1), hours(2, 48)],
            shown(&[("a", 2 * hour_ms), ("a", 3 * hour_ms)]),
            Reason::Capped,
        ),
        (
            "neither cap",
            |c| c.caps = vec![hours(1, 1), hours(2, 48)],
            shown(&[("a", 2 * hour_ms), ("a", 48 * hour_ms)]),
            Reason::LikelyToClick,
        ),
        (
            "in days",
            |c| c.caps = vec![CapRule { impressions: 1, hours: None, days: Some(7) }],
            shown(&[("a", 7 * DAY_MS - 1)]),
            Reason::Capped,
        ),
        (
            "cooling down",
            |c| c.cooldown_after_impression = Some("30m".parse().expect("a span")),
            shown(&[("a", 30 * MINUTE_MS - 1)]),
            Reason::CoolingDown,
        ),
        (
            "cooled down",
            |c| c.cooldown_after_impression = Some("30m".parse().expect("a span")),
            shown(&[("a", 30 * MINUTE_MS)]),
            Reason::LikelyToClick,
        ),
        (
            "another's impression",
            |c| c.cooldown_after_impression = Some("30m".parse().expect("a span")),
            shown(&[("b", 1)]),
            Reason::LikelyToClick,
        ),
        (
            "clicked",
            |c| c.cooldown_after_click = Some("72h".parse().expect("a span")),
            clicked("AD", 72 * hour_ms - 1),
            Reason::CoolingDown,
        ),
        (
            "clicked long ago",
            |c| c.cooldown_after_click = Some("72h".parse().expect("a span")),
            clicked("AD", 72 * hour_ms),
            Reason::LikelyToClick,
        ),
        (
            "another ad clicked",
            |c| c.cooldown_after_click = Some("72h".parse().expect("a span")),
            clicked("OTHER", 1),
            Reason::LikelyToClick,
        ),
        (
            "upgraded",
            |c| c.cooldown_after_upgrade = Some("30d".parse().expect("a span")),
            member(&[(40 * DAY_MS, Membership::Free), (DAY_MS, Membership::Silver)]),
            Reason::CoolingDown,
        ),
        (
            "upgraded long ago",
            |c| c.cooldown_after_upgrade = Some("30d".parse().expect("a span")),
            member(&[(40 * DAY_MS, Membership::Free), (30 * DAY_MS, Membership::Silver)]),
            Reason::LikelyToClick,
        ),
        (
            "went down",
            |c| c.cooldown_after_upgrade = Some("30d".parse().expect("a span")),
            member(&[(40 * DAY_MS, Membership::Gold), (DAY_MS, Membership::Silver)]),
            Reason::LikelyToClick,
        ),
        ("score at the threshold", |c| c.threshold = Threshold::Score(1.0), free(), Reason::UnlikelyToClick),
        (
            "score above it",
            |c| c.threshold = Threshold::Score(1.0_f64.next_down()),
            free(),
            Reason::LikelyToClick,
        ),
        (
            "probability below",
            |c| c.threshold = Threshold::Probability(0.74),
            free(),
            Reason::UnlikelyToClick,
        ),
        ("probability above", |c| c.threshold = Threshold::Probability(0.73), free(), Reason::LikelyToClick),
        (
            "profit",
            |c| {
                (c.threshold, c.impression_cost, c.click_value) =
                    (Threshold::Profit, money(730_000), money(1_000_000))
            },
            free(),
            Reason::LikelyToClick,
        ),
        (
            "loss",
            |c| {
                (c.threshold, c.impression_cost, c.click_value) =
                    (Threshold::Profit, money(740_000), money(1_000_000))
            },
            free(),
            Reason::UnlikelyToClick,
        ),
        ("nothing to gain", |c| c.threshold = Threshold::Profit, free(), Reason::UnlikelyToClick),
    ];
    for (case, edit, profile, expected) in cases {
        let mut edited = campaign("a");
        edit(&mut edited);
        let plan = plan(vec![edited]);
        let verdict = decided(&plan, &profile);
        assert_eq!(verdict.reason, expected, "{case}");
        assert_eq!((named(&plan, &verdict).as_str(), verdict.eligible), ("a", expected.shows()), "{case}");
    }
}

#[test]
fn what_changes_with_time_and_money_gives_its_reasons() {
    let mut edited = campaign("a");
    edited.impression_cost = money(20_000);
    let plan = plan(vec![edited]);
    let live = |open, available_micro, pass| Live { open, available_micro, pass };
    for (live, hash, expected) in [
        (live(false, i64::MAX, Rate::ALWAYS), 0, Reason::NotScheduled),
        (live(true, 19_999, Rate::ALWAYS), 0, Reason::OverBudget),
        (live(true, -5, Rate::ALWAYS), 0, Reason::OverBudget),
        (live(true, 20_000, Rate::ALWAYS), 0, Reason::LikelyToClick),
        (live(true, 20_000, Rate::NEVER), 0, Reason::Paced),
        (live(true, 20_000, Rate(1000)), 999, Reason::LikelyToClick),
        (live(true, 20_000, Rate(1000)), 1000, Reason::Paced),
    ] {
        let verdict = decide_with(&plan, &Profile::default(), &[live], &Same(hash));
        assert_eq!(verdict.reason, expected);
        let passed_every_rule = matches!(expected, Reason::LikelyToClick | Reason::Paced);
        assert_eq!((verdict.eligible, verdict.passed != 0), (passed_every_rule, passed_every_rule));
    }
}

#[test]
fn unknown_customer_comes_before_a_missing_campaign_and_a_model_after_the_audience() {
    let empty = plan(vec![]);
    let mut inputs = Inputs {
        plan: &empty,
        profile: None,
        history_ms: i64::MAX,
        counts: Counts::default(),
        now_ms: NOW_MS,
        live: &[],
        explored_today: false,
        coins: &NoCoins,
    };
    assert_eq!(decide(&inputs).reason, Reason::UnknownCustomer);
    let profile = Profile::default();
    inputs.profile = Some(&profile);
    let verdict = decide(&inputs);
    assert_eq!((verdict.reason, verdict.campaign), (Reason::NoCampaign, None));
    let document = of(vec![campaign("a")]);
    let without_model = Plan::new(&document, &slots(&document), &[]).expect("a plan");
    assert_eq!(decided(&without_model, &profile).reason, Reason::NoModel);
    assert_eq!(decided(&without_model, &member(&[(1, Membership::Gold)])).reason, Reason::AlreadyGold);
    let live = [Live::UNBOUNDED];
    let unheard = Inputs {
        plan: &plan(vec![campaign("a")]),
        history_ms: i64::MAX,
        counts: Counts::default(),
        live: &live,
        ..inputs
    };
    let verdict = decide(&unheard);
    assert_eq!((verdict.reason, verdict.score), (Reason::TooLittleHistory, None));
}

#[test]
fn caps_over_all_campaigns_count_every_campaign_reported_ones_and_unknown_ones() {
    let mut document = of(vec![campaign("a"), campaign("b")]);
    document.cap = vec![hours(3, 24), hours(4, 48)];
    let plan = plan_of(&document);
    let reported = |mut profile: Profile| {
        let kind = EventKind::Impression(crate::event::ImpressionOf::Campaign(id("nobody-defined-it")));
        apply(&mut profile, Id::Number(77), MINUTE_MS, kind);
        profile
    };
    for (profile, expected) in [
        (shown(&[("a", 1), ("b", 2)]), Reason::LikelyToClick),
        (shown(&[("a", 1), ("b", 2), ("c", 3)]), Reason::Capped),
        (reported(shown(&[("a", 1), ("b", 2)])), Reason::Capped),
        (shown(&[("a", 1), ("b", 2), ("c", DAY_MS)]), Reason::LikelyToClick),
        (shown(&[("a", 1), ("b", 2), ("c", DAY_MS), ("c", DAY_MS + 1)]), Reason::Capped),
    ] {
        assert_eq!(decided(&plan, &profile).reason, expected);
    }
}

#[test]
fn answer_names_the_campaign_that_came_farthest_and_of_equals_the_first() {
    let with = |name: &str, edit: fn(&mut Campaign)| {
        let mut edited = campaign(name);
        edit(&mut edited);
        edited
    };
    let paused: fn(&mut Campaign) = |c| c.paused = true;
    let short: fn(&mut Campaign) = |c| c.min_plays = 99;
    let capped: fn(&mut Campaign) = |c| c.caps = vec![hours(1, 24)];
    let unlikely: fn(&mut Campaign) = |c| c.model = "low".to_owned();
    for (campaigns, name, reason) in [
        (vec![with("a", paused), with("b", short)], "b", Reason::TooLittleHistory),
        (vec![with("a", short), with("b", paused)], "a", Reason::TooLittleHistory),
        (vec![with("a", paused), with("b", paused)], "a", Reason::Paused),
        (vec![with("a", capped), with("b", short), with("c", unlikely)], "c", Reason::UnlikelyToClick),
        (vec![with("a", capped), with("b", |c| c.paused = true)], "a", Reason::Capped),
    ] {
        let plan = plan(campaigns);
        let verdict = decided(&plan, &shown(&[("a", 1)]));
        assert_eq!((named(&plan, &verdict).as_str(), verdict.reason), (name, reason));
        assert_eq!((verdict.eligible, verdict.passed, verdict.explored), (false, 0, 0));
    }
}

#[test]
fn contest_is_won_by_priority_then_profit_then_id() {
    let with = |name: &str, priority, model: &str, value| {
        let (model, click_value) = (model.to_owned(), money(value));
        Campaign { priority, model, click_value, threshold: Threshold::Score(-9.0), ..campaign(name) }
    };
    for (campaigns, winner) in [
        (vec![with("a", 0, "high", 9_000_000), with("b", 1, "low", 1)], "b"),
        (vec![with("a", 0, "default", 1_000_000), with("b", 0, "high", 1_000_000)], "b"),
        (vec![with("a", 0, "default", 1_000_000), with("b", 0, "low", 3_000_000)], "b"),
        (vec![with("b", 0, "default", 1_000_000), with("a", 0, "default", 1_000_000)], "a"),
        (vec![with("b", 0, "low", 1), with("c", 0, "high", 5), with("a", 0, "default", 3)], "c"),
    ] {
        let plan = plan(campaigns);
        let verdict = decided(&plan, &Profile::default());
        assert_eq!((named(&plan, &verdict).as_str(), verdict.reason), (winner, Reason::LikelyToClick));
        assert!(verdict.eligible && verdict.passed.count_ones() as usize == plan.campaigns.len());
    }
}

#[test]
fn where_the_first_coin_does_not_fall_the_next_campaign_is_shown() {
    let plan = plan(vec![campaign("a"), campaign("b"), campaign("c")]);
    let with = |rates: [u16; 3]| rates.map(|rate| Live { pass: Rate(rate), ..Live::UNBOUNDED });
    for (rates, name, reason) in [
        ([0, 65_535, 65_535], "b", Reason::LikelyToClick),
        ([0, 0, 65_535], "c", Reason::LikelyToClick),
        ([0, 0, 0], "a", Reason::Paced),
    ] {
        let verdict = decide_with(&plan, &Profile::default(), &with(rates), &NoCoins);
        assert_eq!((named(&plan, &verdict).as_str(), verdict.reason, verdict.eligible), (name, reason, true));
    }
}

#[test]
fn sixty_four_campaigns_contest_as_few_do() {
    let campaigns =
        (0..64).map(|n| Campaign { click_value: money(n * 7 % 64), ..campaign(&format!("c{n:02}")) });
    let plan = plan(campaigns.collect());
    let verdict = decided(&plan, &Profile::default());
    assert_eq!((named(&plan, &verdict).as_str(), verdict.passed), ("c09", u64::MAX), "9 * 7 % 64 is 63");
}

#[test]
fn unlikely_customer_is_tossed_once_a_day_and_only_where_somebody_explores() {
    let with = |name: &str, exploration| Campaign { exploration, model: "low".to_owned(), ..campaign(name) };
    let half = (1_u64 << 63) - 1;
    let exploring = plan(vec![with("a", 0.25), with("b", 0.0), with("c", 0.25)]);
    let live = [Live { pass: Rate::NEVER, ..Live::UNBOUNDED }; 3];
    for (toss, name, reason) in [
        (0, "a", Reason::Exploring),
        (half / 2, "a", Reason::Exploring),
        (half / 2 + 1, "c", Reason::Exploring),
        (half, "c", Reason::Exploring),
        (half + 1, "a", Reason::UnlikelyToClick),
    ] {
        let verdict = decide_with(&exploring, &Profile::default(), &live, &Same(toss));
        assert_eq!((named(&exploring, &verdict).as_str(), verdict.reason), (name, reason));
        assert!(verdict.eligible && verdict.tossed() && verdict.explored == 0b101);
    }
    let again = Inputs {
        plan: &exploring,
        profile: Some(&Profile::default()),
        history_ms: i64::MAX,
        counts: counts(10),
        now_ms: NOW_MS,
        live: &live,
        explored_today: true,
        coins: &NoCoins,
    };
    let verdict = decide(&again);
    assert_eq!((verdict.reason, verdict.eligible, verdict.tossed()), (Reason::UnlikelyToClick, false, false));
    let nobody = plan(vec![with("a", 0.0)]);
    let verdict = decided(&nobody, &Profile::default());
    assert_eq!((verdict.eligible, verdict.tossed()), (false, false));
}

#[test]
fn exploring_takes_neither_a_campaign_without_money_nor_the_place_of_one_that_is_likely() {
    let unlikely = |name: &str| Campaign {
        exploration: 1.0,
        model: "low".to_owned(),
        impression_cost: money(5),
        ..campaign(name)
    };
    let alone = plan(vec![unlikely("a")]);
    let poor = [Live { available_micro: 4, ..Live::UNBOUNDED }];
    let verdict = decide_with(&alone, &Profile::default(), &poor, &NoCoins);
    assert_eq!((verdict.reason, verdict.tossed()), (Reason::OverBudget, false));
    let both = plan(vec![unlikely("a"), campaign("b")]);
    let paced = [Live { pass: Rate::NEVER, ..Live::UNBOUNDED }; 2];
    let verdict = decide_with(&both, &Profile::default(), &paced, &NoCoins);
    assert_eq!(
        (named(&both, &verdict).as_str(), verdict.reason, verdict.tossed()),
        ("b", Reason::Paced, false)
    );
}

#[test]
fn ghosts_of_held_out_shows_take_caps_and_cooldowns_and_voided_ones_do_not() {
    let document = of(vec![Campaign { caps: vec![hours(1, 24)], ..campaign("a") }, campaign("b")]);
    let mut over_all = document.clone();
    over_all.cap = vec![hours(1, 24)];
    let mut ghost = Profile::default();
    let at = Time::from_unix_ms(NOW_MS - 1);
    ghost.count_decided_impression(DecisionId(1 << 63 | 5), id("a"), at, &bounds(&[]));
    let verdict = decided(&plan_of(&document), &ghost);
    assert_eq!(named(&plan_of(&document), &verdict), "b", "a is capped");
    assert_eq!(decided(&plan_of(&over_all), &ghost).reason, Reason::Capped);
    let mut voided = shown(&[("a", MINUTE_MS)]);
    apply(&mut voided, Id::Number(9), 1, EventKind::Void { decision: DecisionId(0) });
    assert_eq!(named(&plan_of(&document), &decided(&plan_of(&document), &voided)), "a");
    assert_eq!(decided(&plan_of(&over_all), &voided).reason, Reason::LikelyToClick);
}
