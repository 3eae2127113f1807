//! The training report: one HTML page that shows how good a model is, to those who made it and to those
//! who will use it. [`policies`] is the page of estimates of other policies.
//!
//! The page is self-contained and fetches nothing: style and pictures are in it, there is no script.
//! It holds no time, so the same training gives the same bytes.

mod chart;
mod curves;
mod effect;
mod grid;
pub mod policies;
mod sections;
#[cfg(test)]
mod tests;
mod text;

pub use effect::Spread;

use text::escape;
use upbeat_svm::{Criterion, Kernel, Metrics, Model};

/// The contents of the page.
pub struct Report<'a> {
    /// The model.
    pub model: &'a Model,
    /// Scores of rows that the scoring machine was not trained on; none when none were kept back.
    pub evaluation: Option<Evaluation<'a>>,
    /// What was tried before this model was chosen; none when the parameters were given.
    pub grid: Option<Grid<'a>>,
    /// Where each feature lies, in the model's order; none takes mean ± 3 scales from the model's scaling.
    pub spreads: Option<Vec<Spread>>,
    /// Why these parameters, in a sentence; none says nothing.
    pub why: Option<&'a str>,
    /// Further facts as name and value, in the order to show them.
    pub facts: Vec<(String, String)>,
}

/// Rows that the model was evaluated on.
pub struct Evaluation<'a> {
    /// Which rows these are, as in "30 % of the rows, kept back from training".
    pub method: &'a str,
    /// The measures of these rows.
    pub metrics: &'a Metrics,
    /// A finite score per row.
    pub scores: &'a [f64],
    /// A probability per row, by a calibration that was not fitted to the row; none of a model without calibration.
    pub probabilities: Option<&'a [f64]>,
    /// Whether the row at the same place has the positive label.
    pub positive: &'a [bool],
    /// What the row at the same place counts, finite and above 0; none for 1 everywhere.
    pub weights: Option<&'a [f64]>,
    /// Whether the rows were scored in folds, each by a machine of its own.
    pub folds: bool,
}

impl Evaluation<'_> {
    /// The weight of the rows of which this holds.
    fn weight(&self, counts: impl Fn(usize) -> bool) -> f64 {
        let weight = |row: usize| self.weights.map_or(1.0, |weights| weights[row]);
        (0..self.scores.len()).filter(|&row| counts(row)).map(weight).sum()
    }

    /// Of the weight of the rows of which `whole` holds, the share of which `part` does too; 0 without weight.
    fn share(&self, part: impl Fn(usize) -> bool, whole: impl Fn(usize) -> bool) -> f64 {
        let all = self.weight(&whole);
        if all > 0.0 { self.weight(|row| whole(row) && part(row)) / all } else { 0.0 }
    }

    /// The share of positive rows, by weight.
    fn base_rate(&self) -> f64 {
        self.share(|row| self.positive[row], |_| true)
    }
}

/// The candidates of a search for parameters.
pub struct Grid<'a> {
    /// How they were compared, as in "5 folds of 3,500 rows".
    pub method: &'a str,
    /// The measure that was minimised.
    pub criterion: Criterion,
    /// The candidates in any order.
    pub tried: &'a [Candidate],
}

/// One candidate of a search. Measures that are not finite are shown as failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The kernel and its parameters.
    pub kernel: Kernel,
    /// Whether features were standardised for it.
    pub scaled: bool,
    /// Cost of an error, above 0.
    pub c: f64,
    /// Log loss of the candidate's calibrated scores.
    pub log_loss: Option<f64>,
    /// Share of wrong labels.
    pub error: f64,
    /// Whether it was chosen.
    pub chosen: bool,
}

/// The page as HTML, UTF-8.
///
/// # Errors
/// A picture that cannot be drawn; no input is known to lead there.
///
/// # Panics
/// When there is not one label per score or not one spread per feature.
pub fn render(report: &Report<'_>) -> anyhow::Result<String> {
    let name = report.model.name().unwrap_or_else(|| report.model.id());
    let mut page = head(&format!("{} – training report", escape(name)));
    page += &sections::heading(report);
    match &report.evaluation {
        Some(evaluation) => page += &sections::evaluation(report.model, evaluation)?,
        None => page += sections::NOT_EVALUATED,
    }
    if let Some(grid) = &report.grid {
        page += &grid::section(grid)?;
    }
    page += &effect::section(report.model, report.spreads.as_deref())?;
    page += &sections::facts(report);
    page += "</main>\n</body>\n</html>\n";
    Ok(page)
}

/// The page up to its contents, with this title, which is escaped.
fn head(title: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{}</style>\n</head>\n<body>\n<main>\n",
        include_str!("style.css")
    )
}
