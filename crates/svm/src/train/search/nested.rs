//! Measures of a search that its choice does not flatter.

use crate::calibrate::{Method, Pairs};
use crate::evaluate::metrics::{Assessed, Metrics};
use crate::train::out_of_fold::OutOfFold;
use crate::train::search::choose::choose;
use crate::train::search::{Again, Candidate, Search};

/// What is told of each row of the sample by the candidate that the other folds choose.
pub(crate) struct Nested {
    pub(crate) scores: Vec<f64>,
    /// By a calibration that was fitted without the row's fold; none where one could not be fitted.
    pub(crate) probabilities: Option<Vec<f64>>,
}

impl Search {
    /// Chooses anew for each fold, by the rows of the other folds, and calibrates on those: neither choice nor
    /// calibration is made by the labels of the rows that it is measured on. That needs no more training, and is not a
    /// cross-validation within each fold: which candidates there are, and the other folds' machines, come of all rows. `truth` are labels and
    /// weights of the sample; its scores are not looked at. `alike` are scores of the candidate that all rows chose, in
    /// units of their machines, for its calibrations.
    ///
    /// The measures of the chosen candidate itself flatter: it was chosen for them (Cawley and Talbot, *On
    /// over-fitting in model selection*, Journal of Machine Learning Research 11, 2010, section 5).
    pub(crate) fn nested(
        &self,
        truth: Pairs,
        method: Option<Method>,
        alike: Option<&[f64]>,
    ) -> Option<Nested> {
        let mut scores = vec![0.0; self.fold_of.len()];
        let mut probabilities = method.map(|_| scores.clone());
        for fold in 0..self.folds {
            let others: Vec<usize> =
                (0..self.fold_of.len()).filter(|&row| self.fold_of[row] != fold).collect();
            let judged: Option<Vec<Candidate>> =
                self.tried.iter().map(|candidate| candidate.on(&others, truth)).collect();
            let place = choose(&judged?.iter().collect::<Vec<_>>(), self.criterion)?;
            let chosen = &self.tried[place];
            let calibrated = alike.filter(|_| place == self.chosen).unwrap_or(&chosen.scores);
            let pairs = Pairs { scores: calibrated, ..truth };
            let rows = OutOfFold { pairs, fold_of: &self.fold_of, folds: self.folds };
            let calibration = method.and_then(|method| rows.calibration_without(fold, method, None));
            for row in (0..self.fold_of.len()).filter(|&row| self.fold_of[row] == fold) {
                scores[row] = chosen.scores[row];
                if let (Some(probabilities), Some(calibration)) = (&mut probabilities, &calibration) {
                    probabilities[row] = calibration.probability(calibrated[row]);
                }
            }
            if calibration.is_none() {
                probabilities = None;
            }
        }
        Some(Nested { scores, probabilities })
    }
}

impl Candidate {
    /// The candidate with the measures that a choice looks at taken on some of the rows, and without its scores.
    fn on(&self, rows: &[usize], truth: Pairs) -> Option<Self> {
        let on = |scores: &[f64], probabilities: Option<&[f64]>, metrics| {
            measured_on(rows, Pairs { scores, ..truth }, probabilities, metrics)
        };
        let metrics = on(&self.scores, self.probabilities.as_deref(), self.metrics)?;
        let again = self.again.iter().map(|again| {
            let metrics = on(&again.scores, again.probabilities.as_deref(), again.metrics)?;
            Some(Again { metrics, scores: Vec::new(), probabilities: None })
        });
        let again = again.collect::<Option<Vec<Again>>>()?;
        Some(Self { metrics, scores: Vec::new(), probabilities: None, again, ..*self })
    }
}

/// The measures that a choice looks at, taken on some of the rows.
fn measured_on(
    rows: &[usize],
    all: Pairs,
    probabilities: Option<&[f64]>,
    metrics: Metrics,
) -> Option<Metrics> {
    let take = |all: &[f64]| rows.iter().map(|&row| all[row]).collect::<Vec<f64>>();
    let (scores, weights) = (take(all.scores), all.weights.map(take));
    let probabilities = probabilities.map(take);
    let positive: Vec<bool> = rows.iter().map(|&row| all.positive[row]).collect();
    let told = Assessed {
        scores: &scores,
        probabilities: probabilities.as_deref(),
        positive: &positive,
        weights: weights.as_deref(),
        fold_of: None,
        fitted: None,
    };
    Some(Metrics { error: told.error()?, confusion: told.confusion(), log_loss: told.log_loss(), ..metrics })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::folds::stratified_folds;
    use crate::train::parameters::Parameters;
    use crate::train::search::Criterion;

    #[test]
    fn choice_among_candidates_of_noise_is_not_measured_by_its_luck() {
        // Forty candidates that guess: the luckiest one errs far less than half of the time.
        let rows = 60;
        let positive: Vec<bool> = (0..rows).map(|row| row % 2 == 0).collect();
        let fold_of = stratified_folds(&positive, 5, 1);
        let mut reported = [0.0; 2];
        for seed in 0..20u64 {
            let guess = |candidate: u64, row: usize| {
                let mixed =
                    (seed * 1000 + candidate + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (row as u64 + 1);
                let mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
                ((mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 40) as f64 / (1 << 23) as f64
                    - 1.0
            };
            let pairs = Pairs::all(&[], &positive, None);
            let candidate = |number: u64| {
                let scores: Vec<f64> = (0..rows).map(|row| guess(number, row)).collect();
                let of_scores =
                    OutOfFold { pairs: Pairs { scores: &scores, ..pairs }, fold_of: &fold_of, folds: 5 };
                let probabilities = of_scores.probabilities(Method::Platt, None, 1);
                let metrics = of_scores.metrics(Some(Method::Platt), probabilities.as_deref()).unwrap();
                Candidate {
                    family: 0,
                    parameters: Parameters::default(),
                    metrics,
                    scores,
                    probabilities,
                    again: Vec::new(),
                }
            };
            let tried: Vec<Candidate> = (0..40).map(candidate).collect();
            let chosen = choose(&tried.iter().collect::<Vec<_>>(), Criterion::Error).unwrap();
            reported[0] += tried[chosen].metrics.error / 20.0;
            let search = Search {
                tried,
                left_out: Vec::new(),
                chosen,
                rows,
                folds: 5,
                criterion: Criterion::Error,
                sample: (0..rows).collect(),
                weights: None,
                fold_of: fold_of.clone(),
            };
            let nested = search.nested(pairs, Some(Method::Platt), None).unwrap();
            let wrong =
                nested.scores.iter().zip(&positive).filter(|(score, positive)| (**score > 0.0) != **positive);
            reported[1] += wrong.count() as f64 / rows as f64 / 20.0;
            assert_eq!(nested.probabilities.map(|all| all.len()), Some(rows));
        }
        let [of_the_luckiest, nested] = reported;
        assert!(of_the_luckiest < 0.4, "{of_the_luckiest}");
        assert!((nested - 0.5).abs() < 0.05, "{nested}");
    }
}
