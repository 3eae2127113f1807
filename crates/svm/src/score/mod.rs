//! A model compiled for scoring: contiguous, padded, in vector instructions, without allocation.
//!
//! Scores may differ from those of [`Machine::score`] in the last digits, as sums are taken in another
//! order; labels do not differ. Where a score is so near to 0 that rounding could have turned its sign, it
//! is computed again as `Machine::score` does. Such scores are within some 10^-13 of the terms' magnitude of 0,
//! and so rare that the second computation costs nothing.

mod expansion;
mod functions;
mod lanes;
mod linear;
pub(crate) mod simd;
mod terms;

use expansion::Expansion;
use linear::Linear;

use crate::calibrate::Calibration;
use crate::data::either::Rows;
use crate::data::matrix::Matrix;
use crate::data::rows::{Row, RowError, RowFault};
use crate::data::scaling::Scaling;
use crate::model::Model;
use crate::model::machine::Machine;
use crate::score::simd::Simd;

/// A model compiled for scoring feature vectors: immutable, shared by reference between threads, without allocation.
///
/// ```
/// use upbeat_svm::{Model, Parameters, Problem};
///
/// let problem = Problem::read("1 1:2\n1 1:3\n1 1:2.5\n0 1:0\n0 1:-1\n0 1:0.1\n".as_bytes())?;
/// let model = Model::train(&problem, &Parameters::default())?;
/// let scorer = model.scorer();
/// let score = scorer.score(&[2.2]);
/// assert!(score > 0.0, "above 0 means the positive label");
/// assert!(scorer.probability(score) > Some(0.5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Scorer {
    form: Form,
    simd: Simd,
    calibration: Option<Calibration>,
}

#[derive(Debug, Clone)]
enum Form {
    Linear(Linear),
    Kernel(Expansion),
}

impl Scorer {
    /// Compiles a model.
    pub fn new(model: &Model) -> Self {
        Self::compile(
            &model.parts().machine,
            model.parts().scaling.as_ref(),
            model.parts().calibration.clone(),
        )
    }

    /// Compiles a machine with its scaling; both have the same number of features.
    pub fn compile(machine: &Machine, scaling: Option<&Scaling>, calibration: Option<Calibration>) -> Self {
        let form = match machine {
            Machine::Linear { weights, bias } => Form::Linear(Linear::new(weights, *bias, scaling)),
            Machine::Kernel { kernel, vectors, coefficients, bias } => {
                Form::Kernel(Expansion::new(*kernel, vectors, coefficients, *bias, scaling))
            }
        };
        Self { form, simd: Simd::detect(), calibration }
    }

    /// The same scorer with other vector instructions than the widest that the processor has; for tests and benches.
    pub fn with_simd(mut self, simd: Simd) -> Self {
        self.simd = simd;
        self
    }

    /// How many features a row must have.
    pub fn features(&self) -> usize {
        match &self.form {
            Form::Linear(linear) => linear.features(),
            Form::Kernel(expansion) => expansion.features(),
        }
    }

    /// Whether a score takes no longer than a sum over the features.
    pub fn is_linear(&self) -> bool {
        matches!(self.form, Form::Linear(_))
    }

    /// The decision value of one unscaled row; above 0 means the positive label.
    ///
    /// # Panics
    /// When `x.len()` is not [`Scorer::features`].
    #[inline]
    pub fn score(&self, x: &[f64]) -> f64 {
        assert_eq!(x.len(), self.features(), "a row has as many values as the model has features");
        match &self.form {
            Form::Linear(linear) => linear.score(x),
            Form::Kernel(expansion) => {
                let mut score = 0.0;
                expansion.score(self.simd, x, std::slice::from_mut(&mut score));
                score
            }
        }
    }

