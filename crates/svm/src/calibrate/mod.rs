//! From decision values to probabilities.

mod counts;
mod isotonic;
mod pairs;
mod platt;

use serde::{Deserialize, Serialize};

pub use isotonic::Isotonic;
pub(crate) use pairs::Pairs;
pub use platt::Platt;

use crate::data::exact::Number;
use crate::evaluate::ties::constant;

/// A function from scores to probabilities of the positive label, in `0.0..=1.0`, that never falls as the score rises: a
/// model with another is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "File", try_from = "File")]
pub enum Calibration {
    /// Two numbers: good for few rows, and the calibration of libSVM and ONNX.
    Platt(Platt),
    /// A line through as many points as the scores support; better from ten thousand rows on.
    Isotonic(Isotonic),
}

/// How a calibration is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// [`Platt::fit`]
    Platt,
    /// [`Isotonic::fit`]
    Isotonic,
}

/// A logarithm of a likelihood ratio, per number fitted beyond one each, above which a fit is no chance.
const CLEAR_GAIN: f64 = 10.0;

impl Calibration {
    /// Fits to scores that the scoring model was not trained on.
    ///
    /// A row of weight 2 counts as two; without weights every row counts as one. None when a class is missing, a score
    /// is not finite, or a weight is not finite and above 0.
    ///
    /// # Panics
    /// When there is not one label, and one weight where there are weights, per score.
    pub fn fit(method: Method, scores: &[f64], positive: &[bool], weights: Option<&[f64]>) -> Option<Self> {
        match method {
            Method::Platt => Platt::fit(scores, positive, weights).map(Self::Platt),
            Method::Isotonic => Isotonic::fit(scores, positive, weights).map(Self::Isotonic),
        }
    }

    /// [`Calibration::fit`], or the base rate where the fit is no better than that on rows that it was not made of: the
    /// scores then do not tell the classes apart.
    ///
    /// A fit that is far likelier than the base rate, for as many numbers as it has, is taken at once; others are
    /// fitted without a part of the rows at a time, and tell the probabilities of that part. `start` is a fit to nearly
    /// the same rows.
    pub(crate) fn fit_or_base_rate(method: Method, rows: Pairs, start: Option<&Self>) -> Option<Self> {
        let base_rate = Self::Platt(Platt::base_rate(rows.positive, rows.weights)?);
        let fit = Self::fit_from(method, rows, start)?;
        if fit.constant().is_some() || constant(rows.scores.iter().copied()) {
            return Some(base_rate);
        }
        let gain =
            rows.loss(|_, score| base_rate.probability(score)) - rows.loss(|_, score| fit.probability(score));
        if gain > fit.numbers() as f64 + CLEAR_GAIN {
            return Some(fit);
        }
        let (part_of, parts) = rows.parts();
        if parts < 2 {
            return Some(base_rate);
        }
        let mut probabilities = vec![0.0; rows.scores.len()];
        for part in 0..parts {
            let others = rows.among(|row| part_of[row] != part);
            let without = Self::fit_from(method, others.pairs(), Some(&fit))?;
            for row in (0..rows.scores.len()).filter(|&row| part_of[row] == part) {
                probabilities[row] = without.probability(rows.scores[row]);
            }
        }
        let better =
            rows.loss(|row, _| probabilities[row]) < rows.loss(|_, score| base_rate.probability(score));
        Some(if better { fit } else { base_rate })
    }

    fn fit_from(method: Method, rows: Pairs, start: Option<&Self>) -> Option<Self> {
        match method {
            Method::Platt => {
                let start = start.and_then(Self::platt).filter(|start| start.a < 0.0);
                Platt::fit_from(rows, start).map(Self::Platt)
            }
            Method::Isotonic => Isotonic::fit_to(rows).map(Self::Isotonic),
        }
    }

    /// How many numbers were fitted, besides the base rate.
    fn numbers(&self) -> usize {
        match self {
            Self::Platt(_) => 1,
            Self::Isotonic(isotonic) => isotonic.scores().len(),
        }
    }

    /// The probability of the positive label, in `0.0..=1.0`; NaN for a NaN score.
    pub fn probability(&self, score: f64) -> f64 {
        match self {
            Self::Platt(platt) => platt.probability(score),
            Self::Isotonic(isotonic) => isotonic.probability(score),
        }
    }

    /// The one probability that every score has, where they all have the same: the scores then do not tell the
    /// classes apart. None where probabilities differ.
    pub fn constant(&self) -> Option<f64> {
        match self {
            Self::Platt(platt) => (platt.a == 0.0).then(|| platt.probability(0.0)),
            Self::Isotonic(isotonic) => isotonic.constant(),
        }
    }

    /// The sigmoid, for formats that know no other calibration.
    pub fn platt(&self) -> Option<Platt> {
        match self {
            Self::Platt(platt) => Some(*platt),
            Self::Isotonic(_) => None,
        }
    }
}

/// As model files have it: `{"a":…,"b":…}` or `{"scores":[…],"probabilities":[…]}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    a: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scores: Option<Vec<Number>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probabilities: Option<Vec<Number>>,
}

impl From<Calibration> for File {
    fn from(calibration: Calibration) -> Self {
        let numbers = |values: &[f64]| values.iter().map(|&value| Number(value)).collect();
        match calibration {
            Calibration::Platt(Platt { a, b }) => {
                Self { a: Some(Number(a)), b: Some(Number(b)), scores: None, probabilities: None }
            }
            Calibration::Isotonic(isotonic) => Self {
                a: None,
                b: None,
                scores: Some(numbers(isotonic.scores())),
                probabilities: Some(numbers(isotonic.probabilities())),
            },
        }
    }
}

impl TryFrom<File> for Calibration {
    type Error = String;

    fn try_from(file: File) -> Result<Self, String> {
        let plain = |numbers: Vec<Number>| numbers.into_iter().map(|number| number.0).collect();
        match (file.a, file.b, file.scores, file.probabilities) {
            (Some(a), Some(b), None, None) => Ok(Self::Platt(Platt { a: a.0, b: b.0 })),
            (None, None, Some(scores), Some(probabilities)) => {
                Isotonic::new(plain(scores), plain(probabilities)).map(Self::Isotonic)
            }
            _ => Err("calibration must have a and b, or scores and probabilities".to_owned()),
        }
    }
}
