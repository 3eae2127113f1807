//! libSVM's model text: what `svm-train` writes and `svm-predict` reads.
//!
//! libSVM scores `Σ coefficient · K(sv, x) - rho`, and a score above 0 means the *first* label of the
//! file. This crate's positive label is the greater one, so an import may change the signs.

mod export;
mod import;

pub use export::{export, row_scaling, svm_scale_difference, write_range};
pub(crate) use import::import;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::{Calibration, Platt};
    use crate::formats::{ExchangeError, Import, TextFormat};
    use crate::kernel::Kernel;
    use crate::model::metadata::Metadata;
    use crate::model::{Features, Model, Parts};
    use crate::score::Scorer;
    use crate::testing::blobs;
    use crate::{Loss, NoProgress, Parameters, fit};

    const RBF: &str = "svm_type c_svc\nkernel_type rbf\ngamma 0.5\nnr_class 2\ntotal_sv 2\nrho 0.25\n\
                       label 0 1\nnr_sv 1 1\nSV\n1.5 1:1 5:0.5 \n-1.5 2:1 \n";

    fn read(text: &str) -> Result<Model, ExchangeError> {
        let (format, model) = Import { least_features: 6, ..Import::default() }.read(text.as_bytes())?;
        assert_eq!(format, TextFormat::Libsvm);
        Ok(model)
    }

    fn model(kernel: Kernel, standardise: bool) -> Model {
        let problem = blobs(60, 0.1, 9);
        let loss = Loss::Hinge;
        let parameters = Parameters { kernel, loss, c: 2.0, standardise, ..Parameters::default() };
        let fitted = fit(&problem, &parameters, &NoProgress).unwrap();
        Model::new(Parts {
            name: None,
            features: Features::of_count(6),
            window: Metadata::default(),
            labels: problem.labels,
            scaling: fitted.scaling,
            machine: fitted.machine,
            calibration: Some(Calibration::Platt(Platt { a: -1.5, b: 0.25 })),
            training: None,
        })
        .unwrap()
    }

    #[test]
    fn first_label_decides_the_sign() {
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
    fn exported_models_import_with_the_same_scores() {
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
                let back = read(std::str::from_utf8(&text).unwrap()).unwrap();
                assert_eq!(back.parts().calibration, model.parts().calibration);
                let (before, after) = (Scorer::new(&model), Scorer::new(&back));
                for row in blobs(50, 0.1, 10).x.rows() {
                    let mut scaled = row.to_vec();
                    if let Some(scaling) = row_scaling(&model) {
                        scaling.apply(&mut scaled);
                    }
                    let (before, after) = (before.score(row), after.score(&scaled));
                    assert!((before - after).abs() < 1e-9, "{kernel}: {before} and {after}");
                }
            }
        }
    }

    #[test]
    fn scaling_that_neither_weights_nor_range_file_can_hold_is_refused() {
        for (kernel, message) in [
            (Kernel::Linear, "the format has no place for the scaling"),
            (Kernel::Rbf { gamma: 0.7 }, "the range file for svm-scale cannot hold this model's scaling"),
        ] {
            let sound = model(kernel, true);
            export(&sound, Vec::new()).unwrap();
            let mut parts = sound.parts().clone();
            parts.scaling.as_mut().unwrap().mean[2] = 1e15;
            let reported = export(&Model::new(parts).unwrap(), Vec::new()).unwrap_err().to_string();
            assert!(reported.contains(message), "{reported}");
        }
    }

    #[test]
    fn difference_behind_svm_scale_is_that_of_six_digits() {
        assert_eq!(svm_scale_difference(&model(Kernel::Linear, true)), None);
        assert_eq!(svm_scale_difference(&model(Kernel::Rbf { gamma: 0.7 }, false)), None);
        let apart = svm_scale_difference(&model(Kernel::Rbf { gamma: 0.7 }, true)).unwrap();
        assert!((1e-8..1e-4).contains(&apart), "{apart}");
    }

    #[test]
    fn files_of_other_kinds_are_refused_with_the_reason() {
        let twice = format!("{RBF}{RBF}");
        for (text, message) in [
            (String::new(), "the header has no `svm_type` line"),
            ("svm_type c_svc\n".to_owned(), "the header has no `SV` line; this is not a whole model"),
            ("\0\u{1}\u{2}".to_owned(), "is not a line of a libSVM model; one begins with svm_type"),
            ("x".repeat(70_000), "line 1: longer than 65536 bytes"),
            ("gamma 1\n".repeat(9), "line 2: `gamma` appears twice; this is more than one model"),
            (twice, "line 12: `svm_type` is not a label"),
            (RBF.replace("c_svc", "epsilon_svr"), "line 1: `svm_type` must be c_svc"),
            (RBF.replace("svm_type c_svc\n", ""), "no `svm_type` line"),
            (RBF.replace("rbf", "precomputed"), "line 2: `kernel_type` must be linear, polynomial, rbf or"),
            (RBF.replace("rbf", "polynomial"), "no `coef0` line"),
            (RBF.replace("nr_class 2", "nr_class 3"), "line 4: `nr_class` must be 2"),
            (RBF.replace("label 0 1", "label 0 1 2"), "line 7: `label` must be two different numbers"),
            (
                RBF.replace("label 0 1", "label 1.0 1"),
                "line 7: `label` must be two different numbers, not `1.0 1`",
            ),
            (RBF.replace("label 0 1", "label 1 1"), "two different numbers, not `1 1`"),
            (RBF.replace("rho 0.25", "rho nan"), "line 6: `rho` must be a finite number, not `nan`"),
            (RBF.replace("rho 0.25", "rho 1 2"), "line 6: `rho` must be one value"),
            (RBF.replace("rho 0.25\n", ""), "no `rho` line"),
            (RBF.replace("gamma 0.5", "gamma -1"), "field kernel.gamma"),
            (RBF.replace("nr_sv", "probA 2\nprobB 0.5\nnr_sv"), "line 8: probA is above 0, so that a higher"),
            (RBF.replace("nr_sv 1 1", "nr_sv 1 2"), "nr_sv 1 2 does not add up to total_sv 2"),
            (
                RBF.replace("sv 2", "sv 3").replace("1 1\nSV", "1 2\nSV"),
                "ends at line 11, after 2 support vectors",
            ),
            (
                RBF.replace("nr_sv 1 1\n", "").replace("sv 2", "sv 4000000000"),
                "the header tells of 4000000000",
            ),
            (
                RBF.replace("nr_sv 1 1\n", "").replace("sv 2", "sv 1"),
                "line 10: more support vectors than the 1",
            ),
            (RBF.replace("5:0.5", "0:3"), "line 10: `0` is not a feature index"),
            (RBF.replace("2:1", "2:inf"), "line 11: `inf` at index 2"),
            (RBF.replace("1:1 ", "1:1 # "), "line 10: a support vector has no comment"),
            (RBF.replace("nr_sv", "probA -2\nnr_sv"), "no `probB` line"),
            (RBF.replace("nr_sv", "probB -2\nnr_sv"), "no `probA` line"),
            (RBF.trim_end().to_owned(), "line 11: the file ends within this line; it is not whole"),
        ] {
            let reported = read(&text).unwrap_err().to_string();
            assert!(reported.contains(message), "{message:?} not in {reported:?}");
        }
        let narrow = Import { features: Some(4), ..Import::default() };
        let reported = narrow.read(RBF.as_bytes()).unwrap_err().to_string();
        assert!(reported.contains("line 10: index 5 is beyond the model's 4 features"), "{reported}");
    }

    #[test]
    fn line_ends_and_byte_order_marks_do_not_matter() {
        let wanted = read(RBF).unwrap();
        let added = RBF.replace("nr_sv 1 1\n", "").replace("total_sv", "\ntotal_sv");
        for text in [RBF.replace('\n', "\r\n"), format!("{RBF}\n"), format!("\u{feff}{RBF}"), added] {
            assert_eq!(read(&text).unwrap(), wanted, "{text:?}");
        }
    }

    #[test]
    fn every_proper_prefix_of_a_model_is_refused() {
        let calibrated = RBF.replace("nr_sv", "probA -2.25\nprobB 0.5\nnr_sv");
        let linear = "svm_type c_svc\nkernel_type linear\nnr_class 2\ntotal_sv 1\nrho 0\nlabel 1 0\nSV\n1 1:25 2:4e+10\n";
        for text in [RBF, &calibrated, &RBF.replace('\n', "\r\n"), linear] {
            assert!(read(text).is_ok(), "{text}");
            for end in 0..text.len() {
                assert!(read(&text[..end]).is_err(), "{:?} was taken for a model", &text[..end]);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn damaged_text_never_panics(at in 0usize..150, with in "[-0-9a-z: \n.]{0,4}") {
            let mut text = RBF.to_owned();
            let at = at.min(text.len() - 1);
            text.replace_range(at..at + 1, &with);
            let _ = read(&text);
        }
    }
}
