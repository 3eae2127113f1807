//! The options of `upbeat train`.

use crate::place::{Place, blobs};

#[test]
fn every_solver_and_loss_trains_and_is_recorded_in_the_model() {
    let place = Place::new();
    for (flags, solver, loss, bias) in [
        // Where a probability is asked for, the loss is the squared hinge; libSVM's where none is.
        ("", "native", "squared-hinge", "free"),
        ("--calibration none", "native", "hinge", "free"),
        ("--bias regularised", "native", "squared-hinge", "regularised"),
        ("--loss hinge", "native", "hinge", "free"),
        ("--loss logistic --bias regularised", "native", "logistic", "regularised"),
        ("--solver smo", "smo", "squared-hinge", "free"),
        ("--kernel rbf", "native", "squared-hinge", "free"),
        ("--kernel rbf --loss hinge", "native", "hinge", "free"),
        // Its machines of some folds are further from the optimum than the tolerance, and are not written unasked.
        ("--solver smartcore --allow-unconverged", "smartcore 0.7", "hinge", "free"),
    ] {
        let report = place.done(&format!("train features.txt -o model.json --json {flags}")).json();
        assert_eq!(report["solver"], solver);
        assert_eq!(
            (&report["parameters"]["loss"], &report["parameters"]["bias"]),
            (&loss.into(), &bias.into())
        );
        let within = report["gap"].as_f64().unwrap() <= 1e-3;
        assert_eq!(report["converged"], within, "{report}");
        assert!(within || solver.starts_with("smartcore"), "{report}");
        let model: serde_json::Value = serde_json::from_str(&place.text("model.json")).unwrap();
        assert_eq!(model["training"]["parameters"], report["parameters"]);
        assert_eq!(model["training"]["feature_mean"].as_array().unwrap().len(), 6);
        assert_eq!(model["version"], 3);
        let error = place.done("evaluate other.txt --model model.json --json").json();
        assert!(error["metrics"]["error"].as_f64().unwrap() < 0.05, "{flags}: {error}");
    }
}

#[test]
fn smo_and_native_solver_find_the_same_objective() {
    let place = Place::new();
    let train =
        |flags: &str| place.done(&format!("train features.txt -o model.json --json -e 1e-6 {flags}")).json();
    let [native, smo] = ["", "--solver smo"].map(|flags| train(flags)["objective"].as_f64().unwrap());
    assert!((native - smo).abs() < 1e-4 * smo.abs(), "{native} and {smo}");
}

#[test]
fn solver_of_report_and_model_is_the_one_that_found_the_machine() {
    let place = Place::new();
    place.put("noisy.txt", blobs(100, 0.3, 5));
    // SMO would take millions of pairs.
    let call =
        "train noisy.txt -o model.json --json --loss squared-hinge --calibration none -c 100000 --solver smo";
    let report = place.done(call).json();
    assert_eq!((&report["solver"], &report["converged"]), (&"native".into(), &true.into()), "{report}");
    let model: serde_json::Value = serde_json::from_str(&place.text("model.json")).unwrap();
    assert_eq!(model["training"]["solver"], "native");
}

#[test]
fn grid_finds_c_and_gamma_by_both_criteria() {
    let place = Place::new();
    for (flags, kernel) in
        [("--kernel rbf --criterion error --cv 4", "rbf"), ("--loss logistic --criterion log-loss", "linear")]
    {
        let report = place.done(&format!("train features.txt -o model.json --grid --json {flags}")).json();
        assert_eq!(report["kernel"]["type"], kernel);
        let search = &report["search"];
        assert_eq!(search["criterion"], if flags.contains("error") { "error" } else { "log-loss" });
        assert_eq!(search["folds"], if flags.contains("--cv 4") { 4 } else { 5 });
        let tried = search["tried"].as_array().unwrap();
        assert!(tried.iter().all(|tried| tried["kernel"]["type"] == kernel));
        let chosen = &tried[search["chosen"].as_u64().unwrap() as usize];
        assert_eq!((&chosen["c"], &chosen["kernel"]["gamma"]), (&report["c"], &report["kernel"]["gamma"]));
        if flags.contains("error") {
            let wrong = |tried: &serde_json::Value| 120.0 * tried["error"].as_f64().unwrap();
            let least = tried.iter().map(wrong).fold(f64::INFINITY, f64::min);
            assert!(wrong(chosen) <= least + (0.5 * least.sqrt()).max(1.0) + 1e-9, "{chosen}");
        }
    }
}

#[test]
fn holdout_rows_are_not_used_by_the_search() {
    let place = Place::new();
    let report = place.done("train features.txt -o model.json --auto --holdout 0.25 --json").json();
    assert_eq!((report["rows"].as_u64(), report["search"]["rows"].as_u64()), (Some(90), Some(90)));
}

