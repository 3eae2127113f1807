//! A trained decision function: vectors, coefficients and a bias, in scaled space.

use crate::data::either::Rows;
use crate::data::matrix::Matrix;
use crate::kernel::Kernel;

/// A trained decision function over scaled rows; a score above 0 means the positive label.
#[derive(Debug, Clone, PartialEq)]
pub enum Machine {
    /// `weights·x + bias`
    Linear {
        /// One weight per feature.
        weights: Vec<f64>,
        /// Added to the sum.
        bias: f64,
    },
    /// `Σ coefficient_i · K(vector_i, x) + bias`
    Kernel {
        /// Any kernel; a linear one is better kept as [`Machine::Linear`].
        kernel: Kernel,
        /// The support vectors, scaled as the rows were.
        vectors: Matrix,
        /// One per support vector: label (±1) times multiplier.
        coefficients: Vec<f64>,
        /// Added to the sum.
        bias: f64,
    },
}

impl Machine {
    /// The machine of a kernel expansion; the linear kernel's is collapsed into its weights. The vectors of another
    /// kernel become dense.
    pub fn from_expansion(
        kernel: Kernel,
        vectors: impl Into<Rows>,
        coefficients: Vec<f64>,
        bias: f64,
    ) -> Self {
        let vectors = vectors.into();
        if kernel != Kernel::Linear {
            return Self::Kernel { kernel, vectors: vectors.into_dense(), coefficients, bias };
        }
        let mut weights = vec![0.0; vectors.columns()];
        for (row, &coefficient) in coefficients.iter().enumerate() {
            vectors.add_to(row, coefficient, &mut weights);
        }
        Self::Linear { weights, bias }
    }

    /// The score of one scaled row, term by term as the formula reads; [`Scorer`](crate::Scorer) computes it in
    /// vector instructions.
    pub fn score(&self, x: &[f64]) -> f64 {
        match self {
            Self::Linear { weights, bias } => Kernel::Linear.apply(weights, x) + bias,
            Self::Kernel { kernel, vectors, coefficients, bias } => {
                let terms = vectors.rows().zip(coefficients);
                terms.map(|(vector, coefficient)| coefficient * kernel.apply(vector, x)).sum::<f64>() + bias
            }
        }
    }

    /// The kernel; linear for weights.
    pub fn kernel(&self) -> Kernel {
        match self {
            Self::Linear { .. } => Kernel::Linear,
            Self::Kernel { kernel, .. } => *kernel,
        }
    }

    /// How many features a row has.
    pub fn features(&self) -> usize {
        match self {
            Self::Linear { weights, .. } => weights.len(),
            Self::Kernel { vectors, .. } => vectors.columns(),
        }
    }

    /// The bias.
    pub fn bias(&self) -> f64 {
        match *self {
            Self::Linear { bias, .. } | Self::Kernel { bias, .. } => bias,
        }
    }

    /// How many support vectors there are; none are kept for a linear machine.
    pub fn support_vectors(&self) -> usize {
        match self {
            Self::Linear { .. } => 0,
            Self::Kernel { coefficients, .. } => coefficients.len(),
        }
    }
}
