//! The page as a whole: complete, well-formed, self-contained, whatever the model and the rows.

use super::*;
use upbeat_core::profile::Window;
use upbeat_svm::{Calibration, Labels, Machine, Matrix, Parts, Platt, Scaling, SparseMatrix, Training};

/// Elements that have no end tag.
const VOID: &[&str] = &["meta", "br"];

fn model(machine: Machine, change: impl FnOnce(&mut Parts)) -> Model {
    let count = machine.features();
    let mut parts = Parts {
        name: Some("gold".to_owned()),
        features: upbeat_core::model::features(count),
        window: upbeat_core::model::metadata(Window::default(), upbeat_core::campaign::Label::Customer),
        labels: Labels { positive: "1".to_owned(), negative: "0".to_owned() },
        scaling: Some(Scaling { mean: vec![0.5; count], scale: vec![0.1; count] }),
        machine,
        calibration: Some(Calibration::Platt(Platt { a: -2.0, b: 0.3 })),
        training: Some(Training {
            solver: "native".to_owned(),
            tool_version: "0.1.0".to_owned(),
            c: 1.0,
            seed: 1,
            rows: 3500,
            positives: 900,
            data_sha256: None,
            measured: None,
            parameters: None,
            feature_mean: None,
            constant: None,
        }),
    };
    change(&mut parts);
    Model::new(parts).expect("a sound model")
}

fn linear(features: usize) -> Machine {
    Machine::Linear { weights: (0..features).map(|i| (i as f64 * 1.7).sin()).collect(), bias: -0.2 }
}

fn rbf(features: usize) -> Machine {
    let mut vectors = Matrix::new(features);
    (0..5).for_each(|i| vectors.push(&vec![f64::from(i) * 0.4 - 1.0; features]));
    let coefficients = vec![1.0, -1.0, 0.5, -0.75, 0.25];
    Machine::Kernel { kernel: Kernel::Rbf { gamma: 0.2 }, vectors, coefficients, bias: 0.1 }
}

fn rows(count: usize) -> (Vec<f64>, Vec<bool>) {
    let score = |i: usize| (i as f64 * 0.7).sin() * 2.0;
    (0..count).map(|i| (score(i), score(i) + (i as f64 * 1.3).cos() > 0.3)).unzip()
}

fn tried(c: f64, kernel: Kernel, log_loss: Option<f64>, chosen: bool) -> Candidate {
    Candidate { kernel, scaled: true, c, log_loss, error: 0.1, chosen }
}

fn candidates() -> Vec<Candidate> {
    let mut all =
        vec![tried(1.0, Kernel::Linear, Some(0.31), true), tried(10.0, Kernel::Linear, None, false)];
    for (i, gamma) in [0.01, 0.1, 1.0].into_iter().enumerate() {
        all.push(tried(0.1, Kernel::Rbf { gamma }, Some(0.32 + i as f64 * 0.02), false));
        all.push(tried(1.0, Kernel::Rbf { gamma }, Some(f64::NAN), false));
    }
    all
}

/// Measures and probabilities of rows that the model has not seen.
fn told(model: &Model, scores: &[f64], positive: &[bool]) -> Option<(Metrics, Option<Vec<f64>>)> {
    let calibration = model.parts().calibration.as_ref();
    let metrics = Metrics::measure(scores, positive, None, calibration)?;
    let probability =
        |calibration: &Calibration| scores.iter().map(|&score| calibration.probability(score)).collect();
    Some((metrics, calibration.map(probability)))
}

fn page(model: &Model, rows: Option<(&[f64], &[bool])>, tried: Option<&[Candidate]>) -> String {
    let told = rows.and_then(|(scores, positive)| told(model, scores, positive));
    let report = Report {
        model,
        evaluation: rows.zip(told.as_ref()).map(|((scores, positive), (metrics, probabilities))| {
            Evaluation {
                method: "rows kept back",
                metrics,
                scores,
                probabilities: probabilities.as_deref(),
                positive,
                weights: None,
                folds: false,
            }
        }),
        grid: tried.map(|tried| Grid { method: "3 folds", criterion: Criterion::LogLoss, tried }),
        spreads: None,
        why: None,
        facts: vec![("Time".to_owned(), "1 s".to_owned())],
    };
    let page = render(&report).expect("a page");
    check(&page);
    page
}

