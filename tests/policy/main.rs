//! The whole policy twice: the engine, and a plain and slow program that was written without it, from the rules that
//! the guides state. Both are given the same events, campaigns and clocks. They must decide alike, over kills, too; money
//! must agree to the micro-unit, and what the log has of each decision.
//!
//! `UPBEAT_SEEDS=0..200` runs as many histories of 500 steps.

#[path = "../shared/split_mix.rs"]
mod split_mix;

mod chance;
mod coins;
mod compare;
mod documents;
mod engine;
mod frequencies;
mod model;
mod steps;
mod world;

use std::ops::Range;

use compare::Tally;
use world::Setting;

/// Steps of one history.
const STEPS: usize = 500;

/// Histories of the short form.
const SEEDS: Range<u64> = 0..20;

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("UPBEAT_SEEDS") else { return SEEDS };
    let ends = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    ends.unwrap_or_else(|| panic!("UPBEAT_SEEDS is {text:?}; it must be as in 0..200"))
}

fn setting(seed: u64) -> Setting {
    let by_events = seed % 5 == 4;
    Setting {
        window_plays: [256, 8, 20][seed as usize % 3],
        // A step of more than a window waits for another customer, where events tell the time; none is so long.
        window_days: if by_events { 28 } else { [28, 7][seed as usize % 2] },
        by_events,
        seed_of_log: (seed % 4 < 2).then_some(seed),
    }
}

#[test]
fn engine_decides_as_the_plain_model_does() {
    let mut tally = Tally::default();
    for seed in seeds() {
        compare::run(seed, STEPS, &setting(seed), &mut tally);
    }
    let (chi_square, groups) = tally.coins.chi_square();
    eprintln!(
        "policy: {} steps, {} kills, {} decisions in logs, {} reports, {} coins with chi-square {chi_square:.1} of {groups} \
         groups, spent {}, returned {}, overrun {} micro-units; {:?}",
        tally.steps,
        tally.kills,
        tally.logged,
        tally.reports,
        tally.coins.outcomes(),
        tally.spent,
        tally.returned,
        tally.overrun,
        tally.reasons
    );
    tally.coins.check().unwrap_or_else(|error| panic!("{error}"));
    tally.logged_coins.check().unwrap_or_else(|error| panic!("by the log: {error}"));
    assert!(tally.logged > 1000 && tally.kills > 0, "{tally:?}");
    for reason in [
        "unknown_customer",
        "no_campaign",
        "paused",
        "not_scheduled",
        "already_gold",
        "not_in_audience",
        "too_little_history",
        "capped",
        "cooling_down",
        "over_budget",
        "unlikely_to_click",
        "held_out",
        "exploring",
        "likely_to_click",
    ] {
        assert!(tally.reasons.contains_key(reason), "nothing was decided {reason}: {:?}", tally.reasons);
    }
    assert!(
        tally.returned > 0 && tally.overrun > 0 && tally.spent > 0 && tally.refused_events > 0,
        "{tally:?}"
    );
}
