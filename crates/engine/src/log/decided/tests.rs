use std::sync::Arc;

use upbeat_core::campaign::{Campaign, Document, Label, Served, Slot};
use upbeat_core::decision::policy::propensities;
use upbeat_svm::Model;

use super::*;

/// Campaigns that contest, of which the first two explore.
fn plan() -> Plan {
    let campaign = |name: &str, exploration| {
        let id = Id::parse(name).expect("an id");
        Campaign { exploration, ..Campaign::new(id.clone(), id) }
    };
    let campaigns = vec![campaign("a", 0.02), campaign("b", 0.3), campaign("c", 0.0)];
    let slots: Vec<(Id, Slot)> =
        campaigns.iter().zip([7, 300, 2]).map(|(of, slot)| (of.id.clone(), Slot(slot))).collect();
    let model = Model::read(include_bytes!("../../../../../model/default.json").as_slice()).expect("a model");
    let served = Served::new("default", model.id().to_owned(), Label::Impression, Arc::new(model.clone()));
    let document = Document { campaign: campaigns, ..Document::default() };
    Plan::new(&document, &slots, &[served]).expect("a plan")
}

#[test]
fn propensities_of_kept_coins_are_those_of_the_policy_to_the_bit() {
    let plan = plan();
    let counts = Counts { plays: 20, parts: [5, 5, 5, 5, 3, 12] };
    let rates = [0.0, 0.25, 0.999, 1.0].map(Rate::of);
    let mut with_coins = 0;
    for passed in 0..8_u64 {
        for choice in 0..64_usize {
            let pass = |index: usize| rates[choice >> (2 * index) & 3];
            let explored = if passed == 0 { [0, 1, 2, 3][choice % 4] } else { 0 };
            // What is named and done follows from the coins where there are none.
            let certain = policy::contest_order(
                &plan,
                &counts,
                &Verdict {
                    passed,
                    explored: 0,
                    reason: Reason::Paced,
                    campaign: None,
                    score: None,
                    eligible: true,
                },
            )
            .find(|index| pass(*index) != Rate::NEVER)
            .filter(|_| explored == 0);
            let reason = if certain.is_some() { Reason::LikelyToClick } else { Reason::Paced };
            let verdict =
                Verdict { reason, campaign: certain, score: None, passed, explored, eligible: true };
            let coins = Coins::of(&plan, &counts, pass, &verdict);
            with_coins += usize::from(coins != Coins::None);
            let facts = Facts {
                id: DecisionId(1 << 63),
                time_ms: 0,
                reason,
                eligible: true,
                campaign: certain.map(|index| plan.campaigns[index].slot.0),
                version: 1,
                model: None,
                counts: Some(counts),
                coins,
            };
            let (none, shows) = facts.propensities();
            let expected = propensities(&plan, &counts, pass, &verdict);
            assert_eq!(none.to_bits(), expected.none.to_bits(), "{passed} {choice}: {facts:?}");
            for (index, campaign) in plan.campaigns.iter().enumerate() {
                let of = shows.iter().find(|(slot, _)| *slot == campaign.slot.0).map_or(0.0, |(_, of)| *of);
                assert_eq!(of.to_bits(), expected.shows[index].to_bits(), "{passed} {choice}: {facts:?}");
            }
            let bytes = encode(&Id::Number(48), &facts);
            let mut from = Decoder::new(&bytes);
            assert_eq!(decode(&mut from), Ok((Id::Number(48), facts)));
        }
    }
    assert!(with_coins > 100, "{with_coins}");
}
