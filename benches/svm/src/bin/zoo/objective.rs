//! The objective of a machine, whoever trained it: one function for all, in f64, out of weights or coefficients.

use serde::{Deserialize, Serialize};
use upbeat_svm::{Bias, Kernel, Loss};

use crate::data::{Data, Row};

/// A decision function, as a solver left it: positive scores for the positive class.
pub enum Decision {
    /// `weights·x + bias`, with the sum of the multipliers where it is known.
    Linear { weights: Vec<f64>, bias: f64, multipliers: Option<f64> },
    /// `Σ coefficient · K(vector, x) + bias`
    Expansion { vectors: Vec<Row>, coefficients: Vec<f64>, bias: f64 },
}

/// What was minimised.
#[derive(Clone, Copy)]
pub struct Task {
    pub kernel: Kernel,
    pub loss: Loss,
    pub bias: Bias,
    pub c: f64,
}

/// The objectives of a machine.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Objective {
    /// `|w|²/2 + C Σ loss`, with the bias squared where it is regularised.
    pub primal: f64,
    /// The dual, as a maximum below the primal; none for weights whose multipliers are not known.
    pub dual: Option<f64>,
    /// How far multipliers leave 0…C or their balance, relative to their sum; for expansions.
    pub infeasible: f64,
}

/// The objective of a decision function on the rows it was trained on.
pub fn of(decision: &Decision, data: &Data, task: &Task) -> Objective {
    match decision {
        Decision::Linear { weights, bias, multipliers } => linear(weights, *bias, *multipliers, data, task),
        Decision::Expansion { vectors, coefficients, bias } => {
            expansion(vectors, coefficients, *bias, data, task)
        }
    }
}

fn linear(weights: &[f64], bias: f64, multipliers: Option<f64>, data: &Data, task: &Task) -> Objective {
    let score = |row: &Row| row.iter().map(|&(column, value)| weights[column] * value).sum::<f64>() + bias;
    let norm: f64 = weights.iter().map(|weight| weight * weight).sum();
    let norm = if task.bias == Bias::Regularised { norm + bias * bias } else { norm };
    let dual = multipliers.filter(|_| task.loss == Loss::Hinge).map(|sum| sum - norm / 2.0);
    Objective { primal: norm / 2.0 + losses(data, task, score), dual, infeasible: 0.0 }
}

fn losses(data: &Data, task: &Task, score: impl Fn(&Row) -> f64) -> f64 {
    let margins = data.rows.iter().zip(&data.positive);
    let margins = margins.map(|(row, &positive)| if positive { score(row) } else { -score(row) });
    task.c * margins.map(|margin| loss(task.loss, margin)).sum::<f64>()
}

fn loss(loss: Loss, margin: f64) -> f64 {
    let room = (1.0 - margin).max(0.0);
    match loss {
        Loss::Hinge => room,
        Loss::SquaredHinge => room * room,
        // log(1 + e^-m) without overflow.
        Loss::Logistic => (-margin.abs()).exp().ln_1p() + (-margin).max(0.0),
    }
}

fn expansion(vectors: &[Row], coefficients: &[f64], bias: f64, data: &Data, task: &Task) -> Objective {
    let prepared = Prepared::new(vectors, task.kernel);
    let value = |row: &Row| {
        let (values, norm) = (&prepared, squared(row));
        let terms = coefficients.iter().enumerate();
        terms.map(|(i, coefficient)| coefficient * values.kernel(i, row, norm)).sum::<f64>()
    };
    let norm: f64 = vectors.iter().zip(coefficients).map(|(row, coefficient)| coefficient * value(row)).sum();
    let sum: f64 = coefficients.iter().map(|coefficient| coefficient.abs()).sum();
    let squares: f64 = coefficients.iter().map(|coefficient| coefficient * coefficient).sum();
    // The dual of the squared hinge: no upper bound, and K + I/(2C) in the place of K.
    let (ridge, bound) = match task.loss {
        Loss::SquaredHinge => (squares / (2.0 * task.c), f64::INFINITY),
        _ => (0.0, task.c),
    };
    let balance = if task.bias == Bias::Free { coefficients.iter().sum::<f64>().abs() } else { 0.0 };
    let beyond = coefficients.iter().map(|coefficient| (coefficient.abs() - bound).max(0.0)).sum::<f64>();
    Objective {
        primal: norm / 2.0 + losses(data, task, |row| value(row) + bias),
        dual: Some(sum - (norm + ridge) / 2.0),
        infeasible: (balance + beyond) / sum.max(f64::MIN_POSITIVE),
    }
}

/// Support vectors with their squared lengths.
struct Prepared<'a> {
    vectors: &'a [Row],
    norms: Vec<f64>,
    kernel: Kernel,
}

impl<'a> Prepared<'a> {
    fn new(vectors: &'a [Row], kernel: Kernel) -> Self {
        Self { vectors, norms: vectors.iter().map(squared).collect(), kernel }
    }

    fn kernel(&self, vector: usize, row: &Row, norm: f64) -> f64 {
        value(self.kernel, &self.vectors[vector], self.norms[vector], row, norm)
    }
}

/// K of two rows of these squared lengths.
pub fn value(kernel: Kernel, u: &Row, u_norm: f64, v: &Row, v_norm: f64) -> f64 {
    match kernel {
        Kernel::Linear => dot(u, v),
        Kernel::Rbf { gamma } => (-gamma * (u_norm + v_norm - 2.0 * dot(u, v)).max(0.0)).exp(),
        Kernel::Poly { gamma, coef0, degree } => (gamma * dot(u, v) + coef0).powi(degree as i32),
        Kernel::Sigmoid { gamma, coef0 } => (gamma * dot(u, v) + coef0).tanh(),
    }
}

/// A row's squared length.
pub fn squared(row: &Row) -> f64 {
    row.iter().map(|entry| entry.1 * entry.1).sum()
}

fn dot(u: &Row, v: &Row) -> f64 {
    // Columns ascend, so that a row whose last column is its length has them all.
    let full = |row: &Row| row.last().is_some_and(|last| last.0 + 1 == row.len());
    if u.len() == v.len() && full(u) && full(v) {
        return u.iter().zip(v).map(|(a, b)| a.1 * b.1).sum();
    }
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    while let (Some(a), Some(b)) = (u.get(i), v.get(j)) {
        if a.0 == b.0 {
            sum += a.1 * b.1;
        }
        i += usize::from(a.0 <= b.0);
        j += usize::from(b.0 <= a.0);
    }
    sum
}
