//! Rows of a set, and the random numbers that they are drawn from.

use std::fmt::Write as _;

use upbeat_svm::{Matrix, Problem, ProblemError};
use upbeat_svm_benches::Numbers;

/// One row: columns from 0, ascending, with their values; columns left out are 0.
pub type Row = Vec<(usize, f64)>;

/// The rows of a set with their classes.
pub struct Data {
    pub rows: Vec<Row>,
    pub positive: Vec<bool>,
    pub columns: usize,
    /// Whether it is handed over as text, as sparse rows come; else as a matrix.
    pub sparse: bool,
}

impl Data {
    /// Dense rows, of which peers get the values other than 0, as from a file.
    pub fn dense(rows: Vec<Vec<f64>>, positive: Vec<bool>) -> Self {
        let columns = rows[0].len();
        let entries = |row: Vec<f64>| row.into_iter().enumerate().filter(|entry| entry.1 != 0.0).collect();
        Self { rows: rows.into_iter().map(entries).collect(), positive, columns, sparse: false }
    }

    /// Sparse rows.
    pub fn sparse(rows: Vec<Row>, positive: Vec<bool>, columns: usize) -> Self {
        Self { rows, positive, columns, sparse: true }
    }

    /// The same rows as libSVM text with every digit.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (row, &positive) in self.rows.iter().zip(&self.positive) {
            text.push(if positive { '1' } else { '0' });
            for (column, value) in row {
                write!(text, " {}:{value:e}", column + 1).expect("writing to a string");
            }
            text.push('\n');
        }
        text
    }

    /// The library's problem: sparse rows by its reader, dense ones as a matrix.
    pub fn problem(&self) -> Result<Problem, ProblemError> {
        if self.sparse {
            return Problem::read(self.text().as_bytes());
        }
        let mut matrix = Matrix::new(self.columns);
        let mut dense = vec![0.0; self.columns];
        for row in &self.rows {
            dense.fill(0.0);
            row.iter().for_each(|&(column, value)| dense[column] = value);
            matrix.push(&dense);
        }
        Problem::new(matrix, self.positive.clone())
    }

    /// A checksum of every value and class (FNV-1a on 64-bit words), so that kept results of peers are of these rows.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut take = |word: u64| hash = (hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        for (row, &positive) in self.rows.iter().zip(&self.positive) {
            take(u64::from(positive));
            for &(column, value) in row {
                take(column as u64);
                take(value.to_bits());
            }
        }
        hash
    }
}

/// Random numbers of the distributions that sets are made of.
pub struct Source(Numbers);

impl Source {
    /// Another stream for each set and seed.
    pub fn new(name: &str, seed: u64) -> Self {
        let name = name.bytes().fold(0u64, |hash, byte| hash.wrapping_mul(131).wrapping_add(u64::from(byte)));
        Self(Numbers(name ^ seed.wrapping_mul(0x9e37_79b9)))
    }

    /// Within 0 and 1.
    pub fn uniform(&mut self) -> f64 {
        self.0.next().expect("the stream has no end")
    }

    /// Whether something of this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// A whole number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        ((self.uniform() * bound as f64) as usize).min(bound - 1)
    }

    /// The standard normal distribution (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// So many of them.
    pub fn normals(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.normal()).collect()
    }

    /// The standard Cauchy distribution, which has neither mean nor variance.
    pub fn cauchy(&mut self) -> f64 {
        (std::f64::consts::PI * (self.uniform() - 0.5)).tan()
    }

    /// Poisson's distribution of small mean (Knuth, *Seminumerical Algorithms*, 3.4.1).
    pub fn poisson(&mut self, mean: f64) -> f64 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.uniform(), 0.0);
        while product > limit {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }

    /// The logistic function's event: true with probability 1 / (1 + e^-margin).
    pub fn clicks(&mut self, margin: f64) -> bool {
        self.happens(1.0 / (1.0 + (-margin).exp()))
    }
}
