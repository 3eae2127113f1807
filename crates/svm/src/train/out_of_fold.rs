//! Calibrations and measures from scores of rows that the scoring machine was not trained on.

use crate::calibrate::{Calibration, Method, Pairs};
use crate::evaluate::metrics::Assessed;
use crate::train::parallel::in_parallel;

/// Scores of rows, each by a machine that was trained without the row's fold.
#[derive(Clone, Copy)]
pub(crate) struct OutOfFold<'a> {
    pub(crate) pairs: Pairs<'a>,
    /// The fold of each row, below `folds`.
    pub(crate) fold_of: &'a [usize],
    /// At least 2.
    pub(crate) folds: usize,
}

impl OutOfFold<'_> {
    /// The calibration of all rows.
    pub(crate) fn calibration(&self, method: Method) -> Option<Calibration> {
        Calibration::fit_or_base_rate(method, self.pairs, None)
    }

    /// The calibration of the rows outside of a fold.
    pub(crate) fn calibration_without(
        &self,
        fold: usize,
        method: Method,
        start: Option<&Calibration>,
    ) -> Option<Calibration> {
        let others = self.pairs.among(|row| self.fold_of[row] != fold);
        Calibration::fit_or_base_rate(method, others.pairs(), start)
    }

    /// A probability per row, by the calibration of the rows outside of its fold; `start` is that of all rows. None
    /// where one cannot be fitted.
    pub(crate) fn probabilities(
        &self,
        method: Method,
        start: Option<&Calibration>,
        threads: usize,
    ) -> Option<Vec<f64>> {
        let calibrations =
            in_parallel(self.folds, threads, |fold| self.calibration_without(fold, method, start));
        let calibrations = calibrations.into_iter().collect::<Option<Vec<_>>>()?;
        let rows = self.fold_of.iter().zip(self.pairs.scores);
        Some(rows.map(|(&fold, &score)| calibrations[fold].probability(score)).collect())
    }

    /// Scores and such probabilities, to be measured.
    pub(crate) fn assessed<'a>(
        &'a self,
        method: Option<Method>,
        probabilities: Option<&'a [f64]>,
    ) -> Assessed<'a> {
        let Pairs { scores, positive, weights, .. } = self.pairs;
        let (fold_of, fitted) = (Some(self.fold_of), method.map(|method| (method, scores)));
        Assessed { scores, probabilities, positive, weights, fold_of, fitted }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::data::folds::stratified_folds;
    use crate::evaluate::metrics::Metrics;

    /// Scores that have nothing to do with the labels.
    fn noise(rows: usize, share: f64, seed: u64) -> (Vec<f64>, Vec<bool>) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let scores = (0..rows).map(|_| rng.random::<f64>() - 0.5).collect();
        (scores, (0..rows).map(|_| rng.random::<f64>() < share).collect())
    }

    fn judged(method: Method, scores: &[f64], positive: &[bool]) -> (Calibration, Metrics) {
        let fold_of = stratified_folds(positive, 4, 1);
        let pairs = Pairs::all(scores, positive, None);
        let rows = OutOfFold { pairs, fold_of: &fold_of, folds: 4 };
        let calibration = rows.calibration(method).unwrap();
        let probabilities = rows.probabilities(method, Some(&calibration), 1);
        (calibration, Metrics::of(&rows.assessed(Some(method), probabilities.as_deref())).unwrap())
    }

    /// The base rate's log loss on fresh rows, where the source has this share.
    fn of_base_rate(positive: &[bool], share: f64) -> f64 {
        let told = positive.iter().filter(|&&positive| positive).count() as f64 / positive.len() as f64;
        -share * told.ln() - (1.0 - share) * (1.0 - told).ln()
    }

    #[test]
    fn scores_without_meaning_do_not_beat_the_base_rate() {
        for (method, rows) in
            [(Method::Platt, 40), (Method::Platt, 200), (Method::Isotonic, 40), (Method::Isotonic, 200)]
        {
            for share in [0.5, 0.2] {
                let (mut flat, mut reported, mut base_rate, mut gaps) = (0, 0.0, 0.0, 0.0);
                for seed in 0..60 {
                    let (scores, positive) = noise(rows, share, seed);
                    let (calibration, metrics) = judged(method, &scores, &positive);
                    flat += usize::from(calibration.constant().is_some());
                    reported += metrics.log_loss.unwrap() / 60.0;
                    base_rate += of_base_rate(&positive, share) / 60.0;
                    gaps += metrics.calibration_error.unwrap() / 60.0;
                }
                let standard_error = 0.5 / (60.0 * rows as f64).sqrt();
                assert!(flat >= 40, "{method:?}, {rows} rows: {flat} of 60");
                assert!(
                    reported > base_rate - 2.0 * standard_error,
                    "{method:?}, {rows} rows: {reported} {base_rate}"
                );
                // Stated and happened differ by the scatter of two samples.
                let scatter = (4.0 / std::f64::consts::PI * share * (1.0 - share) / rows as f64).sqrt();
                assert!(
                    (0.7 * scatter..1.6 * scatter).contains(&gaps),
                    "{method:?}, {rows} rows: {gaps} {scatter}"
                );
            }
        }
    }

    /// Scores from −3 to 3, and labels whose log odds are so many times the score.
    fn signal(rows: usize, slope: f64, rng: &mut Xoshiro256PlusPlus) -> (Vec<f64>, Vec<bool>) {
        let row = |_| {
            let score = 6.0 * rng.random::<f64>() - 3.0;
            (score, rng.random::<f64>() < 1.0 / (1.0 + (-slope * score).exp()))
        };
        (0..rows).map(row).unzip()
    }

    #[test]
    fn calibration_error_is_that_of_as_many_fresh_rows() {
        // Lines that rise with many blocks, whose folds hide a quarter; and labels that all but follow from the score, where what
        // is told lies below certainty on every row alike.
        for (method, rows, slope, samples) in
            [(Method::Isotonic, 900, 1.0, 8), (Method::Platt, 60, 40.0, 60), (Method::Platt, 400, 1.0, 30)]
        {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
            let (mut reported, mut met) = (0.0, 0.0);
            for _ in 0..samples {
                let (scores, positive) = signal(rows, slope, &mut rng);
                let (calibration, metrics) = judged(method, &scores, &positive);
                reported += metrics.calibration_error.unwrap();
                for _ in 0..10 {
                    let (scores, positive) = signal(rows, slope, &mut rng);
                    let fresh = Metrics::measure(&scores, &positive, None, Some(&calibration)).unwrap();
                    met += fresh.calibration_error.unwrap() / 10.0;
                }
            }
            let ratio = reported / met;
            assert!((0.86..1.06).contains(&ratio), "{method:?}, slope {slope}: {ratio}");
        }
    }

    #[test]
    fn every_fold_is_told_by_a_calibration_of_the_others() {
        let (scores, mut positive) = noise(80, 0.5, 3);
        positive.iter_mut().zip(&scores).for_each(|(positive, &score)| *positive = score > 0.1);
        positive[5] = !positive[5];
        let fold_of = stratified_folds(&positive, 4, 1);
        let pairs = Pairs::all(&scores, &positive, None);
        let rows = OutOfFold { pairs, fold_of: &fold_of, folds: 4 };
        for method in [Method::Platt, Method::Isotonic] {
            let told = rows.probabilities(method, rows.calibration(method).as_ref(), 2).unwrap();
            for row in 0..80 {
                let others = pairs.among(|other| fold_of[other] != fold_of[row]);
                let calibration = Calibration::fit_or_base_rate(method, others.pairs(), None).unwrap();
                assert!((calibration.probability(scores[row]) - told[row]).abs() < 1e-3, "{method:?}");
            }
        }
        // Labels of a fold that are turned do not change what is told of it.
        let turned: Vec<bool> = (0..80).map(|row| positive[row] ^ (fold_of[row] == 2)).collect();
        let of_turned = OutOfFold { pairs: Pairs { positive: &turned, ..pairs }, ..rows };
        let fold = |rows: OutOfFold| rows.calibration_without(2, Method::Isotonic, None);
        assert_eq!(fold(rows), fold(of_turned));
    }
}
