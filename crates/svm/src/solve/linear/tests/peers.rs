//! Comparisons with LIBLINEAR and libSVM.

use std::process::{Command, Stdio};

use super::*;
use crate::testing::skipped;

/// What a trainer prints and its model, or nothing where it is not installed.
#[track_caller]
fn trained_by(program: &str, arguments: &str, case: &Case) -> Option<(String, String)> {
    if Command::new(program).stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        skipped(&format!("{program} is not installed"));
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for (row, values) in case.x.rows().enumerate() {
        text += if case.positive[row] { "+1" } else { "-1" };
        values.iter().enumerate().for_each(|(i, value)| text += &format!(" {}:{value:?}", i + 1));
        text.push('\n');
    }
    std::fs::write(folder.path().join("rows"), text).unwrap();
    let mut call = Command::new(program);
    call.args(arguments.split(' ')).args(["rows", "model"]).current_dir(folder.path());
    let printed = String::from_utf8(call.output().unwrap().stdout).unwrap();
    Some((printed, std::fs::read_to_string(folder.path().join("model")).unwrap()))
}

fn number_after(text: &str, words: &str) -> f64 {
    let (_, rest) = text.split_once(words).unwrap_or_else(|| panic!("{words:?} not in {text}"));
    rest.trim_start().split([',', '\n']).next().unwrap().trim().parse().unwrap()
}

#[test]
fn objective_equals_liblinears() {
    for (loss, solver) in [(Loss::Hinge, 3), (Loss::SquaredHinge, 1), (Loss::Logistic, 7)] {
        for cost in [0.1, 1.0, 10.0] {
            let case = Case::blobs(600, cost);
            let arguments = format!("-s {solver} -B 1 -c {cost} -e 0.001");
            let Some((printed, _)) = trained_by("liblinear-train", &arguments, &case) else { return };
            let (ours, theirs) = (
                case.solve(loss, Bias::Regularised, 0.001).objective,
                number_after(&printed, "Objective value ="),
            );
            assert!(near(ours, theirs, 1e-4), "{loss} {cost}: {ours} and {theirs}");
        }
    }
}

#[test]
fn objective_and_predictions_equal_libsvms() {
    for cost in [0.1, 1.0, 100.0] {
        let case = Case::blobs(2000, cost);
        let Some((printed, model)) = trained_by("svm-train", &format!("-t 0 -c {cost}"), &case) else {
            return;
        };
        let ours = case.solve(Loss::Hinge, Bias::Free, 0.001);
        let (theirs, rho) = (number_after(&printed, "obj ="), number_after(&printed, "rho ="));
        assert!(near(ours.objective, theirs, 1e-4), "{cost}: {} and {theirs}", ours.objective);

        // The model lists coefficient and features of each support vector, the first row's label positive.
        let mut weights = vec![0.0; case.x.columns()];
        for line in model.split_once("SV\n").unwrap().1.lines() {
            let (coefficient, features) = line.split_once(' ').unwrap();
            for (weight, feature) in weights.iter_mut().zip(features.split_ascii_whitespace()) {
                let value: f64 = feature.split_once(':').unwrap().1.parse().unwrap();
                *weight += coefficient.parse::<f64>().unwrap() * value;
            }
        }
        let (ours, theirs) = (case.machine(&ours), Machine::Linear { weights, bias: -rho });
        let same = case.x.rows().filter(|row| (ours.score(row) > 0.0) == (theirs.score(row) > 0.0)).count();
        assert!(same * 1000 >= 999 * case.costs.len(), "{cost}: {same} of {}", case.costs.len());
    }
}
