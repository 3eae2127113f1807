//! `train`, `predict`, `evaluate` and `model` over the real binary.

mod calibration;
mod constant;
mod converged;
mod damaged;
mod exchange;
mod labels;
mod numbers;
mod outputs;
mod place;
#[path = "../shared/skipped.rs"]
mod skipped;
mod sparse;
mod sweep;
mod training;

use place::{Place, blobs};

#[test]
fn explanations_sum_to_the_decision_value() {
    let place = Place::new();
    for kernel in ["linear", "rbf"] {
        place.done(&format!("train features.txt -o model.json --kernel {kernel}"));
        let plain = place.done("predict other.txt --model model.json").stdout;
        let explained = place.done("predict other.txt --model model.json --explain").stdout;
        assert_eq!(explained.lines().count(), 60);
        for (plain, line) in plain.lines().zip(explained.lines()) {
            let explanation = line.strip_prefix(plain).expect("the explanation follows the plain line");
            let parts: Vec<_> =
                explanation.trim().split(' ').map(|part| part.split_once(':').unwrap()).collect();
            let names: Vec<_> = parts.iter().map(|part| part.0).collect();
            assert_eq!(names, ["base", "1", "2", "3", "4", "5", "6"]);
            let sum: f64 = parts.iter().map(|part| part.1.parse::<f64>().unwrap()).sum();
            let score: f64 = plain.split_once(' ').unwrap().1.parse().unwrap();
            assert!((sum - score).abs() < 1e-9, "{line}");
        }
    }
}

/// A regular file is predicted in parallel blocks, a pipe sequentially.
#[test]
fn predict_gives_the_same_output_for_files_and_pipes() {
    let place = Place::new();
    place.done("train features.txt -o model.json");
    let rows = blobs(9_000, 0.05, 3);
    let bad = rows.replacen("\n1 ", "\n1 nothing ", 1_500);
    let line = 2 + bad.lines().skip(1).take_while(|line| !line.contains("nothing")).count();
    let wide = format!("{rows}1 7:1\n{rows}");
    for (name, text, said) in [
        ("rows.txt", &rows, String::new()),
        ("bad.txt", &bad, format!("line {line}: `nothing`")),
        ("wide.txt", &wide, "line 9001: index 7".to_owned()),
        ("bom.txt", &format!("\u{feff}{rows}"), String::new()),
        ("late-bom.txt", &format!("{rows}\u{feff}{rows}"), "line 9001: ".to_owned()),
        ("unended.txt", &rows.trim_end().to_owned(), String::new()),
    ] {
        place.put(name, text);
        let file = place.run(&format!("predict {name} --model model.json -o file.out"));
        let pipe = place.run_with("predict - --model model.json -o pipe.out", text.as_bytes());
        assert_eq!(file.stderr, pipe.stderr.replace("standard input", name));
        assert!(file.stderr.contains(&said), "{said} in {}", file.stderr);
        assert_eq!((file.status, pipe.status), if said.is_empty() { (0, 0) } else { (1, 1) });
        if said.is_empty() {
            assert_eq!(place.text("file.out"), place.text("pipe.out"));
            assert_eq!(place.text("file.out").lines().count(), 9_000);
        }
    }
}

