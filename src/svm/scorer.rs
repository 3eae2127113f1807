//! A model compiled for scoring: contiguous, without allocation for up to 64 features.

use super::calibration::Calibration;
use super::kernel::Kernel;
use super::machine::Machine;
use super::model::Model;
use super::scaling::Scaling;

/// Rows up to this wide are scaled on the stack.
const STACK_FEATURES: usize = 64;

/// Scores feature vectors. Cheap to share, immutable.
#[derive(Debug, Clone)]
pub struct Scorer {
    form: Form,
    features: usize,
    bias: f64,
    calibration: Option<Calibration>,
}

#[derive(Debug, Clone)]
enum Form {
    /// Scaling is folded into the weights and the bias.
    Linear { weights: Box<[f64]> },
    /// Each support vector is followed by its coefficient, so a score reads memory once, forwards.
    Kernel { kernel: Kernel, vectors: Box<[f64]>, mean: Box<[f64]>, inverse_scale: Box<[f64]> },
}

impl Scorer {
    /// Compiles a model.
    pub fn new(model: &Model) -> Self {
        Self::compile(&model.parts().machine, model.parts().scaling.as_ref(), model.parts().calibration)
    }

    /// Compiles a machine with its scaling; both have the same number of features.
    pub fn compile(machine: &Machine, scaling: Option<&Scaling>, calibration: Option<Calibration>) -> Self {
        let features = machine.features();
        let (form, bias) = match machine {
            Machine::Linear { weights, bias } => {
                let (weights, bias) = fold(weights, *bias, scaling);
                (Form::Linear { weights: weights.into() }, bias)
            }
            Machine::Kernel { kernel, vectors, coefficients, bias } => {
                let mut flat = Vec::with_capacity(coefficients.len() * (features + 1));
                for (vector, &coefficient) in vectors.rows().zip(coefficients) {
                    flat.extend_from_slice(vector);
                    flat.push(coefficient);
                }
                let (mean, inverse_scale) = match scaling {
                    Some(scaling) => {
                        (scaling.mean.clone(), scaling.scale.iter().map(|scale| scale.recip()).collect())
                    }
                    None => (vec![0.0; features], vec![1.0; features]),
                };
                let form = Form::Kernel {
                    kernel: *kernel,
                    vectors: flat.into(),
                    mean: mean.into(),
                    inverse_scale: inverse_scale.into(),
                };
                (form, *bias)
            }
        };
        Self { form, features, bias, calibration }
    }

    /// How many features a row must have.
    pub fn features(&self) -> usize {
        self.features
    }

    /// The decision value of one unscaled row; above 0 means the positive label.
    ///
    /// # Panics
    /// When `x.len()` is not [`Scorer::features`].
    pub fn score(&self, x: &[f64]) -> f64 {
        assert_eq!(x.len(), self.features, "a row has as many values as the model has features");
        match &self.form {
            Form::Linear { weights } => self.bias + dot(weights, x),
            Form::Kernel { kernel, vectors, mean, inverse_scale } => {
                let scale = |scaled: &mut [f64]| {
                    for (i, slot) in scaled.iter_mut().enumerate() {
                        *slot = (x[i] - mean[i]) * inverse_scale[i];
                    }
                };
                if x.len() <= STACK_FEATURES {
                    let mut stack = [0.0; STACK_FEATURES];
                    let scaled = &mut stack[..x.len()];
                    scale(scaled);
                    self.bias + expansion(*kernel, vectors, scaled)
                } else {
                    let mut scaled = vec![0.0; x.len()];
                    scale(&mut scaled);
                    self.bias + expansion(*kernel, vectors, &scaled)
                }
            }
        }
    }

    /// The probability of the positive label, `0.0..=1.0`; none for a model without calibration.
    pub fn probability(&self, score: f64) -> Option<f64> {
        self.calibration.map(|calibration| calibration.probability(score))
    }
}