#[test]
fn weights_of_labels_and_rows_raise_recall_alike() {
    let place = Place::new();
    place.put("noisy.txt", blobs(200, 0.15, 5));
    let recall = |flags: &str| {
        place.done(&format!("train noisy.txt -o model.json {flags}"));
        let report = place.done("evaluate noisy.txt --model model.json --json").json();
        report["metrics"]["recall"].as_f64().unwrap()
    };
    let weights: String =
        place.text("noisy.txt").lines().map(|row| if row.starts_with('1') { "4\n" } else { "1\n" }).collect();
    place.put("weights.txt", weights);
    // Means and deviations of standardised features are by the rows' weights, and not by those of classes.
    for kernel in ["--scale none --kernel linear", "--scale none --kernel rbf"] {
        let plain = recall(kernel);
        let by_label = recall(&format!("{kernel} --class-weight 1=4"));
        let labelled = place.done("predict noisy.txt --model model.json").stdout;
        let by_row = recall(&format!("{kernel} --row-weights weights.txt"));
        assert!(by_label > plain, "{kernel}: {by_label} after {plain}");
        assert_eq!(by_label, by_row, "a label's weight is the weight of its rows");
        assert_eq!(labelled, place.done("predict noisy.txt --model model.json").stdout);
    }
}

#[test]
fn row_of_weight_2_trains_as_two_rows() {
    let place = Place::new();
    let rows = blobs(100, 0.15, 5);
    let times = |i: usize| 1 + i % 3;
    let each = || rows.lines().enumerate();
    place.put("once.txt", &rows);
    place.put("weights.txt", each().map(|(i, _)| format!("{}\n", times(i))).collect::<String>());
    place.put("written.txt", each().map(|(i, row)| format!("{row}\n").repeat(times(i))).collect::<String>());
    for flags in ["--kernel linear", "--kernel rbf", "--kernel linear --scale none"] {
        let flags = format!("{flags} -e 1e-6 --calibration none --loss squared-hinge --allow-constant");
        let scores = |call: &str| -> Vec<f64> {
            place.done(&format!("train {call} -o model.json {flags}"));
            let predicted = place.done("predict other.txt --model model.json").stdout;
            predicted.lines().map(|line| line.split_once(' ').unwrap().1.parse().unwrap()).collect()
        };
        let (weighted, written) = (scores("once.txt --row-weights weights.txt"), scores("written.txt"));
        for (one, other) in weighted.iter().zip(&written) {
            assert!((one - other).abs() < 1e-4, "{flags}: {one} where {other} is wanted");
        }
    }
}

#[test]
fn counts_of_rows_are_told_from_the_shares_of_what_they_weigh() {
    let place = Place::new();
    // The commoner label's rows are a sample, and stand for all.
    let rare: String = (0..6000)
        .map(|row| format!("{} 1:{} 2:{}\n", u8::from(row % 300 == 0), row * 7919 % 1000, row % 13))
        .collect();
    place.put("rare.txt", rare);
    let note = "confusion  of rows; the shares above are of what they weigh";
    let call = "train rare.txt -o rare.json --class-weight 1=100";
    let said = place.done(call).stderr;
    assert!(said.contains(note), "{said}");
    assert!(place.done("model show rare.json").stdout.contains(note));
    for said in [
        place.done("evaluate rare.txt --model rare.json").stdout,
        place.done("train features.txt -o plain.json").stderr,
    ] {
        assert!(said.contains("confusion\n") && !said.contains("weigh"), "{said}");
    }
}

#[test]
fn bad_row_weights_are_reported_with_their_line() {
    let place = Place::new();
    let before = place.names();
    for (weights, message) in [
        ("1\n".repeat(119), "weights.txt: 119 weights for 120 rows; give each row one, a line each"),
        ("1\n".repeat(121), "weights.txt: line 121: there are only 120 rows"),
        (
            format!("1\nheavy\n{}", "1\n".repeat(118)),
            "weights.txt: line 2: weight `heavy` must be a finite number above 0",
        ),
        (format!("1\n1\n0\n{}", "1\n".repeat(117)), "weights.txt: line 3: weight `0` must be"),
        (
            format!("1{}\n{}", "0".repeat(70), "1\n".repeat(119)),
            "weights.txt: line 1: longer than 63 characters",
        ),
        (format!("inf\n{}", "1\n".repeat(119)), "weights.txt: line 1: weight `inf` must be"),
    ] {
        place.put("weights.txt", weights);
        let ran = place.run("train features.txt -o model.json --row-weights weights.txt");
        assert_eq!(ran.status, 1);
        assert!(ran.stderr.contains(message), "{message} not in {}", ran.stderr);
    }
    for (flags, message) in [
        ("--class-weight 7=2", "--class-weight 7=2: the rows are labelled 1 and 0"),
        ("--class-weight 1=2 --class-weight +1=3", "--class-weight +1=3: this label has a weight already"),
    ] {
        let ran = place.run(&format!("train features.txt -o model.json {flags}"));
        assert_eq!(ran.status, 1);
        assert!(ran.stderr.contains(message), "{message} not in {}", ran.stderr);
    }
    std::fs::remove_file(place.path("weights.txt")).unwrap();
    assert_eq!(place.names(), before);
}

