//! The effect of each feature on the answer, with the others at their mean.
//!
//! That is the individual conditional expectation (Goldstein, Kapelner, Bleich and Pitkin, 2015) of one
//! made-up row, the mean; a partial dependence (Friedman 2001, section 8.2) would average such curves over
//! the training rows, which a model file does not carry.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::chart::{Axes, FAINT, INK, NEGATIVE, POSITIVE, axes, dot, line, picture, px, stroke, style};
use super::text::{Terms, count, escape, is_own, number, percent, shortened};
use upbeat_svm::{Machine, Model, Rows, Scorer};

/// Features shown at most, those that move the answer most.
const SHOWN: usize = 12;

/// Points of a curve.
const POINTS: usize = 41;

/// Points by which features are compared before the curves are made.
const PROBES: usize = 5;

/// Multiplications that the comparison may cost, a few seconds' worth.
const MOST_WORK: u64 = 4_000_000_000;

/// Weights shown at most.
const WEIGHTS: usize = 20;

/// The distribution of one feature's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Where its curve begins.
    pub low: f64,
    /// Where its curve ends, not below `low`.
    pub high: f64,
    /// Its value while other features change.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
}

impl Spread {
    /// The 1st and 99th percentile, the mean and the standard deviation of each column of the training
    /// rows; nothing without rows.
    pub fn of_rows(x: &Rows) -> Vec<Self> {
        if x.is_empty() {
            return Vec::new();
        }
        match x {
            Rows::Dense(x) => {
                let of_column = |column| Self::of_values(x.rows().map(|row| row[column]).collect(), 0);
                (0..x.columns()).map(of_column).collect()
            }
            Rows::Sparse(x) => {
                let mut columns = vec![Vec::new(); x.columns()];
                for (column, value) in (0..x.len()).flat_map(|row| x.row(row)) {
                    columns[column].push(value);
                }
                let of_column = |values: Vec<f64>| {
                    let zeros = x.len() - values.len();
                    Self::of_values(values, zeros)
                };
                columns.into_iter().map(of_column).collect()
            }
        }
    }

    /// The spread of these values and so many zeros, one at least together.
    fn of_values(mut values: Vec<f64>, zeros: usize) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let rows = (values.len() + zeros) as f64;
        let mean = values.iter().sum::<f64>() / rows;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let variance = (squares + zeros as f64 * mean * mean) / rows;
        let below = values.partition_point(|&value| value < 0.0);
        let percentile = |share: f64| match ((rows - 1.0) * share).round() as usize {
            place if place < below => values[place],
            place if place < below + zeros => 0.0,
            place => values[place - zeros],
        };
        Self { low: percentile(0.01), high: percentile(0.99), mean, deviation: variance.sqrt() }
    }

    /// Mean ± 3 scales from the model's scaling, within 0 to 1 for Upbeat's own shares; none for a model
    /// without scaling.
    pub fn of_scaling(model: &Model) -> Option<Vec<Self>> {
        let scaling = model.parts().scaling.as_ref()?;
        let (least, most) = if is_own(model) { (0.0, 1.0) } else { (f64::MIN, f64::MAX) };
        let of_feature = |(&mean, &scale): (&f64, &f64)| Self {
            low: (mean - 3.0 * scale).clamp(least, most).min(mean),
            high: (mean + 3.0 * scale).clamp(least, most).max(mean),
            mean,
            deviation: scale,
        };
        Some(scaling.mean.iter().zip(&scaling.scale).map(of_feature).collect())
    }
}

/// How the answer follows one feature.
struct Effect {
    feature: usize,
    /// Feature's value and the answer.
    points: Vec<(f64, f64)>,
}

impl Effect {
    /// The first and the last point.
    fn ends(&self) -> ((f64, f64), (f64, f64)) {
        (self.points[0], self.points[self.points.len() - 1])
    }

    /// How far the answer moves from end to end of its range.
    fn moved(&self) -> f64 {
        let answers = || self.points.iter().map(|point| point.1);
        answers().fold(f64::MIN, f64::max) - answers().fold(f64::MAX, f64::min)
    }
}

/// The section on the features.
pub(super) fn section(model: &Model, given: Option<&[Spread]>) -> anyhow::Result<String> {
    let mut html = "<section>\n<h2>What the features do</h2>\n".to_owned();
    let from_scaling;
    let spreads = match given {
        Some(spreads) => Some(spreads),
        None => {
            from_scaling = Spread::of_scaling(model);
            from_scaling.as_deref()
        }
    };
    let names: Vec<String> = (0..model.parts().features.count).map(|feature| name(model, feature)).collect();
    if let Some(spreads) = spreads {
        assert_eq!(spreads.len(), names.len(), "one spread per feature");
        html += &curves(model, spreads, given.is_some(), &names)?;
    } else {
        html += "<p>The model has no scaling and no rows were at hand, so it is not known where its features lie.</p>\n";
    }
    if let Machine::Linear { weights, .. } = &model.parts().machine {
        html += &weights_figure(weights, model, spreads, &names)?;
    }
    Ok(html + "</section>\n")
}

