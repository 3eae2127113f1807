//! Numbers of any magnitude: how they are printed, and columns of them.

use crate::place::Place;

/// The longest word of a text.
fn longest_word(text: &str) -> &str {
    text.split_whitespace().max_by_key(|word| word.len()).unwrap_or_default()
}

#[test]
fn tiny_and_huge_parameters_are_printed_in_their_shortest_form() {
    let place = Place::new();
    // Whether or not such a tolerance is met, no line of what is said holds hundreds of zeros.
    for flags in [
        "-e 1e-300 --max-iterations 20",
        "-c 1e-250 -e 0.9",
        "--kernel rbf --gamma 1e-300",
        "--kernel rbf --gamma 1e250",
    ] {
        let ran = place.run(&format!("train features.txt -o m.json {flags}"));
        let said = ran.stdout + &ran.stderr;
        assert!(longest_word(&said).len() < 40, "{flags}: {said}");
    }
    place.done("train features.txt -o m.json --kernel rbf --gamma 1e-9 --seed 3 --allow-constant");
    let tiny =
        place.text("m.json").replace("\"epsilon\":0.001", "\"epsilon\":1e-300").replace("1e-9", "1e-200");
    // No solver meets that.
    place.put("lying.json", &tiny);
    assert!(longest_word(&place.run("model show lying.json").stderr).len() < 40);
    place.put("tiny.json", tiny.replace("\"converged\":true", "\"converged\":false"));
    let shown = place.done("model show tiny.json").stdout;
    assert!(shown.contains("epsilon 1e-300,") && shown.contains("gamma=1e-200\n"), "{shown}");
}

#[test]
fn small_weights_are_not_shown_as_zero() {
    let place = Place::new();
    place.put(
        "small.model",
        "solver_type L2R_LR\nnr_class 2\nlabel 1 0\nnr_feature 6\nbias 1\nw\n1.5549e-08 \n2 \n0 \n0 \n-1e200 \n4 \n6.5 \n",
    );
    place.done("model import small.model -o small.json");
    let shown = place.done("model show small.json").stdout;
    assert!(shown.contains(" 1.5549e-8\n") && shown.contains(" -1e200\n"), "{shown}");
}

#[test]
fn columns_of_every_magnitude_train_alike_when_standardised() {
    let place = Place::new();
    let rows = |unit: &str| {
        let row = |i: usize| {
            let (label, centre) = if i.is_multiple_of(3) { (1, 5) } else { (0, 2) };
            format!("{label} 1:{}{unit} 2:0.{}\n", centre + i % 4, (i * 7) % 10)
        };
        (0..60).map(row).collect::<String>()
    };
    place.put("plain.txt", rows(""));
    place.done("train plain.txt -o plain.json");
    let wanted = place.done("predict plain.txt --model plain.json").stdout;
    for unit in ["e-200", "e-150", "e150", "e200", "e300"] {
        place.put("scaled.txt", rows(unit));
        place.done("train scaled.txt -o scaled.json");
        let predicted = place.done("predict scaled.txt --model scaled.json").stdout;
        for (one, other) in predicted.lines().zip(wanted.lines()) {
            let [(label, score), (of, like)] = [one, other].map(|line| line.split_once(' ').unwrap());
            let [score, like] = [score, like].map(|number| number.parse::<f64>().unwrap());
            assert!(label == of && (score - like).abs() < 1e-3, "{unit}: {one} where {other} is wanted");
        }
    }
}
