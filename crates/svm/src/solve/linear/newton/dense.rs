//! Dense rows, in vector instructions.

use super::super::packed::{Line, Packed, WIDTH, add, dot};
use super::rows::{MAX_COLUMNS, Rows};
use crate::score::simd::Simd;
use crate::solve::Examples;
use crate::solve::vectorised::vectorised;

/// Bytes of rows that the sums of products run over at a time: half of a usual second-level cache.
const BLOCK_BYTES: usize = 128 << 10;

/// Rows of the matrix of products that are summed together, in registers.
const TILE: usize = 4;

/// Dense rows.
pub(super) struct Dense {
    rows: Packed,
    count: usize,
    columns: usize,
    simd: Simd,
}

impl Dense {
    /// With the widest instructions there are.
    pub fn new(examples: &Examples) -> Self {
        Self::with(examples, Simd::detect())
    }

    pub fn with(examples: &Examples, simd: Simd) -> Self {
        let (count, columns) = (examples.x.len(), examples.x.columns());
        Self { rows: Packed::new(examples, 1.0), count, columns, simd }
    }

    fn lines(&self) -> &[Line] {
        self.rows.lines()
    }
}

impl Rows for Dense {
    fn len(&self) -> usize {
        self.count
    }

    fn width(&self) -> usize {
        Packed::lines_for(self.columns) * WIDTH
    }

    fn bias(&self) -> usize {
        self.columns
    }

    fn products(&self, weights: &[f64], products: &mut [f64]) {
        dense_products(self.simd, self.lines(), &lines_of(weights), products);
    }

    fn sum(&self, factors: &[f64], sum: &mut [f64]) {
        let mut lines = vec![Line::ZERO; sum.len() / WIDTH];
        dense_sum(self.simd, self.lines(), factors, &mut lines);
        write(&lines, sum);
    }

    fn curved(&self, factors: &[f64], weights: &[f64], sum: &mut [f64]) {
        let mut lines = vec![Line::ZERO; sum.len() / WIDTH];
        dense_curved(self.simd, self.lines(), factors, &lines_of(weights), &mut lines);
        write(&lines, sum);
    }

    fn squares(&self, factors: &[f64], sum: &mut [f64]) {
        let mut lines = vec![Line::ZERO; sum.len() / WIDTH];
        dense_squares(self.simd, self.lines(), factors, &mut lines);
        write(&lines, sum);
    }

    fn is_narrow(&self) -> bool {
        self.columns <= MAX_COLUMNS
    }

    fn matrix(&self, factors: &[f64]) -> Vec<f64> {
        let lines = Packed::lines_for(self.columns);
        let mut matrix = vec![Line::ZERO; (self.columns + 1).next_multiple_of(TILE) * lines];
        dense_matrix(self.simd, self.lines(), factors, lines, &mut matrix);
        matrix.iter().flat_map(|line| line.0).collect()
    }
}

fn lines_of(weights: &[f64]) -> Vec<Line> {
    weights.as_chunks::<WIDTH>().0.iter().map(|line| Line(*line)).collect()
}

fn write(lines: &[Line], sum: &mut [f64]) {
    sum.as_chunks_mut::<WIDTH>().0.iter_mut().zip(lines).for_each(|(sum, line)| *sum = line.0);
}

// No sum depends on the instructions: none of these uses a fused multiplication, and lanes are those of a line.
vectorised! {
    fn dense_products(rows: &[Line], weights: &[Line], products: &mut [f64]) = products_body
}
vectorised! {
    fn dense_sum(rows: &[Line], factors: &[f64], sum: &mut [Line]) = sum_body
}
vectorised! {
    fn dense_curved(rows: &[Line], factors: &[f64], weights: &[Line], sum: &mut [Line]) = curved_body
}
vectorised! {
    fn dense_squares(rows: &[Line], factors: &[f64], sum: &mut [Line]) = squares_body
}
vectorised! {
    fn dense_matrix(rows: &[Line], factors: &[f64], lines: usize, matrix: &mut [Line]) = matrix_body
}

#[inline(always)]
fn products_body<const FMA: bool>(rows: &[Line], weights: &[Line], products: &mut [f64]) {
    // Few lines are counted at compile time.
    match weights.len() {
        1 => products_of::<1>(rows, weights, products),
        2 => products_of::<2>(rows, weights, products),
        _ => products_of::<0>(rows, weights, products),
    }
}

#[inline(always)]
fn products_of<const LINES: usize>(rows: &[Line], weights: &[Line], products: &mut [f64]) {
    let lines = if LINES == 0 { weights.len() } else { LINES };
    let weights = &weights[..lines];
    for (row, product) in rows.chunks_exact(lines).zip(products) {
        *product = dot(weights, row);
    }
}

#[inline(always)]
fn sum_body<const FMA: bool>(rows: &[Line], factors: &[f64], sum: &mut [Line]) {
    for (row, &factor) in rows.chunks_exact(sum.len()).zip(factors) {
        if factor != 0.0 {
            add(sum, factor, row);
        }
    }
}

#[inline(always)]
fn curved_body<const FMA: bool>(rows: &[Line], factors: &[f64], weights: &[Line], sum: &mut [Line]) {
    for (row, &factor) in rows.chunks_exact(weights.len()).zip(factors) {
        if factor != 0.0 {
            add(sum, factor * dot(weights, row), row);
        }
    }
}

#[inline(always)]
fn squares_body<const FMA: bool>(rows: &[Line], factors: &[f64], sum: &mut [Line]) {
    for (row, &factor) in rows.chunks_exact(sum.len()).zip(factors) {
        for (sum, line) in sum.iter_mut().zip(row) {
            sum.0.iter_mut().zip(&line.0).for_each(|(sum, value)| *sum += factor * (value * value));
        }
    }
}

/// Blocks of rows that stay in the cache are multiplied with themselves, tile by tile of the matrix.
#[inline(always)]
fn matrix_body<const FMA: bool>(rows: &[Line], factors: &[f64], lines: usize, matrix: &mut [Line]) {
    let block = (BLOCK_BYTES / size_of::<Line>() / lines).max(TILE);
    let mut scaled = Vec::with_capacity(block * lines);
    for (row, &factor) in rows.chunks_exact(lines).zip(factors) {
        if factor > 0.0 {
            let root = factor.sqrt();
            scaled.extend(row.iter().map(|line| Line(line.0.map(|value| root * value))));
            if scaled.len() == block * lines {
                add_products(&scaled, lines, matrix);
                scaled.clear();
            }
        }
    }
    add_products(&scaled, lines, matrix);
}

/// `matrix += Σ z zᵀ`, its lower triangle and what is on the way.
#[inline(always)]
fn add_products(rows: &[Line], lines: usize, matrix: &mut [Line]) {
    for (tile, of_tile) in matrix.chunks_exact_mut(TILE * lines).enumerate() {
        let (line, lane) = (tile * TILE / WIDTH, tile * TILE % WIDTH);
        for column in 0..=line {
            let mut sums = [[0.0; WIDTH]; TILE];
            for row in rows.chunks_exact(lines) {
                let (values, others) = (&row[line].0, &row[column].0);
                for (at, sums) in sums.iter_mut().enumerate() {
                    let value = values[(lane + at) % WIDTH];
                    sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += value * other);
                }
            }
            for (at, sums) in sums.iter().enumerate() {
                let into = &mut of_tile[at * lines + column].0;
                into.iter_mut().zip(sums).for_each(|(into, sum)| *into += sum);
            }
        }
    }
}