/// A feature's name for people.
fn name(model: &Model, feature: usize) -> String {
    let names = model.parts().features.names.as_deref();
    let name = names.and_then(|names| names.get(feature));
    name.map_or_else(|| format!("feature {}", feature + 1), |name| shortened(&name.replace('_', " "), 26))
}

fn curves(model: &Model, spreads: &[Spread], of_rows: bool, names: &[String]) -> anyhow::Result<String> {
    let vectors = model.parts().machine.support_vectors().max(1) as u64;
    let features = spreads.len() as u64;
    if features * features * vectors * PROBES as u64 > MOST_WORK {
        return Ok("<p>The model is too large to move its features one by one.</p>\n".to_owned());
    }
    let effects = strongest(model, spreads);
    let least =
        effects.iter().flat_map(|effect| &effect.points).map(|point| point.1).fold(f64::MAX, f64::min);
    let most = effects.iter().flat_map(|effect| &effect.points).map(|point| point.1).fold(f64::MIN, f64::max);
    if effects.is_empty() || !(most - least).is_finite() {
        return Ok("<p>No feature of this model can be moved.</p>\n".to_owned());
    }
    let calibrated = model.parts().calibration.is_some();
    let margin = ((most - least) * 0.06).max(if calibrated { 0.01 } else { most.abs() * 1e-3 + 1e-9 });
    let range = match calibrated {
        true => (least - margin).max(0.0)..(most + margin).min(1.0),
        false => least - margin..most + margin,
    };
    let mut html = introduction(model, effects.len(), spreads.len(), of_rows);
    html += "<div class=\"small\">\n";
    for effect in &effects {
        let name = &names[effect.feature];
        let drawn = draw(effect, &spreads[effect.feature], name, &range, calibrated)?;
        let shown = |answer: f64| if calibrated { percent(answer) } else { number(answer) };
        let ((low, at_low), (high, at_high)) = effect.ends();
        html += &format!(
            "<figure>\n<h3>{}</h3>\n{drawn}\n<figcaption>{} at {}, {} at {}</figcaption>\n</figure>\n",
            escape(name),
            shown(at_low),
            number(low),
            shown(at_high),
            number(high)
        );
    }
    Ok(html + "</div>\n")
}

fn introduction(model: &Model, shown: usize, all: usize, of_rows: bool) -> String {
    let answer = if model.parts().calibration.is_some() { "probability" } else { "score" };
    let range =
        if of_rows { "from its 1st to its 99th percentile" } else { "over three deviations to each side" };
    let which = if shown < all {
        format!(" The {shown} that move it most of {} are shown, the strongest first.", count(all as u64))
    } else {
        " The strongest comes first.".to_owned()
    };
    let shares = if is_own(model) {
        " The four times of day add up to 1 in a real listener, so there one rises only as another falls."
    } else {
        " In real rows features move together, so read the direction rather than the figure."
    };
    format!(
        "<p>How the {answer} changes when one feature moves {range} and all others stay at the mean of the training \
         rows, which the dot marks. All pictures have the same upright scale.{which}{shares}</p>\n"
    )
}

/// The features that move the answer most, strongest first; constant ones move nothing and are left out.
fn strongest(model: &Model, spreads: &[Spread]) -> Vec<Effect> {
    let scorer = Scorer::new(model);
    let movable = (0..spreads.len()).filter(|&feature| spreads[feature].low < spreads[feature].high);
    let mut probed: Vec<(f64, usize)> = movable
        .map(|feature| effect(&scorer, spreads, feature, PROBES))
        .map(|effect| (effect.moved(), effect.feature))
        .filter(|(moved, _)| moved.is_finite())
        .collect();
    probed.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    probed.truncate(SHOWN);
    let mut effects: Vec<Effect> =
        probed.into_iter().map(|(_, feature)| effect(&scorer, spreads, feature, POINTS)).collect();
    effects.retain(|effect| effect.moved().is_finite());
    effects.sort_by(|a, b| b.moved().total_cmp(&a.moved()).then(a.feature.cmp(&b.feature)));
    effects
}

fn effect(scorer: &Scorer, spreads: &[Spread], feature: usize, points: usize) -> Effect {
    let mut row: Vec<f64> = spreads.iter().map(|spread| spread.mean).collect();
    let Spread { low, high, .. } = spreads[feature];
    let point = |place: usize| {
        let part = place as f64 / (points - 1) as f64;
        row[feature] = low * (1.0 - part) + high * part;
        (row[feature], answer(scorer, &row))
    };
    Effect { feature, points: (0..points).map(point).collect() }
}

/// The probability, or the score when the model is not calibrated.
fn answer(scorer: &Scorer, row: &[f64]) -> f64 {
    let score = scorer.score(row);
    scorer.probability(score).unwrap_or(score)
}

