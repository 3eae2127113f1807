//! Signed rows as coordinate descent reads them, dense or sparse.

use super::packed::{self, Line, Packed, Weights};
use crate::data::sparse::SparseMatrix;
use crate::solve::Examples;

/// Rows times their signs (+1 or −1), with the signed constant feature behind the others; see [`Packed`].
pub(super) trait SignedRows {
    /// A weight a feature, and the constant feature's.
    type Weights: Clone;
    /// One row.
    type Row<'a>: Copy
    where
        Self: 'a;

    /// Weights of zero.
    fn zero(&self) -> Self::Weights;

    fn row(&self, row: usize) -> Self::Row<'_>;

    /// Prefetches the start of a row.
    fn fetch(&self, row: usize);

    /// The row's inner product with itself.
    fn square(&self, row: usize) -> f64;

    /// Where the constant feature's weight is.
    fn constant<'a>(&self, weights: &'a mut Self::Weights) -> &'a mut f64;

    fn dot(weights: &Self::Weights, row: Self::Row<'_>) -> f64;

    /// `weights += factor · row`
    fn add(weights: &mut Self::Weights, factor: f64, row: Self::Row<'_>);

    /// The inner product of weights with themselves.
    fn length_squared(weights: &Self::Weights) -> f64;
}

/// Packed rows with weights of a kind that may live in registers.
#[derive(Debug)]
pub(super) struct DenseRows<W> {
    packed: Packed,
    zero: W,
}

impl<W: Weights> DenseRows<W> {
    /// `zero` has as many lines as a row.
    pub fn new(examples: &Examples, constant: f64, zero: W) -> Self {
        Self { packed: Packed::new(examples, constant), zero }
    }

    #[inline]
    fn lines(&self) -> usize {
        self.zero.as_ref().len()
    }
}

impl<W: Weights> SignedRows for DenseRows<W> {
    type Weights = W;
    type Row<'a>
        = &'a [Line]
    where
        W: 'a;

    fn zero(&self) -> W {
        self.zero.clone()
    }

    #[inline]
    fn row(&self, row: usize) -> &[Line] {
        self.packed.row(row, self.lines())
    }

    #[inline]
    fn fetch(&self, row: usize) {
        self.packed.fetch(row, self.lines());
    }

    fn square(&self, row: usize) -> f64 {
        packed::dot(self.row(row), self.row(row))
    }

    fn constant<'a>(&self, weights: &'a mut W) -> &'a mut f64 {
        self.packed.constant(weights.as_mut())
    }

    #[inline]
    fn dot(weights: &W, row: &[Line]) -> f64 {
        packed::dot(weights.as_ref(), row)
    }

    #[inline]
    fn add(weights: &mut W, factor: f64, row: &[Line]) {
        packed::add(weights.as_mut(), factor, row);
    }

    fn length_squared(weights: &W) -> f64 {
        packed::dot(weights.as_ref(), weights.as_ref())
    }
}

/// Sparse rows where they are: nothing is copied.
#[derive(Debug)]
pub(super) struct SparseRows<'a> {
    x: &'a SparseMatrix,
    positive: &'a [bool],
    constant: f64,
}

/// What is not zero in a row, its sign, and the constant feature without it.
#[derive(Debug, Clone, Copy)]
pub(super) struct SparseRow<'a> {
    columns: &'a [u32],
    values: &'a [f64],
    sign: f64,
    constant: f64,
}

impl<'a> SparseRows<'a> {
    pub fn new(x: &'a SparseMatrix, positive: &'a [bool], constant: f64) -> Self {
        Self { x, positive, constant }
    }
}

/// The weights of the columns, and behind them the constant feature's.
impl SignedRows for SparseRows<'_> {
    type Weights = Vec<f64>;
    type Row<'b>
        = SparseRow<'b>
    where
        Self: 'b;

    fn zero(&self) -> Vec<f64> {
        vec![0.0; self.x.columns() + 1]
    }

    #[inline]
    fn row(&self, row: usize) -> SparseRow<'_> {
        let (columns, values) = self.x.parts(row);
        let sign = if self.positive[row] { 1.0 } else { -1.0 };
        SparseRow { columns, values, sign, constant: self.constant }
    }

    #[inline]
    fn fetch(&self, row: usize) {
        let (columns, values) = self.x.parts(row);
        columns.first().into_iter().for_each(packed::fetch);
        values.first().into_iter().for_each(packed::fetch);
    }

    fn square(&self, row: usize) -> f64 {
        let (_, values) = self.x.parts(row);
        values.iter().map(|value| value * value).sum::<f64>() + self.constant * self.constant
    }

    fn constant<'b>(&self, weights: &'b mut Vec<f64>) -> &'b mut f64 {
        &mut weights[self.x.columns()]
    }

    #[inline]
    fn dot(weights: &Vec<f64>, row: SparseRow<'_>) -> f64 {
        let of_constant = weights.last().map_or(0.0, |weight| weight * row.constant);
        let entries = row.columns.iter().zip(row.values);
        row.sign * entries.fold(of_constant, |sum, (&column, value)| sum + weights[column as usize] * value)
    }

    #[inline]
    fn add(weights: &mut Vec<f64>, factor: f64, row: SparseRow<'_>) {
        let factor = factor * row.sign;
        for (&column, value) in row.columns.iter().zip(row.values) {
            weights[column as usize] += factor * value;
        }
        if let Some(weight) = weights.last_mut() {
            *weight += factor * row.constant;
        }
    }

    fn length_squared(weights: &Vec<f64>) -> f64 {
        weights.iter().map(|weight| weight * weight).sum()
    }
}
