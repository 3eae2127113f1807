//! 95 % intervals of shares and of areas under the ROC curve.

/// Two-sided 95 % point of the standard normal distribution.
const Z95: f64 = 1.959_963_984_540_054;

/// 95 % interval of a share of which `successes` in `trials` were seen, within `0.0..=1.0`; everything
/// when there was no trial.
///
/// Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927. Unlike
/// share ± 1.96 standard errors it holds for small counts and never has width 0.
pub fn wilson(successes: u64, trials: u64) -> (f64, f64) {
    wilson_of(successes.min(trials) as f64, trials as f64)
}

/// [`wilson`] for counts of weighted rows, which are no whole numbers: `successes` in `0.0..=trials`.
pub(crate) fn wilson_of(successes: f64, trials: f64) -> (f64, f64) {
    if trials == 0.0 {
        return (0.0, 1.0);
    }
    let failures = trials - successes;
    let middle = successes + Z95 * Z95 / 2.0;
    let reach = Z95 * (successes * failures / trials + Z95 * Z95 / 4.0).sqrt();
    let whole = trials + Z95 * Z95;
    let low = if successes == 0.0 { 0.0 } else { (middle - reach) / whole };
    let high = if failures == 0.0 { 1.0 } else { (middle + reach) / whole };
    (low, high)
}

/// 95 % interval of an area under the ROC curve of so many rows, within `0.0..=1.0`; everything when a
/// class has no row.
///
/// The ends are the areas θ with `(θ - auc)² = z² V(θ)`, where V is the variance of Hanley and McNeil
/// (Radiology 1982) with both counts in its middle terms at their mean: Newcombe, Statistics in Medicine
/// 2006, 25:559–573, method 5. Like [`wilson`] it stays in range and has a width even at an area of 1,
/// where the variance at the area itself (Hanley and McNeil's or DeLong's) is 0.
pub fn auc_interval(auc: f64, positives: u64, negatives: u64) -> (f64, f64) {
    auc_interval_of(auc, positives as f64, negatives as f64)
}

/// [`auc_interval`] for counts of weighted rows.
pub(crate) fn auc_interval_of(auc: f64, positives: f64, negatives: f64) -> (f64, f64) {
    if positives == 0.0 || negatives == 0.0 {
        return (0.0, 1.0);
    }
    let others = (positives + negatives) / 2.0 - 1.0;
    let reaches = |area: f64| {
        let pairs = 1.0 + others * ((1.0 - area) / (2.0 - area) + area / (1.0 + area));
        let variance = area * (1.0 - area) * pairs / (positives * negatives);
        (area - auc) * (area - auc) <= Z95 * Z95 * variance
    };
    (bisect(auc, 0.0, reaches), bisect(auc, 1.0, reaches))
}

/// The last place from `inside` towards `outside` where `holds` does.
fn bisect(mut inside: f64, mut outside: f64, holds: impl Fn(f64) -> bool) -> f64 {
    if holds(outside) {
        return outside;
    }
    for _ in 0..60 {
        let middle = f64::midpoint(inside, outside);
        if holds(middle) {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn about(found: (f64, f64), wanted: (f64, f64), tolerance: f64) -> bool {
        (found.0 - wanted.0).abs() <= tolerance && (found.1 - wanted.1).abs() <= tolerance
    }

    proptest! {
        #[test]
        fn intervals_hold_their_share_and_narrow_with_more_rows(successes in 0u64..500, more in 0u64..500) {
            let trials = (successes + more).max(1);
            let share = successes as f64 / trials as f64;
            let (low, high) = wilson(successes, trials);
            prop_assert!(0.0 <= low && low <= share && share <= high && high <= 1.0 && low < high);
            let (tenfold_low, tenfold_high) = wilson(10 * successes, 10 * trials);
            prop_assert!(tenfold_high - tenfold_low < high - low);

            let (low, high) = auc_interval(share, 20, 50);
            prop_assert!(0.0 <= low && low <= share && share <= high && high <= 1.0 && low < high);
            let (tenfold_low, tenfold_high) = auc_interval(share, 200, 500);
            prop_assert!(tenfold_high - tenfold_low < high - low);
        }
    }

    #[test]
    fn wilson_gives_the_published_intervals() {
        // Newcombe, Statistics in Medicine 1998, 17:857–872, table I, method 3.
        for (successes, trials, wanted) in [
            (81, 263, (0.2553, 0.3662)),
            (15, 148, (0.0624, 0.1605)),
            (0, 20, (0.0, 0.1611)),
            (1, 29, (0.0061, 0.1718)),
        ] {
            let found = wilson(successes, trials);
            assert!(about(found, wanted, 6e-5), "{successes}/{trials}: {found:?}");
        }
        assert_eq!(wilson(0, 0), (0.0, 1.0));
        assert!(about(wilson(29, 29), (1.0 - wilson(0, 29).1, 1.0), 1e-12));
    }

    #[test]
    fn auc_interval_is_near_hanley_and_mcneils_on_their_example() {
        // Radiology 1982, table II: area 0.893 of 51 abnormal and 58 normal cases, standard error 0.032.
        let (low, high) = auc_interval(0.893, 51, 58);
        assert!((high - low - 2.0 * 1.96 * 0.032).abs() < 0.012, "{low} {high}");
        assert!(about(auc_interval(0.5, 40, 40), (0.376, 0.624), 0.006));
        assert!(auc_interval(1.0, 5, 5).0 < 0.8);
        assert_eq!(auc_interval(0.5, 0, 5), (0.0, 1.0));
    }
}
