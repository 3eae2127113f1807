//! The table, its summary, and the page that has them.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};

/// What is compared.
pub const MEASURES: [&str; 4] = ["log loss", "ECE", "error", "AUC"];

/// Standard errors within which a difference is noise. One of twenty differences of no bias lies beyond.
const NOISE: f64 = 2.1;

/// Reported and real measures of the samples of one combination.
pub struct Line {
    /// Source, choice, plan and calibration.
    words: [&'static str; 4],
    pub rows: usize,
    pub pairs: [Vec<(f64, f64)>; 4],
    /// Models that tell the base rate.
    pub base_rates: usize,
    /// Of sigmoids, see [`Real::slope`](crate::Real::slope).
    pub slopes: Vec<(f64, f64)>,
}

/// Mean and its standard error.
fn mean(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (mean, (variance / count).sqrt())
}

/// A difference of means and its standard error.
#[derive(Clone, Copy)]
struct Bias {
    reported: f64,
    real: f64,
    bias: f64,
    error: f64,
}

impl Bias {
    fn z(&self) -> f64 {
        if self.bias.abs() < 1e-9 { 0.0 } else { self.bias / self.error }
    }
}

impl Line {
    pub fn new(words: [&'static str; 4], rows: usize) -> Self {
        Self { words, rows, pairs: Default::default(), base_rates: 0, slopes: Vec::new() }
    }

    pub fn has(&self, word: &str) -> bool {
        self.words.contains(&word) || self.rows.to_string() == word
    }

    fn bias(&self, measure: usize) -> Option<Bias> {
        let pairs = &self.pairs[measure];
        let (bias, error) = mean(pairs.iter().map(|pair| pair.0 - pair.1));
        let of = |part: fn(&(f64, f64)) -> f64| mean(pairs.iter().map(part)).0;
        (pairs.len() > 1).then(|| Bias { reported: of(|pair| pair.0), real: of(|pair| pair.1), bias, error })
    }

    pub fn head() -> String {
        let columns = MEASURES.map(|name| format!("{name}: reported | fresh | bias ± s.e. | z")).join(" | ");
        let names = "| source | rows | choice | plan | calibration";
        format!(
            "{names} | {columns} | models | base rate | slope by best | gain of it |\n|---|--:|---|---|---|{}--:|--:|--:|--:|",
            "--:|--:|--:|--:|".repeat(MEASURES.len())
        )
    }
}

impl Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let [source, choice, plan, calibration] = self.words;
        write!(out, "| {source} | {} | {choice} | {plan} | {calibration} |", self.rows)?;
        for measure in 0..MEASURES.len() {
            match self.bias(measure) {
                Some(all) => write!(
                    out,
                    " {:.4} | {:.4} | {:+.4} ± {:.4} | {:+.1} |",
                    all.reported,
                    all.real,
                    all.bias,
                    all.error,
                    all.z()
                )?,
                None => write!(out, " – | – | – | – |")?,
            }
        }
        let slope = mean(self.slopes.iter().map(|slope| slope.0)).0.exp();
        let gain = mean(self.slopes.iter().map(|slope| slope.1)).0;
        write!(out, " {} | {} | {slope:.2} | {gain:.4} |", self.pairs[2].len(), self.base_rates)
    }
}

/// All lines.
pub struct Table {
    samples: u64,
    fresh_rows: usize,
    lines: Vec<Line>,
}

impl Table {
    pub fn new(samples: u64, fresh_rows: usize) -> Self {
        Self { samples, fresh_rows, lines: Vec::new() }
    }

    pub fn push(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Biases by choice, plan and calibration; by source; and the lines beyond noise.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let mut part = |title: &str, key: &dyn Fn(&Line) -> String| {
            let names = MEASURES.join(" | ");
            writeln!(text, "| {title} | lines | {names} |\n|---|--:|{}", "--:|".repeat(MEASURES.len()))
                .expect("text");
            let mut groups: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
            self.lines.iter().for_each(|line| groups.entry(key(line)).or_default().push(line));
            for (key, lines) in groups {
                let cells: Vec<String> =
                    (0..MEASURES.len()).map(|measure| of_group(&lines, measure)).collect();
                writeln!(text, "| {key} | {} | {} |", lines.len(), cells.join(" | ")).expect("text");
            }
            text.push('\n');
        };
        part("choice, plan, calibration", &|line| {
            let [_, choice, plan, calibration] = line.words;
            format!("{choice}, {plan}, {calibration}")
        });
        part("source, rows", &|line| format!("{}, {:>6}", line.words[0], line.rows));
        text
    }

    /// Puts the summary between the marks of a page.
    pub fn write_into(&self, page: &str) {
        const MARKS: [&str; 2] = ["<!-- figures: just fresh -->\n", "<!-- end of figures -->"];
        let before = std::fs::read_to_string(page).expect("the page");
        let [start, end] = MARKS.map(|mark| before.find(mark).expect("both marks in the page"));
        let head = &before[..start + MARKS[0].len()];
        let lines: usize = self.lines.len();
        let said = format!(
            "\n{lines} lines of {} samples each, every model on {} fresh rows.\n\n{}",
            self.samples,
            self.fresh_rows,
            self.summary()
        );
        std::fs::write(page, format!("{head}{said}{}", &before[end..])).expect("the page is written");
    }
}

/// How many lines are within noise, their mean bias, and it in standard errors.
fn of_group(lines: &[&Line], measure: usize) -> String {
    let biases: Vec<Bias> = lines.iter().filter_map(|line| line.bias(measure)).collect();
    if biases.is_empty() {
        return "–".to_owned();
    }
    let within = biases.iter().filter(|bias| bias.z().abs() <= NOISE).count();
    let all = biases.len() as f64;
    let bias = biases.iter().map(|bias| bias.bias).sum::<f64>() / all;
    format!("{within} of {} ({bias:+.4})", biases.len())
}
