//! Reported measures against fresh samples of the same source, for every source, choice, plan and calibration.
//!
//! A row of the table is one of these combinations: so many samples are drawn, a model is trained on each, and what
//! its training reports is compared with what the written model does on a large fresh sample. A difference within two
//! standard errors of its mean is noise. The calibration error of few rows is greater than that of many, whatever the
//! model; that of the fresh sample is the mean over parts of as many rows as were measured.
//!
//! Usage: fresh [--samples N] [--fresh ROWS] [--page FILE] [WORD …]; only rows of the table that have every WORD for a
//! cell. `--page` writes the summary into a page, between its two marks.

mod source;
mod table;

use source::Source;
use table::{Line, MEASURES, Table};
use upbeat_svm::{
    Calibration, Choice, Criterion, Grid, Kernel, Loss, Method, Metrics, Model, NoProgress, Parameters, Plan,
    Platt, Problem, Scorer, train,
};

/// What searches take is bounded: they run on samples of these sizes alone.
const SEARCHED: std::ops::RangeInclusive<usize> = 60..=60;

fn choices() -> Vec<(&'static str, Choice)> {
    let linear = Parameters::default();
    let hinge = Parameters { loss: Loss::Hinge, ..linear };
    let rbf = Parameters { kernel: Kernel::Rbf { gamma: 1.0 / 6.0 }, ..linear };
    let unscaled = |parameters| Parameters { standardise: false, ..parameters };
    let grid = |families: Vec<Parameters>, criterion| {
        Choice::Grid(Grid { families, folds: 5, criterion, balance: false })
    };
    let automatic = vec![linear, unscaled(linear), rbf, unscaled(rbf)];
    vec![
        ("linear", Choice::Parameters(linear)),
        ("hinge", Choice::Parameters(hinge)),
        ("rbf", Choice::Parameters(rbf)),
        ("grid-error", grid(vec![rbf], Criterion::Error)),
        ("grid-loss", grid(vec![rbf], Criterion::LogLoss)),
        ("auto-error", grid(automatic.clone(), Criterion::Error)),
        ("auto-loss", grid(automatic, Criterion::LogLoss)),
    ]
}

fn measures(metrics: &Metrics) -> [Option<f64>; 4] {
    [metrics.log_loss, metrics.calibration_error, Some(metrics.error), metrics.auc]
}

/// What the written model does on fresh rows.
struct Real {
    measures: [Option<f64>; 4],
    /// The logarithm of its sigmoid's slope by that which fits the fresh rows, and what that one gains.
    slope: Option<(f64, f64)>,
}

impl Real {
    fn of(model: &Model, fresh: &Problem, measured_rows: usize) -> Self {
        let scorer = Scorer::new(model);
        let scores: Vec<f64> = fresh.x.to_dense().rows().map(|row| scorer.score(row)).collect();
        let calibration = model.parts().calibration.as_ref();
        let metrics = Metrics::measure(&scores, &fresh.positive, None, calibration).expect("finite scores");
        let parts: Vec<f64> = scores
            .chunks_exact(measured_rows)
            .zip(fresh.positive.chunks_exact(measured_rows))
            .filter_map(|(scores, positive)| {
                Metrics::measure(scores, positive, None, calibration)?.calibration_error
            })
            .collect();
        let mut all = measures(&metrics);
        all[1] = (!parts.is_empty()).then(|| parts.iter().sum::<f64>() / parts.len() as f64);
        let slope =
            calibration.and_then(Calibration::platt).filter(|platt| platt.a < 0.0).and_then(|platt| {
                let best = Platt::fit(&scores, &fresh.positive, None).filter(|best| best.a < 0.0)?;
                let of_best = Calibration::Platt(best);
                let least = Metrics::measure(&scores, &fresh.positive, None, Some(&of_best))?.log_loss?;
                Some(((platt.a / best.a).ln(), metrics.log_loss? - least))
            });
        Self { measures: all, slope }
    }
}

