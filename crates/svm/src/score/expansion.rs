//! A kernel expansion, laid out for vector instructions.

#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::lanes::{Block, LANES, Lanes, Portable};
use super::terms::{Inner, Poly, Rbf, Sigmoid, Terms};
use crate::data::matrix::Matrix;
use crate::data::scaling::Scaling;
use crate::kernel::Kernel;
use crate::score::simd::{self, Simd};

/// How many features are scaled at once, on the stack.
const CHUNK: usize = 64;

/// Blocks whose sums are on the stack while a wide row is read in chunks.
const TILE: usize = 16;

/// With fewer than one value in so many that is not zero, the zeros of a wide row are passed over.
const SPARSE: usize = 4;

/// `Σ coefficient · K(vector, x) + bias`.
#[derive(Debug, Clone)]
pub(super) struct Expansion {
    kernel: Kernel,
    bias: f64,
    /// Support vectors eight at a time: a block per feature, then one of their coefficients.
    /// The last block is filled up with zeros of coefficient 0.
    blocks: Box<[Block]>,
    vectors: usize,
    /// The squared lengths of the vectors, eight at a time, where rows are wide and nothing is subtracted from them, so that
    /// their zeros stay zeros.
    squares: Box<[Block]>,
    mean: Box<[f64]>,
    scale: Box<[f64]>,
    /// The length of the longest vector.
    longest: f64,
    /// A bound on rounding errors, for kernel values up to 1 and for the bias.
    doubt: f64,
    bias_doubt: f64,
}

/// One row's sum without the bias, its squared length once scaled, and whether its zeros were passed over.
struct Raw {
    sum: f64,
    square: f64,
    is_sparse: bool,
}

impl Expansion {
    /// Lays out a machine; all have the same number of features.
    pub fn new(
        kernel: Kernel,
        vectors: &Matrix,
        coefficients: &[f64],
        bias: f64,
        scaling: Option<&Scaling>,
    ) -> Self {
        let features = vectors.columns();
        let size = features + 1;
        let mut blocks = vec![Block([0.0; LANES]); coefficients.len().div_ceil(LANES) * size];
        for (number, (vector, &coefficient)) in vectors.rows().zip(coefficients).enumerate() {
            let block = &mut blocks[number / LANES * size..][..size];
            for (lanes, &value) in block.iter_mut().zip(vector.iter().chain([&coefficient])) {
                lanes.0[number % LANES] = value;
            }
        }
        let (mean, scale) = match scaling {
            Some(scaling) => (scaling.mean.clone(), scaling.scale.clone()),
            None => (vec![0.0; features], vec![1.0; features]),
        };
        let square = |vector: &[f64]| vector.iter().map(|value| value * value).sum::<f64>();
        let mut squares = Vec::new();
        if mean.iter().all(|mean| *mean == 0.0) && features > CHUNK {
            squares.resize(coefficients.len().div_ceil(LANES), Block([0.0; LANES]));
            for (number, vector) in vectors.rows().enumerate() {
                squares[number / LANES].0[number % LANES] = square(vector);
            }
        }
        // The usual bounds (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1): a sum
        // of n terms is off by n roundings of the terms' magnitudes at most, a power by as many as there
        // are in its base, times the degree. The factor 4 and the 64 leave room for everything else.
        let degree = kernel.degree().unwrap_or(1) as usize;
        let rounding = 4.0 * f64::EPSILON * (coefficients.len() + degree * features + 64) as f64;
        Self {
            kernel,
            bias,
            blocks: blocks.into(),
            vectors: coefficients.len(),
            squares: squares.into(),
            mean: mean.into(),
            scale: scale.into(),
            longest: vectors.rows().map(square).fold(0.0, f64::max).sqrt(),
            doubt: rounding * coefficients.iter().map(|coefficient| coefficient.abs()).sum::<f64>(),
            bias_doubt: rounding * bias.abs(),
        }
    }