/// Whether every tag is closed in its turn and nothing is fetched or broken.
pub(super) fn check(page: &str) {
    for outside in ["http:", "https:", "//", "<script", "<link", "<img", "@import", "url(", "javascript:"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for broken in ["NaN", ">inf", "-inf", "inf ", "\"\"", "{}"] {
        assert!(!page.contains(broken), "{broken}");
    }
    let style_end = page.find("</style>").expect("a style");
    let mut open: Vec<&str> = Vec::new();
    let mut rest = &page[style_end + "</style>".len()..];
    open.extend(["html", "head"]);
    while let Some(start) = rest.find('<') {
        let tag = &rest[start + 1..];
        let end = tag.find('>').expect("an end to the tag");
        let (inside, after) = (&tag[..end], &tag[end + 1..]);
        assert!(!inside.contains('<'), "{inside}");
        assert_eq!(inside.matches('"').count() % 2, 0, "{inside}");
        let name = inside.split([' ', '\n', '/']).next().unwrap_or_default();
        if let Some(closed) = inside.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed));
        } else if !inside.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
        rest = after;
    }
    assert_eq!(open, Vec::<&str>::new());
    for svg in page.split("<svg").skip(1) {
        assert!(svg.starts_with(" viewBox=\"0 0 ") && svg.contains("role=\"img\" aria-label=\""));
    }
}

pub(super) fn pictures(page: &str) -> usize {
    page.matches("<svg").count()
}