#[test]
fn degenerate_problems_train_or_are_refused_with_a_reason() {
    let place = Place::new();
    for (rows, outcome) in [
        // A constant feature, huge and tiny values, rows that are the same in both classes.
        ("1 1:1 2:0.9\n0 1:1 2:0.1\n1 1:1 2:0.8\n0 1:1 2:0.2\n", Ok(())),
        ("1 1:1e150\n0 1:-1e150\n1 1:2e150\n0 1:0\n", Ok(())),
        ("1 1:1e-300\n0 1:0\n1 1:2e-300\n0 1:0\n", Ok(())),
        ("1 1:0.5\n0 1:0.5\n1 1:0.5\n0 1:0.5\n", Err("the model scores all rows alike")),
        ("1 1:0.5\n", Err("every row has the label 1")),
        ("1 1000001:1\n0 1:1\n", Err("line 1: index 1000001 is more than the 1000000 features")),
        ("yes 1:1\nno 1:0\n", Err("line 1: `yes` is not a label")),
    ] {
        place.put("odd.txt", rows);
        for flags in
            ["--kernel linear", "--kernel rbf", "--kernel poly", "--kernel sigmoid", "--loss logistic"]
        {
            let ran = place.run(&format!("train odd.txt -o model.json {flags}"));
            match outcome {
                Ok(()) => {
                    assert_eq!(ran.status, 0, "{rows:?} {flags}: {}", ran.stderr);
                    assert!(place.done("model show model.json").stdout.contains("support vectors"));
                }
                Err(message) => {
                    assert_eq!(ran.status, 1, "{rows:?} {flags}");
                    assert!(ran.stderr.contains(message), "{message} not in {}", ran.stderr);
                }
            }
        }
    }
}

#[test]
fn model_and_report_may_not_share_a_file() {
    let place = Place::new();
    let before = place.names();
    for (flags, status, message) in [
        ("-o model.json --report ./model.json", 2, "are the same file; name two"),
        ("-o model.json --report .", 1, "it is a directory"),
        ("-o .", 1, "it is a directory"),
        ("-o model.json --report -", 2, "name a file"),
    ] {
        let ran = place.run(&format!("train features.txt {flags}"));
        assert_eq!(ran.status, status, "{flags}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{message} not in {}", ran.stderr);
    }
    assert_eq!(place.names(), before);
    place.done("train features.txt -o model.json --report report.html");
    assert!(place.text("report.html").starts_with("<!doctype html>"));
    place.done("model check model.json");
}

#[test]
fn logistic_bias_at_small_c_is_the_log_odds() {
    // With hardly any weight on errors the weights are 0, and a logistic bias is the log of the odds.
    let place = Place::new();
    let odds = (24.0f64 / 96.0).ln();
    for c in ["1e-4", "1e-6"] {
        place.done(&format!(
            "train features.txt -o model.json --loss logistic -c {c} --calibration none --max-iterations 100000"
        ));
        let model: serde_json::Value = serde_json::from_str(&place.text("model.json")).unwrap();
        let bias = model["bias"].as_f64().unwrap();
        assert!((bias - odds).abs() < 0.02, "C={c}: {bias} and {odds}");
    }
}

#[test]
fn grid_of_every_kernel_ends() {
    let place = Place::new();
    place.put("few.txt", blobs(60, 0.1, 3));
    for kernel in ["poly", "sigmoid"] {
        place.done(&format!("train few.txt -o model.json --kernel {kernel} --grid --cv 3"));
    }
}

