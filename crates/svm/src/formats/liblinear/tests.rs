use super::*;
use crate::data::matrix::Matrix;
use crate::data::scaling::Scaling;
use crate::formats::TextFormat;
use crate::kernel::Kernel;
use crate::model::metadata::Metadata;
use crate::score::Scorer;

const SVC: &str = "solver_type L2R_L1LOSS_SVC_DUAL\nnr_class 2\nlabel 0 1\nnr_feature 3\nbias 2\nw\n\
                   0.5 \n-1 \n0 \n0.25 \n";

fn read(text: &str) -> Result<Model, ExchangeError> {
    let (format, model) = Import { least_features: 6, ..Import::default() }.read(text.as_bytes())?;
    assert_eq!(format, TextFormat::Liblinear);
    Ok(model)
}

fn written(model: &Model) -> String {
    let mut text = Vec::new();
    export(model, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn model(machine: Machine, scaling: Option<Scaling>, calibration: Option<Calibration>) -> Model {
    let labels = order(["1".to_owned(), "-1".to_owned()]).1;
    let features = Features::of_count(machine.features());
    let (name, window) = (None, Metadata::default());
    Model::new(Parts { name, features, window, labels, scaling, machine, calibration, training: None })
        .unwrap()
}

#[test]
fn first_label_decides_the_sign_and_the_bias_is_a_feature() {
    let x = [2.0, 3.0, 5.0, 0.0, 0.0, 0.0];
    for (text, score) in [
        (SVC.to_owned(), 1.5),
        (SVC.replace("label 0 1", "label 1 0"), -1.5),
        (SVC.replace("label 0 1", "label 1 0").replace("bias 2", "bias 0"), -2.0),
        (SVC.replace("bias 2", "bias -1").replace("0.25 \n", ""), 2.0),
    ] {
        let model = read(&text).unwrap();
        assert_eq!((model.parts().features.count, model.parts().labels.positive.as_str()), (6, "1"));
        assert_eq!(Scorer::new(&model).score(&x), score, "{text}");
        assert_eq!(model.parts().calibration, None);
    }
}

#[test]
fn classifiers_of_every_solver_read_and_log_odds_are_calibrated() {
    for solver in MACHINES.iter().chain(&LOGISTIC) {
        for text in [SVC.to_owned(), SVC.replace("label 0 1", "label 1 0")] {
            let model = read(&text.replace("L2R_L1LOSS_SVC_DUAL", solver)).unwrap();
            let scorer = Scorer::new(&model);
            let score = scorer.score(&[1.0; 6]);
            let odds = 1.0 / (1.0 + (-score).exp());
            let reported = scorer.probability(score);
            assert_eq!(
                reported.map(|p| (p - odds).abs() < 1e-15),
                solver.contains("LR").then_some(true),
                "{solver}"
            );
        }
    }
}

#[test]
fn exported_models_import_with_the_same_scores() {
    let scaling = Scaling { mean: vec![0.5, 0.25, 3.0], scale: vec![0.1, 2.0, 7.0] };
    for scaling in [None, Some(scaling)] {
        for (calibration, solver) in [
            (None, "L2R_L1LOSS_SVC_DUAL"),
            (Some(Calibration::Platt(Platt { a: -2.0, b: 0.1 })), "L2R_L1LOSS_SVC_DUAL"),
            (Some(OF_LOG_ODDS), "L2R_LR"),
        ] {
            let machine = Machine::Linear { weights: vec![1.0 / 3.0, -2e-9, 0.0], bias: -0.7 };
            let before = model(machine, scaling.clone(), calibration.clone());
            let text = written(&before);
            assert!(
                text.starts_with(&format!("solver_type {solver}\nnr_class 2\nlabel 1 -1\nnr_feature 3\n"))
            );
            let wanted = Import { features: Some(3), ..Import::default() };
            let again = wanted.read(text.as_bytes()).unwrap().1;
            assert_eq!(again.parts().calibration, calibration.filter(|_| keeps_calibration(&before)));
            let x = [0.3, 0.4, -1.0];
            let (before, after) = (Scorer::new(&before).score(&x), Scorer::new(&again).score(&x));
            // Folding the scaling into the weights rounds once more.
            assert!((before - after).abs() <= 1e-14 * before.abs(), "{before} and {after}");
            assert_eq!(written(&again), text);
        }
    }
}

#[test]
fn models_that_liblinear_cannot_hold_are_refused() {
    let mut vectors = Matrix::new(1);
    vectors.push(&[1.0]);
    let (kernel, bias) = (Kernel::Rbf { gamma: 1.0 }, 0.0);
    let rbf = model(Machine::Kernel { kernel, vectors, coefficients: vec![1.0], bias }, None, None);
    let reported = export(&rbf, Vec::new()).unwrap_err().to_string();
    assert!(reported.contains("linear models only, and this one's kernel is rbf"), "{reported}");
    let parts = model(Machine::Linear { weights: vec![1.0], bias }, None, None).parts().clone();
    let labels = order(["0.5".to_owned(), "0".to_owned()]).1;
    let reported =
        export(&Model::new(Parts { labels, ..parts }).unwrap(), Vec::new()).unwrap_err().to_string();
    assert!(reported.contains("label 0.5 cannot be exported"), "{reported}");
}

#[test]
fn line_ends_and_byte_order_marks_do_not_matter() {
    let wanted = read(SVC).unwrap();
    let spaced = SVC.replace("w\n", "\nw\n\n");
    for text in [SVC.replace('\n', "\r\n"), format!("{SVC}\n"), format!("\u{feff}{SVC}"), spaced] {
        assert_eq!(read(&text).unwrap(), wanted, "{text:?}");
    }
}

#[test]
fn files_of_other_kinds_are_refused_with_the_reason() {
    for (text, message) in [
        (SVC.replace("L2R_L1LOSS_SVC_DUAL", "MCSVM_CS"), "line 1: a model of MCSVM_CS is a score for each"),
        (SVC.replace("L2R_L1LOSS_SVC_DUAL", "L2R_L2LOSS_SVR"), "is regression, not classes"),
        (SVC.replace("L2R_L1LOSS_SVC_DUAL", "ONECLASS_SVM"), "is one class"),
        (SVC.replace("L2R_L1LOSS_SVC_DUAL", "L3"), "must be a classifier of LIBLINEAR's"),
        (SVC.replace("nr_class 2", "nr_class 3"), "line 2: `nr_class` must be 2"),
        (SVC.replace("label 0 1\n", ""), "no `label` line; this is not a whole model that LIBLINEAR's train"),
        (SVC.replace("label 0 1", "label 1 1"), "two different numbers, not `1 1`"),
        (
            SVC.replace("nr_feature 3", "nr_feature 4000000000"),
            "line 4: `nr_feature` must be from 1 to 1000000",
        ),
        (SVC.replace("nr_feature 3", "nr_feature 0"), "line 4: `nr_feature` must be from 1"),
        (
            SVC.replace("nr_feature 3", "nr_feature 4"),
            "ends at line 10, after 4 weights, and the header tells of 5",
        ),
        (SVC.replace("nr_feature 3", "nr_feature 2"), "line 10: more weights than the 3"),
        (SVC.replace("bias 2", "bias inf"), "line 5: `bias` must be a finite number"),
        (SVC.replace("bias 2", "bias 1e300").replace("0.25", "1e300"), "field bias"),
        (SVC.replace("bias 2", "bias 2\nrho 1"), "line 6: `rho` is not a line of a LIBLINEAR model"),
        (SVC.replace("-1 \n", "nan \n"), "line 8: `nan` is not one finite number"),
        (SVC.replace("-1 \n", "-1 1 \n"), "line 8: `-1 1` is not one finite number"),
        (SVC.replace("-1 \n", &"1".repeat(300)), "line 8: longer than 256 bytes"),
        (SVC.trim_end().to_owned(), "line 10: the file ends within this line; it is not whole"),
        (SVC[..40].to_owned(), "line 2: the file ends within this line"),
        (SVC[..53].to_owned(), "no `w` line"),
        (format!("{SVC}{SVC}"), "line 11: `solver_type L2R_L1LOSS_SVC_DUAL` is not one finite number"),
    ] {
        let reported = read(&text).unwrap_err().to_string();
        assert!(reported.contains(message), "{message:?} not in {reported:?}");
    }
    let narrow = Import { features: Some(2), ..Import::default() };
    let reported = narrow.read(SVC.as_bytes()).unwrap_err().to_string();
    assert!(reported.contains("the model has 3 features, and rows are to have 2"), "{reported}");
}

#[test]
fn every_proper_prefix_of_a_model_is_refused() {
    let bare = "solver_type L2R_LR\nnr_class 2\nlabel 1 -1\nnr_feature 1\nbias -1\nw\n-12.5e+10 \n";
    for text in [SVC, &SVC.replace('\n', "\r\n"), bare] {
        assert!(read(text).is_ok(), "{text}");
        for end in 0..text.len() {
            assert!(read(&text[..end]).is_err(), "{:?} was taken for a model", &text[..end]);
        }
    }
}

proptest::proptest! {
    #[test]
    fn damaged_text_never_panics(at in 0usize..120, with in "[-0-9a-z_: \n.]{0,4}") {
        let mut text = SVC.to_owned();
        let at = at.min(text.len() - 1);
        text.replace_range(at..at + 1, &with);
        let _ = read(&text);
    }
}
