//! Against libSVM's own programs.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::place::{Place, Ran};

/// Whether libSVM's own programs are here; the test is passed over, and says so, when they are not.
fn libsvm_is_here() -> bool {
    let here = ["svm-train", "svm-predict", "svm-scale"]
        .iter()
        .all(|tool| Command::new(tool).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok());
    if !here {
        eprintln!("passed over: svm-train, svm-predict, svm-scale are not installed (libsvm-tools)");
    }
    here
}

impl Place {
    fn libsvm(&self, call: &str) -> Ran {
        let mut words = call.split(' ');
        let program = words.next().unwrap();
        let ran = Ran::of(Command::new(program).args(words).current_dir(self.dir.path()).output().unwrap());
        assert_eq!(ran.status, 0, "{call}: {}", ran.stderr);
        ran
    }
}

#[test]
fn libsvm_predicts_our_labels_and_probabilities_from_an_export() {
    if !libsvm_is_here() {
        return;
    }
    let place = Place::new();
    for kernel in ["linear", "rbf --gamma 0.5", "poly --degree 2 --coef0 1", "sigmoid --gamma 0.05"] {
        for scale in ["none", "standard"] {
            place.done(&format!("train features.txt -o ours.json --kernel {kernel} --scale {scale}"));
            let told = place.done("model export --format libsvm ours.json -o theirs.model").stderr;
            let scaled = scale == "standard" && kernel != "linear";
            assert_eq!(told.contains("svm-scale -r theirs.model.range"), scaled, "{told}");
            let rows = if scaled { "scaled.txt" } else { "other.txt" };
            if scaled {
                place.put("scaled.txt", place.libsvm("svm-scale -r theirs.model.range other.txt").stdout);
            }
            place.libsvm(&format!("svm-predict -q {rows} theirs.model theirs.txt"));
            let ours = place.done("predict other.txt --model ours.json").stdout;
            let (labels, scores): (Vec<&str>, Vec<f64>) = ours
                .lines()
                .map(|line| line.split_once(' ').unwrap())
                .map(|(label, score)| (label, score.parse::<f64>().unwrap()))
                .unzip();
            // svm-scale writes six digits, so only a score beside 0 could change its sign.
            for ((label, score), theirs) in labels.iter().zip(&scores).zip(place.text("theirs.txt").lines()) {
                assert!(*label == theirs || score.abs() < 1e-3, "{kernel} {scale}: {score} {theirs}");
            }

            // svm-predict does not print scores, but probabilities: the score through probA and probB.
            place.libsvm(&format!("svm-predict -q -b 1 {rows} theirs.model theirs.txt"));
            let model: Value = serde_json::from_str(&place.text("ours.json")).unwrap();
            let platt = |key: &str| model["calibration"][key].as_f64().unwrap();
            for (score, line) in scores.iter().zip(place.text("theirs.txt").lines().skip(1)) {
                let theirs: f64 = line.split(' ').nth(1).unwrap().parse().unwrap();
                let ours = 1.0 / (1.0 + (platt("a") * score + platt("b")).exp());
                let tolerance = if scaled { 1e-3 } else { 1e-5 };
                assert!((ours - theirs).abs() < tolerance, "{kernel} {scale}: {ours} and {theirs}");
            }
        }
    }
}

#[test]
fn a_model_of_svm_train_predicts_alike_after_import() {
    if !libsvm_is_here() {
        return;
    }
    let place = Place::new();
    for options in ["-t 0", "-t 1 -g 1 -r 1", "-t 2 -g 20", "-t 3 -g 0.1 -r -0.5", "-t 2 -g 20 -b 1"] {
        place.libsvm(&format!("svm-train -q {options} features.txt theirs.model"));
        let told = place.done("model import --format libsvm theirs.model -o ours.json").stderr;
        assert_eq!(told.contains("no calibration"), !options.contains("-b 1"), "{told}");
        place.done("model check ours.json");
        place.libsvm("svm-predict -q other.txt theirs.model theirs.txt");
        let ours = place.done("predict other.txt --model ours.json").stdout;
        let ours: Vec<&str> = ours.lines().map(|line| line.split(' ').next().unwrap()).collect();
        let theirs = place.text("theirs.txt");
        assert_eq!(ours, theirs.lines().collect::<Vec<_>>(), "{options}");
    }
    let ran = place.run("model import --format libsvm features.txt -o ours.json");
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr
            .contains("features.txt: line 1: `1` is not a line of a libSVM model; one begins with svm_type"),
        "{}",
        ran.stderr
    );
}
