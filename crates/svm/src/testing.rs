//! Problems for tests.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::data::labels::Labels;
use crate::data::matrix::Matrix;
use crate::data::problem::Problem;

/// Says that the calling test did not run, in the words that the workspace's tests use: a line of its own, past the
/// harness, which keeps what eprintln! writes where a test passes.
#[track_caller]
pub(crate) fn skipped(reason: &str) {
    let place = std::panic::Location::caller();
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!("\nskipped: {}:{}: {test}: {reason}\n", place.file(), place.line());
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
}

/// Two blobs of six shares, three positive rows in ten, that overlap more the greater `spread` is.
pub(crate) fn blobs(rows: usize, spread: f64, seed: u64) -> Problem {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    // The sum of twelve uniforms is close enough to a normal deviate.
    let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    let mut x = Matrix::new(6);
    let positive: Vec<bool> = (0..rows).map(|row| row % 10 < 3).collect();
    for &positive in &positive {
        let means = if positive {
            [0.29, 0.21, 0.21, 0.29, 0.81, 0.93]
        } else {
            [0.29, 0.21, 0.21, 0.29, 0.57, 0.90]
        };
        x.push(&means.map(|mean| mean + spread * normal()));
    }
    let labels = Labels { positive: "1".to_owned(), negative: "0".to_owned() };
    Problem { x: x.into(), positive, labels, weights: None }
}

/// Six features of which one tells something of the label, where one row in seven is positive: no row's chance of the
/// positive label comes near one half.
pub(crate) fn few_clicks(rows: usize, seed: u64) -> Problem {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut x = Matrix::new(6);
    let mut positive = Vec::new();
    for _ in 0..rows {
        let row: [f64; 6] = std::array::from_fn(|_| rng.random());
        positive.push(rng.random::<f64>() < 0.02 + 0.24 * row[4]);
        x.push(&row);
    }
    Problem::new(x, positive).expect("rows of both labels")
}
