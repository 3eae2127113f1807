//! Reported measures against fresh samples of the same source, for every source, choice, plan and calibration.
//!
//! A row of the table is one of these combinations: so many samples are drawn, a model is trained on each, and what
//! its training reports is compared with what the written model does on a large fresh sample. A difference within two
//! standard errors of its mean is noise. The calibration error of few rows is greater than that of many, whatever the
//! model; that of the fresh sample is the mean over parts of as many rows as were measured.
//!
//! Usage: fresh [--samples N] [--fresh ROWS] [WORD …]; only rows of the table that have every WORD for a cell.

use std::collections::BTreeMap;

use upbeat_svm::{
    Choice, Criterion, Grid, Kernel, Loss, Matrix, Method, Metrics, Model, NoProgress, Parameters, Plan,
    Problem, train,
};

/// Numbers of a seed: Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014.
struct Rng(u64);

impl Rng {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Nearly a normal deviate.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// Where rows come from.
#[derive(Clone, Copy)]
enum Source {
    /// Two normal clouds of six features, three positive rows in ten.
    Clouds,
    /// Labels that have nothing to do with the features, half of them positive.
    Noise,
    /// Clicks of a weak signal: log odds are linear, one row in seven is positive.
    Clicks,
    /// As clicks, one row in a hundred is positive.
    Rare,
    /// Positive inside of a ring, one label in ten turned.
    Ring,
}

impl Source {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Clouds, "clouds"),
        (Self::Noise, "noise"),
        (Self::Clicks, "clicks"),
        (Self::Rare, "rare"),
        (Self::Ring, "ring"),
    ];

    /// Rows of a sample; rare rows need many.
    fn sizes(self) -> &'static [usize] {
        match self {
            Self::Clouds | Self::Noise | Self::Ring => &[12, 30, 200, 2000],
            Self::Clicks => &[200, 2000],
            Self::Rare => &[2000],
        }
    }

    fn row(self, rng: &mut Rng) -> (Vec<f64>, bool) {
        let mut x: Vec<f64> = (0..6).map(|_| rng.normal()).collect();
        let odds = |log_odds: f64, rng: &mut Rng| rng.uniform() < 1.0 / (1.0 + (-log_odds).exp());
        let positive = match self {
            Self::Clouds => {
                let positive = rng.uniform() < 0.3;
                if positive {
                    x[0] += 1.5;
                    x[1] -= 1.0;
                }
                positive
            }
            Self::Noise => rng.uniform() < 0.5,
            Self::Clicks => odds(x[0] - 0.5 * x[1] + 0.3 * x[2] - 2.2, rng),
            Self::Rare => odds(1.2 * x[0] - 0.8 * x[1] - 5.6, rng),
            Self::Ring => (x[0] * x[0] + x[1] * x[1] < 1.2) != (rng.uniform() < 0.1),
        };
        (x, positive)
    }

    /// Rows with two of each label at least: fewer are not calibrated.
    fn sample(self, rows: usize, seed: u64) -> Problem {
        let mut rng = Rng(seed.wrapping_mul(0xd134_2543_de82_ef95));
        loop {
            let (mut x, mut positive) = (Matrix::new(6), Vec::new());
            for _ in 0..rows {
                let (row, label) = self.row(&mut rng);
                x.push(&row);
                positive.push(label);
            }
            let positives = positive.iter().filter(|&&positive| positive).count();
            if positives.min(rows - positives) >= 2 {
                return Problem::new(x, positive).expect("rows of both labels");
            }
        }
    }
}

