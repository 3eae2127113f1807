//! The four kernels, with libSVM's formulas and names.

use crate::data::fixed::Shortest;

/// A kernel and its parameters; all finite, `gamma` > 0, `degree` in `1..=10`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kernel {
    /// `u·v`
    Linear,
    /// `exp(-gamma |u-v|²)`
    Rbf {
        /// Inverse squared width.
        gamma: f64,
    },
    /// `(gamma u·v + coef0)^degree`
    Poly {
        /// Factor of the inner product.
        gamma: f64,
        /// Added to the inner product.
        coef0: f64,
        /// The power.
        degree: u32,
    },
    /// `tanh(gamma u·v + coef0)`
    Sigmoid {
        /// Factor of the inner product.
        gamma: f64,
        /// Added to the inner product.
        coef0: f64,
    },
}

/// The greatest degree of the polynomial kernel.
pub const MAX_DEGREE: u32 = 10;

impl Kernel {
    /// The kernel's value for two vectors of equal length.
    #[inline]
    pub fn apply(&self, u: &[f64], v: &[f64]) -> f64 {
        self.of_pairs(u.iter().copied().zip(v.iter().copied()))
    }

    /// The kernel's value for two vectors whose values come in pairs, feature by feature.
    #[inline]
    pub(crate) fn of_pairs(&self, pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
        self.of_sum(match self {
            Self::Rbf { .. } => squared_distance(pairs),
            _ => dot(pairs),
        })
    }

    /// The kernel's value for two vectors of this inner product, or of this squared distance where it is the RBF kernel.
    #[inline]
    pub(crate) fn of_sum(&self, sum: f64) -> f64 {
        match *self {
            Self::Linear => sum,
            Self::Rbf { gamma } => (-gamma * sum).exp(),
            Self::Poly { gamma, coef0, degree } => (gamma * sum + coef0).powi(degree as i32),
            Self::Sigmoid { gamma, coef0 } => (gamma * sum + coef0).tanh(),
        }
    }

    /// `linear`, `rbf`, `poly` or `sigmoid`, as on the command line and in model files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Rbf { .. } => "rbf",
            Self::Poly { .. } => "poly",
            Self::Sigmoid { .. } => "sigmoid",
        }
    }

    /// The kernel's `gamma`; none for the linear kernel.
    pub fn gamma(&self) -> Option<f64> {
        match *self {
            Self::Linear => None,
            Self::Rbf { gamma } | Self::Poly { gamma, .. } | Self::Sigmoid { gamma, .. } => Some(gamma),
        }
    }

    /// The same kernel with another `gamma`; the linear kernel has none and stays as it is.
    pub fn with_gamma(self, gamma: f64) -> Self {
        match self {
            Self::Linear => Self::Linear,
            Self::Rbf { .. } => Self::Rbf { gamma },
            Self::Poly { coef0, degree, .. } => Self::Poly { gamma, coef0, degree },
            Self::Sigmoid { coef0, .. } => Self::Sigmoid { gamma, coef0 },
        }
    }

    /// The kernel's `coef0`; none for the linear and RBF kernels.
    pub fn coef0(&self) -> Option<f64> {
        match *self {
            Self::Poly { coef0, .. } | Self::Sigmoid { coef0, .. } => Some(coef0),
            _ => None,
        }
    }

    /// The power of the polynomial kernel.
    pub fn degree(&self) -> Option<u32> {
        match *self {
            Self::Poly { degree, .. } => Some(degree),
            _ => None,
        }
    }

    /// The first parameter that is out of range, with what is wanted instead.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        if self.gamma().is_some_and(|gamma| !(gamma.is_finite() && gamma > 0.0)) {
            return Some(("gamma", "a finite number above 0"));
        }
        if self.coef0().is_some_and(|coef0| !coef0.is_finite()) {
            return Some(("coef0", "a finite number"));
        }
        if self.degree().is_some_and(|degree| !(1..=MAX_DEGREE).contains(&degree)) {
            return Some(("degree", "a whole number from 1 to 10"));
        }
        None
    }
}

impl std::fmt::Display for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())?;
        if let Some(gamma) = self.gamma() {
            write!(f, " gamma={}", Shortest(gamma))?;
        }
        if let Some(coef0) = self.coef0() {
            write!(f, " coef0={}", Shortest(coef0))?;
        }
        if let Some(degree) = self.degree() {
            write!(f, " degree={degree}")?;
        }
        Ok(())
    }
}

#[inline]
fn dot(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    pairs.map(|(u, v)| u * v).sum()
}

#[inline]
fn squared_distance(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    pairs.map(|(u, v)| (u - v) * (u - v)).sum()
}