#[test]
fn page_has_every_section() {
    let (scores, positive) = rows(300);
    let page = page(&model(linear(6), |_| {}), Some((&scores, &positive)), Some(&candidates()));
    for part in [
        "<h1>gold</h1>",
        "<dt>Error</dt>",
        "<dt>AUC</dt>",
        "<dt>Log loss</dt>",
        "<dt>Calibration error</dt>",
        "Confusion",
        "<h3>ROC</h3>",
        "<h3>Precision and recall</h3>",
        "<h3>Reliability</h3>",
        "<h3>Scores</h3>",
        "How the parameters were chosen",
        "✓ chosen",
        "What the features do",
        "<h3>unique tracks</h3>",
        "<h3>Weights</h3>",
        "<h2>Facts</h2>",
        "clickers",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(pictures(&page), 4 + 1 + 6 + 1);
}

#[test]
fn missing_parts_leave_their_sections_out() {
    let (scores, positive) = rows(300);
    let kept_back = Some((scores.as_slice(), positive.as_slice()));
    let calibrated = model(rbf(6), |_| {});
    assert_eq!(pictures(&page(&calibrated, None, None)), 6);
    assert!(page(&calibrated, None, None).contains("Not known"));
    assert!(page(&calibrated, Some((&[], &[])), None).contains("Not known"));

    let scores_only = page(&model(rbf(6), |parts| parts.calibration = None), kept_back, None);
    assert!(scores_only.contains("not calibrated") && !scores_only.contains("Log loss"));
    assert_eq!(pictures(&scores_only), 3 + 6);

    let nothing_known =
        page(&model(linear(3), |parts| (parts.scaling, parts.training) = (None, None)), kept_back, None);
    assert!(nothing_known.contains("not known where its features lie"));
    assert_eq!(pictures(&nothing_known), 4 + 1);
}

#[test]
fn few_and_many_features_fit_the_page() {
    assert_eq!(pictures(&page(&model(rbf(1), |_| {}), None, None)), 1);
    let many = page(&model(linear(70), |_| {}), None, None);
    assert!(many.contains("The 12 that move it most of 70"));
    assert!(many.contains("The 20 strongest of 70"));
    assert_eq!(pictures(&many), 12 + 1);
}

#[test]
fn single_class_single_row_and_equal_scores_make_a_page() {
    let model = model(linear(6), |_| {});
    for (scores, positive) in [
        (vec![0.5, -0.5], vec![true, true]),
        (vec![0.5, -0.5], vec![false, false]),
        (vec![0.0], vec![true]),
        (vec![0.0; 4], vec![true, false, true, false]),
        (vec![1e9, -1e9, 3.0], vec![true, false, false]),
        (vec![-3.0, -2.0, -1.0], vec![true, false, false]),
    ] {
        let page = page(&model, Some((&scores, &positive)), None);
        assert!(page.contains("Confusion"));
        assert_eq!(
            page.contains("rows of one label only"),
            positive.iter().all(|label| *label == positive[0])
        );
    }
    assert!(page(&model, Some((&[f64::NAN], &[true])), None).contains("Not known"));
}

#[test]
fn grid_may_have_one_cell_or_only_failed_ones_or_very_many() {
    let model = model(linear(6), |_| {});
    let one = page(&model, None, Some(&[tried(1.0, Kernel::Linear, Some(0.3), true)]));
    assert!(one.contains("One candidate was compared"));
    assert!(
        page(&model, None, Some(&[tried(1.0, Kernel::Linear, None, false)]))
            .contains("Every candidate failed")
    );
    let poly = Kernel::Poly { gamma: 0.2, coef0: 1.0, degree: 3 };
    assert!(
        page(&model, None, Some(&[tried(1.0, poly, Some(0.3), true)]))
            .contains("poly gamma 0.2 coef0 1 degree 3")
    );
    let grid: Vec<Candidate> =
        (1..=300).map(|i| tried(f64::from(i), Kernel::Linear, Some(f64::from(i)), i == 1)).collect();
    assert!(page(&model, None, Some(&grid)).contains("The best 200 of 300 are shown"));
    assert!(page(&model, None, Some(&[])).contains("0 candidates were compared"));
}

#[test]
fn markup_in_names_is_escaped() {
    let hostile = "<script>alert('1')</script>&\"x\" onload=";
    let model = model(linear(2), |parts| {
        parts.features.names = Some(vec![hostile.to_owned(), "\"><b>".to_owned()]);
    });
    let (scores, positive) = rows(50);
    let (metrics, probabilities) = told(&model, &scores, &positive).expect("measures");
    let report = Report {
        model: &model,
        evaluation: Some(Evaluation {
            method: hostile,
            metrics: &metrics,
            scores: &scores,
            probabilities: probabilities.as_deref(),
            positive: &positive,
            weights: None,
            folds: false,
        }),
        grid: Some(Grid { method: hostile, criterion: Criterion::Error, tried: &candidates() }),
        spreads: None,
        why: Some(hostile),
        facts: vec![(hostile.to_owned(), hostile.to_owned())],
    };
    let page = render(&report).expect("a page");
    assert!(!page.contains("<script") && !page.contains("<b>\"") && page.contains("&lt;script&gt;"));
    assert!(!page.contains("\"><b>"));
}

#[test]
fn row_of_weight_2_counts_as_two_on_the_page() {
    let model = model(linear(2), |_| {});
    let (scores, positive) = rows(120);
    // Positive rows weigh as they are, others two to four.
    let copies = |row: usize| if positive[row] { 1 } else { 2 + row % 3 };
    let weights: Vec<f64> = (0..120).map(|row| copies(row) as f64).collect();
    let drawn = |scores: &[f64], positive: &[bool], weights: Option<&[f64]>| {
        let calibration = model.parts().calibration.as_ref().expect("a calibration");
        let metrics = Metrics::measure(scores, positive, weights, Some(calibration)).expect("measures");
        let probabilities: Vec<f64> = scores.iter().map(|&score| calibration.probability(score)).collect();
        let probabilities = Some(&probabilities[..]);
        let evaluation = Evaluation {
            method: "rows kept back",
            metrics: &metrics,
            scores,
            probabilities,
            positive,
            weights,
            folds: false,
        };
        let evaluation = Some(evaluation);
        let page = render(&Report {
            model: &model,
            evaluation,
            grid: None,
            spreads: None,
            why: None,
            facts: vec![],
        });
        let page = page.expect("a page");
        check(&page);
        page
    };
    let weighed = drawn(&scores, &positive, Some(&weights));
    let (mut all, mut labels) = (Vec::new(), Vec::new());
    for row in (0..120).flat_map(|row| std::iter::repeat_n(row, copies(row))) {
        all.push(scores[row]);
        labels.push(positive[row]);
    }
    let repeated = drawn(&all, &labels, None);
    for (from, to) in [
        ("<h3>ROC</h3>", "<h3>"),
        ("<h3>Precision and recall</h3>", "</figure>"),
        ("<caption>If only some", "</table>"),
        ("aria-label=\"Reliability", "\">"),
        ("Always telling", "</dd>"),
        ("<dt>Log loss", "</div>"),
        ("<dt>Calibration error", "</div>"),
    ] {
        let part = |page: &str| {
            let (_, rest) = page.split_once(from).expect("the part");
            rest.split_once(to).expect("its end").0.to_owned()
        };
        assert_eq!(part(&weighed), part(&repeated), "{from}");
    }
    assert!(weighed.contains(" by weight)") && !repeated.contains("by weight"));
    assert_ne!(weighed, drawn(&scores, &positive, None));
}

#[test]
fn same_input_gives_the_same_page() {
    let (scores, positive) = rows(300);
    let model = model(rbf(6), |_| {});
    let once = || page(&model, Some((&scores, &positive)), Some(&candidates()));
    assert_eq!(once(), once());
}

#[test]
fn every_colour_has_its_rule_for_dark_pages() {
    let style = include_str!("style.css");
    for colour in [chart::INK, chart::FAINT, chart::GRID, chart::POSITIVE, chart::NEGATIVE] {
        let written = format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
        assert!(style.contains(&format!("[fill=\"{written}\"]")), "{written}");
        assert!(style.contains(&format!("[stroke=\"{written}\"]")), "{written}");
    }
}

#[test]
fn spreads_of_sparse_rows_are_those_of_dense_ones() {
    let (mut dense, mut sparse) = (Matrix::new(3), SparseMatrix::new(3));
    for i in 0..500_i32 {
        let row = [f64::from(i % 7 - 3), if i % 200 == 0 { f64::from(i) } else { 0.0 }, f64::from(-(i % 2))];
        dense.push(&row);
        sparse.push(row.into_iter().enumerate());
    }
    let (dense, sparse) = (Spread::of_rows(&dense.into()), Spread::of_rows(&sparse.into()));
    for (dense, sparse) in dense.iter().zip(&sparse) {
        assert_eq!((dense.low, dense.high), (sparse.low, sparse.high));
        assert!(
            (dense.mean - sparse.mean).abs() < 1e-12 && (dense.deviation - sparse.deviation).abs() < 1e-12
        );
    }
}

#[test]
fn spreads_hold_the_mean_and_most_rows() {
    let mut x = Matrix::new(2);
    (0..=100).for_each(|i| x.push(&[f64::from(i), 7.0]));
    let spreads = Spread::of_rows(&x.into());
    assert_eq!((spreads[0].low, spreads[0].high, spreads[0].mean), (1.0, 99.0, 50.0));
    assert_eq!((spreads[1].low, spreads[1].high, spreads[1].deviation), (7.0, 7.0, 0.0));
    assert!((spreads[0].deviation - (850.0f64).sqrt()).abs() < 1e-9);
    for spread in Spread::of_scaling(&model(linear(6), |_| {})).expect("scaling") {
        assert!((spread.low - 0.2).abs() < 1e-12 && (spread.high - 0.8).abs() < 1e-12);
    }
}
