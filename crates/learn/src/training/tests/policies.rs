//! What is learnt of a log whose policy chose whom to show the ad.

use super::*;

/// Of listeners to mornings those click who play on phones, of others those who do not.
fn crossed(morning: f64, mobile: f64) -> f64 {
    if morning > 0.5 { 0.05 + 0.6 * mobile } else { 0.65 - 0.6 * mobile }
}

/// Ads of a policy that shows them to listeners to mornings at seven of ten, and to others at one of fifty.
fn logged(decisions: u64, seed: u64) -> Vec<Example> {
    let mut coins = Rng::new(seed + 1_000);
    let asked = shown(decisions, seed, crossed);
    asked
        .into_iter()
        .filter_map(|example| {
            let is_likely = example.counts.parts[0] > 20;
            let propensity = if is_likely { 0.7 } else { 0.02 };
            coins.chance(propensity).then(|| Example { weight: 1.0 / propensity, ..example })
        })
        .collect()
}

/// What the line of examples says per unit of the share of plays on a phone.
fn slope(examples: &[Example]) -> f64 {
    let line = fit::machine(examples, upbeat_svm::Parameters::default()).expect("it converges");
    let Machine::Linear { weights, .. } = &line.machine else { panic!("a line") };
    weights[4] / line.scaling.scale[4]
}

#[test]
fn weights_undo_what_the_policy_chose() {
    let uniform = slope(&shown(20_000, 1, crossed));
    let (mut weighed, mut plain) = (0.0, 0.0);
    for seed in 2..6 {
        let log = logged(40_000, seed);
        weighed += slope(&log) / 4.0;
        plain += slope(&log.iter().map(|of| Example { weight: 1.0, ..*of }).collect::<Vec<_>>()) / 4.0;
    }
    // The crossed habits cancel where everybody is shown the ad alike.
    assert!(uniform.abs() < 0.15, "{uniform}");
    assert!((weighed - uniform).abs() < 0.25, "{weighed} and {uniform}");
    assert!((plain - uniform).abs() > 0.8, "{plain} and {uniform}: the test would see it");
}

#[test]
fn habit_that_changed_lately_is_learnt_from_what_came_since() {
    // Most examples are of the old habit, of which the new one is the opposite.
    let old = shown(4_500, 1, |_, mobile| truth(1.0 - mobile));
    let new = shown(2_500, 2, |_, mobile| truth(mobile)).into_iter();
    let new =
        new.map(|of| Example { time_ms: of.time_ms + 4_500_000, id: DecisionId(4_500 + of.id.0), ..of });
    let examples: Vec<Example> = old.into_iter().chain(new).collect();
    let candidate = train(examples, &PLAN).expect("a candidate");
    assert!(candidate.rows <= 3_000, "{}", candidate.sentence);
    let fresh = shown(10_000, 3, |_, mobile| truth(mobile));
    for (expected, found) in held_against(&candidate.model, &fresh, 0.2) {
        assert!((0.85..1.15).contains(&(expected / found)), "{expected} and {found}: {}", candidate.sentence);
    }
}

#[test]
fn same_examples_in_any_order_give_the_same_bytes_and_a_seed_is_in_the_file() {
    let examples = shown(1_500, 1, |_, mobile| truth(mobile));
    let train = |examples: Vec<Example>, plan: Plan| train(examples, &plan).expect("a candidate").model;
    let first = train(examples.clone(), PLAN);
    assert_eq!(train(examples.iter().rev().copied().collect(), PLAN).to_bytes(), first.to_bytes());
    let other = train(examples.clone(), Plan { seed: 2, ..PLAN });
    assert_eq!(other.parts().training.as_ref().map(|of| of.seed), Some(2));
    assert_eq!(model::label(&first), Label::Impression);
    model::check_serving(&first, PLAN.window).expect("a server takes it");
    // The next training searches round what this one chose.
    let last = Warm::of(&first).expect("it was trained here");
    assert_eq!(last.c, first.parts().training.as_ref().expect("a record").c);
    let next = train(examples, Plan { last: Some(last), ..PLAN });
    let near = Warm::of(&next).expect("it was trained here").c / last.c;
    assert!(
        [0.01, 0.1, 1.0, 10.0, 100.0].iter().any(|of| (near / of - 1.0).abs() < 1e-6) || last.gamma.is_none()
    );
}

#[test]
fn newest_are_held_out_and_older_ones_choose_calibrate_and_fit() {
    let examples = shown(100_000, 4, |_, mobile| truth(mobile));
    let split = Split::of(&examples);
    let Split { train, choose, held_out } = &split;
    assert_eq!((train.end, choose.end, held_out.end), (choose.start, held_out.start, 100_000));
    // No more than have 200 clicks, so that the newest are learnt from.
    for of in [choose, held_out] {
        let clicks = examples::clicks(&examples[of.clone()]);
        assert!((199..=200).contains(&clicks), "{clicks}");
    }
    let backs = split.look_backs(&examples);
    assert_eq!(backs.len(), 8);
    assert!(backs.iter().all(|of| of.calibrate.end == train.end && of.fit.end == of.calibrate.start));
    assert!(backs.windows(2).all(|of| of[0].fit.len() >= 2 * of[1].fit.len() - 4));
    let few = shown(1_000, 4, |_, mobile| truth(mobile));
    let Split { train, choose, held_out } = Split::of(&few);
    assert_eq!((train.len(), choose.len(), held_out.len()), (600, 200, 200));
}