fn choices() -> Vec<(&'static str, Choice)> {
    let linear = Parameters::default();
    let squared = Parameters { loss: Loss::SquaredHinge, ..linear };
    let rbf = Parameters { kernel: Kernel::Rbf { gamma: 1.0 / 6.0 }, ..linear };
    let unscaled = |parameters| Parameters { standardise: false, ..parameters };
    let grid = |families: Vec<Parameters>, criterion| {
        Choice::Grid(Grid { families, folds: 5, criterion, balance: false })
    };
    let automatic = vec![linear, unscaled(linear), rbf, unscaled(rbf)];
    vec![
        ("hinge", Choice::Parameters(linear)),
        ("squared", Choice::Parameters(squared)),
        ("rbf", Choice::Parameters(rbf)),
        ("rbf-c100", Choice::Parameters(Parameters { c: 100.0, ..rbf })),
        ("grid-error", grid(vec![rbf], Criterion::Error)),
        ("grid-loss", grid(vec![rbf], Criterion::LogLoss)),
        ("auto-error", grid(automatic.clone(), Criterion::Error)),
        ("auto-loss", grid(automatic, Criterion::LogLoss)),
    ]
}

/// What is compared.
const MEASURES: [&str; 4] = ["log loss", "ECE", "error", "AUC"];

fn measures(metrics: &Metrics) -> [Option<f64>; 4] {
    [metrics.log_loss, metrics.calibration_error, Some(metrics.error), metrics.auc]
}

/// What the written model does on fresh rows.
fn on_fresh(model: &Model, fresh: &Problem, measured_rows: usize) -> [Option<f64>; 4] {
    let scorer = upbeat_svm::Scorer::new(model);
    let scores: Vec<f64> = fresh.x.to_dense().rows().map(|row| scorer.score(row)).collect();
    let calibration = model.parts().calibration.as_ref();
    let mut all =
        measures(&Metrics::measure(&scores, &fresh.positive, None, calibration).expect("finite scores"));
    let parts: Vec<f64> = scores
        .chunks_exact(measured_rows)
        .zip(fresh.positive.chunks_exact(measured_rows))
        .filter_map(|(scores, positive)| {
            Metrics::measure(scores, positive, None, calibration)?.calibration_error
        })
        .collect();
    all[1] = (!parts.is_empty()).then(|| parts.iter().sum::<f64>() / parts.len() as f64);
    all
}

/// Mean and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (mean, (variance / count).sqrt())
}

/// A combination of choice, plan and calibration, and the sizes of the samples that it is tried on.
struct Combination {
    choice_name: &'static str,
    choice: Choice,
    plan_name: &'static str,
    plan: Plan,
    method_name: &'static str,
    method: Method,
}

/// The combinations for samples of a source and size; a search takes too long for all of them.
fn combinations(source: Source, rows: usize) -> Vec<Combination> {
    let plans =
        [("default", Plan::All), ("--cv 5", Plan::CrossValidation(5)), ("--holdout 0.3", Plan::Holdout(0.3))];
    let methods = [("platt", Method::Platt), ("isotonic", Method::Isotonic)];
    let mut all = Vec::new();
    for (choice_name, choice) in choices() {
        let tried = match choice_name {
            "auto-error" | "auto-loss" => rows == 200 && matches!(source, Source::Clouds | Source::Noise),
            "grid-error" | "grid-loss" => (30..=200).contains(&rows),
            _ => true,
        };
        for (plan_name, plan) in plans.iter().filter(|_| tried) {
            for (method_name, method) in methods {
                let (choice, plan) = (choice.clone(), *plan);
                all.push(Combination { choice_name, choice, plan_name, plan, method_name, method });
            }
        }
    }
    all
}

