//! Pictures of scores against the truth.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::chart::{
    Axes, FAINT, INK, NEGATIVE, POSITIVE, axes, dashes, dot, line, note, picture, px, style, thinned,
};
use super::text::{Terms, count, number, percent};
use upbeat_svm::{
    Fixed, Interval, PrecisionRecall, ReliabilityBin, RocPoint, ScoreBin, average_precision, histogram,
    precision_recall,
};

/// Width and height of a picture in pixels.
const SIZE: (u32, u32) = (460, 370);

/// Ranges of the score histogram.
const SCORE_BINS: usize = 40;

/// Points nearer than this on both axes are one on the page.
const NEAREST: f64 = 0.003;

/// The receiver operating characteristic, with the point at the threshold; points of both classes.
pub(super) fn roc(
    points: &[RocPoint],
    threshold: (f64, f64),
    auc: f64,
    terms: &Terms,
) -> anyhow::Result<String> {
    let points = points.iter().map(|point| (point.false_positive_rate, point.true_positive_rate)).collect();
    let description = format!(
        "ROC curve, area {auc:.3}. At the threshold {} of the {} and {} of the {} are told yes.",
        percent(threshold.1),
        terms.positives,
        percent(threshold.0),
        terms.negatives
    );
    picture(SIZE, &description, |area| {
        let (x_name, y_name) = (
            format!("share of {} told yes", terms.negatives),
            format!("share of {} told yes", terms.positives),
        );
        let mut plane = axes(area, &shares(&x_name, &y_name))?;
        dashes(&mut plane, (0.0, 0.0), (1.0, 1.0))?;
        line(&mut plane, &thinned(points, NEAREST), POSITIVE, 2.5)?;
        mark_threshold(&mut plane, threshold, 14.0)?;
        let faint = style(12.5, FAINT, HPos::Left, VPos::Center);
        note(&mut plane, (0.62, 0.54), (0.0, 0.0), "by chance", faint)?;
        let large = style(15.0, POSITIVE, HPos::Right, VPos::Center);
        note(&mut plane, (0.97, 0.09), (0.0, 0.0), &format!("area {auc:.3}"), large)
    })
}

/// The precision–recall curve in steps, with the point at the threshold if any row is above it.
pub(super) fn precision_and_recall(
    scores: &[f64],
    positive: &[bool],
    weights: Option<&[f64]>,
    threshold: Option<(f64, f64)>,
    terms: &Terms,
) -> anyhow::Result<Option<String>> {
    let curve = precision_recall(scores, positive, weights);
    let Some(average) = average_precision(&curve) else {
        return Ok(None);
    };
    let share = curve.last().map_or(0.0, |last| last.precision);
    let description = format!(
        "Precision against recall, average precision {average:.3}; the share of {} is {}.",
        terms.positives,
        percent(share)
    );
    let points = thinned(steps(&curve), NEAREST);
    let drawn = picture(SIZE, &description, |area| {
        let x_name = format!("recall: share of all {} found", terms.positives);
        let y_name = format!("precision: share of {} among those told yes", terms.positives);
        let mut plane = axes(area, &shares(&x_name, &y_name))?;
        dashes(&mut plane, (0.0, share), (1.0, share))?;
        line(&mut plane, &points, POSITIVE, 2.5)?;
        if let Some(threshold) = threshold {
            mark_threshold(&mut plane, threshold, if threshold.1 > 0.15 { 18.0 } else { -18.0 })?;
        }
        let (offset, place) = if share > 0.85 { (14.0, 0.55) } else { (-10.0, 0.02) };
        let faint = style(12.5, FAINT, HPos::Left, VPos::Center);
        note(&mut plane, (place, share), (0.0, offset), &format!("by chance {}", percent(share)), faint)?;
        let large = style(15.0, POSITIVE, HPos::Left, VPos::Center);
        let height = if share < 0.25 { 0.35 } else { 0.09 };
        note(&mut plane, (0.02, height), (0.0, 0.0), &format!("average precision {average:.3}"), large)
    })?;
    Ok(Some(drawn))
}

/// The corners of the steps: each precision holds back to the recall before it.
fn steps(curve: &[PrecisionRecall]) -> Vec<(f64, f64)> {
    let mut before = 0.0;
    let corners = curve.iter().flat_map(|point| {
        let from = std::mem::replace(&mut before, point.recall);
        [(from, point.precision), (point.recall, point.precision)]
    });
    corners.collect()
}

/// The reliability diagram: observed shares against predicted probabilities, and below it the rows of each bin.
pub(super) fn reliability(bins: &[ReliabilityBin], error: f64, terms: &Terms) -> anyhow::Result<String> {
    let described =
        |bin: &ReliabilityBin| format!("{}: {}", percent(bin.mean_probability), percent(bin.share()));
    let description = format!(
        "Reliability, expected calibration error {}. Stated and happened: {}.",
        percent(error),
        bins.iter().map(described).collect::<Vec<_>>().join("; ")
    );
    picture((SIZE.0, SIZE.1 + 80), &description, |area| {
        let (upper, lower) = area.split_vertically(px(320.0));
        let y_name = format!("share that are {}", terms.positives);
        let mut plane = axes(&upper, &shares("", &y_name))?;
        dashes(&mut plane, (0.0, 0.0), (1.0, 1.0))?;
        let points: Vec<(f64, f64)> = bins.iter().map(|bin| (bin.mean_probability, bin.share())).collect();
        line(&mut plane, &points, POSITIVE, 1.5)?;
        for bin in bins {
            let Interval(low, high) = bin.interval();
            line(&mut plane, &[(bin.mean_probability, low), (bin.mean_probability, high)], POSITIVE, 1.5)?;
            dot(&mut plane, (bin.mean_probability, bin.share()), 4.5, POSITIVE)?;
        }
        let most = bins.iter().map(|bin| bin.rows).max().unwrap_or(1) as f64;
        let rows = |rows: &f64| count(*rows as u64);
        let mut plane = axes(
            &lower,
            &Axes {
                y: 0.0..most * 1.28,
                y_label: &rows,
                labels: (6, 3),
                ..shares("probability told", terms.rows)
            },
        )?;
        for bin in bins {
            let bar = [(bin.low + 0.008, 0.0), (bin.high - 0.008, bin.rows as f64)];
            plane.draw_series(std::iter::once(Rectangle::new(bar, FAINT.filled())))?;
            let middle = f64::midpoint(bin.low, bin.high);
            let above = style(11.5, INK, HPos::Center, VPos::Bottom);
            note(&mut plane, (middle, bin.rows as f64), (0.0, -2.0), &count(bin.rows), above)?;
        }
        Ok(())
    })
}

