//! Files that are damaged, cut short or of another kind, and rows beyond what a model can score.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::place::Place;

#[test]
fn reason_of_a_failed_read_is_said_once() {
    let place = Place::new();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(place.text("features.txt").as_bytes()).unwrap();
    let mut cut = encoder.finish().unwrap();
    cut.truncate(cut.len() - 10);
    place.put("cut.gz", cut);
    place.done("train features.txt -o m.json");
    for call in
        ["train cut.gz -o cut.json", "evaluate cut.gz --model m.json", "predict cut.gz --model m.json"]
    {
        let ran = place.run(call);
        assert_eq!(ran.status, 1, "{call}: {}", ran.stderr);
        assert_eq!(ran.stderr.matches("ends too early").count(), 1, "{call}: {}", ran.stderr);
    }
}

/// Kernel values of both signs overflow, and their sum is no number.
#[test]
fn row_whose_score_is_no_number_is_refused_and_gets_no_label() {
    let place = Place::new();
    place.done("train features.txt -o m.json --kernel poly --degree 10 --scale none --seed 1 --allow-constant --allow-unconverged --calibration none");
    place.put("great.txt", "0 1:0.5\n0 1:1e38 2:-1e38 3:1e37 4:-3e38\n");
    for call in
        ["predict great.txt --model m.json", "evaluate great.txt --model m.json", "predict - --model m.json"]
    {
        let ran = place.run_with(call, &std::fs::read(place.path("great.txt")).unwrap());
        assert_eq!(ran.status, 1, "{call}: {}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stderr.contains("line 2: the model's score is no finite number"),
            "{call}: {}",
            ran.stderr
        );
        assert!(!ran.stdout.contains("nan"), "{call}: {}", ran.stdout);
    }
}

#[test]
fn last_line_without_an_end_is_noted_where_a_model_is_made_of_it() {
    let place = Place::new();
    let whole = place.done("train features.txt -o m.json").stderr;
    assert!(!whole.contains("has no end"), "{whole}");
    let text = place.text("features.txt");
    place.put("cut.txt", text.trim_end());
    let said = place.done("train cut.txt -o m.json").stderr;
    assert!(said.contains("cut.txt: the last line has no end; where the file was cut short"), "{said}");
}

#[test]
fn file_that_is_no_model_says_what_it_is_and_what_to_do() {
    let place = Place::new();
    place.done("train features.txt -o m.json");
    let whole = place.text("m.json");
    place.put("marked.json", format!("\u{feff}{whole}"));
    place.done("model check marked.json");
    for (content, said) in [
        ("svm_type c_svc\nkernel_type linear\n", "`upbeat model import` makes an Upbeat model of it"),
        ("solver_type L2R_LR\nnr_class 2\n", "`upbeat model import` makes an Upbeat model of it"),
        ("", "it is empty"),
        (&whole[..whole.len() / 2], "it is not whole, copy it again"),
        (&whole[..whole.len() - 3], "it is not whole, copy it again"),
        (&format!("{whole}{whole}"), "trailing characters"),
    ] {
        place.put("other.json", content);
        let ran = place.run("model check other.json");
        assert_eq!(ran.status, 1, "{}", ran.stdout);
        assert!(ran.stderr.contains(said), "{said:?} not in {}", ran.stderr);
    }
}

#[test]
fn tolerance_as_great_as_the_margin_is_a_wrong_call() {
    let place = Place::new();
    for value in ["1", "1e300", "0", "nan"] {
        let ran = place.run(&format!("train features.txt -o m.json -e {value}"));
        assert_eq!(ran.status, 2, "{value}: {}", ran.stderr);
        assert!(ran.stderr.contains("above 0 and below 1"), "{value}: {}", ran.stderr);
    }
}

#[test]
fn model_check_says_that_every_probability_is_the_base_rate() {
    let place = Place::new();
    place.done("train features.txt -o m.json");
    let said = |name: &str| place.done(&format!("model check {name}")).stdout;
    assert!(!said("m.json").contains("base rate"), "{}", said("m.json"));
    let text = place.text("m.json");
    let start = text.find("\"calibration\":{\"a\":").unwrap();
    let end = start + text[start..].find('}').unwrap();
    place.put("flat.json", format!("{}\"calibration\":{{\"a\":0,\"b\":2{}", &text[..start], &text[end..]));
    assert!(
        said("flat.json").contains("every probability is the base rate, 0.119203"),
        "{}",
        said("flat.json")
    );
}