/// Of the sets of a combination, how many reported within two standard errors, by measure.
type Summary = BTreeMap<(&'static str, &'static str, &'static str), (usize, [usize; 4], [f64; 4])>;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut samples, mut fresh_rows, mut words) = (20u64, 20_000usize, Vec::new());
    while let Some(argument) = arguments.next() {
        let mut number =
            || arguments.next().and_then(|text| text.parse::<u64>().ok()).expect("a whole number");
        match argument.as_str() {
            "--samples" => samples = number(),
            "--fresh" => fresh_rows = number() as usize,
            word => words.push(word.to_owned()),
        }
    }
    let columns = MEASURES.map(|name| format!("{name}: reported | fresh | z")).join(" | ");
    println!("| source | rows | choice | plan | calibration | {columns} | base rate |");
    println!("|---|--:|---|---|---|{}--:|", "--:|--:|--:|".repeat(MEASURES.len()));
    let mut summary = Summary::new();
    for (source, source_name) in Source::ALL {
        for &rows in source.sizes() {
            for combination in combinations(source, rows) {
                let Combination { choice_name, plan_name, method_name, .. } = combination;
                let name = format!("{source_name} | {rows} | {choice_name} | {plan_name} | {method_name}");
                if !words.iter().all(|word| name.split(" | ").any(|part| part == word)) {
                    continue;
                }
                let pairs = compared(source, rows, &combination, samples, fresh_rows);
                let (sets, within, biases) =
                    summary.entry((choice_name, plan_name, method_name)).or_default();
                *sets += 1;
                let cells: Vec<String> = (0..MEASURES.len())
                    .map(|measure| {
                        let (reported, fresh, bias, z) = pairs.bias(measure);
                        within[measure] += usize::from(z.abs() <= 2.0);
                        biases[measure] += bias;
                        format!("{reported:.4} | {fresh:.4} | {z:+.1}")
                    })
                    .collect();
                println!("| {name} | {} | {} of {samples} |", cells.join(" | "), pairs.base_rates);
            }
        }
    }
    println!(
        "\nSets whose reported measure lies within two standard errors of the fresh one, and the mean difference:\n"
    );
    println!("| choice | plan | calibration | sets | {} |", MEASURES.join(" | "));
    println!("|---|---|---|--:|{}", "--:|".repeat(MEASURES.len()));
    for ((choice, plan, method), (sets, within, biases)) in summary {
        let cells: Vec<String> = within
            .iter()
            .zip(biases)
            .map(|(within, bias)| format!("{within} ({:+.4})", bias / sets as f64))
            .collect();
        println!("| {choice} | {plan} | {method} | {sets} | {} |", cells.join(" | "));
    }
}

/// Reported and real measures of the samples.
#[derive(Default)]
struct Pairs {
    by_measure: [Vec<(f64, f64)>; 4],
    /// Models that tell the base rate.
    base_rates: usize,
}

impl Pairs {
    /// Mean reported, mean real, their difference, and it in standard errors.
    fn bias(&self, measure: usize) -> (f64, f64, f64, f64) {
        let pairs = &self.by_measure[measure];
        let of = |value: fn(&(f64, f64)) -> f64| mean(&pairs.iter().map(value).collect::<Vec<_>>());
        let (bias, error) = of(|pair| pair.0 - pair.1);
        let z = if bias.abs() < 1e-9 { 0.0 } else { bias / error };
        (of(|pair| pair.0).0, of(|pair| pair.1).0, bias, z)
    }
}

fn compared(
    source: Source,
    rows: usize,
    combination: &Combination,
    samples: u64,
    fresh_rows: usize,
) -> Pairs {
    let mut pairs = Pairs::default();
    for seed in 0..samples {
        let seed = 1 + seed + 1000 * (rows as u64 + 10_000 * source as u64);
        let problem = source.sample(rows, seed);
        let Combination { choice, plan, method, .. } = combination;
        let Ok(trained) = train(&problem, choice, *plan, Some(*method), &NoProgress) else { continue };
        let Some(measured) = trained.measured.clone() else { continue };
        let model = Model::new(trained.into_parts(&problem)).expect("a model");
        let calibration = model.parts().calibration.as_ref();
        pairs.base_rates +=
            usize::from(calibration.is_some_and(|calibration| calibration.constant().is_some()));
        let fresh = source.sample(fresh_rows, 1_000_000_000_000 + seed);
        let real = on_fresh(&model, &fresh, measured.metrics.confusion.rows() as usize);
        for ((pairs, reported), real) in
            pairs.by_measure.iter_mut().zip(measures(&measured.metrics)).zip(real)
        {
            if let (Some(reported), Some(real)) = (reported, real) {
                pairs.push((reported, real));
            }
        }
    }
    pairs
}