/// Weights and bias for unscaled rows: `w·(x-m)/s + b = (w/s)·x + (b - Σ w m/s)`.
pub(super) fn fold(weights: &[f64], bias: f64, scaling: Option<&Scaling>) -> (Vec<f64>, f64) {
    let Some(scaling) = scaling else {
        return (weights.to_vec(), bias);
    };
    let folded: Vec<f64> = weights.iter().zip(&scaling.scale).map(|(weight, scale)| weight / scale).collect();
    let shift: f64 = folded.iter().zip(&scaling.mean).map(|(weight, mean)| weight * mean).sum();
    (folded, bias - shift)
}

/// The inner product in three sums beside each other: one sum would wait for each addition in turn.
fn dot(weights: &[f64], x: &[f64]) -> f64 {
    let (weights, weights_left) = weights.as_chunks::<3>();
    let (x, x_left) = x.as_chunks::<3>();
    let mut sums = [0.0; 3];
    for (weights, x) in weights.iter().zip(x) {
        for i in 0..3 {
            sums[i] += weights[i] * x[i];
        }
    }
    let left: f64 = weights_left.iter().zip(x_left).map(|(weight, x)| weight * x).sum();
    sums[0] + sums[1] + sums[2] + left
}

/// `Σ coefficient · K(vector, x)`; the kernel is chosen once, so that each loop is a straight one.
fn expansion(kernel: Kernel, vectors: &[f64], x: &[f64]) -> f64 {
    match kernel {
        Kernel::Linear => sum(vectors, x, |vector| Kernel::Linear.apply(vector, x)),
        Kernel::Rbf { gamma } => sum(vectors, x, |vector| Kernel::Rbf { gamma }.apply(vector, x)),
        Kernel::Poly { gamma, coef0, degree } => {
            sum(vectors, x, |vector| Kernel::Poly { gamma, coef0, degree }.apply(vector, x))
        }
        Kernel::Sigmoid { gamma, coef0 } => {
            sum(vectors, x, |vector| Kernel::Sigmoid { gamma, coef0 }.apply(vector, x))
        }
    }
}

#[inline]
fn sum(vectors: &[f64], x: &[f64], value: impl Fn(&[f64]) -> f64) -> f64 {
    let terms = vectors.chunks_exact(x.len() + 1);
    terms.map(|chunk| chunk[x.len()] * value(&chunk[..x.len()])).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svm::problem::Matrix;
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
            seed in proptest::collection::vec(-2.0f64..2.0, 100)
        ) {
            let mut next = seed.iter().cycle().enumerate().map(|(i, v)| v + (i as f64 * 0.37).sin());
            let mut take = |count: usize| -> Vec<f64> { next.by_ref().take(count).collect() };
            let mut rows = Matrix::new(features);
            (0..vectors).for_each(|_| rows.push(&take(features)));
            let machine = Machine::from_expansion(kernel, rows, take(vectors), 0.25);
            let scaling = Scaling {
                mean: take(features),
                scale: take(features).iter().map(|v| v.abs() + 0.1).collect(),
            };
            let scaling = scaled.then_some(scaling);
            let x = take(features);

            let mut row = x.clone();
            if let Some(scaling) = &scaling {
                scaling.apply(&mut row);
            }
            let naive = machine.score(&row);
            let score = Scorer::compile(&machine, scaling.as_ref(), None).score(&x);
            prop_assert!((score - naive).abs() <= 1e-9 * naive.abs().max(1.0), "{} {}", score, naive);
        }
    }

    #[test]
    fn probability_needs_calibration() {
        let machine = Machine::Linear { weights: vec![1.0], bias: 0.0 };
        assert_eq!(Scorer::compile(&machine, None, None).probability(0.0), None);
        let calibration = Some(Calibration { a: -1.0, b: 0.0 });
        assert_eq!(Scorer::compile(&machine, None, calibration).probability(0.0), Some(0.5));
    }
}
