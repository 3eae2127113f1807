//! Text of many columns of which each row has few.

use crate::place::Place;

/// So many rows of three values in 10,000 columns. The first column is 1 in positive rows and 0 in the others; the others
/// tell nothing.
fn wide(rows: usize) -> String {
    let mut text = String::new();
    for row in 0..rows {
        let (near, far) = (2 + row * 7919 % 4000, 5000 + row * 6101 % 5000);
        let start = if row % 3 == 0 { "+1 1:1" } else { "-1" };
        text += &format!("{start} {near}:0.5 {far}:1 10000:{}\n", row % 2);
    }
    text
}

#[test]
fn sparse_text_trains_predicts_and_explains_like_any_other() {
    let place = Place::new();
    place.put("wide.txt", wide(300));
    for flags in
        ["", "--loss hinge", "--loss squared-hinge", "--loss logistic --bias regularised --scale none"]
    {
        let trained = place.done(&format!("train wide.txt -o model.json --json {flags}")).json();
        assert_eq!(trained["measured"]["metrics"]["error"], 0.0, "{flags}: {trained}");
        let evaluated = place.done("evaluate wide.txt --model model.json --json").json();
        assert_eq!(evaluated["metrics"]["error"], 0.0, "{flags}");
        let predicted = place.done("predict wide.txt --model model.json").stdout;
        let signs = predicted.lines().zip(wide(300).lines().map(str::to_owned).collect::<Vec<_>>());
        assert!(signs.into_iter().all(|(predicted, row)| predicted[..2] == row[..2]), "{flags}");
    }
    place.done("train wide.txt -o scaled.json --report page.html");
    let model: serde_json::Value = serde_json::from_str(&place.text("scaled.json")).unwrap();
    assert_eq!(model["scaling"]["mean"][0], 0.0);
    let mean = model["training"]["feature_mean"][0].as_f64().unwrap();
    assert!((mean - 1.0 / 3.0).abs() < 1e-12, "{mean}");
    assert!(place.text("page.html").len() < 1 << 20);
    // Explanations start from the average row, which has a third of the first column, not from the scaling's zeros.
    let explained = place.done("predict wide.txt --model scaled.json --explain").stdout;
    let of_first: Vec<f64> = explained
        .lines()
        .take(2)
        .map(|line| line.split(' ').nth(3).unwrap().strip_prefix("1:").unwrap().parse().unwrap())
        .collect();
    assert!((of_first[0] / of_first[1] + 2.0).abs() < 1e-9, "{of_first:?}");
}

#[test]
fn kernel_that_needs_gigabytes_is_refused_before_it_takes_them() {
    let place = Place::new();
    place.put("wide.txt", wide(60_000));
    let refused = place.run("train wide.txt -o model.json --kernel rbf --calibration none");
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("of 10000 columns needs 9.87 GB of memory"), "{}", refused.stderr);
    assert!(refused.stderr.contains("use --kernel linear"), "{}", refused.stderr);
    assert!(!place.names().contains(&"model.json".to_owned()));
}
