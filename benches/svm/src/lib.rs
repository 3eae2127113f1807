//! Shared by the benches of the SVM: models, rows, and libSVM as a shared library.

pub mod libsvm;

use upbeat_svm::{Features, Kernel, Labels, Machine, Matrix, Metadata, Model, Parts};

/// Features of every model and row, as in the product.
pub const FEATURES: usize = 6;

/// Numbers in `0.0..1.0` that are the same on every machine (Steele, Lea and Flood's SplitMix64, 2014).
pub struct Numbers(pub u64);

impl Iterator for Numbers {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64)
    }
}

/// So many rows of shares.
pub fn rows(count: usize, seed: u64) -> Matrix {
    let mut numbers = Numbers(seed);
    let mut rows = Matrix::new(FEATURES);
    for _ in 0..count {
        let row: Vec<f64> = numbers.by_ref().take(FEATURES).collect();
        rows.push(&row);
    }
    rows
}

/// A model with so many support vectors, half of each class, that takes rows as they are.
pub fn model(kernel: Kernel, vectors: usize) -> Model {
    let coefficients = Numbers(1).take(vectors).enumerate();
    let coefficients = coefficients.map(|(i, value)| if i % 2 == 0 { value } else { -value }).collect();
    let machine = Machine::from_expansion(kernel, rows(vectors, 2), coefficients, 0.01);
    Model::new(Parts {
        name: None,
        features: Features::of_count(FEATURES),
        window: Metadata::default(),
        labels: Labels { positive: "1".to_owned(), negative: "0".to_owned() },
        scaling: None,
        machine,
        calibration: None,
        training: None,
    })
    .expect("the model is sound")
}