    /// How many features a row has.
    pub fn features(&self) -> usize {
        self.mean.len()
    }

    /// The scores of unscaled rows that stand one after the other; as many as `scores` has places.
    pub fn score(&self, simd: Simd, rows: &[f64], scores: &mut [f64]) {
        match simd {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the proof says that the processor has the instructions.
            Simd::Avx512(proof) => unsafe { self.score_avx512(proof, rows, scores) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Simd::Avx2(proof) => unsafe { self.score_avx2(proof, rows, scores) },
            _ => self.score_rows::<Portable>((), rows, scores),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
    fn score_avx512(&self, proof: simd::Avx512, rows: &[f64], scores: &mut [f64]) {
        self.score_rows::<Avx512>(proof, rows, scores);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn score_avx2(&self, proof: simd::Avx2, rows: &[f64], scores: &mut [f64]) {
        self.score_rows::<Avx2>(proof, rows, scores);
    }

    #[inline(always)]
    fn score_rows<L: Lanes>(&self, proof: L::Proof, rows: &[f64], scores: &mut [f64]) {
        match self.kernel {
            Kernel::Linear => self.score_terms::<L>(proof, Inner, rows, scores),
            Kernel::Rbf { gamma } => self.score_terms::<L>(proof, Rbf::new(gamma), rows, scores),
            Kernel::Poly { gamma, coef0, degree } => {
                self.score_terms::<L>(proof, Poly { gamma, coef0, degree }, rows, scores);
            }
            Kernel::Sigmoid { gamma, coef0 } => {
                self.score_terms::<L>(proof, Sigmoid { gamma, coef0 }, rows, scores);
            }
        }
    }

    #[inline(always)]
    fn score_terms<L: Lanes>(&self, proof: L::Proof, terms: impl Terms, rows: &[f64], scores: &mut [f64]) {
        for (x, score) in rows.chunks_exact(self.features()).zip(scores) {
            let raw = match x.try_into() {
                Ok(x) => self.narrow::<L, 6>(proof, terms, x),
                Err(_) => self.wide::<L>(proof, terms, x),
            };
            let sum = raw.sum + self.bias;
            // More than both forms' roundings together.
            let beside = match raw.is_sparse {
                true => terms.magnitude_beside_zeros(self.longest * self.longest + raw.square),
                false => 0.0,
            };
            let magnitude = terms.magnitude(self.longest * raw.square.sqrt()) + beside;
            let doubt = self.bias_doubt + self.doubt * magnitude;
            // A score that is not a number is not above it either.
            *score = if sum.abs() > doubt { sum } else { self.plain(x) };
        }
    }

    /// The sum for a row whose width the compiler knows: the scaled row stays in registers.
    #[inline(always)]
    fn narrow<L: Lanes, const N: usize>(&self, proof: L::Proof, terms: impl Terms, x: &[f64; N]) -> Raw {
        let mut scaled = [0.0; N];
        let square = scale(x, &self.mean[..N], &self.scale[..N], &mut scaled);
        let mut splat = [L::splat(proof, 0.0); N];
        for (splat, &value) in splat.iter_mut().zip(&scaled) {
            *splat = L::splat(proof, value);
        }
        let mut sum = L::splat(proof, 0.0);
        for block in self.blocks.chunks_exact(N + 1) {
            // Two independent sums: a single one would wait for each addition in turn.
            let mut inner = [L::splat(proof, 0.0); 2];
            for feature in 0..N {
                let half = &mut inner[feature % 2];
                *half = terms.add(*half, L::load(proof, &block[feature]), splat[feature]);
            }
            sum = terms.value(inner[0].plus(inner[1])).times_plus(L::load(proof, &block[N]), sum);
        }
        Raw { sum: sum.sum(), square, is_sparse: false }
    }

    /// The sum for a row of any width, without memory for all of it.
    #[inline(always)]
    fn wide<L: Lanes>(&self, proof: L::Proof, terms: impl Terms, x: &[f64]) -> Raw {
        let few = || x.iter().filter(|x| **x != 0.0).count() < x.len() / SPARSE;
        if !self.squares.is_empty() && few() {
            return self.sparse::<L>(proof, terms, x);
        }
        let size = x.len() + 1;
        let mut sum = L::splat(proof, 0.0);
        let mut square = 0.0;
        for tile in self.blocks.chunks(TILE * size) {
            let mut inner = [L::splat(proof, 0.0); TILE];
            square = 0.0;
            for start in (0..x.len()).step_by(CHUNK) {
                let end = x.len().min(start + CHUNK);
                let mut scaled = [0.0; CHUNK];
                let scaled = &mut scaled[..end - start];
                square += scale(&x[start..end], &self.mean[start..end], &self.scale[start..end], scaled);
                for (inner, block) in inner.iter_mut().zip(tile.chunks_exact(size)) {
                    for (lanes, &x) in block[start..end].iter().zip(&*scaled) {
                        *inner = terms.add(*inner, L::load(proof, lanes), L::splat(proof, x));
                    }
                }
            }
            for (inner, block) in inner.iter().zip(tile.chunks_exact(size)) {
                sum = terms.value(*inner).times_plus(L::load(proof, &block[size - 1]), sum);
            }
        }
        Raw { sum: sum.sum(), square, is_sparse: false }
    }

    /// The same for a row of mostly zeros, which scaling leaves zeros.
    #[inline(always)]
    fn sparse<L: Lanes>(&self, proof: L::Proof, terms: impl Terms, x: &[f64]) -> Raw {
        let size = x.len() + 1;
        let mut sum = L::splat(proof, 0.0);
        for (tile, squares) in self.blocks.chunks(TILE * size).zip(self.squares.chunks(TILE)) {
            let mut inner = [L::splat(proof, 0.0); TILE];
            for (inner, squares) in inner.iter_mut().zip(squares) {
                *inner = terms.of_zeros(L::load(proof, squares));
            }
            for (feature, &x) in x.iter().enumerate().filter(|(_, x)| **x != 0.0) {
                let x = L::splat(proof, x / self.scale[feature]);
                for (inner, block) in inner.iter_mut().zip(tile.chunks_exact(size)) {
                    *inner = terms.add_beyond_zero(*inner, L::load(proof, &block[feature]), x);
                }
            }
            for (inner, block) in inner.iter().zip(tile.chunks_exact(size)) {
                sum = terms.value(*inner).times_plus(L::load(proof, &block[size - 1]), sum);
            }
        }
        let square = x.iter().zip(&self.scale).map(|(x, scale)| (x / scale).powi(2)).sum();
        Raw { sum: sum.sum(), square, is_sparse: true }
    }

    /// The score, term by term as [`crate::Machine::score`] adds them up: bit by bit the same.
    #[cold]
    #[inline(never)]
    fn plain(&self, x: &[f64]) -> f64 {
        let size = x.len() + 1;
        let scaled = |feature: usize| (x[feature] - self.mean[feature]) / self.scale[feature];
        let terms = (0..self.vectors).map(|number| {
            let block = &self.blocks[number / LANES * size..][..size];
            let pairs = (0..x.len()).map(|feature| (block[feature].0[number % LANES], scaled(feature)));
            block[size - 1].0[number % LANES] * self.kernel.of_pairs(pairs)
        });
        terms.sum::<f64>() + self.bias
    }
}

/// Scales values as [`Scaling::apply`] does, bit by bit; returns the sum of their squares.
#[inline(always)]
fn scale(x: &[f64], mean: &[f64], scale: &[f64], scaled: &mut [f64]) -> f64 {
    for (((slot, x), mean), scale) in scaled.iter_mut().zip(x).zip(mean).zip(scale) {
        *slot = (x - mean) / scale;
    }
    scaled.iter().map(|value| value * value).sum()
}
