use upbeat_simulate::Rng;

use super::*;

const ALPHA: f64 = 0.05;

/// A gain of `won` with this probability, else a loss of 1; times by chance, as exploration is: nearly always 0.
fn explored(rng: &mut Rng, click: f64, won: f64) -> f64 {
    match rng.chance(0.1) {
        true if rng.chance(click) => won,
        true => -1.0,
        false => 0.0,
    }
}

fn sequence() -> LowerBound {
    LowerBound::new(-2.0, 0.0, 24.0).expect("a sound sequence")
}

#[test]
fn bound_looked_at_after_every_row_is_too_high_in_less_than_alpha_of_all_runs() {
    let runs = 400;
    let mut wrong = [0; 2];
    for seed in 0..runs {
        let (mut rng, mut bound) = (Rng::new(seed), sequence());
        let (mut ever, mut sum, mut squares, mut normal) = (false, 0.0, 0.0, false);
        for row in 1..=3_000 {
            let number = explored(&mut rng, 0.3, 7.0 / 3.0);
            bound.observe(number);
            ever |= bound.is_above_centre(ALPHA);
            (sum, squares) = (sum + number, squares + number * number);
            normal |= row > 100 && sum > 1.645 * f64::sqrt(squares);
        }
        wrong[0] += u64::from(ever);
        wrong[1] += u64::from(normal);
    }
    assert!(wrong[0] <= runs / 20, "{} of {runs} runs", wrong[0]);
    assert!(wrong[1] > runs / 10, "an interval for a fixed n must be seen to fail: {} of {runs}", wrong[1]);
}

#[test]
fn bound_rises_above_the_centre_soon_where_the_mean_is_above_it() {
    let mut rows_needed: Vec<u64> = (0..100)
        .map(|seed| {
            let (mut rng, mut bound) = (Rng::new(seed), sequence());
            while !bound.is_above_centre(ALPHA) && bound.rows() < 20_000 {
                bound.observe(explored(&mut rng, 0.3, 24.0));
            }
            bound.rows()
        })
        .collect();
    rows_needed.sort_unstable();
    // The best single bet gains 0.383 nats a row that is not 0, one of ten, and 3 are needed: 80 rows.
    assert!(rows_needed[50] < 160, "{} rows at the median", rows_needed[50]);
    assert!(rows_needed[95] < 600, "{} rows in 95 of 100 runs", rows_needed[95]);
}

#[test]
fn bound_comes_near_the_mean_with_many_rows_and_stays_below_it() {
    let (mut rng, mut bound) = (Rng::new(1), LowerBound::new(-1.0, 0.0, 1.0).expect("sound"));
    for _ in 0..200_000 {
        bound.observe(if rng.chance(0.6) { 0.5 } else { -0.5 });
    }
    let found = bound.bound(ALPHA);
    assert!((0.08..0.1).contains(&found), "the mean is 0.1; bound {found}");
    let (narrow, wide) = (bound.bound(0.5), bound.bound(1e-6));
    assert!(wide < found && found < narrow, "{wide} {found} {narrow}");
}

#[test]
fn bound_between_two_supposed_means_is_never_above_the_exact_one() {
    let mut rng = Rng::new(3);
    let numbers: Vec<f64> = (0..2_000).map(|_| explored(&mut rng, 0.2, 24.0)).collect();
    let mut coarse = sequence();
    numbers.iter().for_each(|number| coarse.observe(*number));
    let found = coarse.bound(ALPHA);
    let refutes = |mean: f64| {
        let mut exact = LowerBound::new(-2.0, mean, 24.0).expect("sound");
        numbers.iter().for_each(|number| exact.observe(*number));
        exact.is_above_centre(ALPHA)
    };
    assert!(refutes(found - 1e-6), "{found} is above the exact bound");
    assert!(!refutes(found + 0.03), "{found} is far below the exact bound");
}

#[test]
fn bound_of_few_rows_is_the_least_number() {
    let mut bound = sequence();
    assert_eq!(bound.bound(ALPHA), -2.0);
    bound.observe(24.0);
    assert_eq!(bound.rows(), 1);
    assert!(!bound.is_above_centre(ALPHA), "one lucky row is no evidence");
}

#[test]
fn bound_counts_rows_of_zero_as_any_other_number() {
    let centre = 0.01;
    let mut bounds = [0.0, 1e-300].map(|zero| {
        let mut bound = LowerBound::new(-2.0, centre, 1.0).expect("sound");
        for row in 0..500 {
            bound.observe(if row % 10 == 0 { 0.3 } else { zero });
        }
        bound
    });
    let [counted, computed] = &mut bounds;
    assert!((counted.evidence() - computed.evidence()).abs() < 1e-9);
    assert!((counted.bound(ALPHA) - computed.bound(ALPHA)).abs() < 1e-9);
}

#[test]
fn bound_of_numbers_that_are_not_sound_is_not_made() {
    for (least, centre, scale) in [
        (0.0, 1.0, 1.0),
        (-1.0, -1.0, 1.0),
        (-1.0, 0.0, 0.0),
        (f64::NAN, 0.0, 1.0),
        (-1.0, 0.0, f64::INFINITY),
    ] {
        assert!(LowerBound::new(least, centre, scale).is_none(), "{least} {centre} {scale}");
    }
}
