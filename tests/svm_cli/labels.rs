//! A model says what its probability is of: of customers who click at some time, or of ads heard that are clicked.

use super::place::Place;

#[test]
fn model_carries_the_label_that_it_was_trained_with() {
    let place = Place::new();
    let trained = |flags: &str, file: &str| {
        place.done(&format!("train features.txt -o {file} {flags}"));
        place.done(&format!("model check {file}"));
        (place.text(file), place.done(&format!("model show {file}")).stdout)
    };
    let (plain, shown) = trained("", "plain.json");
    assert!(shown.contains("label      customer"), "{shown}");
    let (customer, _) = trained("--label customer", "customer.json");
    assert_eq!(customer, plain, "a file that does not say is of customers");
    let (impression, shown) = trained("--label impression", "impression.json");
    assert!(shown.contains("label      impression"), "{shown}");
    let window = r#""window":{"plays":256,"days":28"#;
    assert_eq!(
        impression,
        plain.replace(&format!("{window}}}"), &format!(r#"{window},"label":"impression"}}"#)),
        "nothing else of the model depends on it"
    );
    let refused = place.run("train features.txt -o other.json --label show");
    assert_eq!(refused.status, 2);
    assert!(refused.stderr.contains("impression"), "{}", refused.stderr);
}

/// From simulated listeners to a model of impressions, with the commands of docs/guides/training.md.
#[test]
fn impressions_of_simulated_listeners_make_a_model_of_impressions() {
    let place = Place::new();
    place.done("simulate --customers 200 --plays 20000 --seed 3 -o history");
    let files = "--tracks history/tracks.csv --impressions history/impressions.csv";
    let window = "--window-plays 256 --window-days 28 --precise";
    place.done(&format!("features --label impression {files} {window} -o rows.txt"));
    place.done("train rows.txt --label impression --calibration isotonic --cv 5 -o gold.json");
    let shown = place.done("model show gold.json").stdout;
    assert!(shown.contains("label      impression"), "{shown}");
    let rows = place.text("rows.txt");
    let clicked = rows.lines().filter(|row| row.starts_with("1 ")).count();
    assert!(
        shown.contains(&format!("on {} rows, {clicked} of them positive", rows.lines().count())),
        "{shown}"
    );
    // A quarter of all ads, but for those before a listener's first play.
    assert!((4_600..5_100).contains(&rows.lines().count()), "{}", rows.lines().count());
    let of_clicks =
        place.text("history/clicks.csv").lines().filter(|row| row.contains("ADV_REDUCED_1DAY")).count();
    assert!(clicked <= of_clicks && clicked + 40 > of_clicks, "{clicked} of {of_clicks} clicks");
}

#[test]
fn imported_model_carries_the_label_that_the_call_names() {
    let place = Place::new();
    place.done("train features.txt -o model.json");
    place.done("model export --format liblinear model.json -o model.linear");
    for (flags, said) in [("", "label      customer"), ("--label impression", "label      impression")] {
        place.done(&format!("model import model.linear -o imported.json {flags}"));
        let shown = place.done("model show imported.json").stdout;
        assert!(shown.contains(said), "{flags}: {shown}");
    }
}

#[test]
fn model_with_an_unknown_label_is_refused() {
    let place = Place::new();
    place.done("train features.txt -o model.json --label impression");
    place.put("other.json", place.text("model.json").replace("\"impression\"", "\"show\""));
    for call in ["model check other.json", "model show other.json", "predict other.txt --model other.json"] {
        let ran = place.run(call);
        assert_ne!(ran.status, 0, "{call}");
        assert!(ran.stderr.contains("field window: unknown variant `show`"), "{call}: {}", ran.stderr);
    }
}
