//! Rows as the linear solvers read them: contiguous, signed, padded to whole cache lines.

use crate::data::either::Rows;
use crate::solve::Examples;

/// Numbers in a cache line.
pub(super) const WIDTH: usize = 8;

/// A cache line of numbers.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line(pub [f64; WIDTH]);

impl Line {
    pub const ZERO: Self = Self([0.0; WIDTH]);
}

/// Weights of a known number of lines live in registers; those of any other number in a vector.
pub(super) trait Weights: AsRef<[Line]> + AsMut<[Line]> + Clone {}

impl<T: AsRef<[Line]> + AsMut<[Line]> + Clone> Weights for T {}

/// Rows times their signs (+1 or −1), with the signed constant feature behind the others.
///
/// With `z` such a row and `w` the weights, `z·w` is sign times decision value, and a step of the row's
/// multiplier adds a multiple of `z` to `w`: the sign appears nowhere else.
#[derive(Debug)]
pub(super) struct Packed {
    lines: Vec<Line>,
    columns: usize,
}

impl Packed {
    /// All rows, in their order.
    pub fn new(examples: &Examples, constant: f64) -> Self {
        let columns = examples.x.columns();
        let lines_per_row = Self::lines_for(columns);
        let mut lines = vec![Line::ZERO; examples.x.len() * lines_per_row];
        let packed = lines.chunks_exact_mut(lines_per_row);
        for (row, (packed, &positive)) in packed.zip(examples.positive).enumerate() {
            let sign = if positive { 1.0 } else { -1.0 };
            match examples.x {
                Rows::Dense(x) => {
                    for (line, values) in packed.iter_mut().zip(x.row(row).chunks(WIDTH)) {
                        line.0.iter_mut().zip(values).for_each(|(slot, value)| *slot = sign * value);
                    }
                }
                Rows::Sparse(x) => {
                    for (column, value) in x.row(row) {
                        packed[column / WIDTH].0[column % WIDTH] = sign * value;
                    }
                }
            }
            packed[columns / WIDTH].0[columns % WIDTH] = sign * constant;
        }
        Self { lines, columns }
    }

    /// Lines of a row of so many features, and of its weights.
    pub fn lines_for(columns: usize) -> usize {
        (columns + 1).div_ceil(WIDTH)
    }

    /// Where the constant feature's weight is.
    pub fn constant<'a>(&self, weights: &'a mut [Line]) -> &'a mut f64 {
        &mut weights[self.columns / WIDTH].0[self.columns % WIDTH]
    }

    /// One row of `lines` lines, which is [`Packed::lines_for`] its columns; the caller may know it as a constant.
    #[inline]
    pub fn row(&self, row: usize, lines: usize) -> &[Line] {
        &self.lines[row * lines..(row + 1) * lines]
    }

    /// All rows, one after the other.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Prefetches the start of a row.
    #[inline]
    pub fn fetch(&self, row: usize, lines: usize) {
        if let Some(line) = self.lines.get(row * lines) {
            fetch(line);
        }
    }

    /// The rows in order, each of `lines` lines.
    pub fn rows(&self, lines: usize) -> std::slice::ChunksExact<'_, Line> {
        self.lines.chunks_exact(lines)
    }
}

/// Prefetches a value. A million rows are more than fits into its
/// caches, and they are visited in random order.
#[inline]
pub(super) fn fetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint without effect on memory; every processor of the target has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// The inner product. The order of the additions is the same on every processor, and so is the result.
#[inline]
pub(super) fn dot(weights: &[Line], row: &[Line]) -> f64 {
    let mut sums = [0.0; WIDTH];
    for (weights, row) in weights.iter().zip(row) {
        for (sum, (weight, value)) in sums.iter_mut().zip(weights.0.iter().zip(&row.0)) {
            *sum += weight * value;
        }
    }
    let [a, b, c, d] = [sums[0] + sums[4], sums[1] + sums[5], sums[2] + sums[6], sums[3] + sums[7]];
    (a + c) + (b + d)
}

/// `weights += factor · row`
#[inline]
pub(super) fn add(weights: &mut [Line], factor: f64, row: &[Line]) {
    for (weights, row) in weights.iter_mut().zip(row) {
        for (weight, value) in weights.0.iter_mut().zip(&row.0) {
            *weight += factor * value;
        }
    }
}