/// A combination of choice, plan and calibration.
struct Combination {
    choice_name: &'static str,
    choice: Choice,
    plan_name: &'static str,
    plan: Plan,
    method_name: &'static str,
    method: Option<Method>,
}

/// The combinations for samples of a source and size; a search takes too long for all of them.
fn combinations(source: Source, rows: usize) -> Vec<Combination> {
    let plans =
        [("default", Plan::All), ("--cv 5", Plan::CrossValidation(5)), ("--holdout 0.3", Plan::Holdout(0.3))];
    let methods = [("platt", Some(Method::Platt)), ("isotonic", Some(Method::Isotonic)), ("none", None)];
    let mut all = Vec::new();
    for (choice_name, choice) in choices() {
        for (plan_name, plan) in plans {
            for (method_name, method) in methods {
                let tried = match choice_name {
                    // Without calibration the default plan measures nothing but what a search has scored.
                    "linear" | "hinge" | "rbf" => method.is_some() || plan_name != "default",
                    "grid-error" | "grid-loss" => SEARCHED.contains(&rows),
                    _ => {
                        SEARCHED.contains(&rows)
                            && method == Some(Method::Platt)
                            && matches!(source, Source::Clouds | Source::Noise | Source::Clicks)
                    }
                };
                if tried {
                    let choice = choice.clone();
                    all.push(Combination { choice_name, choice, plan_name, plan, method_name, method });
                }
            }
        }
    }
    all
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut samples, mut fresh_rows, mut page, mut words) = (20u64, 20_000usize, None, Vec::new());
    while let Some(argument) = arguments.next() {
        let mut number =
            || arguments.next().and_then(|text| text.parse::<u64>().ok()).expect("a whole number");
        match argument.as_str() {
            "--samples" => samples = number(),
            "--fresh" => fresh_rows = number() as usize,
            "--page" => page = Some(arguments.next().expect("the page's file")),
            word => words.push(word.to_owned()),
        }
    }
    let mut table = Table::new(samples, fresh_rows);
    println!("{}", Line::head());
    for (source, source_name) in Source::ALL {
        for &rows in source.sizes() {
            for combination in combinations(source, rows) {
                let Combination { choice_name, plan_name, method_name, .. } = combination;
                let line = Line::new([source_name, choice_name, plan_name, method_name], rows);
                if words.iter().all(|word| line.has(word)) {
                    let line = compared(line, source, &combination, samples, fresh_rows);
                    println!("{line}");
                    table.push(line);
                }
            }
        }
    }
    println!("\n{}", table.summary());
    if let Some(page) = page {
        table.write_into(&page);
    }
}

fn compared(
    mut line: Line,
    source: Source,
    combination: &Combination,
    samples: u64,
    fresh_rows: usize,
) -> Line {
    for seed in 0..samples {
        let seed = 1 + seed + 1000 * (line.rows as u64 + 10_000 * source as u64);
        let problem = source.sample(line.rows, seed);
        let Combination { choice, plan, method, .. } = combination;
        let Ok(trained) = train(&problem, choice, *plan, *method, &NoProgress) else { continue };
        let Some(measured) = trained.measured.clone() else { continue };
        let model = Model::new(trained.into_parts(&problem)).expect("a model");
        let calibration = model.parts().calibration.as_ref();
        line.base_rates +=
            usize::from(calibration.is_some_and(|calibration| calibration.constant().is_some()));
        let fresh = source.sample(fresh_rows, 1_000_000_000_000 + seed);
        let real = Real::of(&model, &fresh, measured.metrics.confusion.rows() as usize);
        line.slopes.extend(real.slope);
        let reported = measures(&measured.metrics);
        for measure in 0..MEASURES.len() {
            if let (Some(reported), Some(real)) = (reported[measure], real.measures[measure]) {
                line.pairs[measure].push((reported, real));
            }
        }
    }
    line
}