/// How scores spread in each class: the positive class upwards, the negative one downwards.
pub(super) fn score_histogram(
    scores: &[f64],
    positive: &[bool],
    weights: Option<&[f64]>,
    terms: &Terms,
) -> anyhow::Result<Option<String>> {
    let bins = histogram(scores, positive, weights, SCORE_BINS);
    let (Some(first), Some(last)) = (bins.first(), bins.last()) else {
        return Ok(None);
    };
    let all = |of: fn(&ScoreBin) -> u64| bins.iter().map(of).sum::<u64>();
    let (positives, negatives) = (all(|bin| bin.positives), all(|bin| bin.negatives));
    let whole = |of: fn(&ScoreBin) -> f64| bins.iter().map(of).sum::<f64>().max(f64::MIN_POSITIVE);
    let (of_positives, of_negatives) = (whole(|bin| bin.positive_weight), whole(|bin| bin.negative_weight));
    let shares = |bin: &ScoreBin| (bin.positive_weight / of_positives, bin.negative_weight / of_negatives);
    let most = bins.iter().map(shares).map(|(up, down)| up.max(down)).fold(0.0, f64::max);
    // Zero is always in view, so that everyone sees on which side of it the scores are.
    let range = first.low.min(-f64::EPSILON)..last.high.max(f64::EPSILON);
    let description = format!(
        "Histogram of scores from {} to {}: {} {} above the axis, {} {} below it; the threshold is 0.",
        number(range.start),
        number(range.end),
        count(positives),
        terms.positives,
        count(negatives),
        terms.negatives
    );
    let drawn = picture((SIZE.0, SIZE.1 + 80), &description, |area| {
        let percent_of_class = |share: &f64| format!("{:.0} %", share.abs() * 100.0);
        let mut plane = axes(
            area,
            &Axes {
                x: range.clone(),
                y: -most * 1.25..most * 1.25,
                x_name: "score",
                y_name: "share of the class",
                x_label: &|score| number(*score),
                y_label: &percent_of_class,
                labels: (7, 7),
            },
        )?;
        for bin in &bins {
            let gap = (bin.high - bin.low) * 0.06;
            let (left, right) = (bin.low + gap, bin.high - gap);
            let (up, down) = shares(bin);
            let up = Rectangle::new([(left, 0.0), (right, up)], POSITIVE.filled());
            let down = Rectangle::new([(left, 0.0), (right, -down)], NEGATIVE.filled());
            plane.draw_series([up, down])?;
        }
        line(&mut plane, &[(range.start, 0.0), (range.end, 0.0)], FAINT, 0.75)?;
        line(&mut plane, &[(0.0, -most * 1.25), (0.0, most * 1.25)], INK, 1.5)?;
        class_names(&mut plane, &range, most, [(positives, &terms.positives), (negatives, &terms.negatives)])
    })?;
    Ok(Some(drawn))
}

/// Names the halves of the histogram and the sides of the threshold.
fn class_names(
    plane: &mut super::chart::Plane<'_, '_>,
    range: &std::ops::Range<f64>,
    most: f64,
    [(positives, positive), (negatives, negative)]: [(u64, &String); 2],
) -> anyhow::Result<()> {
    let left = style(13.5, POSITIVE, HPos::Left, VPos::Center);
    let up = format!("▲ {} {positive}", count(positives));
    note(plane, (range.start, most * 1.25), (8.0, 12.0), &up, left)?;
    let left = style(13.5, NEGATIVE, HPos::Left, VPos::Center);
    let down = format!("▼ {} {negative}", count(negatives));
    note(plane, (range.start, -most * 1.25), (8.0, -12.0), &down, left)?;
    // On the side of the line that has more room.
    let (anchor, right) = if range.end > -range.start { (HPos::Left, 6.0) } else { (HPos::Right, -6.0) };
    note(plane, (0.0, most * 1.25), (right, 32.0), "told yes above 0", style(12.5, INK, anchor, VPos::Center))
}

/// Marks where a score of 0 lies on a curve.
fn mark_threshold(plane: &mut super::chart::Plane<'_, '_>, at: (f64, f64), down: f64) -> anyhow::Result<()> {
    dot(plane, at, 5.0, INK)?;
    let (anchor, right) = if at.0 < 0.7 { (HPos::Left, 8.0) } else { (HPos::Right, -8.0) };
    note(plane, at, (right, down), "threshold 0", style(12.5, INK, anchor, VPos::Center))
}

/// Axes from 0 to 1, a bit beyond so that lines along the edges are seen whole.
fn shares<'a>(x_name: &'a str, y_name: &'a str) -> Axes<'a> {
    Axes { x: 0.0..1.0, y: 0.0..1.0, x_name, y_name, x_label: &tenth, y_label: &tenth, labels: (6, 6) }
}

fn tenth(share: &f64) -> String {
    Fixed(*share, 1).to_string()
}
