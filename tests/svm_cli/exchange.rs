//! Models to and from other tools' files. `tests/peers` holds them against the tools themselves.

use crate::place::Place;

const LIBLINEAR: &str = "solver_type L2R_LR\nnr_class 2\nlabel 0 1\nnr_feature 6\nbias 1\nw\n\
                         1 \n2 \n0 \n0 \n-16 \n4 \n6.5 \n";

fn bytes_hold(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Labels and scores of a prediction.
fn scores(predicted: &str) -> (Vec<&str>, Vec<f64>) {
    predicted
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(label, score)| (label, score.parse::<f64>().unwrap()))
        .unzip()
}

#[test]
fn an_export_comes_back_with_its_labels_and_scores() {
    let place = Place::new();
    for kernel in ["linear", "rbf --gamma 20", "poly --degree 2 --coef0 1", "sigmoid --gamma 0.05"] {
        place.done(&format!("train features.txt -o ours.json --scale none --kernel {kernel}"));
        let before = place.done("predict other.txt --model ours.json").stdout;
        for format in ["libsvm", "liblinear"] {
            let export = format!("model export --format {format} ours.json -o theirs.model");
            if format == "liblinear" && kernel != "linear" {
                let ran = place.run(&export);
                assert_eq!(ran.status, 1);
                assert!(ran.stderr.contains("ours.json: LIBLINEAR has linear models only"), "{}", ran.stderr);
                continue;
            }
            place.done(&export);
            let told = place.done("model import theirs.model -o back.json").stderr;
            assert_eq!(told.contains("no calibration"), format == "liblinear", "{told}");
            place.done("model check back.json");
            let after = place.done("predict other.txt --model back.json").stdout;
            let (before, after) = (scores(&before), scores(&after));
            assert_eq!(before.0, after.0);
            for (before, after) in before.1.iter().zip(&after.1) {
                assert!((before - after).abs() < 1e-9, "{kernel}: {before} {after}");
            }
        }
    }
}

#[test]
fn a_scaled_kernel_model_has_its_scaling_written_beside_it() {
    let place = Place::new();
    place.done("train features.txt -o ours.json --kernel rbf");
    let told = place.done("model export --format libsvm ours.json -o theirs.model").stderr;
    assert!(told.contains("svm-scale -r theirs.model.range"), "{told}");
    let range = place.text("theirs.model.range");
    assert!(range.starts_with("x\n-1 1\n1 ") && range.lines().count() == 8, "{range}");
    let ran = place.run("model export --format libsvm ours.json -o -");
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("written beside it as OUT.range"), "{}", ran.stderr);
}

#[test]
fn onnx_holds_the_model_and_its_id() {
    let place = Place::new();
    for kernel in ["linear", "rbf"] {
        place.done(&format!("train features.txt -o ours.json --kernel {kernel}"));
        place.done("model export --format onnx ours.json -o ours.onnx");
        let bytes = std::fs::read(place.path("ours.onnx")).unwrap();
        let shown = place.done("model check ours.json").stdout;
        let id = shown.split_whitespace().find(|word| word.len() == 12 && bytes_hold(&bytes, word));
        assert!(id.is_some(), "no id of {shown:?} in the file");
    }
}

#[test]
fn the_file_tells_its_format_and_the_flag_need_not_agree() {
    let place = Place::new();
    place.put("theirs.model", LIBLINEAR);
    for flag in ["", "--format liblinear ", "--format libsvm "] {
        let told = place.done(&format!("model import {flag}theirs.model -o ours.json --name odds")).stderr;
        assert!(told.contains("of 6 features from LIBLINEAR") && !told.contains("no calibration"), "{told}");
    }
    let piped = place.run_with("model import - -o -", LIBLINEAR.as_bytes()).json();
    assert_eq!(piped["calibration"]["a"], -1.0);
    assert_eq!(place.run("model import --format onnx theirs.model -o ours.json").status, 2);
}

#[test]
fn a_file_of_another_kind_is_status_1_names_its_line_and_leaves_no_file() {
    let place = Place::new();
    let before = place.names();
    place.put("cut.model", &LIBLINEAR[..LIBLINEAR.len() - 6]);
    for (call, message) in [
        ("model import features.txt -o o.json", "features.txt: line 1: `1` is not a line of a libSVM model"),
        ("model import cut.model -o o.json", "cut.model: the file ends at line 12, after 6 weights"),
        ("model import absent.model -o o.json", "absent.model: cannot be opened"),
        ("model import cut.model -o o.json --features 5", "cut.model: "),
    ] {
        let ran = place.run(call);
        assert_eq!(ran.status, 1, "{call}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{message:?} not in {:?}", ran.stderr);
    }
    std::fs::remove_file(place.path("cut.model")).unwrap();
    assert_eq!(place.names(), before);
}