#[test]
fn train_predict_and_evaluate_agree() {
    let place = Place::new();
    let trained = place.done("train features.txt -o gold.json --name gold --seed 7");
    assert_eq!(trained.stdout, "");
    assert!(trained.stderr.contains("trained    linear C=1"), "{}", trained.stderr);

    let predicted = place.done("predict other.txt --model gold.json").stdout;
    assert_eq!(predicted.lines().count(), 60);
    let truth = place.text("other.txt");
    let mut right = 0;
    for (line, row) in predicted.lines().zip(truth.lines()) {
        let (label, score) = line.split_once(' ').unwrap();
        let score: f64 = score.parse().unwrap();
        assert_eq!(label == "1", score > 0.0, "{line}");
        right += usize::from(row.starts_with(label));
    }
    assert!(right >= 58, "{right} of 60");

    let measured = place.done("evaluate other.txt --model gold.json --json").json();
    assert_eq!(measured["rows"], 60);
    let error = measured["metrics"]["error"].as_f64().unwrap();
    assert!((error - (60 - right) as f64 / 60.0).abs() < 1e-12);
    assert!(measured["metrics"]["log_loss"].as_f64().unwrap() < 0.3);
    let table = place.done("evaluate other.txt --model gold.json").stdout;
    assert!(table.contains("AUC") && table.contains("predicted:"), "{table}");

    let shown = place.done("model show gold.json").stdout;
    for part in ["gold", "upbeat.shares/1", "256 plays, 28 days", "mobile", "seed 7", "120 rows"] {
        assert!(shown.contains(part), "{part} not in {shown}");
    }
    assert!(shown.contains(measured["model"].as_str().unwrap()));
    assert!(place.done("model check gold.json").stdout.contains("a server with this window takes it"));
}

#[test]
fn labels_are_written_as_in_the_training_file() {
    let place = Place::new();
    let renamed = |text: String| {
        let line = |line: &str| match line.split_once(' ') {
            Some(("1", rest)) => format!("+1 {rest}\n"),
            Some((_, rest)) => format!("-1.0 {rest}\n"),
            None => String::new(),
        };
        text.lines().map(line).collect::<String>()
    };
    place.put("signed.txt", renamed(place.text("features.txt")));
    place.done("train signed.txt -o signed.json");
    let predicted = place.done("predict signed.txt --model signed.json").stdout;
    assert!(predicted.lines().all(|line| line.starts_with("+1 ") || line.starts_with("-1.0 -")));
    assert!(predicted.contains("+1 "));
    // Labels are compared as numbers: 1 is +1, and 0 is neither.
    place.put("plain.txt", "1 5:0.9\n-1 5:0.1\n");
    place.done("evaluate plain.txt --model signed.json");
    let refused = place.run("evaluate features.txt --model signed.json");
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("features.txt: line 2: label 0 is neither the model's +1 nor its -1.0"));
}

#[test]
fn training_gives_the_same_bytes_through_files_and_pipes() {
    let place = Place::new();
    place.done("train features.txt -o first.json --seed 3");
    let piped = place.run_with("train - -o - --seed 3", place.text("features.txt").as_bytes());
    assert_eq!(piped.status, 0, "{}", piped.stderr);
    assert_eq!(piped.stdout, place.text("first.json"));
    place.done("train features.txt -o other.json --seed 4");
    assert_ne!(place.text("other.json"), place.text("first.json"));

    let to_stdout = place.done("predict other.txt --model first.json").stdout;
    place.done("predict other.txt --model first.json -o predictions.txt");
    assert_eq!(place.text("predictions.txt"), to_stdout);
    let model_piped = place.run_with("predict other.txt --model -", place.text("first.json").as_bytes());
    assert_eq!(model_piped.stdout, to_stdout);
}

#[test]
fn every_kernel_plan_and_scale_trains_and_reports() {
    let place = Place::new();
    for (call, kernel, method, rows, measured) in [
        ("--kernel linear -c 10 --holdout 0.25", "linear", "holdout", 90, 30),
        ("--kernel rbf --gamma 0.5 --cv 4", "rbf", "cross-validation, cross-fitted", 120, 120),
        ("--kernel poly --degree 2 --coef0 1", "poly", "cross-validation, cross-fitted", 120, 120),
        ("--kernel sigmoid --gamma 0.05 --coef0 -0.1", "sigmoid", "cross-validation, cross-fitted", 120, 120),
        ("--kernel rbf --gamma 20 --scale none", "rbf", "cross-validation, cross-fitted", 120, 120),
    ] {
        let report = place.done(&format!("train features.txt -o model.json --json {call}")).json();
        assert_eq!(report["kernel"]["type"], kernel);
        assert_eq!(report["rows"], rows);
        assert_eq!(report["measured"]["method"], method);
        let confusion = report["measured"]["metrics"]["confusion"].as_object().unwrap();
        assert_eq!(confusion.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), measured);
        assert!(report["measured"]["metrics"]["auc"].as_f64().unwrap() > 0.97, "{call}: {report}");
        assert_eq!(report["scale"], if call.contains("none") { "none" } else { "standard" });
        place.done("model check model.json");
        place.done("predict other.txt --model model.json");
    }
}

