//! Calibration on the command line: probabilities that never fall as the score rises, and measures that hold.

use crate::place::Place;

/// The sigmoid that was once fitted to these rows fell: probabilities upside down under a perfect ranking.
const FALLING: &str = "\
1 1:0.49 2:0.55 3:0.19 4:0.7 5:0.54 6:0.74\n\
1 1:0.76 2:0.58 3:0.67 4:0.56 5:0.27 6:0.64\n\
0 1:0.56 2:0.8 3:0.53 4:0.45 5:0.26 6:0.5\n\
0 1:0.59 2:0.34 3:0.58 4:0.72 5:0.7 6:0.61\n\
0 1:0.42 2:0.43 3:0.55 4:0.65 5:0.5 6:0.29\n\
0 1:0.38 2:0.56 3:0.87 4:0.51 5:0.48 6:0.75\n\
0 1:0.5 2:0.92 3:0.67 4:1.0 5:0.38 6:0.56\n\
0 1:0.75 2:0.16 3:0.43 4:0.6 5:0.61 6:0.29\n\
0 1:0.51 2:0.28 3:0.56 4:0.39 5:0.49 6:0.45\n\
0 1:0.59 2:0.09 3:0.49 4:0.71 5:0.65 6:0.14\n\
0 1:0.43 2:0.5 3:0.39 4:0.43 5:0.43 6:0.42\n\
0 1:0.69 2:0.33 3:0.81 4:0.3 5:0.86 6:0.38\n\
";

/// Here it was flat but for −1.6e-8, and nothing was said.
const FLAT: &str = "\
1 1:0.7\n\
1 1:0.56\n\
1 1:0.59\n\
0 1:0.51\n\
0 1:0.45\n\
0 1:0.52\n\
0 1:0.34\n\
0 1:0.53\n\
0 1:0.45\n\
0 1:0.56\n\
0 1:0.5\n\
0 1:0.72\n\
";

#[test]
fn probabilities_never_rank_rows_against_their_scores() {
    let place = Place::new();
    for rows in [FALLING, FLAT] {
        place.put("rows.txt", rows);
        for flags in
            ["", "--calibration isotonic", "--cv 2", "--kernel rbf", "--scale none -c 1e-4", "-c 1000"]
        {
            let report = place.done(&format!("train rows.txt -o model.json --json {flags}")).json();
            if let Some(slope) = report["calibration"]["a"].as_f64() {
                assert!(slope <= 0.0, "{flags}: {report}");
            }
            let said = place.done(&format!("train rows.txt -o model.json {flags}")).stderr;
            let sentence = "the scores do not tell the classes apart: every probability is the base rate, 0.";
            assert_eq!(report["base_rate"].is_number(), said.contains(sentence), "{flags}: {said}");
            assert_eq!(
                report["base_rate"].is_number(),
                place.done("model show model.json").stdout.contains(sentence)
            );
        }
    }
}

#[test]
fn model_whose_probability_falls_as_the_score_rises_is_refused() {
    let place = Place::new();
    place.done("train features.txt -o model.json");
    let mut model: serde_json::Value = serde_json::from_str(&place.text("model.json")).unwrap();
    assert!(model["calibration"]["a"].as_f64().unwrap() < 0.0);
    model["calibration"]["a"] = 0.5.into();
    place.put("rising.json", model.to_string());
    for call in [
        "model check rising.json",
        "predict other.txt --model rising.json",
        "evaluate other.txt --model rising.json",
    ] {
        let ran = place.run(call);
        assert_ne!(ran.status, 0, "{call}");
        assert!(ran.stderr.contains("calibration.a: must be 0 or below"), "{call}: {}", ran.stderr);
    }
    // libSVM's sigmoid has the same sign, whichever label comes first.
    place.done("model export --format libsvm model.json -o model.libsvm");
    let text = place.text("model.libsvm");
    let turned: String = text
        .lines()
        .map(|line| if line.starts_with("probA") { "probA 0.5\n".to_owned() } else { format!("{line}\n") })
        .collect();
    place.put("turned.libsvm", turned);
    let ran = place.run("model import turned.libsvm -o turned.json");
    assert!(ran.status != 0 && ran.stderr.contains("probA is above 0"), "{}", ran.stderr);
}