fn draw(
    effect: &Effect,
    spread: &Spread,
    name: &str,
    range: &std::ops::Range<f64>,
    calibrated: bool,
) -> anyhow::Result<String> {
    let answer = if calibrated { "probability" } else { "score" };
    let ends = effect.ends();
    let description = format!(
        "{name}: {answer} {} at {}, {} at {}.",
        number(ends.0.1),
        number(ends.0.0),
        number(ends.1.1),
        number(ends.1.0)
    );
    // Between two points of the curve, on the straight line that is drawn there.
    let place = (spread.mean - spread.low) / (spread.high - spread.low) * (effect.points.len() - 1) as f64;
    let before = (place.max(0.0) as usize).min(effect.points.len() - 2);
    let (from, to) = (effect.points[before], effect.points[before + 1]);
    let mean = spread.mean.clamp(spread.low, spread.high);
    let height = from.1 + (to.1 - from.1) * (place - before as f64).clamp(0.0, 1.0);
    picture((300, 200), &description, |area| {
        let mut plane = axes(
            area,
            &Axes {
                x: spread.low..spread.high,
                y: range.clone(),
                x_name: "",
                y_name: answer,
                x_label: &|value| number(*value),
                y_label: &|value| number(*value),
                labels: (5, 5),
            },
        )?;
        line(&mut plane, &effect.points, POSITIVE, 2.5)?;
        dot(&mut plane, (mean, height), 4.0, INK)
    })
}

/// A bar per weight, strongest first.
fn weights_figure(
    weights: &[f64],
    model: &Model,
    spreads: Option<&[Spread]>,
    names: &[String],
) -> anyhow::Result<String> {
    let scaled = model.parts().scaling.is_some();
    let deviation = |feature: usize| match spreads {
        Some(spreads) if !scaled => spreads[feature].deviation,
        _ => 1.0,
    };
    let mut bars: Vec<(usize, f64)> =
        weights.iter().enumerate().map(|(feature, weight)| (feature, weight * deviation(feature))).collect();
    bars.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
    bars.truncate(WEIGHTS);
    let of = if scaled || spreads.is_some() { "one standard deviation more" } else { "one more" };
    let terms = Terms::of(model);
    Ok(format!(
        "<figure class=\"wide weights\">\n<h3>Weights</h3>\n<div class=\"scroll\">{}</div>\n<figcaption>How far {of} of a \
         feature moves the score: to the right towards {}, to the left towards {}.{}</figcaption>\n</figure>\n",
        draw_weights(&bars, names)?,
        escape(&terms.positives),
        escape(&terms.negatives),
        if weights.len() > WEIGHTS {
            format!(" The {WEIGHTS} strongest of {} are shown.", count(weights.len() as u64))
        } else {
            String::new()
        }
    ))
}

fn draw_weights(bars: &[(usize, f64)], names: &[String]) -> anyhow::Result<String> {
    const LEFT: f64 = 170.0;
    const HIGH: f64 = 28.0;
    const WIDE: f64 = 640.0;
    const FIGURES: f64 = 64.0;
    let most = bars.iter().map(|bar| bar.1.max(0.0)).fold(0.0, f64::max);
    let least = bars.iter().map(|bar| bar.1.min(0.0)).fold(0.0, f64::min);
    let room = WIDE - LEFT - 2.0 * FIGURES;
    let per_unit = if most > least { room / (most - least) } else { 0.0 };
    let zero = LEFT + FIGURES - least * per_unit;
    let bottom = 6.0 + HIGH * bars.len() as f64;
    let described = |&(feature, weight): &(usize, f64)| format!("{} {}", names[feature], number(weight));
    let description = format!("Weights: {}.", bars.iter().map(described).collect::<Vec<_>>().join(", "));
    picture((WIDE as u32, bottom as u32 + 6), &description, |area| {
        for (place, &(feature, weight)) in bars.iter().enumerate() {
            let top = 6.0 + HIGH * place as f64;
            let (end, middle) = (zero + weight * per_unit, px(top + HIGH / 2.0));
            let label = style(13.5, INK, HPos::Right, VPos::Center);
            area.draw_text(&names[feature], &label, (px(LEFT - 8.0), middle))?;
            let bar = [(px(zero.min(end)), px(top + 4.0)), (px(zero.max(end)), px(top + HIGH - 4.0))];
            let colour = if weight < 0.0 { NEGATIVE } else { POSITIVE };
            area.draw(&Rectangle::new(bar, colour.filled()))?;
            let (anchor, offset) = if weight < 0.0 { (HPos::Right, -6.0) } else { (HPos::Left, 6.0) };
            let figure = format!("{}{}", if weight > 0.0 { "+" } else { "" }, number(weight));
            area.draw_text(&figure, &style(12.5, INK, anchor, VPos::Center), (px(end + offset), middle))?;
        }
        let axis = [(px(zero), px(2.0)), (px(zero), px(bottom + 4.0))];
        area.draw(&PathElement::new(axis, stroke(FAINT, 1.0)))?;
        Ok(())
    })
}
