//! The compiled scorer against the file form, `Machine::score` of the scaled row: labels are equal, and scores differ by
//! at most 1e-12 of the sum of the terms' magnitudes, for every set of vector instructions.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use upbeat_svm::{Kernel, Machine, Matrix, Model, RowReader, Scaling, Scorer, Simd};

const FEATURES: usize = 6;
const VECTORS: usize = 12;

/// Random rows for each kernel; four kernels make a million.
const ROWS: usize = 250_000;

/// Instruction sets other than the widest score every 20th row only, since they are slow in unoptimised test builds.
const SHARE: usize = 20;

struct Case {
    machine: Machine,
    scaling: Scaling,
}

impl Case {
    fn random(kernel: Kernel, seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut numbers =
            |count: usize, least: f64, most: f64| (0..count).map(|_| rng.random_range(least..most)).collect();
        let mut vectors = Matrix::new(FEATURES);
        (0..VECTORS).for_each(|_| {
            let vector: Vec<f64> = numbers(FEATURES, -2.0, 2.0);
            vectors.push(&vector);
        });
        let machine = Machine::from_expansion(kernel, vectors, numbers(VECTORS, -1.0, 1.0), 0.01);
        Self { machine, scaling: Scaling { mean: vec![0.4; FEATURES], scale: numbers(FEATURES, 0.1, 0.3) } }
    }

    fn scorers(&self) -> Vec<Scorer> {
        let scorer = Scorer::compile(&self.machine, Some(&self.scaling), None);
        Simd::available().iter().map(|&simd| scorer.clone().with_simd(simd)).collect()
    }

    fn scaled(&self, x: &[f64]) -> [f64; FEATURES] {
        let mut row: [f64; FEATURES] = x.try_into().expect("six features");
        self.scaling.apply(&mut row);
        row
    }

    /// `|bias| + Σ |coefficient · K|`: a sum near 0 of such terms has no relative accuracy of its own.
    fn weight(&self, scaled: &[f64]) -> f64 {
        match &self.machine {
            Machine::Linear { weights, bias } => {
                bias.abs() + weights.iter().zip(scaled).map(|(weight, x)| (weight * x).abs()).sum::<f64>()
            }
            Machine::Kernel { kernel, vectors, coefficients, bias } => {
                let terms = vectors.rows().zip(coefficients);
                bias.abs() + terms.map(|(v, c)| (c * kernel.apply(v, scaled)).abs()).sum::<f64>()
            }
        }
    }
}

fn cases() -> [Case; 4] {
    [
        Kernel::Linear,
        Kernel::Rbf { gamma: 0.2 },
        Kernel::Poly { gamma: 0.2, coef0: 1.0, degree: 3 },
        Kernel::Sigmoid { gamma: 0.1, coef0: -0.1 },
    ]
    .map(|kernel| Case::random(kernel, 1))
}

#[test]
fn compiled_scores_equal_the_file_form_on_a_million_random_rows() {
    std::thread::scope(|scope| {
        for case in cases() {
            scope.spawn(move || random_rows_agree(&case));
        }
    });
}

fn random_rows_agree(case: &Case) {
    let scorers = case.scorers();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(2);
    let mut x = Matrix::new(FEATURES);
    (0..ROWS).for_each(|_| x.push(&std::array::from_fn::<_, FEATURES, _>(|_| rng.random::<f64>())));
    let some = x.select(&(0..ROWS).step_by(SHARE).collect::<Vec<_>>());
    let plain: Vec<f64> = x.rows().map(|row| case.machine.score(&case.scaled(row))).collect();
    let (mut of_terms, mut of_score) = (0.0f64, 0.0f64);
    for (number, scorer) in scorers.iter().rev().enumerate() {
        let (x, step) = if number == 0 { (&x, 1) } else { (&some, SHARE) };
        let mut scores = vec![0.0; x.len()];
        scorer.score_batch(x, &mut scores);
        for ((row, &score), &plain) in x.rows().zip(&scores).zip(plain.iter().step_by(step)) {
            assert_eq!(score > 0.0, plain > 0.0, "{row:?}: {score} and {plain}");
            let difference = (score - plain).abs();
            // The weight of the terms is at least the score, and costs as much as that.
            if difference > 1e-12 * plain.abs() || difference > of_terms {
                let relative = difference / case.weight(&case.scaled(row));
                assert!(relative <= 1e-12, "{row:?}: {score} and {plain}");
                of_terms = of_terms.max(relative);
            }
            of_score = of_score.max(difference / plain.abs());
        }
    }
    eprintln!("{}: {of_terms:.1e} of the terms, {of_score:.1e} of the score", case.machine.kernel());
}

#[test]
fn batch_scores_equal_single_scores() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut x = Matrix::new(FEATURES);
    (0..500).for_each(|_| x.push(&std::array::from_fn::<_, FEATURES, _>(|_| rng.random::<f64>())));
    for scorer in cases().iter().flat_map(Case::scorers) {
        let mut scores = vec![0.0; x.len()];
        scorer.score_batch(&x, &mut scores);
        let one_by_one: Vec<f64> = x.rows().map(|row| scorer.score(row)).collect();
        assert_eq!(scores, one_by_one);
    }
}

/// On the decision boundary a score consists of rounding errors.
#[test]
fn labels_agree_where_the_score_is_below_rounding() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(4);
    for case in cases() {
        let scorers = case.scorers();
        let plain = |x: &[f64]| case.machine.score(&case.scaled(x));
        let mut boundaries = 0;
        while boundaries < 20 {
            let mut ends: [[f64; FEATURES]; 2] =
                std::array::from_fn(|_| std::array::from_fn(|_| rng.random()));
            if (plain(&ends[0]) > 0.0) == (plain(&ends[1]) > 0.0) {
                continue;
            }
            boundaries += 1;
            ends.sort_by(|a, b| plain(a).total_cmp(&plain(b)));
            for _ in 0..60 {
                let middle = std::array::from_fn(|i| (ends[0][i] + ends[1][i]) / 2.0);
                ends[usize::from(plain(&middle) > 0.0)] = middle;
            }
            for _ in 0..50 {
                let x =
                    ends[0].map(|value| value * (1.0 + f64::EPSILON * f64::from(rng.random_range(-4..=4))));
                for scorer in &scorers {
                    let (score, plain) = (scorer.score(&x), plain(&x));
                    assert_eq!(score > 0.0, plain > 0.0, "{} {x:?}: {score} {plain}", case.machine.kernel());
                }
            }
        }
    }
}

#[test]
fn compiled_scores_equal_the_file_form_on_golden_vectors() {
    let model = Model::read(include_bytes!("../model/default.json")).expect("the shipped model reads");
    let mut rows = RowReader::new(include_bytes!("../model/golden.features.txt").as_slice());
    while let Some(row) = rows.next_row().expect("golden rows read") {
        let mut x = [0.0; FEATURES];
        row.fill(&mut x).expect("six features");
        let score = Scorer::new(&model).score(&x);
        if let Some(scaling) = &model.parts().scaling {
            scaling.apply(&mut x);
        }
        let plain = model.parts().machine.score(&x);
        assert_eq!(score > 0.0, plain > 0.0);
        assert!((score - plain).abs() <= 1e-12 * plain.abs(), "{score} and {plain}");
    }
}