#[test]
fn auto_reports_candidates_and_choice() {
    let place = Place::new();
    place.put("few.txt", blobs(60, 0.03, 3));
    let report = place.done("train few.txt -o auto.json --auto --json").json();
    let tried = report["search"]["tried"].as_array().unwrap();
    let kernels: Vec<&str> = tried.iter().map(|tried| tried["kernel"]["type"].as_str().unwrap()).collect();
    assert!(kernels.contains(&"linear") && kernels.contains(&"rbf"), "{kernels:?}");
    assert_eq!(report["kernel"]["type"], "linear");
    let chosen = &tried[report["search"]["chosen"].as_u64().unwrap() as usize];
    assert_eq!(chosen["c"], report["c"]);
    let text = place.done("train few.txt -o auto.json --auto").stderr;
    assert!(
        text.contains("\n* linear")
            && text.contains("chosen     * least error and five times the Brier score"),
        "{text}"
    );
}

#[test]
fn wrong_flag_ends_with_status_2_and_is_named() {
    let place = Place::new();
    let before = place.names();
    for (flags, message) in [
        ("-c 0", "above 0"),
        ("-c nan", "above 0"),
        ("-c=-1", "above 0"),
        ("--gamma 0 --kernel rbf", "--gamma"),
        ("--gamma 1 --kernel linear", "--gamma is a parameter of --kernel rbf, poly and sigmoid only"),
        ("--degree 11 --kernel poly", "--degree"),
        ("--degree 2 --kernel rbf", "--degree is a parameter of --kernel poly only"),
        ("--coef0 inf --kernel poly", "--coef0"),
        ("--coef0 1 --kernel rbf", "--coef0 is a parameter of"),
        ("--holdout 0", "--holdout"),
        ("--holdout 1", "--holdout"),
        ("--holdout 0.2 --cv 3", "cannot be used with"),
        ("--cv 1", "--cv"),
        ("--auto --kernel rbf", "cannot be used with"),
        ("--auto --loss logistic", "cannot be used with"),
        ("--grid -c 3", "cannot be used with"),
        ("--criterion error", "add one of them"),
        ("--solver smartcore --class-weight 1=5", "cannot weigh labels"),
        ("--kernel rbf --loss logistic", "--loss logistic is a parameter of --kernel linear"),
        ("--kernel sigmoid --loss squared-hinge", "--kernel sigmoid is for the hinge loss"),
        ("--solver smo --bias regularised", "--bias is a parameter of --kernel linear"),
        ("-e 0", "above 0"),
        ("--max-iterations 0", "--max-iterations"),
        ("--class-weight 1=0", "must be LABEL=W"),
        ("--seed -1", "--seed"),
        ("--name a/b", "--name"),
        ("--window-plays 0", "--window-plays"),
        ("--window-days 40000", "--window-days"),
        ("--kernel cubic", "possible values: linear, rbf, poly, sigmoid"),
    ] {
        let ran = place.run(&format!("train features.txt -o model.json {flags}"));
        assert_eq!(ran.status, 2, "{flags}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{flags}: {message:?} not in {:?}", ran.stderr);
    }
    for call in ["train features.txt -o - --json", "predict - --model -", "train features.txt"] {
        assert_eq!(place.run(call).status, 2, "{call}");
    }
    assert_eq!(place.names(), before);
}

