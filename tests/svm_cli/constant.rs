//! Models that score all rows alike: the hinge loss makes one where few rows are positive and the signal is weak.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::place::Place;

/// Shares of six kinds; the fifth tells something of the label, and one row in seven is positive.
pub fn few_clicks(rows: usize, seed: u64) -> String {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let row = |_| {
        let shares: [f64; 6] = std::array::from_fn(|_| rng.random());
        let label = u8::from(rng.random::<f64>() < 0.02 + 0.24 * shares[4]);
        let values: String = (1..).zip(shares).map(|(index, share)| format!(" {index}:{share:.3}")).collect();
        format!("{label}{values}\n")
    };
    (0..rows).map(row).collect()
}

const HINGE: &str = "train few.txt -o hinge.json --kernel linear --loss hinge -c 1";

#[test]
fn model_that_scores_all_rows_alike_is_not_written() {
    let place = Place::new();
    place.put("few.txt", few_clicks(300, 1));
    let before = place.names();
    let ran = place.run(HINGE);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    for part in
        ["few.txt: the model scores all rows alike", "2p − 1", "--loss squared-hinge", "--class-weight"]
    {
        assert!(ran.stderr.contains(part), "{part} not in {}", ran.stderr);
    }
    assert!(ran.stderr.contains("--allow-constant writes it"), "{}", ran.stderr);
    assert_eq!(place.names(), before);
}

#[test]
fn features_too_small_for_their_c_are_told_so_whatever_the_loss() {
    let place = Place::new();
    let rows = (0..40).map(|row| format!("{} 1:{row}e-30 2:{}e-30\n", u8::from(row > 19), row % 7));
    place.put("small.txt", rows.collect::<String>());
    for loss in ["hinge", "squared-hinge"] {
        let ran = place.run(&format!("train small.txt -o m.json --scale none --loss {loss}"));
        assert!(ran.status == 1 && ran.stderr.contains("C is too small for"), "{}", ran.stderr);
        assert!(ran.stderr.contains("--scale standard, or a greater -c"), "{}", ran.stderr);
    }
}

#[test]
fn search_without_a_machine_that_tells_rows_apart_advises_no_flag_that_it_refuses() {
    let place = Place::new();
    place.put(
        "equal.txt",
        (0..40).map(|row| format!("{} 1:1 2:1\n", u8::from(row % 4 == 0))).collect::<String>(),
    );
    let ran = place.run("train equal.txt -o m.json --auto");
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("alike") && ran.stderr.contains("use other features"), "{}", ran.stderr);
    assert!(!["--loss", "--scale", " -c"].iter().any(|flag| ran.stderr.contains(flag)), "{}", ran.stderr);
}

#[test]
fn model_that_scores_all_rows_alike_is_named_wherever_it_is_shown() {
    let place = Place::new();
    place.put("few.txt", few_clicks(300, 1));
    place.put("fresh.txt", few_clicks(100, 2));
    let said = place.done(&format!("{HINGE} --allow-constant --report hinge.html")).stderr;
    assert!(said.contains("constant   the model scores all rows alike"), "{said}");
    let report = place.done(&format!("{HINGE} --allow-constant --json")).json();
    assert_eq!(report["constant"], true);
    assert_eq!(report["measured"]["metrics"]["recall"], 0.0);

    let note =
        "the model scores all listeners alike and tells none from another; train with --loss squared-hinge";
    assert!(place.text("hinge.html").contains(note));
    let checked = place.done("model check hinge.json").stdout;
    assert!(checked.contains(&format!("a server with this window takes it, but {note}")), "{checked}");
    assert!(place.done("model show hinge.json").stdout.contains(&format!("constant   {note}")));
    let config = place.done("serve --check-config --model hinge.json").stdout;
    assert!(config.contains(&format!("good, but {note}")), "{config}");

    // Of scores that differ in the last digits alone, the AUC is that of chance.
    let measured = place.done("evaluate fresh.txt --model hinge.json --json").json();
    assert_eq!((&measured["constant"], &measured["metrics"]["auc"]), (&true.into(), &0.5.into()));
    let table = place.done("evaluate fresh.txt --model hinge.json").stdout;
    assert!(table.contains("constant   the model scores all of these rows alike"), "{table}");
}

#[test]
fn import_that_scores_all_rows_alike_is_named() {
    let place = Place::new();
    place.put("svm.model", "svm_type c_svc\nkernel_type linear\nnr_class 2\ntotal_sv 2\nrho 1\nlabel 1 0\nnr_sv 1 1\nSV\n1 1:0.5 \n-1 1:0.5 \n");
    let said = place.done("model import svm.model -o imported.json --features 6").stderr;
    assert!(said.contains("warning: the model scores all listeners alike"), "{said}");
    // The hinge loss ends at weights that are hardly ever 0, and Upbeat's features are shares.
    let model = place.text("svm.model").replace("-1 1:0.5", "-1 1:0.50000001");
    place.put("tiny.model", model);
    let said = place.done("model import tiny.model -o tiny.json --features 6").stderr;
    assert!(said.contains("warning: the model scores all listeners alike"), "{said}");
    let said = place.done("model export tiny.json --format onnx -o tiny.onnx").stderr;
    assert!(said.contains("warning: the model scores all listeners alike"), "{said}");
    let checked = place.done("model check imported.json").stdout;
    assert!(checked.contains("takes it, but the model scores all listeners alike"), "{checked}");
}

#[test]
fn squared_hinge_follows_rows_that_the_hinge_loss_cannot() {
    let place = Place::new();
    place.put("few.txt", few_clicks(300, 1));
    place.put("fresh.txt", few_clicks(300, 2));
    // The default, since a probability is asked for.
    let report = place.done("train few.txt -o squared.json --json").json();
    assert_eq!(report["parameters"]["loss"], "squared-hinge");
    assert_eq!(report["constant"], false);
    assert!(!place.done("model check squared.json").stdout.contains("alike"));
    let metrics = place.done("evaluate fresh.txt --model squared.json --json").json();
    assert_eq!(metrics["constant"], false);
    assert!(metrics["metrics"]["auc"].as_f64().unwrap() > 0.6, "{metrics}");
}
