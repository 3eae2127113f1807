//! Rows laid out for vector instructions.

use crate::data::matrix::Matrix;
use crate::kernel::Kernel;

/// Rows of a block: four vectors of 16 or eight of 8, enough independent sums to keep the units busy.
pub(super) const BLOCK: usize = 64;

/// Values beyond this are cut to it: their squared distances already say "infinitely far", and a difference
/// of two of them is still a number.
const FARTHEST: f64 = 1e19;

/// The greatest kernel value that sums of products with other `f32` values are safe with.
pub(super) const GREATEST_VALUE: f64 = 1e30;

/// A kernel's formula over [`Points`]: gamma is folded into the coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// `u·v`
    Linear,
    /// `2^-|u-v|²`
    Rbf,
    /// `(u·v + coef0)^degree`
    Poly { coef0: f64, degree: u32 },
    /// `tanh(u·v + coef0)`
    Sigmoid { coef0: f32 },
}

/// Rows in single precision, one after the other, with the kernel's gamma folded in.
///
/// For the RBF kernel coordinates are multiplied by `√(gamma·log2 e)`, so that the kernel is `2^-|u-v|²`; for
/// the polynomial and the sigmoid by `√gamma`. RBF depends on differences only, and so does the linear
/// kernel's dual problem, because `Σ yα = 0`: their columns are centred first, which keeps the digits that
/// rounding would take from columns with a small spread about a great mean. Of sparse rows only columns that are
/// not sparse are centred.
#[derive(Debug)]
pub(super) struct Points {
    pub(super) form: Form,
    pub(super) features: usize,
    values: Vec<f32>,
    /// What is not zero in each row, with its column; empty where rows are not sparse.
    entries: Vec<Vec<(u32, f32)>>,
    /// What was taken from each column, in the unit of the original rows; zeros where nothing was.
    pub(super) centre: Vec<f64>,
    /// Whether every kernel value fits `f32` with room for sums.
    pub(super) representable: bool,
}

impl Points {
    pub(super) fn new(x: &Matrix, kernel: Kernel) -> Self {
        let (form, factor) = match kernel {
            Kernel::Linear => (Form::Linear, 1.0),
            Kernel::Rbf { gamma } => (Form::Rbf, (gamma * std::f64::consts::LOG2_E).sqrt()),
            Kernel::Poly { gamma, coef0, degree } => (Form::Poly { coef0, degree }, gamma.sqrt()),
            Kernel::Sigmoid { gamma, coef0 } => (Form::Sigmoid { coef0: coef0 as f32 }, gamma.sqrt()),
        };
        let sparse = Sparsity::of(x);
        let centre = match form {
            Form::Linear | Form::Rbf => sparse.centre(means(x)),
            Form::Poly { .. } | Form::Sigmoid { .. } => vec![0.0; x.columns()],
        };
        let mut values = Vec::with_capacity(x.len() * x.columns());
        let mut longest = 0.0_f64;
        for row in x.rows() {
            let start = values.len();
            let scaled = row.iter().zip(&centre).map(|(value, centre)| (value - centre) * factor);
            values.extend(scaled.map(|value| value.clamp(-FARTHEST, FARTHEST) as f32));
            let norm: f64 = values[start..].iter().map(|&value| f64::from(value).powi(2)).sum();
            longest = longest.max(norm);
        }
        let greatest = match kernel {
            Kernel::Linear => longest,
            Kernel::Rbf { .. } => 1.0,
            Kernel::Poly { coef0, degree, .. } => (longest + coef0.abs()).powi(degree as i32),
            Kernel::Sigmoid { coef0, .. } => longest + coef0.abs(),
        };
        let representable = greatest < GREATEST_VALUE;
        let entries = if sparse.rows { entries(&values, x.columns()) } else { Vec::new() };
        Self { form, features: x.columns(), values, entries, centre, representable }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len() / self.features
    }

