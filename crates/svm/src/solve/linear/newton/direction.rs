//! Newton's direction: the system of the Hessian, `penalty + Σ factor z zᵀ`.

use super::super::cholesky::Cholesky;
use super::rows::Rows;

/// Up to so many weights the matrix is made at once: it costs no more than a few steps of conjugate gradients.
pub(super) const ALWAYS_FACTORED: usize = 64;

/// As many steps of conjugate gradients cost as much as making the matrix, one in so many of its columns.
const WORTH_FACTORING: usize = 4;

/// Steps of conjugate gradients at most, where the matrix would be too great.
const MOST_STEPS: usize = 1000;

/// How small conjugate gradients make the residual, relative to the gradient: Newton's steps are then some ten, and one more
/// costs less than the steps of conjugate gradients of a residual that shrinks with the gradient.
const FORCING: f64 = 0.07;

/// Added to the diagonal where rounding has left no factor, relative to its greatest entry, at first.
const RIDGE: f64 = 1e-16;

/// The Hessian of the objective.
pub(super) struct Hessian<'a, R> {
    pub rows: &'a R,
    /// The second derivative of each row's loss times its cost.
    pub factors: &'a [f64],
    /// What is added to the bias's diagonal entry: 1 where the bias is regularised.
    pub of_bias: f64,
}

impl<R: Rows> Hessian<'_, R> {
    /// A direction of descent: about the solution of `H d = −gradient`. None where the numbers are too great for this
    /// arithmetic.
    pub fn direction(&self, gradient: &[f64]) -> Option<Vec<f64>> {
        let size = self.rows.bias() + 1;
        if size <= ALWAYS_FACTORED {
            return self.factored(gradient);
        }
        let narrow = self.rows.is_narrow();
        let steps = if narrow { size / WORTH_FACTORING } else { MOST_STEPS };
        let (direction, exact) = self.conjugate_gradients(gradient, steps);
        if !exact && narrow { self.factored(gradient) } else { direction }
    }

    fn penalty(&self, place: usize) -> f64 {
        if place == self.rows.bias() { self.of_bias } else { 1.0 }
    }

    /// Solves by Cholesky's factors.
    fn factored(&self, gradient: &[f64]) -> Option<Vec<f64>> {
        let (size, width) = (self.rows.bias() + 1, self.rows.width());
        let matrix = self.rows.matrix(self.factors);
        let entry = |row: usize, column: usize| {
            matrix[row * width + column] + if row == column { self.penalty(row) } else { 0.0 }
        };
        let greatest = (0..size).map(|place| entry(place, place)).fold(0.0, f64::max);
        if !greatest.is_finite() {
            return None;
        }
        // Where all margins are wide the losses do not bend: nothing holds a free bias, and great costs of
        // collinear columns leave no digit of the penalty.
        let ridges = std::iter::once(0.0).chain((0..8).map(|power| RIDGE * greatest * 100_f64.powi(power)));
        let cholesky = ridges
            .filter_map(|ridge| {
                Cholesky::new(size, |row, column| {
                    entry(row, column) + if row == column { ridge } else { 0.0 }
                })
            })
            .next()?;
        let mut direction: Vec<f64> = gradient.iter().map(|gradient| -gradient).collect();
        cholesky.solve(&mut direction);
        Some(direction)
    }

    /// Conjugate gradients with the Hessian's diagonal as preconditioner (Golub and Van Loan, "Matrix Computations",
    /// section 11.5; Hsia, Chiang and Lin, "Preconditioned conjugate gradient methods in truncated Newton frameworks for
    /// large-scale linear classification", ACML 2018), until the residual is [`FORCING`] times the gradient. Also
    /// returns whether it came to be.
    fn conjugate_gradients(&self, gradient: &[f64], steps: usize) -> (Option<Vec<f64>>, bool) {
        let width = gradient.len();
        let mut diagonal = vec![0.0; width];
        self.rows.squares(self.factors, &mut diagonal);
        let inverse: Vec<f64> = (0..width)
            .map(|place| {
                let entry = diagonal[place] + self.penalty(place);
                if entry > 0.0 { 1.0 / entry } else { 1.0 }
            })
            .collect();
        let mut residual: Vec<f64> = gradient.iter().map(|gradient| -gradient).collect();
        let mut solution = vec![0.0; width];
        let mut towards: Vec<f64> = residual.iter().zip(&inverse).map(|(r, inverse)| r * inverse).collect();
        let mut length = inner(&residual, &towards);
        let target = FORCING * FORCING * length;
        let mut curved = vec![0.0; width];
        for _ in 0..steps {
            if length <= target {
                return (Some(solution), true);
            }
            self.rows.curved(self.factors, &towards, &mut curved);
            (0..width).for_each(|place| curved[place] += self.penalty(place) * towards[place]);
            let step = length / inner(&towards, &curved);
            if !step.is_finite() || step <= 0.0 {
                break;
            }
            for place in 0..width {
                solution[place] += step * towards[place];
                residual[place] -= step * curved[place];
            }
            let before = length;
            length = residual.iter().zip(&inverse).map(|(r, inverse)| r * r * inverse).sum();
            for place in 0..width {
                towards[place] = residual[place] * inverse[place] + length / before * towards[place];
            }
        }
        let finite = solution.iter().all(|value| value.is_finite());
        (finite.then_some(solution), length <= target)
    }
}

/// The inner product.
pub(super) fn inner(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}
