//! The pictures of the page.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{OfCampaign, Threshold};
use crate::report::chart::{
    Axes, FAINT, INK, NEGATIVE, POSITIVE, Plane, axes, dashes, dot, line, note, picture, stroke, style,
};
use crate::report::text::{number, percent};

/// Width and height of a picture in pixels.
const SIZE: (u32, u32) = (460, 370);

/// One that is as wide as the page.
const WIDE: (u32, u32) = (960, 300);

/// The colours of curves, in their order.
const COLOURS: [RGBColor; 2] = [POSITIVE, NEGATIVE];

/// A range that holds all values and 0, with some room above and below.
fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let room = if high > low { (high - low) * 0.06 } else { 1.0 };
    (if low < 0.0 { low - room } else { 0.0 })..high + room
}

/// A share at an axis, where there is no room for decimals that say nothing.
fn share(value: &f64) -> String {
    format!("{}%", number(value * 100.0))
}

fn money(value: &f64) -> String {
    number(*value)
}

/// Profits of a campaign's curves, with the ends of their intervals where these are drawn.
fn profits(of: &OfCampaign) -> impl Iterator<Item = f64> + '_ {
    let drawn = of.curves.iter().enumerate().flat_map(|(place, (_, points))| {
        points.iter().flat_map(move |point| {
            let ends =
                point.interval.filter(|_| place == 0).map_or([point.profit; 2], |(low, high)| [low, high]);
            [point.profit, ends[0], ends[1]]
        })
    });
    drawn.chain(of.show_all)
}

/// The names of the curves, at the top of their picture.
fn legend(plane: &mut Plane<'_, '_>, of: &OfCampaign, (right, top): (f64, f64)) -> anyhow::Result<()> {
    for (place, ((name, _), colour)) in of.curves.iter().zip(COLOURS).enumerate() {
        let text = style(12.5, colour, HPos::Right, VPos::Top);
        note(plane, (right, top), (-4.0, 4.0 + 16.0 * place as f64), name, text)?;
    }
    Ok(())
}

/// Profit by threshold, on a logarithmic axis; none without a curve.
pub(super) fn profit(of: &OfCampaign) -> anyhow::Result<Option<String>> {
    let Some((_, first)) = of.curves.first() else { return Ok(None) };
    let best = first.iter().max_by(|a, b| a.profit.total_cmp(&b.profit));
    let description = format!(
        "Profit against threshold. The highest is {} at {}.",
        best.map_or("unknown".to_owned(), |best| number(best.profit)),
        best.map_or("unknown".to_owned(), |best| number(best.threshold))
    );
    let drawn = picture(SIZE, &description, |area| {
        let y = range(profits(of));
        let top = y.end;
        let label = |log: &f64| number(10_f64.powf(*log));
        let name = of.money("profit");
        let shape = Axes {
            x: -3.0..0.0,
            y,
            x_name: "threshold of the probability of a click",
            y_name: &name,
            x_label: &label,
            y_label: &money,
            labels: (4, 6),
        };
        let mut plane = axes(area, &shape)?;
        if let Some(all) = of.show_all {
            dashes(&mut plane, (-3.0, all), (0.0, all))?;
            let faint = style(12.5, FAINT, HPos::Left, VPos::Bottom);
            note(&mut plane, (-3.0, all), (5.0, -3.0), "show all", faint)?;
        }
        if let Some(middle) = of.break_even.filter(|middle| (0.001..=1.0).contains(middle)) {
            let bottom = shape.y.start;
            line(
                &mut plane,
                &[(middle.log10(), bottom), (middle.log10(), bottom + (top - bottom) * 0.04)],
                INK,
                2.0,
            )?;
        }
        let at = |point: &Threshold, value: f64| (point.threshold.log10(), value);
        for end in [0, 1] {
            let ends =
                first.iter().filter_map(|point| Some(at(point, <[f64; 2]>::from(point.interval?)[end])));
            line(&mut plane, &ends.collect::<Vec<_>>(), POSITIVE, 0.75)?;
        }
        for ((_, points), colour) in of.curves.iter().zip(COLOURS) {
            let points: Vec<_> = points.iter().map(|point| at(point, point.profit)).collect();
            line(&mut plane, &points, colour, 2.5)?;
        }
        legend(&mut plane, of, (0.0, top))
    })?;
    Ok(Some(drawn))
}

/// Profit by cost, over the same thresholds; none without a curve.
pub(super) fn budget(of: &OfCampaign) -> anyhow::Result<Option<String>> {
    let Some((_, first)) = of.curves.first() else { return Ok(None) };
    let costs = of.curves.iter().flat_map(|(_, points)| points.iter().map(|point| point.cost));
    let x = range(costs);
    if first.iter().all(|point| point.cost == 0.0) {
        return Ok(None);
    }
    let most = first.iter().map(|point| point.cost).fold(0.0, f64::max);
    let description = format!("Profit against cost, of thresholds that cost up to {}.", number(most));
    let drawn = picture(SIZE, &description, |area| {
        let y = range(of.curves.iter().flat_map(|(_, points)| points.iter().map(|point| point.profit)));
        let (right, top) = (x.end, y.end);
        let (x_name, y_name) = (of.money("cost"), of.money("profit"));
        let shape = Axes {
            x: x.clone(),
            y,
            x_name: &x_name,
            y_name: &y_name,
            x_label: &money,
            y_label: &money,
            labels: (5, 6),
        };
        let mut plane = axes(area, &shape)?;
        dashes(&mut plane, (x.start, 0.0), (x.end, 0.0))?;
        for ((_, points), colour) in of.curves.iter().zip(COLOURS) {
            let points: Vec<_> = points.iter().map(|point| (point.cost, point.profit)).collect();
            line(&mut plane, &points, colour, 2.0)?;
            for point in points {
                dot(&mut plane, point, 2.5, colour)?;
            }
        }
        legend(&mut plane, of, (right, top))
    })?;
    Ok(Some(drawn))
}

