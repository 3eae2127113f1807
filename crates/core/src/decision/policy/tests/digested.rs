//! The digest of an ad history against the history.

use proptest::prelude::*;

use super::*;
use crate::campaign::PeriodCap;
use crate::encoding::Decoder;
use crate::event::ImpressionOf;

const CAMPAIGNS: [&str; 3] = ["a", "b", "c"];
const ADS: [&str; 4] = ["AD_A", "AD_B", "AD_C", "AD_D"];

/// One thing that happens to a customer: what kind, of which campaign or ad or decision, and how long ago.
type Step = (u8, u8, u8);

fn step(profile: &mut Profile, known: &[Id], number: u64, (kind, of, minutes): Step) {
    let time = Time::from_unix_ms(NOW_MS - i64::from(minutes) * MINUTE_MS);
    let campaign = || id(CAMPAIGNS[usize::from(of) % 3]);
    let decision = DecisionId(u64::from(of) % 40);
    let kind = match kind {
        0..=2 => {
            profile.count_decided_impression(DecisionId(number), campaign(), time, &bounds(known));
            return;
        }
        3 => {
            profile.count_decided_impression(DecisionId(1 << 63 | number), campaign(), time, &bounds(known));
            return;
        }
        4 => EventKind::Impression(ImpressionOf::Campaign(campaign())),
        5 => EventKind::Impression(ImpressionOf::Decision(decision)),
        6 => EventKind::Void { decision },
        7 => EventKind::Click { of: ClickOf::Ad(id(ADS[usize::from(of) % 4])) },
        8 => EventKind::Membership(
            [Membership::Free, Membership::Silver, Membership::Gold][usize::from(of) % 3],
        ),
        _ => {
            let mut bytes = Vec::new();
            profile.encode(&mut bytes);
            *profile = Profile::decode(&mut Decoder::new(&bytes), known).expect("what was written");
            return;
        }
    };
    // Events come again, and several are of one id.
    let event = Event { customer: Id::Number(1), id: Id::Number(number / 2 * 2), time, kind };
    if profile.check(&event).is_ok() {
        profile.apply(event, &bounds(known));
    }
}

proptest! {
    #[test]
    fn rules_find_in_the_digest_what_the_history_says(
        steps in proptest::collection::vec((0_u8..10, any::<u8>(), any::<u8>()), 0..120),
        caps in proptest::collection::vec((1_u32..7, 1_i64..260), 1..4),
        knows in any::<bool>(),
    ) {
        let known = if knows { CAMPAIGNS.map(id).to_vec() } else { Vec::new() };
        let caps: Vec<PeriodCap> = caps
            .into_iter()
            .map(|(impressions, minutes)| PeriodCap { impressions, period_ms: minutes * MINUTE_MS })
            .collect();
        let campaigns = CAMPAIGNS.iter().zip(ADS).map(|(name, ad)| Campaign { ad: id(ad), ..campaign(name) });
        let mut plan = plan(campaigns.collect());
        for (planned, cap) in plan.campaigns.iter_mut().zip(caps.iter().cycle()) {
            (planned.cooldown_after_impression_ms, planned.cooldown_after_click_ms) = (cap.period_ms, cap.period_ms / 2);
            (planned.cooldown_after_upgrade_ms, planned.caps) = (2 * cap.period_ms, caps[1..].into());
        }
        plan.longest_ms = 2 * caps.iter().map(|cap| cap.period_ms).max().unwrap_or(0);
        let mut profile = Profile::default();
        for (number, one) in steps.into_iter().enumerate() {
            step(&mut profile, &known, number as u64, one);
            let live = [Live::UNBOUNDED; 3];
            let inputs = Inputs {
                plan: &plan, profile: Some(&profile), history_ms: i64::MAX, counts: counts(10), now_ms: NOW_MS, live: &live,
                explored_today: false, coins: &NoCoins,
            };
            // Decisions for which the history is too old to be read are those that read it.
            for later_ms in [0, 60, 120, 240, 500].map(|minutes| minutes * MINUTE_MS) {
                let asked = Inputs { now_ms: NOW_MS + later_ms, ..inputs };
                let history_ms = profile.history_ms().unwrap_or(i64::MIN);
                prop_assert_eq!(decide(&Inputs { history_ms, ..asked }), decide(&asked));
            }
            let customer = eligible::Customer::new(&inputs, &profile);
            prop_assert_eq!(
                customer.is_capped(&caps, None), eligible::is_capped(&profile, &caps, None, NOW_MS)
            );
            for planned in &plan.campaigns {
                prop_assert_eq!(
                    customer.is_capped(&caps, Some(planned)),
                    eligible::is_capped(&profile, &caps, Some(&planned.id), NOW_MS)
                );
                for cap in &caps {
                    let after_ms = NOW_MS - cap.period_ms;
                    let heard = eligible::last_impression_ms(&profile, &planned.id);
                    prop_assert_eq!(customer.heard_after(planned, after_ms), heard.is_some_and(|ms| ms > after_ms));
                    let clicked = eligible::last_click_ms(&profile, &planned.ad);
                    prop_assert_eq!(customer.clicked_after(planned, after_ms), clicked.is_some_and(|ms| ms > after_ms));
                }
            }
            let mut bytes = Vec::new();
            profile.encode(&mut bytes);
            let read = Profile::decode(&mut Decoder::new(&bytes), &known).expect("what was written");
            prop_assert_eq!(read.upgraded_ms(), profile.upgraded_ms());
        }
    }
}
