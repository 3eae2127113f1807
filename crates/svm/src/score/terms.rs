//! The kernels, for eight vectors at once.

use std::f64::consts::LOG2_E;

use super::functions::{exp2, power, tanh};
use super::lanes::Lanes;

/// A kernel in two parts: a sum over the features, and a function of that sum.
pub(super) trait Terms: Copy {
    /// Adds one feature of eight vectors and of the row.
    fn add<L: Lanes>(self, sum: L, vectors: L, x: L) -> L;

    /// The sum over the features of a row of zeros, for eight vectors with these squared lengths.
    #[inline(always)]
    fn of_zeros<L: Lanes>(self, squares: L) -> L {
        squares.constant(0.0)
    }

    /// Adds to that what a feature of the row comes to beyond a zero.
    #[inline(always)]
    fn add_beyond_zero<L: Lanes>(self, sum: L, vectors: L, x: L) -> L {
        self.add(sum, vectors, x)
    }

    /// The kernel's values.
    fn value<L: Lanes>(self, sum: L) -> L;

    /// What a value, and the value's own rounding errors in units of the last place, come to at most, when
    /// the lengths of the two vectors have this product (Cauchy and Schwarz: `|u·v| ≤ |u| |v|`).
    fn magnitude(self, lengths: f64) -> f64;

    /// What it comes to beside that where the sum begins with [`Terms::of_zeros`]; `squares` is the sum of the two squared
    /// lengths.
    fn magnitude_beside_zeros(self, _squares: f64) -> f64 {
        0.0
    }
}

/// `u·v`
#[derive(Clone, Copy)]
pub(super) struct Inner;

impl Terms for Inner {
    #[inline(always)]
    fn add<L: Lanes>(self, sum: L, vectors: L, x: L) -> L {
        vectors.times_plus(x, sum)
    }

    #[inline(always)]
    fn value<L: Lanes>(self, sum: L) -> L {
        sum
    }

    #[inline(always)]
    fn magnitude(self, lengths: f64) -> f64 {
        lengths
    }
}

/// `exp(-gamma |u-v|²)`, as a power of two.
#[derive(Clone, Copy)]
pub(super) struct Rbf {
    /// `-gamma · log2 e`
    rate: f64,
}

impl Rbf {
    pub fn new(gamma: f64) -> Self {
        Self { rate: -gamma * LOG2_E }
    }
}

impl Terms for Rbf {
    #[inline(always)]
    fn add<L: Lanes>(self, sum: L, vectors: L, x: L) -> L {
        let difference = vectors.minus(x);
        difference.times_plus(difference, sum)
    }

    #[inline(always)]
    fn of_zeros<L: Lanes>(self, squares: L) -> L {
        squares
    }

    #[inline(always)]
    fn add_beyond_zero<L: Lanes>(self, sum: L, vectors: L, x: L) -> L {
        // (x − v)² − v²
        x.times_plus(vectors.times_plus(x.constant(-2.0), x), sum)
    }

    #[inline(always)]
    fn value<L: Lanes>(self, sum: L) -> L {
        exp2(sum.times(sum.constant(self.rate)))
    }

    #[inline(always)]
    fn magnitude(self, _lengths: f64) -> f64 {
        // `z e^-z` is at most 1/e: an error in the exponent weighs less the greater that is.
        1.0
    }

    fn magnitude_beside_zeros(self, squares: f64) -> f64 {
        // Squares of which little is left leave their own roundings.
        self.rate.abs() * squares
    }
}

/// `(gamma u·v + coef0)^degree`
#[derive(Clone, Copy)]
pub(super) struct Poly {
    pub gamma: f64,
    pub coef0: f64,
    pub degree: u32,
}

impl Terms for Poly {
    #[inline(always)]
    fn add<L: Lanes>(self, sum: L, vectors: L, x: L) -> L {
        Inner.add(sum, vectors, x)
    }

    #[inline(always)]
    fn value<L: Lanes>(self, sum: L) -> L {
        let base = sum.times_plus(sum.constant(self.gamma), sum.constant(self.coef0));
        power(base, self.degree)
    }

    #[inline(always)]
    fn magnitude(self, lengths: f64) -> f64 {
        let base = self.gamma * lengths + self.coef0.abs();
        (1..self.degree).fold(base, |power, _| power * base)
    }
}

/// `tanh(gamma u·v + coef0)`
#[derive(Clone, Copy)]
pub(super) struct Sigmoid {
    pub gamma: f64,
    pub coef0: f64,
}

impl Terms for Sigmoid {
    #[inline(always)]
    fn add<L: Lanes>(self, sum: L, vectors: L, x: L) -> L {
        Inner.add(sum, vectors, x)
    }

    #[inline(always)]
    fn value<L: Lanes>(self, sum: L) -> L {
        tanh(sum.times_plus(sum.constant(self.gamma), sum.constant(self.coef0)))
    }

    #[inline(always)]
    fn magnitude(self, lengths: f64) -> f64 {
        1.0 + self.gamma * lengths + self.coef0.abs()
    }
}
