//! What happened after a decision does not reach the model that learns from it.

use upbeat_svm::Scorer;

use super::*;
use crate::training::{Example, MOST_WEIGHT, Split, train};

const PLAN: Plan = Plan { window: Window { plays: 256, days: 28 }, seed: 1, last: None };

/// Ads with their clicks, a minute after each.
fn log(ads: &[Shown]) -> Vec<(i64, Entry)> {
    let clicks = ads.iter().filter(|ad| ad.clicked);
    let clicks = clicks.map(|ad| (ad.time_ms + 60_000, click(ad.number, ad.time_ms + 60_000)));
    ads.iter().map(|ad| (ad.time_ms, ad.entry())).chain(clicks).collect()
}

#[test]
fn model_is_the_same_to_the_byte_whatever_happened_after_its_decisions() {
    let ads = shown(2_000, 3);
    let now_ms = 2_000_000 + ATTRIBUTION_MS - 200_000;
    let without = model(answer(&ask(now_ms), &Given::default(), &in_order(log(&ads))));
    // All that is left out on a mature ad: plays that tell who clicked, clicks that came too late; and the labels of ads that may be
    // clicked yet.
    let mut later = log(&ads);
    for ad in &ads {
        let too_late_ms = ad.time_ms + ATTRIBUTION_MS + 1;
        match ad.clicked {
            true => later
                .extend((1..30).map(|play| (ad.time_ms + play, self::play(ad.number, ad.time_ms + play)))),
            false if too_late_ms <= now_ms => later.push((too_late_ms, click(ad.number, too_late_ms))),
            false => later.push((ad.time_ms + 1, click(ad.number, ad.time_ms + 1))),
        }
    }
    let young = ads.iter().filter(|ad| ad.time_ms + ATTRIBUTION_MS >= now_ms).count();
    assert!(young > 150, "{young} ads may be clicked yet");
    let with = model(answer(&ask(now_ms), &Given::default(), &in_order(later)));
    assert_eq!(with.to_bytes(), without.to_bytes());
    // The test would see it: one more click in time on an ad whose label is known is another model.
    let first = ads.iter().find(|ad| !ad.clicked).expect("not all click");
    let mut other = log(&ads);
    other.push((first.time_ms + 1, click(first.number, first.time_ms + 1)));
    assert_ne!(
        model(answer(&ask(now_ms), &Given::default(), &in_order(other))).to_bytes(),
        without.to_bytes()
    );
}

/// The log loss of the truth itself, and that of a model, on examples: no honest model is better than the truth but by chance.
fn losses(model: &Model, examples: &[Example], truth: impl Fn(&Example) -> f64) -> (f64, f64) {
    let scorer = Scorer::new(model);
    let loss = |clicked: bool, of: f64| -if clicked { of.ln() } else { (1.0 - of).ln() };
    let told = |example: &Example| {
        scorer.probability(scorer.score(&example.counts.vector().expect("plays"))).expect("a calibration")
    };
    let mean = |of: &dyn Fn(&Example) -> f64| examples.iter().map(of).sum::<f64>() / examples.len() as f64;
    let clamped = |of: f64| of.clamp(1e-9, 1.0 - 1e-9);
    (
        mean(&|example| loss(example.clicked, truth(example))),
        mean(&|example| loss(example.clicked, clamped(told(example)))),
    )
}

#[test]
fn counts_with_plays_after_the_decision_are_caught_by_being_better_than_the_truth() {
    let ads = shown(4_000, 5);
    let example = |leaks: bool| {
        move |ad: &Shown| {
            let mut counts = counts(ad.mobile);
            if leaks && ad.clicked {
                // Who clicked heard ten more on a phone, which somebody counted in.
                (counts.plays, counts.parts[4]) = (50, counts.parts[4] + 10);
                counts.parts[5] += 10;
            }
            let id = DecisionId(ad.number);
            Example { time_ms: ad.time_ms, id, counts, clicked: ad.clicked, weight: 2.0 }
        }
    };
    let honest: Vec<Example> = ads.iter().map(example(false)).collect();
    let leaking: Vec<Example> = ads.iter().map(example(true)).collect();
    let newest = |of: &[Example]| of[Split::of(of).held_out].to_vec();
    let planted = |place: usize| truth(ads[place].mobile);
    let is_too_good = |examples: &[Example]| {
        let model = train(examples.to_vec(), &PLAN).expect("a candidate").model;
        let (of_truth, of_model) =
            losses(&model, &newest(examples), |example| planted(example.id.0 as usize - 1));
        of_model < 0.9 * of_truth
    };
    assert!(is_too_good(&leaking), "the leak is seen");
    assert!(!is_too_good(&honest));
    // What a job learns of the same log is what an honest training does: the plays are in its log.
    let mut entries = log(&ads);
    for ad in ads.iter().filter(|ad| ad.clicked) {
        entries.extend((1..=10).map(|play| (ad.time_ms + play, self::play(ad.number, ad.time_ms + play))));
    }
    let now_ms = 4_000_000 + ATTRIBUTION_MS + 1;
    let learnt = model(answer(&ask(now_ms), &Given::default(), &in_order(entries)));
    let weight = 65_535.0 / 32_768.0;
    let honest = honest.into_iter().map(|example| Example { weight, ..example }).collect();
    assert_eq!(learnt.to_bytes(), train(honest, &PLAN).expect("a candidate").model.to_bytes());
}

#[test]
fn rare_show_weighs_at_most_a_hundred_and_what_a_holdout_takes_is_in_no_weight() {
    let mut found = Found::default();
    [play(999_999, 0), campaigns()].iter().zip(1..).for_each(|(entry, position)| found.note(position, entry));
    for (coins, expected) in [
        (Coins::None, 1.0),
        (pacing(65_535 / 5), 5.0),
        (exploring(1), 10.0),
        (Coins::Exploration(vec![(0, u64::MAX / 1_000)].into()), MOST_WEIGHT),
    ] {
        let mut examples = Examples::new(0, None);
        let shown = decided(1, 0, Reason::LikelyToClick, counts(3), coins);
        let mut row = Row::of(shown, &found.campaigns).expect("a decision");
        row.is_mature = true;
        examples.row(&row);
        // The campaign holds a fifth out.
        let weight = examples.take()[0].weight;
        assert!((weight - expected).abs() < 1e-9, "{weight} and {expected}");
    }
}
