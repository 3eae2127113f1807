//! What is explained is what was decided.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::campaign::{CapRule, Money, Served, SignedUp, Threshold};

pub(super) fn explained(plan: &Plan, profile: &Profile, live: &[Live]) -> Vec<CampaignTrace> {
    explain(&Inputs {
        plan,
        profile: Some(profile),
        history_ms: i64::MAX,
        counts: counts(10),
        now_ms: NOW_MS,
        live,
        explored_today: false,
        coins: &Same(1 << 62),
    })
}

fn found(trace: &CampaignTrace, rule: Rule) -> Vec<&RuleTrace> {
    trace.rules.iter().filter(|trace| trace.rule == rule).collect()
}

#[test]
fn caps_tell_how_many_of_how_many_and_until_when() {
    let hour_ms = 60 * MINUTE_MS;
    let mut document = of(vec![Campaign {
        caps: vec![
            CapRule { impressions: 1, hours: Some(1), days: None },
            CapRule { impressions: 2, hours: None, days: Some(1) },
            CapRule { impressions: 4, hours: None, days: Some(7) },
        ],
        ..campaign("a")
    }]);
    document.cap = vec![CapRule { impressions: 3, hours: Some(10), days: None }];
    let plan = plan_of(&document);
    let profile = shown(&[
        ("a", hour_ms),
        ("a", 3 * hour_ms),
        ("a", 5 * hour_ms),
        ("b", 7 * hour_ms),
        ("b", 11 * hour_ms),
    ]);
    let traces = explained(&plan, &profile, &[Live::UNBOUNDED]);
    let counted = |rule: &RuleTrace| {
        (rule.input.clone(), rule.limit.clone(), rule.passed, rule.until_ms, rule.period_ms)
    };
    let expected = |count, limit, passed, until_ms, period_ms| {
        (Some(Finding::Count(count)), Some(Finding::Count(limit)), passed, until_ms, Some(period_ms))
    };
    let own: Vec<_> = found(&traces[0], Rule::Cap).into_iter().map(counted).collect();
    assert_eq!(
        own,
        [
            expected(0, 1, true, None, hour_ms),
            expected(3, 2, false, Some(NOW_MS - 3 * hour_ms + DAY_MS), DAY_MS),
            expected(3, 4, true, None, 7 * DAY_MS),
        ]
    );
    let all: Vec<_> = found(&traces[0], Rule::CapOverAll).into_iter().map(counted).collect();
    assert_eq!(all, [expected(4, 3, false, Some(NOW_MS + 5 * hour_ms), 10 * hour_ms)]);
    assert_eq!(traces[0].refused, Some(Reason::Capped));
    // At the instants that are told, they allow it, and not a moment before.
    for (rule, until_ms) in
        [(Rule::Cap, NOW_MS - 3 * hour_ms + DAY_MS), (Rule::CapOverAll, NOW_MS + 5 * hour_ms)]
    {
        for (now_ms, passed) in [(until_ms - 1, false), (until_ms, true)] {
            let inputs = Inputs {
                plan: &plan,
                profile: Some(&profile),
                history_ms: i64::MAX,
                counts: counts(10),
                now_ms,
                live: &[Live::UNBOUNDED],
                explored_today: false,
                coins: &NoCoins,
            };
            assert_eq!(found(&explain(&inputs)[0], rule).iter().all(|trace| trace.passed), passed);
        }
    }
}