    /// The decision values of unscaled rows, each bit by bit that of [`Scorer::score`].
    ///
    /// # Panics
    /// When rows are not [`Scorer::features`] wide, or `scores` is not as long as there are rows.
    pub fn score_batch(&self, rows: &Matrix, scores: &mut [f64]) {
        assert_eq!(rows.columns(), self.features(), "a row has as many values as the model has features");
        assert_eq!(rows.len(), scores.len(), "every row has a place for its score");
        match &self.form {
            Form::Linear(linear) => {
                rows.rows().zip(scores).for_each(|(row, score)| *score = linear.score(row));
            }
            Form::Kernel(expansion) => expansion.score(self.simd, rows.values(), scores),
        }
    }

    /// The decision values of the named rows, each bit by bit that of [`Scorer::score`].
    pub(crate) fn score_rows(&self, x: &Rows, rows: &[usize]) -> Vec<f64> {
        match x {
            Rows::Dense(x) => rows.iter().map(|&row| self.score(x.row(row))).collect(),
            Rows::Sparse(x) => {
                let mut cells = vec![0.0; x.columns()];
                rows.iter().map(|&row| self.score_entries(x.row(row), &mut cells)).collect()
            }
        }
    }

    /// The decision value of a row of libSVM text, bit by bit that of [`Scorer::score`]. It costs what the row has
    /// written, not the model's width, for a linear model that subtracts no means.
    ///
    /// `cells` is room for a row: [`Scorer::features`] zeros, and so they are again afterwards.
    ///
    /// ```
    /// use upbeat_svm::{Machine, RowReader, Scorer};
    ///
    /// let machine = Machine::Linear { weights: vec![2.0, -1.0, 5.0], bias: 0.5 };
    /// let scorer = Scorer::compile(&machine, None, None);
    /// let mut cells = vec![0.0; scorer.features()];
    /// let mut rows = RowReader::new("1 2:4\n0 1:1 3:1\n".as_bytes());
    /// let row = rows.next_row()?.unwrap();
    /// assert_eq!(scorer.score_row(&row, &mut cells)?, -3.5);
    /// let row = rows.next_row()?.unwrap();
    /// assert_eq!(scorer.score_row(&row, &mut cells)?, 7.5);
    /// # Ok::<(), upbeat_svm::RowError>(())
    /// ```
    ///
    /// # Errors
    /// An index that is greater than the model's number of features; values so great that the score is no finite number,
    /// which would name a label all the same.
    ///
    /// # Panics
    /// When `cells.len()` is not [`Scorer::features`].
    pub fn score_row(&self, row: &Row<'_>, cells: &mut [f64]) -> Result<f64, RowError> {
        row.check_width(self.features())?;
        let score = self.score_entries(row.entries.iter().map(|&(index, value)| (index - 1, value)), cells);
        if score.is_finite() { Ok(score) } else { Err(row.fault(RowFault::Score)) }
    }

    /// The score of a row given by its columns and values. `cells` are zeros, before and after.
    fn score_entries(
        &self,
        entries: impl ExactSizeIterator<Item = (usize, f64)> + Clone,
        cells: &mut [f64],
    ) -> f64 {
        let worth = entries.len() < self.features() / 4;
        if let (Form::Linear(linear), true) = (&self.form, worth)
            && let Some(score) = linear.score_entries(entries.clone())
        {
            return score;
        }
        entries.clone().for_each(|(column, value)| cells[column] = value);
        let score = self.score(cells);
        entries.for_each(|(column, _)| cells[column] = 0.0);
        score
    }

    /// The change of the score per unit of each feature; none for a kernel expansion.
    pub(crate) fn weights(&self) -> Option<&[f64]> {
        match &self.form {
            Form::Linear(linear) => Some(linear.folded()),
            Form::Kernel(_) => None,
        }
    }

    /// The probability of the positive label, `0.0..=1.0`; none for a model without calibration.
    pub fn probability(&self, score: f64) -> Option<f64> {
        self.calibration.as_ref().map(|calibration| calibration.probability(score))
    }
}

