//! libSVM's model text: what `svm-train` writes and `svm-predict` reads.
//!
//! libSVM scores `Σ coefficient · K(sv, x) - rho`, and a score above 0 means the *first* label of the
//! file. Upbeat's positive label is the greater one, so an import may turn the signs round.

mod export;
mod import;

pub use export::{export, scaling_beside, write_range};
pub use import::import;

use super::model::ModelError;
use super::rows::RowError;

/// Why a file is not a libSVM model that can be imported, or a model cannot be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibsvmError {
    /// A header line is wrong.
    #[error("line {line}: {problem}")]
    Header {
        /// Line number, from 1.
        line: u64,
        /// What is wrong and what is wanted.
        problem: String,
    },
    /// A header line is missing.
    #[error("the header has no `{0}` line; this is not a c_svc model that svm-train wrote")]
    Missing(&'static str),
    /// The file ends early, or was joined with another.
    #[error("total_sv is {wanted}, and the file has {read} support vectors; it is not whole")]
    Truncated {
        /// Vectors that the header tells of.
        wanted: usize,
        /// Vectors that are there.
        read: usize,
    },
    /// More numbers than a model may have.
    #[error("the support vectors are more than {0} numbers (vectors × features)")]
    TooBig(usize),
    /// A support vector's line is wrong; line numbers count from the line after `SV`.
    #[error("support vectors, {0}")]
    Vector(#[from] RowError),
    /// What was read does not make a model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The model has no form in libSVM's text.
    #[error("{0}")]
    NotExportable(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Window;
    use crate::svm::calibration::Calibration;
    use crate::svm::kernel::Kernel;
    use crate::svm::model::{Features, Model, Parts};
    use crate::svm::scorer::Scorer;
    use crate::svm::testing::blobs;
    use crate::svm::{Settings, fit};

    const RBF: &str = "svm_type c_svc\nkernel_type rbf\ngamma 0.5\nnr_class 2\ntotal_sv 2\nrho 0.25\n\
                       label 0 1\nnr_sv 1 1\nSV\n1.5 1:1 5:0.5 \n-1.5 2:1 \n";

    fn read(text: &str) -> Result<Model, LibsvmError> {
        import(text.as_bytes(), Window::default(), None, None)
    }

    fn model(kernel: Kernel, standardise: bool) -> Model {
        let problem = blobs(60, 0.1, 9);
        let settings = Settings { kernel, c: 2.0, standardise, seed: 1 };
        let fitted = fit(&problem, &settings).unwrap();
        Model::new(Parts {
            name: None,
            features: Features::of_count(6),
            window: Window::default(),
            labels: problem.labels,
            scaling: fitted.scaling,
            machine: fitted.machine,
            calibration: Some(Calibration { a: -1.5, b: 0.25 }),
            training: None,
        })
        .unwrap()
    }

    #[test]
    fn the_first_label_decides_the_sign() {
        let x = [0.2, 0.4, 0.0, 0.0, 0.9, 0.0];
        let near = |v: [f64; 6]| (-0.5 * v.iter().zip(x).map(|(a, b)| (a - b).powi(2)).sum::<f64>()).exp();
        let by_hand =
            1.5 * near([1.0, 0.0, 0.0, 0.0, 0.5, 0.0]) - 1.5 * near([0.0, 1.0, 0.0, 0.0, 0.0, 0.0]) - 0.25;
        for (text, sign) in [(RBF.to_owned(), -1.0), (RBF.replace("label 0 1", "label 1 0"), 1.0)] {
            let model = read(&text).unwrap();
            assert_eq!((model.parts().features.count, model.parts().labels.positive.as_str()), (6, "1"));
            let score = Scorer::new(&model).score(&x);
            assert!((score - sign * by_hand).abs() < 1e-12, "{score} {by_hand}");
        }
        let both = RBF.replace("nr_sv", "probA -2\nprobB 0.5\nnr_sv");
        let turned = Scorer::new(&read(&both).unwrap());
        let straight = Scorer::new(&read(&both.replace("label 0 1", "label 1 0")).unwrap());
        let of_first = turned.probability(turned.score(&x)).unwrap();
        assert!((of_first + straight.probability(straight.score(&x)).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn an_export_imports_to_the_same_scores() {
        for kernel in [
            Kernel::Linear,
            Kernel::Rbf { gamma: 0.7 },
            Kernel::Poly { gamma: 0.7, coef0: 0.1, degree: 3 },
            Kernel::Sigmoid { gamma: 0.1, coef0: -0.1 },
        ] {
            for standardise in [false, true] {
                let model = model(kernel, standardise);
                let mut text = Vec::new();
                export(&model, &mut text).unwrap();
                let back = import(text.as_slice(), Window::default(), None, None).unwrap();
                assert_eq!(back.parts().calibration, model.parts().calibration);
                let (before, after) = (Scorer::new(&model), Scorer::new(&back));
                for row in blobs(50, 0.1, 10).x.rows() {
                    let mut scaled = row.to_vec();
                    if let Some(scaling) = scaling_beside(&model) {
                        scaling.apply(&mut scaled);
                    }
                    let (before, after) = (before.score(row), after.score(&scaled));
                    assert!((before - after).abs() < 1e-9, "{kernel}: {before} and {after}");
                }
            }
        }
    }

    #[test]
    fn files_that_are_no_such_model_say_why() {
        for (text, message) in [
            (String::new(), "the header has no `SV` line"),
            ("\0\u{1}\u{2}".to_owned(), "is not a line of a libSVM model"),
            (RBF.replace("c_svc", "epsilon_svr"), "line 1: `svm_type` must be c_svc"),
            (RBF.replace("rbf", "precomputed"), "kernel_type precomputed cannot be imported"),
            (RBF.replace("nr_class 2", "nr_class 3"), "line 4: `nr_class` must be 2"),
            (RBF.replace("label 0 1", "label 0 1 2"), "line 7: `label` must be two numbers"),
            (RBF.replace("label 0 1", "label 1 1"), "field labels"),
            (RBF.replace("rho 0.25", "rho nan"), "line 6: `rho` must be a finite number, not `nan`"),
            (RBF.replace("rho 0.25\n", ""), "no `rho` line"),
            (RBF.replace("gamma 0.5", "gamma -1"), "field kernel.gamma"),
            (RBF.replace("total_sv 2", "total_sv 4000000000"), "total_sv is 4000000000, and the file has 2"),
            (RBF.replace("5:0.5", "0:3"), "support vectors, line 1: `0` is not a feature index"),
            (RBF.replace("2:1", "2:inf"), "support vectors, line 2: `inf` at index 2"),
        ] {
            let told = read(&text).unwrap_err().to_string();
            assert!(told.contains(message), "{message:?} not in {told:?}");
        }
        let wide = import(RBF.as_bytes(), Window::default(), Some(4), None).unwrap_err().to_string();
        assert!(wide.contains("index 5 is beyond the model's 4 features"), "{wide}");
    }

    proptest::proptest! {
        #[test]
        fn damage_never_panics(at in 0usize..150, with in "[-0-9a-z: \n.]{0,4}") {
            let mut text = RBF.to_owned();
            let at = at.min(text.len() - 1);
            text.replace_range(at..at + 1, &with);
            let _ = read(&text);
        }
    }
}
