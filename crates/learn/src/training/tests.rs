//! Candidates of simulated listeners whose truth is known.

use upbeat_core::event::DecisionId;
use upbeat_core::feature::Counts;
use upbeat_simulate::Rng;
use upbeat_svm::Scorer;

use super::*;

mod policies;
mod refusals;

pub(super) const PLAN: Plan = Plan { window: Window { plays: 256, days: 28 }, seed: 1, last: None };

/// Plays of somebody of whose plays so many in ten are in the morning and on a phone: forty, drawn at random.
pub(super) fn counts(rng: &mut Rng, morning: f64, mobile: f64) -> Counts {
    let mut parts = [0; FEATURE_COUNT];
    for _ in 0..40 {
        parts[if rng.chance(morning) { 0 } else { 1 }] += 1;
        parts[4] += u16::from(rng.chance(mobile));
        parts[5] += u16::from(rng.chance(0.8));
    }
    Counts { plays: 40, parts }
}

/// How probable a click is: it rises with what is heard on a phone.
pub(super) fn truth(mobile: f64) -> f64 {
    0.03 + 0.5 * ((mobile - 0.3) / 0.4).clamp(0.0, 1.0)
}

/// Ads that were shown to everybody alike.
pub(super) fn shown(count: u64, seed: u64, truth: impl Fn(f64, f64) -> f64) -> Vec<Example> {
    let mut rng = Rng::new(seed);
    (0..count)
        .map(|number| {
            let (morning, mobile) = (rng.unit(), rng.unit());
            let (time_ms, id) = (number as i64 * 1_000, DecisionId(number));
            let counts = counts(&mut rng, morning, mobile);
            Example { time_ms, id, counts, clicked: rng.chance(truth(morning, mobile)), weight: 1.0 }
        })
        .collect()
}

/// Clicks expected and found among ads that were shown to everybody alike, in all and where the probability is within half to twice
/// this one; and the correlation of the probability with the truth, nearly.
pub(super) fn held_against(model: &Model, examples: &[Example], near: f64) -> [(f64, f64); 2] {
    let scorer = Scorer::new(model);
    let mut sums = [(0.0, 0.0); 2];
    for example in examples {
        let score = scorer.score(&example.counts.vector().expect("plays"));
        let probability = scorer.probability(score).expect("a calibration");
        let clicked = f64::from(u8::from(example.clicked));
        sums[0] = (sums[0].0 + probability, sums[0].1 + clicked);
        if (0.5 * near..=2.0 * near).contains(&probability) {
            sums[1] = (sums[1].0 + probability, sums[1].1 + clicked);
        }
    }
    sums
}

#[test]
fn candidate_is_calibrated_on_listeners_that_it_has_not_seen() {
    for seed in 0..3 {
        let examples = shown(4_000, seed, |_, mobile| truth(mobile));
        let candidate = train(examples, &PLAN).expect("a candidate");
        let fresh = shown(30_000, 100 + seed, |_, mobile| truth(mobile));
        for (expected, found) in held_against(&candidate.model, &fresh, 0.2) {
            assert!(
                (0.88..1.12).contains(&(expected / found)),
                "{seed}: {expected} and {found}; {}",
                candidate.sentence
            );
        }
    }
}

#[test]
#[ignore = "`just gate`: prints how long a training of 100,000 examples takes"]
fn time_that_a_training_takes_is_printed() {
    let examples = shown(MOST_EXAMPLES as u64, 7, |_, mobile| 0.3 * truth(mobile));
    let start = std::time::Instant::now();
    let candidate = train(examples, &PLAN).expect("a candidate");
    eprintln!("training: {:.1} s; {}", start.elapsed().as_secs_f64(), candidate.sentence);
}