/// Weights and bias for unscaled rows: `w·(x-m)/s + b = (w/s)·x + (b - Σ w m/s)`.
pub(crate) fn fold(weights: &[f64], bias: f64, scaling: Option<&Scaling>) -> (Vec<f64>, f64) {
    let Some(scaling) = scaling else {
        return (weights.to_vec(), bias);
    };
    let folded: Vec<f64> = weights.iter().zip(&scaling.scale).map(|(weight, scale)| weight / scale).collect();
    let shift: f64 = folded.iter().zip(&scaling.mean).map(|(weight, mean)| weight * mean).sum();
    (folded, bias - shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::Platt;
    use crate::data::sparse::SparseMatrix;
    use crate::kernel::Kernel;
    use proptest::prelude::*;

    fn kernels() -> impl Strategy<Value = Kernel> {
        prop_oneof![
            Just(Kernel::Linear),
            (0.01f64..3.0).prop_map(|gamma| Kernel::Rbf { gamma }),
            (0.01f64..1.0, -1.0f64..1.0, 1u32..5).prop_map(|(gamma, coef0, degree)| Kernel::Poly {
                gamma,
                coef0,
                degree
            }),
            (0.01f64..1.0, -1.0f64..1.0).prop_map(|(gamma, coef0)| Kernel::Sigmoid { gamma, coef0 }),
        ]
    }

    proptest! {
        #[test]
        fn scores_equal_the_plain_formula(
            kernel in kernels(),
            features in prop_oneof![1usize..9, Just(6), 63usize..67],
            vectors in 1usize..12,
            scaled in any::<bool>(),
            centred in any::<bool>(),
            zeros in prop_oneof![Just(1usize), Just(2), Just(9)],
            seed in proptest::collection::vec(-2.0f64..2.0, 100)
        ) {
            let mut next = seed.iter().cycle().enumerate().map(|(i, v)| v + (i as f64 * 0.37).sin());
            let mut take = |count: usize| -> Vec<f64> { next.by_ref().take(count).collect() };
            let mut rows = Matrix::new(features);
            (0..vectors).for_each(|_| rows.push(&take(features)));
            let machine = Machine::from_expansion(kernel, rows, take(vectors), 0.25);
            let scaling = Scaling {
                mean: if centred { take(features) } else { vec![0.0; features] },
                scale: take(features).iter().map(|v| v.abs() + 0.1).collect(),
            };
            let scaling = scaled.then_some(scaling);
            let mut x = take(features);
            x.iter_mut().enumerate().filter(|(at, _)| at % zeros != 0).for_each(|(_, x)| *x = 0.0);

            let mut row = x.clone();
            if let Some(scaling) = &scaling {
                scaling.apply(&mut row);
            }
            let naive = machine.score(&row);
            let scorer = Scorer::compile(&machine, scaling.as_ref(), None);
            for &simd in Simd::available() {
                let score = scorer.clone().with_simd(simd).score(&x);
                let near = (score - naive).abs() <= 1e-9 * naive.abs().max(1.0);
                prop_assert!(near, "{:?}: {} {}", simd, score, naive);
            }
        }
    }

    proptest! {
        #[test]
        fn rows_score_the_same_whether_zeros_are_written_or_not(
            kernel in kernels(),
            features in prop_oneof![1usize..9, 60usize..70],
            values in proptest::collection::btree_map(1usize..70, -2.0f64..2.0, 0..12),
            weights in proptest::collection::vec(-2.0f64..2.0, 70),
            centred in any::<bool>(),
            bias in prop_oneof![Just(0.0), -1.0f64..1.0]
        ) {
            let entries: Vec<_> = values.into_iter().filter(|entry| entry.0 <= features).collect();
            let mut dense = vec![0.0; features];
            entries.iter().for_each(|&(index, value)| dense[index - 1] = value);
            let vectors = Matrix::from_rows([&weights[..features]]);
            let machine = Machine::from_expansion(kernel, vectors, vec![1.0], bias);
            let mean = if centred { weights[70 - features..].to_vec() } else { vec![0.0; features] };
            let scaling = Scaling { mean, scale: weights[..features].iter().map(|v| v.abs() + 0.1).collect() };
            let scorer = Scorer::compile(&machine, Some(&scaling), None);
            let expected = scorer.score(&dense).to_bits();
            let mut cells = vec![0.0; features];
            let row = Row { line: 1, label: "1", value: 1.0, entries: &entries };
            prop_assert_eq!(scorer.score_row(&row, &mut cells).unwrap().to_bits(), expected);
            prop_assert_eq!(&cells, &vec![0.0; features]);
            let mut sparse = SparseMatrix::new(features);
            sparse.push(entries.iter().map(|&(index, value)| (index - 1, value)));
            prop_assert_eq!(scorer.score_rows(&sparse.into(), &[0])[0].to_bits(), expected);
        }
    }

    #[test]
    fn kernel_values_are_right_in_the_last_places_whatever_the_instructions() {
        let one = |kernel: Kernel, value: f64| {
            let mut vectors = Matrix::new(1);
            vectors.push(&[value]);
            Scorer::compile(&Machine::from_expansion(kernel, vectors, vec![1.0], 0.0), None, None)
        };
        let near = |actual: f64, expected: f64, roundings: f64| {
            (actual - expected).abs() <= roundings * f64::EPSILON * expected.abs()
        };
        for &simd in Simd::available() {
            let rbf = one(Kernel::Rbf { gamma: 0.5 }, 0.0).with_simd(simd);
            let sigmoid = one(Kernel::Sigmoid { gamma: 1.0, coef0: 0.0 }, 1.0).with_simd(simd);
            for x in (1..4000).map(|i| f64::from(i) / 200.0) {
                // A rounding in the exponent weighs as much as the exponent is great.
                let (actual, expected) = (rbf.score(&[x]), (-0.5 * x * x).exp());
                assert!(near(actual, expected, 3.0 + x * x), "{simd:?} {x}: {actual} {expected}");
                for x in [x, -x, x * 1e-3, x * 1e-9] {
                    let (actual, expected) = (sigmoid.score(&[x]), x.tanh());
                    assert!(near(actual, expected, 4.0), "{simd:?} {x}: {actual} {expected}");
                }
            }
        }
    }

    #[test]
    fn rows_of_extreme_values_score_as_the_plain_formula_does() {
        for kernel in [
            Kernel::Linear,
            Kernel::Rbf { gamma: 2.0 },
            Kernel::Poly { gamma: 2.0, coef0: 1.0, degree: 3 },
            Kernel::Sigmoid { gamma: 2.0, coef0: 1.0 },
        ] {
            let mut vectors = Matrix::new(2);
            [[0.5, -0.5], [1e200, 0.0], [0.0, 1e-200]].iter().for_each(|vector| vectors.push(vector));
            let machine = Machine::Kernel { kernel, vectors, coefficients: vec![1.0, -1.5, 0.5], bias: 0.0 };
            let scorer = Scorer::compile(&machine, None, None);
            for x in [
                [0.0, 0.0],
                [1e160, -1e160],
                [1e308, 1e308],
                [-1e200, 3.0],
                [f64::NAN, 1.0],
                [f64::INFINITY, 0.0],
            ] {
                for &simd in Simd::available() {
                    let (score, plain) = (scorer.clone().with_simd(simd).score(&x), machine.score(&x));
                    assert!(
                        score == plain
                            || score.is_nan() && plain.is_nan()
                            || (score - plain).abs() < 1e-12 * plain.abs(),
                        "{kernel} {simd:?} {x:?}: {score} {plain}"
                    );
                }
            }
        }
    }

    #[test]
    fn probability_needs_calibration() {
        let machine = Machine::Linear { weights: vec![1.0], bias: 0.0 };
        assert_eq!(Scorer::compile(&machine, None, None).probability(0.0), None);
        let calibration = Some(Calibration::Platt(Platt { a: -1.0, b: 0.0 }));
        assert_eq!(Scorer::compile(&machine, None, calibration).probability(0.0), Some(0.5));
    }
}