    /// Whether the kernel is the inner product itself.
    pub(super) fn is_linear(&self) -> bool {
        self.form == Form::Linear
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.features..(row + 1) * self.features]
    }

    /// What is not zero in a row; none where rows are not sparse.
    pub(super) fn entries(&self, row: usize) -> Option<&[(u32, f32)]> {
        self.entries.get(row).map(Vec::as_slice)
    }

    /// The rows at these places in blocks.
    pub(super) fn blocks(&self, rows: impl ExactSizeIterator<Item = usize>) -> Blocks {
        let size = BLOCK * self.features;
        let mut values = vec![0.0; rows.len().div_ceil(BLOCK) * size];
        let mut squares = vec![0.0; if self.entries.is_empty() { 0 } else { padded(rows.len()) }];
        for (place, row) in rows.enumerate() {
            if let Some(entries) = self.entries(row) {
                squares[place] = entries.iter().map(|entry| f64::from(entry.1) * f64::from(entry.1)).sum();
            }
            let block = &mut values[place / BLOCK * size..][..size];
            let lane = block[place % BLOCK..].iter_mut().step_by(BLOCK);
            lane.zip(self.row(row)).for_each(|(slot, value)| *slot = *value);
        }
        Blocks { features: self.features, values, squares }
    }
}

/// Rows of fewer columns are not worth leaving zeros out.
const LEAST_COLUMNS: usize = 32;

/// Rows are sparse where no more than one value in so many is other than zero, and a column where no more than half are.
const SPARSE_ROWS: usize = 4;
const SPARSE_COLUMN: usize = 2;

/// Where most values are zeros.
struct Sparsity {
    rows: bool,
    /// Of each column; empty where rows are not sparse.
    columns: Vec<bool>,
}

impl Sparsity {
    fn of(x: &Matrix) -> Self {
        if x.columns() < LEAST_COLUMNS {
            return Self { rows: false, columns: Vec::new() };
        }
        let mut counts = vec![0; x.columns()];
        for row in x.rows() {
            counts.iter_mut().zip(row).for_each(|(count, &value)| *count += usize::from(value != 0.0));
        }
        let rows = counts.iter().sum::<usize>() * SPARSE_ROWS <= x.values().len();
        let columns = counts.iter().filter(|_| rows).map(|count| count * SPARSE_COLUMN <= x.len()).collect();
        Self { rows, columns }
    }

    /// The means of columns that are not sparse.
    fn centre(&self, mut means: Vec<f64>) -> Vec<f64> {
        means.iter_mut().zip(&self.columns).filter(|(_, sparse)| **sparse).for_each(|(mean, _)| *mean = 0.0);
        means
    }
}

fn entries(values: &[f32], columns: usize) -> Vec<Vec<(u32, f32)>> {
    let of_row = |row: &[f32]| {
        let entries = row.iter().enumerate().filter(|entry| *entry.1 != 0.0);
        entries.map(|(column, &value)| (column as u32, value)).collect()
    };
    values.chunks_exact(columns).map(of_row).collect()
}

fn means(x: &Matrix) -> Vec<f64> {
    let mut means = vec![0.0; x.columns()];
    // Dividing before adding keeps a sum of great values from overflowing.
    let share = 1.0 / x.len() as f64;
    for row in x.rows() {
        means.iter_mut().zip(row).for_each(|(mean, value)| *mean += value * share);
    }
    means
}

/// Rows in blocks of [`BLOCK`]: within a block the first feature of all its rows, then the second, and so on.
/// A pass over all rows reads memory once, forwards, however many features there are. The last block is filled
/// up with zeros.
#[derive(Debug)]
pub(super) struct Blocks {
    pub(super) features: usize,
    values: Vec<f32>,
    /// Each sparse row's inner product with itself; empty where rows are not sparse.
    squares: Vec<f64>,
}

impl Blocks {
    /// How many blocks there are.
    pub(super) fn len(&self) -> usize {
        self.values.len() / (BLOCK * self.features)
    }

    /// The values of some blocks.
    pub(super) fn values(&self, blocks: std::ops::Range<usize>) -> &[f32] {
        let size = BLOCK * self.features;
        &self.values[blocks.start * size..blocks.end * size]
    }

    /// The inner products of some blocks' rows with themselves, where rows are sparse.
    pub(super) fn squares(&self, blocks: std::ops::Range<usize>) -> &[f64] {
        &self.squares[blocks.start * BLOCK..blocks.end * BLOCK]
    }
}

/// `rows` filled up to whole blocks.
pub(super) fn padded(rows: usize) -> usize {
    rows.next_multiple_of(BLOCK)
}