#[test]
fn every_rule_of_every_campaign_is_told_whatever_refused_first() {
    let mut everything = Campaign {
        paused: true,
        audience: vec![Membership::Silver],
        signed_up_days: Some(SignedUp { min: Some(7), max: None }),
        min_plays: 11,
        impression_cost: Money::from_micro(50),
        click_value: Money::from_micro(1),
        threshold: Threshold::Profit,
        hours: vec!["00:00-00:01".parse().expect("hours")],
        ..campaign("a")
    };
    everything.cooldown_after_impression = Some("30m".parse().expect("a span"));
    everything.cooldown_after_click = Some("72h".parse().expect("a span"));
    everything.cooldown_after_upgrade = Some("30d".parse().expect("a span"));
    let plan = plan(vec![everything, campaign("b")]);
    let mut profile = shown(&[("a", MINUTE_MS)]);
    apply(&mut profile, Id::Number(5), MINUTE_MS, EventKind::Click { of: ClickOf::Ad(id("AD")) });
    apply(&mut profile, id(CUSTOMER_FILE_ID), 3 * DAY_MS, EventKind::Membership(Membership::Free));
    apply(&mut profile, Id::Number(6), DAY_MS, EventKind::Membership(Membership::Gold));
    let live = [Live { open: false, available_micro: 49, pass: Rate::ALWAYS }, Live::UNBOUNDED];
    let traces = explained(&plan, &profile, &live);
    let reasons: Vec<_> = traces[0].rules.iter().map(|rule| (rule.rule, rule.reason)).collect();
    let expected = [
        (Rule::Paused, Some(Reason::Paused)),
        (Rule::Schedule, Some(Reason::NotScheduled)),
        (Rule::Audience, Some(Reason::AlreadyGold)),
        (Rule::SignedUp, Some(Reason::NotInAudience)),
        (Rule::Model, None),
        (Rule::History, Some(Reason::TooLittleHistory)),
        (Rule::CooldownAfterImpression, Some(Reason::CoolingDown)),
        (Rule::CooldownAfterClick, Some(Reason::CoolingDown)),
        (Rule::CooldownAfterUpgrade, Some(Reason::CoolingDown)),
        (Rule::Budget, Some(Reason::OverBudget)),
        (Rule::Score, Some(Reason::UnlikelyToClick)),
    ];
    assert_eq!(reasons, expected);
    let until = |rule| found(&traces[0], rule)[0].until_ms;
    assert_eq!(until(Rule::SignedUp), Some(NOW_MS + 4 * DAY_MS));
    assert_eq!(until(Rule::CooldownAfterImpression), Some(NOW_MS + 29 * MINUTE_MS));
    assert_eq!(until(Rule::CooldownAfterClick), Some(NOW_MS - MINUTE_MS + 3 * DAY_MS));
    assert_eq!(until(Rule::CooldownAfterUpgrade), Some(NOW_MS + 29 * DAY_MS));
    let opens_ms = until(Rule::Schedule).expect("tomorrow at the latest");
    assert!(opens_ms % DAY_MS == 0 && (1..=DAY_MS).contains(&(opens_ms - NOW_MS)));
    assert_eq!((traces[0].refused, traces[0].place, traces[0].propensity), (Some(Reason::Paused), None, 0.0));
    assert_eq!((traces[1].refused, traces[1].place), (Some(Reason::AlreadyGold), None));
    assert!(
        explain(&Inputs {
            plan: &plan,
            profile: None,
            history_ms: i64::MAX,
            counts: counts(10),
            now_ms: NOW_MS,
            live: &live,
            explored_today: false,
            coins: &NoCoins,
        })
        .is_empty()
    );
}

#[test]
fn coins_and_places_are_those_of_the_decision() {
    let with = |name: &str, holdout| Campaign { holdout, ..campaign(name) };
    let plan = plan(vec![with("a", 0.0), with("b", 0.3)]);
    let live = [0.2, 1.0].map(|rate| Live { pass: Rate::of(rate), ..Live::UNBOUNDED });
    let traces = explained(&plan, &Profile::default(), &live);
    let pass = CoinTrace { coin: Coin::Pacing, probability: 0.2, fell: live[0].pass.falls(|| 1 << 62) };
    assert_eq!((traces[0].place, traces[0].coins.as_slice()), (Some(1), [pass].as_slice()));
    let certain = CoinTrace { coin: Coin::Pacing, probability: 1.0, fell: true };
    let held = CoinTrace { coin: Coin::Holdout, probability: 0.3, fell: true };
    assert_eq!((traces[1].place, traces[1].coins.as_slice()), (Some(2), [certain, held].as_slice()));
    assert!((traces[0].propensity - 0.2).abs() < 1e-12 && (traces[1].propensity - 0.8).abs() < 1e-12);
    let unlikely = |name: &str| Campaign { exploration: 0.2, model: "low".to_owned(), ..campaign(name) };
    let exploring = self::plan(vec![unlikely("a"), unlikely("b")]);
    let traces = explained(&exploring, &Profile::default(), &live);
    let coins: Vec<_> = traces.iter().map(|trace| (trace.coins[0].coin, trace.coins[0].fell)).collect();
    assert_eq!(
        coins,
        [(Coin::Exploration, false), (Coin::Exploration, true)],
        "a quarter is in the second fifth"
    );
}

