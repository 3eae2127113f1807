//! Import and export of models; `tests/peers` compares them with the other tools themselves.

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
fn exported_model_keeps_its_labels_and_scores_when_imported() {
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
            let stderr = place.done("model import theirs.model -o back.json").stderr;
            assert_eq!(stderr.contains("no calibration"), format == "liblinear", "{stderr}");
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
fn scaled_kernel_model_is_exported_with_a_range_file() {
    let place = Place::new();
    place.done("train features.txt -o ours.json --kernel rbf");
    let stderr = place.done("model export --format libsvm ours.json -o theirs.model").stderr;
    assert!(stderr.contains("svm-scale -r theirs.model.range"), "{stderr}");
    let range = place.text("theirs.model.range");
    assert!(range.starts_with("x\n-1 1\n1 ") && range.lines().count() == 8, "{range}");
    let ran = place.run("model export --format libsvm ours.json -o -");
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("written beside it as OUT.range"), "{}", ran.stderr);
}

#[test]
fn onnx_export_holds_the_model_id() {
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
fn import_detects_the_format_whatever_the_flag_says() {
    let place = Place::new();
    place.put("theirs.model", LIBLINEAR);
    for flag in ["", "--format liblinear ", "--format libsvm "] {
        let stderr = place.done(&format!("model import {flag}theirs.model -o ours.json --name odds")).stderr;
        assert!(
            stderr.contains("of 6 features from LIBLINEAR") && !stderr.contains("no calibration"),
            "{stderr}"
        );
    }
    let piped = place.run_with("model import - -o -", LIBLINEAR.as_bytes()).json();
    assert_eq!(piped["calibration"]["a"], -1.0);
    assert_eq!(place.run("model import --format onnx theirs.model -o ours.json").status, 2);
}

#[test]
fn import_of_an_unreadable_file_ends_with_status_1_and_the_line_and_writes_nothing() {
    let place = Place::new();
    let before = place.names();
    place.put("short.model", &LIBLINEAR[..LIBLINEAR.len() - "6.5 \n".len()]);
    place.put("cut.model", &LIBLINEAR[..LIBLINEAR.len() - "5 \n".len()]);
    for (call, message) in [
        ("model import features.txt -o o.json", "features.txt: line 1: `1` is not a line of a libSVM model"),
        ("model import short.model -o o.json", "short.model: the file ends at line 12, after 6 weights"),
        (
            "model import cut.model -o o.json",
            "cut.model: line 13: the file ends within this line; it is not whole",
        ),
        ("model import absent.model -o o.json", "absent.model: cannot be opened"),
        ("model import cut.model -o o.json --features 5", "cut.model: "),
    ] {
        let ran = place.run(call);
        assert_eq!(ran.status, 1, "{call}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{message:?} not in {:?}", ran.stderr);
    }
    for name in ["cut.model", "short.model"] {
        std::fs::remove_file(place.path(name)).unwrap();
    }
    assert_eq!(place.names(), before);
}

#[test]
fn libsvm_model_that_was_cut_short_or_holds_a_comment_is_no_other_model() {
    let place = Place::new();
    place.done("train features.txt -o ours.json --kernel rbf --scale none");
    place.done("model export --format libsvm ours.json -o theirs.model");
    let whole = place.text("theirs.model");
    let last = whole.trim_end().lines().last().unwrap();
    for (text, message) in [
        (whole[..whole.len() - 5].to_owned(), "the file ends within this line; it is not whole"),
        (whole[..whole.len() - 1].to_owned(), "the file ends within this line; it is not whole"),
        (whole.replace(last, &last.replacen(" 2:", " # 2:", 1)), "a support vector has no comment"),
    ] {
        place.put("broken.model", text);
        let ran = place.run("model import broken.model -o back.json");
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(message), "{message:?} not in {:?}", ran.stderr);
        assert!(!place.names().contains(&"back.json".to_owned()));
    }
}
