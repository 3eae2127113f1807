//! Scoring one row: ours, libSVM's `svm_predict`, and the crate ffsvm, on the same models and rows.
//!
//! ```text
//! cargo bench --manifest-path benches/svm/Cargo.toml --target-dir target/benches --bench scorer
//! … --bench scorer -- --quick      a smoke run
//! … --bench scorer -- rbf/100      only these
//! ```
//!
//! ffsvm keeps features as `f32`, ours and libSVM's are `f64`. Before anything is timed, the labels of all
//! three and the decision values of two are compared.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use ffsvm::{DenseSVM, FeatureVector, Label, Predict};
use upbeat_svm::{Kernel, Matrix, Scorer, Simd, libsvm::export};
use upbeat_svm_benches::{libsvm, model, rows};

/// Rows in a cycle, so that no branch predictor learns a single one.
const ROWS: usize = 1024;

const RBF: Kernel = Kernel::Rbf { gamma: 0.5 };
const POLY: Kernel = Kernel::Poly { gamma: 0.5, coef0: 1.0, degree: 3 };
const SIGMOID: Kernel = Kernel::Sigmoid { gamma: 0.2, coef0: -0.1 };

/// Kernels and numbers of support vectors.
const MODELS: [(Kernel, usize); 6] =
    [(Kernel::Linear, 100), (RBF, 10), (RBF, 100), (RBF, 1000), (POLY, 100), (SIGMOID, 100)];

fn scorers(criterion: &mut Criterion) {
    let x = rows(ROWS, 3);
    for (kernel, vectors) in MODELS {
        let name = if kernel == Kernel::Linear {
            "linear".to_owned()
        } else {
            format!("{}/{vectors}", kernel.name())
        };
        let model = model(kernel, vectors);
        let mut text = Vec::new();
        export(&model, &mut text).expect("the model has a form in libSVM's text");
        let text = String::from_utf8(text).expect("text");
        let mut group = criterion.benchmark_group(name);
        let scorer = Scorer::new(&model);
        ours(&mut group, &scorer, &x);
        libsvm(&mut group, &text, &scorer, &x);
        ffsvm(&mut group, &text, &scorer, &x);
        group.finish();
    }
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Times what is done to one row after another.
fn one_by_one<T>(group: &mut Group, name: &str, mut score: impl FnMut(usize) -> T) {
    group.throughput(Throughput::Elements(1));
    let mut row = 0;
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            row = (row + 1) % ROWS;
            score(row)
        });
    });
}

fn ours(group: &mut Group, scorer: &Scorer, x: &Matrix) {
    for &simd in Simd::available() {
        let scorer = scorer.clone().with_simd(simd);
        one_by_one(group, &format!("upbeat {simd:?}"), |row| scorer.score(black_box(x.row(row))));
    }
    let mut scores = vec![0.0; x.len()];
    group.throughput(Throughput::Elements(x.len() as u64));
    group.bench_function("upbeat batch of 1024", |bencher| {
        bencher.iter(|| scorer.score_batch(black_box(x), black_box(&mut scores)));
    });
}

fn libsvm(group: &mut Group, text: &str, scorer: &Scorer, x: &Matrix) {
    let file = std::env::temp_dir().join(format!("upbeat-scorer-bench-{}.model", std::process::id()));
    std::fs::write(&file, text).expect("a temporary file");
    let model = libsvm::Model::load(&file);
    std::fs::remove_file(&file).expect("the file that was just written");
    let model = match model {
        Ok(model) => model,
        Err(reason) => return eprintln!("libSVM is left out: {reason}"),
    };
    let nodes = libsvm::nodes(x);
    for (row, nodes) in x.rows().zip(&nodes) {
        let (ours, theirs) = (scorer.score(row), model.decision_value(nodes));
        assert!((ours - theirs).abs() < 1e-9, "{ours} and libSVM's {theirs}");
        assert_eq!(model.predict(nodes), f64::from(u8::from(ours > 0.0)));
    }
    one_by_one(group, "libSVM svm_predict", |row| model.predict(black_box(&nodes[row])));
}

fn ffsvm(group: &mut Group, text: &str, scorer: &Scorer, x: &Matrix) {
    let model = DenseSVM::try_from(text).expect("ffsvm reads libSVM's text");
    let mut vectors: Vec<_> = x
        .rows()
        .map(|row| {
            let mut vector = FeatureVector::from(&model);
            let features = vector.features();
            features.iter_mut().zip(row).for_each(|(slot, value)| *slot = *value as f32);
            vector
        })
        .collect();
    for (row, vector) in x.rows().zip(&mut vectors) {
        let score = scorer.score(row);
        model.predict_value(vector).expect("ffsvm predicts");
        let agrees = vector.label() == Label::Class((score > 0.0).into());
        // Single precision may turn the label of a score that is next to nothing.
        assert!(agrees || score.abs() < 1e-4, "{score} and ffsvm's {:?}", vector.label());
    }
    one_by_one(group, "ffsvm", |row| {
        let vector = black_box(&mut vectors[row]);
        model.predict_value(vector).expect("ffsvm predicts");
        vector.label()
    });
}

criterion_group!(benches, scorers);
criterion_main!(benches);
