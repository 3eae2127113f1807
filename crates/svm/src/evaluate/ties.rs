//! Which scores count as equal.

/// Scores that differ by no more than this, times the greater of 1 and their size, count as equal.
///
/// The margin, which is 1, is the unit of a score. Solvers meet their conditions within `epsilon`, by default a
/// thousandth of it, so that a millionth is below what they determine; and it is a thousand times the rounding of
/// scores up to a million. What differs by less is an order by chance.
pub const SCORE_TIE: f64 = 1e-6;

/// Whether scores from `low` to `high` count as equal.
fn tied(low: f64, high: f64) -> bool {
    high - low <= SCORE_TIE * low.abs().max(high.abs()).max(1.0)
}

/// Whether all scores count as equal, so that they tell no row from another; true when there are none, false when one
/// is not finite. Takes no more scores than it needs.
///
/// ```
/// assert!(upbeat_svm::constant([-1.0, -1.0 + 3e-9, -1.0 - 2e-9]));
/// assert!(!upbeat_svm::constant([-1.0, -1.001]));
/// ```
pub fn constant(scores: impl IntoIterator<Item = f64>) -> bool {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    scores.into_iter().all(|score| {
        (low, high) = (low.min(score), high.max(score));
        score.is_finite() && tied(low, high)
    })
}

/// Rows by score in groups of ties.
pub(crate) struct Ties {
    order: Vec<usize>,
    /// Where each group ends in `order`.
    ends: Vec<usize>,
}

impl Ties {
    /// Every score of a group counts as equal to its lowest one, so that no chain of small differences joins scores
    /// that are far apart.
    pub(crate) fn of(scores: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_unstable_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        let (mut ends, mut lowest) = (Vec::new(), 0);
        for place in 1..=order.len() {
            if place == order.len() || !tied(scores[order[lowest]], scores[order[place]]) {
                ends.push(place);
                lowest = place;
            }
        }
        Self { order, ends }
    }

    /// The rows of each group, lowest score first.
    pub(crate) fn groups(&self) -> impl DoubleEndedIterator<Item = &[usize]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let bounds: Vec<(usize, usize)> = starts.zip(self.ends.iter().copied()).collect();
        bounds.into_iter().map(|(start, end)| &self.order[start..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::curves::{precision_recall, roc};
    use crate::evaluate::metrics::Metrics;

    #[test]
    fn order_within_the_last_digits_is_worth_nothing() {
        // The positive rows lie above the others by a thousandth of what a solver determines.
        let positive: Vec<bool> = (0..50).map(|row| row % 7 == 0).collect();
        for offset in [0.0, -1.0, 1e6] {
            let scores: Vec<f64> =
                positive.iter().map(|&positive| offset + 1e-9 * f64::from(positive)).collect();
            assert!(constant(scores.iter().copied()));
            assert_eq!(Metrics::measure(&scores, &positive, None, None).unwrap().auc, Some(0.5), "{offset}");
            assert_eq!(roc(&scores, &positive, None).len(), 2);
            assert_eq!(precision_recall(&scores, &positive, None).len(), 1);
        }
    }

    #[test]
    fn ties_do_not_chain() {
        let scores: Vec<f64> = (0..10).map(|step| f64::from(step) * 0.8e-6).collect();
        let ties = Ties::of(&scores);
        let groups: Vec<Vec<usize>> = ties.groups().map(<[usize]>::to_vec).collect();
        assert_eq!(groups, [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]);
        assert!(!constant(scores));
    }

    #[test]
    fn no_score_is_constant_and_no_number_is_not() {
        assert!(constant([]) && constant([3.0]) && constant([-0.0, 0.0]));
        assert!(!constant([f64::NAN]) && !constant([1.0, f64::INFINITY]) && !constant([-1.0, f64::NAN]));
    }
}