#[test]
fn bad_rows_end_with_status_1_and_the_line_and_write_nothing() {
    let place = Place::new();
    place.done("train features.txt -o good.json");
    let good = place.text("good.json");
    for (rows, message) in [
        ("", "bad.txt: there are no rows"),
        ("1 1:0.5\n", "every row has the label 1"),
        ("1 1:0.5\n1 1:0.6\n+1 2:1\n", "every row has the label 1"),
        ("1 1:0.5\n0 1:0.4\n2 1:0.3\n", "line 3: label 2 is a third one beside 1 and 0"),
        ("1 1:0.5\nyes 1:0.4\n", "line 2: `yes` is not a label"),
        ("1 2:0.5 1:0.5\n", "line 1: index 1 comes after 2"),
        ("1 0:0.5\n", "line 1: `0` is not a feature index"),
        ("1 1:nan\n", "line 1: `nan` at index 1 is not a finite number"),
        ("1 1:1e999\n", "line 1: `1e999` at index 1"),
        ("1 1000001:1\n", "line 1: index 1000001 is more than the 1000000 features"),
        ("0.29,0.21,0.21\n", "line 1: `0.29,0.21,0.21` is not a label"),
        ("1\n0\n", "no row has a feature"),
    ] {
        place.put("bad.txt", rows);
        let ran = place.run("train bad.txt -o good.json");
        assert_eq!(ran.status, 1, "{rows:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{message:?} not in {:?}", ran.stderr);
    }
    place.put("few.txt", "1 1:0.5\n0 1:0.4\n0 1:0.3\n0 1:0.2\n");
    for (call, message) in [
        ("train few.txt -o good.json --cv 3", "needs at least 3 rows of each label, and label 1 has 1"),
        ("train few.txt -o good.json --holdout 0.5", "a holdout needs at least 2 rows of each label"),
        ("train absent.txt -o good.json", "absent.txt: cannot be opened"),
        ("train features.txt -o absent/model.json", "absent/model.json: cannot be written"),
        ("predict features.txt --model features.txt", "features.txt: not an Upbeat model file"),
        ("evaluate bad.txt --model absent.json", "absent.json: cannot be opened"),
    ] {
        let ran = place.run(call);
        assert_eq!(ran.status, 1, "{call}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{message:?} not in {:?}", ran.stderr);
    }
    // A failure in the middle of a file leaves what was there before.
    place.put("predictions.txt", "old");
    place.put("bad.txt", "1 1:0.5\n1 7:1\n");
    let ran = place.run("predict bad.txt --model good.json -o predictions.txt");
    assert!(ran.stderr.contains("line 2: index 7 is beyond the model's 6 features"), "{}", ran.stderr);
    assert_eq!((ran.status, place.text("predictions.txt").as_str()), (1, "old"));
    assert_eq!(place.text("good.json"), good);
    assert_eq!(
        place.names(),
        ["bad.txt", "features.txt", "few.txt", "good.json", "other.txt", "predictions.txt"]
    );
}

#[test]
fn line_endings_comments_and_byte_order_marks_do_not_change_training() {
    let place = Place::new();
    place.done("train features.txt -o plain.json");
    let plain = place.done("predict other.txt --model plain.json").stdout;
    let rows = place.text("features.txt");
    let windows = format!("\u{feff}{}", rows.trim_end().replace('\n', " # an id\r\n"));
    place.put("windows.txt", windows);
    place.done("train windows.txt -o windows.json");
    assert_eq!(place.done("predict other.txt --model windows.json").stdout, plain);
}

#[test]
fn model_check_reports_models_that_cannot_serve() {
    let place = Place::new();
    place.done("train features.txt -o week.json --window-days 7");
    let ran = place.run("model check week.json");
    assert_eq!(ran.status, 1);
    assert!(ran.stdout.contains("set window.plays = 256 and window.days = 7"), "{}", ran.stdout);
    place.done("model check week.json --window-days 7");
    place.put("three.txt", "1 1:0.9 3:0.1\n0 1:0.1 3:0.9\n");
    place.done("train three.txt -o three.json");
    let ran = place.run("model check three.json");
    assert_eq!(ran.status, 1);
    assert!(ran.stdout.contains("it takes 3 features, the server makes 6"), "{}", ran.stdout);
    place.put("broken.json", place.text("three.json").replace("\"bias\":", "\"bias\":1e999,\"was\":"));
    let ran = place.run("model check broken.json");
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("broken.json: not an Upbeat model file"), "{}", ran.stderr);
}
