//! A single campaign decides as it did before there were several.

use proptest::prelude::*;

use super::*;
use crate::campaign::{Cap, Single};

/// The policy of the `[campaign]` table as it was, with the score where it came so far.
fn former(profile: &Profile, campaign: &Single, score: Option<(Option<f64>, u16)>) -> (Reason, Option<f64>) {
    let level = profile.level().unwrap_or(Membership::Free);
    if !campaign.audience.contains(&level) {
        let gold = level == Membership::Gold;
        return (if gold { Reason::AlreadyGold } else { Reason::NotInAudience }, None);
    }
    let Some((value, plays)) = score else { return (Reason::NoModel, None) };
    if value.is_none() || u32::from(plays) < campaign.min_plays {
        return (Reason::TooLittleHistory, value);
    }
    let impressions = profile.impressions_after(&campaign.id, campaign.cap.start_ms(NOW_MS));
    if impressions >= campaign.cap.impressions as usize {
        return (Reason::Capped, value);
    }
    let above = value.is_some_and(|value| value > campaign.threshold);
    (if above { Reason::LikelyToClick } else { Reason::UnlikelyToClick }, value)
}

fn level() -> impl Strategy<Value = Membership> {
    prop_oneof![Just(Membership::Free), Just(Membership::Silver), Just(Membership::Gold)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn single_campaign_decides_as_before(
        levels in prop::collection::vec((0i64..100 * DAY_MS, level()), 0..3),
        ads in prop::collection::vec((prop_oneof![Just("a"), Just("b")], -1000..50 * 60 * MINUTE_MS), 0..6),
        audience in prop::collection::vec(level(), 1..4),
        plays in prop_oneof![Just(0u16), 1u16..20, Just(u16::MAX)],
        morning in 0.0..1.0,
        bias in -2.0..2.0,
        threshold in prop_oneof![-2.0..2.0, Just(0.0)],
        min_plays in 1u32..20,
        (impressions, hours) in (1u32..4, 1u32..48),
        has_model in prop::bool::weighted(0.9),
        calibrated in any::<bool>(),
    ) {
        let mut profile = member(&levels);
        for (index, (name, age_ms)) in ads.iter().enumerate() {
            let time = Time::from_unix_ms(NOW_MS - age_ms);
            profile.count_decided_impression(DecisionId(index as u64), id(name), time, &bounds(&[]));
        }
        let single = Single {
            id: id("a"),
            audience,
            min_plays,
            threshold,
            cap: Cap { impressions, hours },
            ..Single::default()
        };
        let document = single.document();
        let served = of_score("default", Label::Customer, calibrated, morning, bias);
        let served = if has_model { vec![served] } else { vec![] };
        let plan = Plan::new(&document, &slots(&document), &served).expect("a plan");
        let counts = counts(plays);
        let verdict = decide(&Inputs {
            plan: &plan,
            profile: Some(&profile),
            history_ms: i64::MAX, counts,
            now_ms: NOW_MS,
            live: &[Live::UNBOUNDED],
            explored_today: false,
            coins: &NoCoins,
        });
        let score = served.first().map(|model| (counts.vector().map(|vector| model.scorer.score(&vector)), plays));
        let (reason, value) = former(&profile, &single, score);
        prop_assert_eq!(verdict.reason, reason);
        prop_assert_eq!(verdict.score.map(|score| score.value.to_bits()), value.map(f64::to_bits));
        let probability = value.and_then(|value| served[0].scorer.probability(value));
        prop_assert_eq!(verdict.score.and_then(|score| score.probability), probability);
        prop_assert_eq!(verdict.campaign, Some(0));
    }
}
