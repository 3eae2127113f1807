//! What calibrations of folds hide from the calibration error.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::calibrate::{Isotonic, Method, Pairs};
use crate::evaluate::curves::RELIABILITY_BINS;
use crate::evaluate::metrics::{Assessed, reliability_bin};

/// Rows that labels are drawn for, in all draws together, and the bounds on the number of draws: a draw's gap scatters by
/// some 30 %, that of many ranges of few rows more.
const DRAWN_ROWS: usize = 200_000;
const DRAWS: std::ops::RangeInclusive<usize> = 5..=40;

impl Assessed<'_> {
    /// What calibrations of folds hide from the gaps between told and happened, in all ranges together.
    ///
    /// To first order the gaps of all folds together are those of one calibration that was fitted to the same rows:
    /// each fold is told too little of what the others are told too much. Their covariance is V − Q, and on fresh rows
    /// V + Q, where V is the variance of the labels and Q that which comes of the fitted numbers (Efron, *The estimation of
    /// prediction error: covariance penalties and cross-validation*, Journal of the American Statistical Association 99, 2004, has
    /// the same for smooth losses). Q is known of sigmoids and base rates; of rising lines, which have no fixed number of numbers,
    /// the difference is drawn. Folds that are told the base rate count by their rows.
    pub(super) fn hidden_gap(&self) -> f64 {
        let (Some(probabilities), Some(fold_of)) = (self.probabilities, self.fold_of) else { return 0.0 };
        let folds = fold_of.iter().max().map_or(0, |last| last + 1);
        let mut ends = vec![(f64::INFINITY, 0.0f64); folds];
        for (&p, &fold) in probabilities.iter().zip(fold_of) {
            ends[fold] = (ends[fold].0.min(p), ends[fold].1.max(p));
        }
        let flat = fold_of.iter().filter(|&&fold| ends[fold].0 == ends[fold].1).count() as f64;
        let flat = flat / fold_of.len() as f64;
        let of_base_rates = if flat > 0.0 { self.hidden_by(probabilities, false) } else { 0.0 };
        let of_curves = match self.fitted.filter(|_| flat < 1.0) {
            Some((Method::Platt, _)) => self.hidden_by(probabilities, true),
            Some((Method::Isotonic, scores)) => self.hidden_by_lines(scores, fold_of, folds),
            None => 0.0,
        };
        flat * of_base_rates + (1.0 - flat) * of_curves
    }

    /// What rising lines of folds hide: labels are drawn twice by the line of all rows; lines are fitted to the first, to all rows and
    /// without each fold. The gaps of the second draw, which the line of all rows has not seen, are greater than those of the first
    /// by the lines of the other folds (the parametric bootstrap of Efron 2004, section 4). The seed of the draws is fixed.
    fn hidden_by_lines(&self, scores: &[f64], fold_of: &[usize], folds: usize) -> f64 {
        let rows = scores.len();
        let Some(truth) = Isotonic::fit_to(Pairs::all(scores, self.positive, self.weights)) else {
            return 0.0;
        };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut draw = || -> Vec<bool> {
            scores.iter().map(|&score| rng.random::<f64>() < truth.probability(score)).collect()
        };
        let difference = |positive: &[bool], fresh: &[bool]| -> Option<f64> {
            let pairs = Pairs::all(scores, positive, self.weights);
            let of_all = Isotonic::fit_to(pairs)?;
            let without = |fold| Isotonic::fit_to(pairs.among(|row| fold_of[row] != fold).pairs());
            let of_folds = (0..folds).map(without).collect::<Option<Vec<_>>>()?;
            let told = |of: &dyn Fn(usize) -> f64| (0..rows).map(of).collect::<Vec<f64>>();
            let met = told(&|row| of_all.probability(scores[row]));
            let reported = told(&|row| of_folds[fold_of[row]].probability(scores[row]));
            Some(self.gap(&met, fresh) - self.gap(&reported, positive))
        };
        let draws = (DRAWN_ROWS / rows).clamp(*DRAWS.start(), *DRAWS.end());
        let hidden: Vec<f64> = (0..draws).filter_map(|_| difference(&draw(), &draw())).collect();
        // Lines of few rows are further from the truth than the line of all rows, which is no gap that was hidden.
        (hidden.iter().sum::<f64>() / hidden.len().max(1) as f64).max(0.0)
    }

    /// What calibrations of an offset, or of an offset and a slope, hide, by their Fisher information. The mean size of a normal
    /// deviate is √(2/π) of its standard deviation. The labels' variance is that which is seen: told probabilities that are held
    /// back from certainty would overstate it (White, *Econometrica* 50, 1982, has the same for the fitted numbers).
    fn hidden_by(&self, probabilities: &[f64], sloped: bool) -> f64 {
        const EDGE: f64 = 1e-15;
        let log_odds = |row: usize| {
            let p = probabilities[row];
            (p.max(EDGE) / (1.0 - p).max(EDGE)).ln()
        };
        let variance = |row: usize| probabilities[row].max(EDGE) * (1.0 - probabilities[row]).max(EDGE);
        let part = |row: usize| self.weight(row) * variance(row);
        let information = self.sum(part);
        let middle = self.sum(|row| part(row) * log_odds(row)) / information;
        let of_slope = self.sum(|row| part(row) * (log_odds(row) - middle).powi(2));
        // Of each range: rows, gap, the variance of its labels, and the derivatives of its sum by offset and slope.
        let mut ranges = [[0.0; 5]; RELIABILITY_BINS];
        for (row, &p) in probabilities.iter().enumerate() {
            let [rows, gap, labels, offset, slope] = &mut ranges[reliability_bin(p)];
            let gap_of_row = self.weight(row) * (f64::from(self.positive[row]) - p);
            *rows += 1.0;
            *gap += gap_of_row;
            *labels += gap_of_row.powi(2);
            *offset += part(row);
            *slope += part(row) * (log_odds(row) - middle);
        }
        // What all rows of a range have in common is no scatter.
        let ranges = ranges.map(|[rows, gap, labels, offset, slope]: [f64; 5]| {
            [(labels - gap * gap / rows.max(1.0)).max(0.0), offset, slope]
        });
        // A weighted row's label varies by the square of its weight, and so does what was fitted.
        let unit = ranges.iter().map(|[labels, ..]| labels).sum::<f64>() / information;
        let hidden = ranges.iter().map(|[labels, offset, slope]| {
            let by_slope = if sloped && of_slope > 0.0 { slope * slope / of_slope } else { 0.0 };
            let fitted = unit * (offset * offset / information + by_slope);
            (labels + fitted).sqrt() - (labels - fitted).max(0.0).sqrt()
        });
        (2.0 / std::f64::consts::PI).sqrt() * hidden.sum::<f64>()
    }
}
