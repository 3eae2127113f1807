//! Challengers that are given up since their probabilities are wrong.

use super::super::*;
use super::rules::{EXPLORED, gate};
use upbeat_simulate::Rng;

#[test]
fn challenger_whose_clicks_are_far_from_what_it_tells_is_given_up_and_a_calibrated_one_never() {
    for (rate, given_up_at_most) in [(0.2, None), (0.3, Some(2_000)), (0.13, Some(4_000)), (0.0, Some(200))] {
        for seed in 0..20 {
            let (mut gate, mut rng) = (gate(), Rng::new(seed));
            let told = Row {
                probability: 0.2,
                propensity: 0.5,
                champion_shows: 0.5,
                candidate_shows: 0.5,
                ..EXPLORED
            };
            let futile = |gate: &Gate| gate.standing(3_000) == Standing::Futile;
            let rows = (1..=5_000).find(|_| {
                gate.observe(&Row { clicked: rng.chance(rate), ..told });
                futile(&gate)
            });
            assert!(
                rows.is_some() == given_up_at_most.is_some() && rows <= given_up_at_most,
                "{rate}: {rows:?}"
            );
            if rows.is_some() {
                let said = gate.sentence(Standing::Futile);
                assert!(said.contains("too many clicks or too few"), "{said}");
            }
        }
    }
}