#[test]
fn parts_of_a_linear_score_add_up_to_it() {
    let bytes = include_bytes!("../../../../../../model/default.json");
    let model = Arc::new(crate::model::read(bytes).expect("the shipped model"));
    let served = Served::new("default", "shipped", Label::Customer, Arc::clone(&model));
    let document = of(vec![campaign("a")]);
    let plan = Plan::new(&document, &slots(&document), &[served]).expect("a plan");
    let traces = explain(&Inputs {
        plan: &plan,
        profile: Some(&Profile::default()),
        history_ms: i64::MAX,
        counts: Counts { plays: 40, parts: [10, 5, 20, 5, 13, 31] },
        now_ms: NOW_MS,
        live: &[Live::UNBOUNDED],
        explored_today: false,
        coins: &NoCoins,
    });
    let trace = &traces[0];
    let score = trace.score.expect("a score").value;
    assert_eq!(trace.features[4].value, 13.0 / 40.0);
    match model.parts().machine {
        upbeat_svm::Machine::Linear { .. } => {
            let parts: f64 = trace.features.iter().map(|feature| feature.part.expect("a part")).sum();
            assert!((trace.constant.expect("a constant") + parts - score).abs() < 1e-9);
        }
        upbeat_svm::Machine::Kernel { .. } => {
            assert!(trace.features.iter().all(|feature| feature.part.is_none()))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn first_rule_that_refuses_is_the_reason_of_the_campaign_alone(
        levels in prop::collection::vec((0i64..60 * DAY_MS, prop_oneof![Just(Membership::Free), Just(Membership::Silver), Just(Membership::Gold)]), 0..3),
        ads in prop::collection::vec((prop_oneof![Just("a"), Just("b")], 0..2 * DAY_MS), 0..5),
        (paused, open) in (prop::bool::weighted(0.1), prop::bool::weighted(0.9)),
        available_micro in 0i64..100,
        (min_plays, impressions) in (5u32..13, 1u32..4),
        model in prop_oneof![Just("default"), Just("low"), Just("high")],
        (cost, value) in (0i64..60, 0i64..100),
        cooldown in any::<bool>(),
    ) {
        let mut profile = member(&levels);
        for (index, (name, age_ms)) in ads.iter().enumerate() {
            let time = Time::from_unix_ms(NOW_MS - age_ms);
            profile.count_decided_impression(DecisionId(index as u64), id(name), time, &bounds(&[]));
        }
        let edited = Campaign {
            paused,
            min_plays,
            model: model.to_owned(),
            caps: vec![CapRule { impressions, hours: Some(24), days: None }],
            cooldown_after_impression: cooldown.then(|| "2h".parse().expect("a span")),
            cooldown_after_upgrade: Some("30d".parse().expect("a span")),
            impression_cost: Money::from_micro(cost),
            click_value: Money::from_micro(value),
            threshold: Threshold::Profit,
            ..campaign("a")
        };
        let both = plan(vec![edited, campaign("b")]);
        let live = [Live { open, available_micro, pass: Rate::ALWAYS }];
        let traces = explained(&both, &profile, &[live[0], Live::UNBOUNDED]);
        let alone = decide_with(&both.alone(0), &profile, &live, &NoCoins);
        prop_assert_eq!(traces[0].refused.unwrap_or(Reason::LikelyToClick), alone.reason);
        for rule in &traces[0].rules {
            prop_assert_eq!(rule.passed, rule.reason.is_none());
            prop_assert!(rule.until_ms.is_none_or(|until_ms| !rule.passed && until_ms > NOW_MS));
        }
    }
}