/// What happened by what was told; none where no probability was.
pub(super) fn reliability(of: &OfCampaign) -> anyhow::Result<Option<String>> {
    let bins = &of.reliability;
    if bins.is_empty() {
        return Ok(None);
    }
    let most = bins.iter().map(|bin| bin.told.max(bin.found)).fold(0.0, f64::max);
    let most = (most * 1.25).clamp(0.01, 1.0);
    let described: Vec<String> =
        bins.iter().map(|bin| format!("{}: {}", percent(bin.told), percent(bin.found))).collect();
    let description = format!("Reliability. Told and happened: {}.", described.join("; "));
    let drawn = picture(SIZE, &description, |area| {
        let shape = Axes {
            x: 0.0..most,
            y: 0.0..most,
            x_name: "probability told",
            y_name: "share clicked",
            x_label: &share,
            y_label: &share,
            labels: (5, 6),
        };
        let mut plane = axes(area, &shape)?;
        dashes(&mut plane, (0.0, 0.0), (most, most))?;
        for bin in bins {
            let (low, high) = bin.interval;
            line(&mut plane, &[(bin.told, low.min(most)), (bin.told, high.min(most))], POSITIVE, 1.5)?;
            dot(&mut plane, (bin.told, bin.found), 4.0, POSITIVE)?;
        }
        Ok(())
    })?;
    Ok(Some(drawn))
}

/// Differences with their intervals, one above the other; none without a holdout.
pub(super) fn lift(of: &OfCampaign) -> anyhow::Result<Option<String>> {
    if of.lift.is_empty() {
        return Ok(None);
    }
    let described: Vec<String> = of
        .lift
        .iter()
        .map(|lift| format!("{}: {} to {}", lift.outcome, number(lift.interval.0), number(lift.interval.1)))
        .collect();
    let description = format!("Lift a customer, with 95 % intervals. {}.", described.join("; "));
    let drawn = picture((SIZE.0, 90 + 70 * of.lift.len() as u32), &description, |area| {
        let x = range(of.lift.iter().flat_map(|lift| [lift.interval.0, lift.interval.1]));
        let none = |_: &f64| String::new();
        let count = of.lift.len() as f64;
        let left = x.start.min(-x.end * 0.06);
        let shape = Axes {
            x: left..x.end,
            y: 0.0..count,
            x_name: "a customer more than without",
            y_name: "",
            x_label: &money,
            y_label: &none,
            labels: (5, 1),
        };
        let mut plane = axes(area, &shape)?;
        dashes(&mut plane, (0.0, 0.0), (0.0, count))?;
        for (place, lift) in of.lift.iter().enumerate() {
            let height = count - place as f64 - 0.65;
            let (low, high) = lift.interval;
            line(&mut plane, &[(low, height), (high, height)], POSITIVE, 2.0)?;
            dot(&mut plane, (lift.with.0 - lift.without.0, height), 4.5, POSITIVE)?;
            let text = format!(
                "{}: {} of {} shown, {} of {} held out",
                lift.outcome,
                number(lift.with.0),
                lift.with.1,
                number(lift.without.0),
                lift.without.1
            );
            let ink = style(12.5, INK, HPos::Left, VPos::Bottom);
            note(&mut plane, (left, height), (6.0, -10.0), &text, ink)?;
        }
        Ok(())
    })?;
    Ok(Some(drawn))
}

/// Click rates by hour; none where nothing was shown.
pub(super) fn hours(of: &OfCampaign) -> anyhow::Result<Option<String>> {
    let rates = || of.hours.iter().enumerate().filter_map(|(hour, slice)| Some((hour, slice.click_rate?)));
    let Some(most) = rates().map(|(_, (rate, _))| rate).reduce(f64::max) else { return Ok(None) };
    let most = (most * 1.6).clamp(0.01, 1.0);
    let described: Vec<String> =
        rates().map(|(hour, (rate, _))| format!("{hour}: {}", percent(rate))).collect();
    let description = format!("Share of shown ads that were clicked, by hour. {}.", described.join("; "));
    let drawn = picture(WIDE, &description, |area| {
        let hour = |hour: &f64| format!("{hour:.0}");
        let shape = Axes {
            x: -0.7..23.7,
            y: 0.0..most,
            x_name: "hour of the day",
            y_name: "share clicked",
            x_label: &hour,
            y_label: &share,
            labels: (24, 5),
        };
        let mut plane = axes(area, &shape)?;
        for (hour, (rate, (low, high))) in rates() {
            let at = hour as f64;
            let bar = [(at - 0.35, 0.0), (at + 0.35, rate)];
            plane.draw_series(std::iter::once(Rectangle::new(bar, POSITIVE.filled())))?;
            let ends = [(at, low.min(most)), (at, high.min(most))];
            plane.draw_series(std::iter::once(PathElement::new(ends, stroke(INK, 1.25))))?;
        }
        Ok(())
    })?;
    Ok(Some(drawn))
}