#[test]
fn calibration_method_is_kept_in_the_model() {
    let place = Place::new();
    place.put("noisy.txt", blobs(400, 0.12, 5));
    for (method, field, said) in [
        ("platt", "a", "calibrated probability = 1 / (1 + exp("),
        ("isotonic", "scores", "calibrated by a rising line through"),
    ] {
        let report =
            place.done(&format!("train noisy.txt -o model.json --json --cv 5 --calibration {method}")).json();
        assert!(!report["calibration"][field].is_null(), "{report}");
        let error = report["measured"]["metrics"]["calibration_error"].as_f64().unwrap();
        assert!((0.0..0.1).contains(&error), "{error}");
        assert!(place.done("model show model.json").stdout.contains(said));
        let evaluated = place.done("evaluate other.txt --model model.json --json").json();
        assert!(evaluated["metrics"]["log_loss"].as_f64().unwrap() < 0.5);
        for format in ["libsvm", "onnx"] {
            let stderr = place.done(&format!("model export --format {format} model.json -o out.bin")).stderr;
            assert_eq!(stderr.contains("no place for this calibration"), method == "isotonic", "{stderr}");
        }
    }
    let report = place.done("train noisy.txt -o model.json --json --calibration none").json();
    assert!(report["calibration"].is_null() && report["measured"].is_null(), "{report}");
    let ran = place.done("train noisy.txt -o model.json --holdout 0.3 --calibration none");
    assert!(ran.stderr.contains("measured   holdout"), "{}", ran.stderr);
}

#[test]
fn metrics_lie_within_their_intervals() {
    let place = Place::new();
    let metrics = &place.done("train features.txt -o model.json --json --cv 4").json()["measured"]["metrics"];
    for name in ["error", "precision", "recall", "auc"] {
        let value = metrics[name].as_f64().unwrap();
        let ends: Vec<f64> = metrics[format!("{name}_interval")]
            .as_array()
            .unwrap()
            .iter()
            .map(|end| end.as_f64().unwrap())
            .collect();
        assert!(
            0.0 <= ends[0] && ends[0] <= value && value <= ends[1] && ends[1] <= 1.0,
            "{name}: {metrics}"
        );
        assert!(ends[1] - ends[0] < 0.3, "{name}: {metrics}");
    }
}

#[test]
fn model_with_impossible_metrics_is_refused() {
    let place = Place::new();
    place.done("train features.txt -o model.json");
    let good: serde_json::Value = serde_json::from_str(&place.text("model.json")).unwrap();
    for (at, value, message) in [
        ("/training/measured/metrics/error", serde_json::json!(5), "metrics.error: must be from 0 to 1"),
        ("/training/measured/metrics/auc", serde_json::json!(-3), "metrics.auc: must be from 0 to 1"),
        ("/training/measured/metrics/log_loss", serde_json::json!(-7), "metrics.log_loss: must be 0 or more"),
        (
            "/training/measured/metrics/error_interval",
            serde_json::json!([9, -9]),
            "must be two rising numbers",
        ),
        (
            "/training/measured/metrics/confusion/true_positive",
            serde_json::json!(u64::MAX),
            "must be counts of rows",
        ),
        ("/training/measured/folds", serde_json::json!(0), "folds: must be 2 or more"),
        (
            "/training/parameters/support_vectors",
            serde_json::json!(121),
            "must not be more than training.rows",
        ),
        ("/training/feature_mean", serde_json::json!([1]), "feature_mean: has 1 numbers where 6 are wanted"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(at).unwrap() = value;
        place.put("bad.json", bad.to_string());
        let ran = place.run("model check bad.json");
        assert_eq!(ran.status, 1, "{at}");
        assert!(ran.stderr.contains(message), "{at}: {message} not in {}", ran.stderr);
    }
}

#[test]
fn models_of_earlier_versions_are_still_read() {
    let place = Place::new();
    for old in [include_str!("version-1.json"), include_str!("version-2.json")] {
        place.put("old.json", old);
        place.done("model check old.json");
        place.done("model show old.json");
        assert_eq!(place.done("predict other.txt --model old.json").stdout.lines().count(), 60);
    }
}

/// Ctrl-C during a write: no incomplete file and no temporary file remains, and the status is what a shell expects.
#[test]
fn interrupted_write_leaves_no_partial_file() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    let place = Place::new();
    place.done("train features.txt -o model.json");
    let before = place.names();
    for (signal, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        // predict writes while it reads, and standard input stays open, so the write is not finished.
        let mut child = Command::new(env!("CARGO_BIN_EXE_upbeat"))
            .args(["predict", "-", "--model", "model.json", "-o", "predictions.txt"])
            .current_dir(place.dir.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"1 1:0.5\n").unwrap();
        let start = Instant::now();
        while place.names() == before {
            assert!(start.elapsed() < Duration::from_secs(60), "no temporary file appeared");
            std::thread::sleep(Duration::from_millis(5));
        }
        let sent =
            Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(status));
        assert_eq!(place.names(), before, "after SIG{signal}");
        drop(input);
    }
}
