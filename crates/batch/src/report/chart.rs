//! The canvas of the pictures: size, colours, type and axes.
//!
//! plotters places everything on whole pixels, so pictures are drawn [`SCALE`] times as large as they are
//! shown. Colours are written as attributes, which the page's style overrides by their value: that is how
//! the same picture suits a dark page. Each colour here has its rule in style.css; a test sees to it.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::text::escape;

/// Pixels of a drawing per pixel of its intended size.
const SCALE: u32 = 4;

/// Text and frames.
pub(super) const INK: RGBColor = RGBColor(0x1F, 0x29, 0x33);
/// Lesser text and lines to compare with.
pub(super) const FAINT: RGBColor = RGBColor(0x5F, 0x6B, 0x7A);
/// Lines of the grid.
pub(super) const GRID: RGBColor = RGBColor(0xE1, 0xE6, 0xEC);
/// The positive class, and whatever there is only one of.
pub(super) const POSITIVE: RGBColor = RGBColor(0x0B, 0x6F, 0xB8);
/// The negative class.
pub(super) const NEGATIVE: RGBColor = RGBColor(0xB4, 0x53, 0x0A);

/// A part of a picture.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A part of a picture with axes.
pub(super) type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Axes of a [`Plane`]; both ranges finite and not empty.
pub(super) struct Axes<'a> {
    pub(super) x: Range<f64>,
    pub(super) y: Range<f64>,
    /// Below the horizontal axis.
    pub(super) x_name: &'a str,
    /// Written horizontally above the vertical axis.
    pub(super) y_name: &'a str,
    pub(super) x_label: &'a dyn Fn(&f64) -> String,
    pub(super) y_label: &'a dyn Fn(&f64) -> String,
    /// Approximate maximum of labels on each axis.
    pub(super) labels: (usize, usize),
}

/// Draws a picture of a size in pixels and gives it as SVG for an HTML page; `description` is what a screen
/// reader says.
pub(super) fn picture(
    (width, height): (u32, u32),
    description: &str,
    draw: impl FnOnce(&Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let mut svg = String::new();
    let (wide, high) = (width * SCALE, height * SCALE);
    {
        let area = SVGBackend::with_string(&mut svg, (wide, high)).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    // plotters' own first tag fixes the size in pixels and has no place for a description.
    let drawn = svg.split_once('>').map_or("", |(_, drawn)| drawn);
    let drawn = drawn.replace(" opacity=\"1\"", "").replace(" font-family=\"sans-serif\"", "");
    Ok(format!(
        "<svg viewBox=\"0 0 {wide} {high}\" role=\"img\" aria-label=\"{}\">{}",
        escape(description),
        drawn.trim_end()
    ))
}

/// A length as drawn, of one in pixels.
pub(super) fn px(length: f64) -> i32 {
    (length * f64::from(SCALE)) as i32
}

/// Text of a size in pixels, by its anchor.
pub(super) fn style(size: f64, colour: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    // plotters writes a font size that is smaller than the one it is given by this factor.
    const WRITTEN: f64 = 1.24;
    let font = ("sans-serif", size * f64::from(SCALE) * WRITTEN).into_font();
    font.color(&colour).pos(Pos::new(h, v))
}

/// A line of a width in pixels.
pub(super) fn stroke(colour: RGBColor, width: f64) -> ShapeStyle {
    ShapeStyle { color: colour.into(), filled: false, stroke_width: px(width) as u32 }
}

/// Draws the axes.
pub(super) fn axes<'a, 'b>(area: &'a Area<'b>, axes: &Axes<'_>) -> anyhow::Result<Plane<'a, 'b>> {
    let mut plane = ChartBuilder::on(area)
        .margin_top(px(if axes.y_name.is_empty() { 8.0 } else { 28.0 }))
        .margin_right(px(18.0))
        .margin_left(px(4.0))
        .margin_bottom(px(4.0))
        .x_label_area_size(px(if axes.x_name.is_empty() { 22.0 } else { 42.0 }))
        .y_label_area_size(px(46.0))
        .build_cartesian_2d(axes.x.clone(), axes.y.clone())?;
    plane
        .configure_mesh()
        .x_labels(axes.labels.0)
        .y_labels(axes.labels.1)
        .x_label_formatter(axes.x_label)
        .y_label_formatter(axes.y_label)
        .x_desc(axes.x_name)
        .axis_desc_style(style(13.0, FAINT, HPos::Center, VPos::Top))
        .label_style(style(12.5, FAINT, HPos::Center, VPos::Top))
        .axis_style(stroke(FAINT, 0.75))
        .bold_line_style(stroke(GRID, 0.75))
        .light_line_style(TRANSPARENT)
        .set_all_tick_mark_size(px(4.0))
        .draw()?;
    area.draw_text(axes.y_name, &style(13.0, FAINT, HPos::Left, VPos::Top), (px(6.0), px(5.0)))?;
    Ok(plane)
}

/// A line through points.
pub(super) fn line(
    plane: &mut Plane<'_, '_>,
    points: &[(f64, f64)],
    colour: RGBColor,
    width: f64,
) -> anyhow::Result<()> {
    plane.draw_series(LineSeries::new(points.iter().copied(), stroke(colour, width)))?;
    Ok(())
}

/// A dashed straight line to compare with.
pub(super) fn dashes(plane: &mut Plane<'_, '_>, from: (f64, f64), to: (f64, f64)) -> anyhow::Result<()> {
    let points = [from, to];
    plane.draw_series(DashedLineSeries::new(points, px(5.0), px(4.0), stroke(FAINT, 1.25)))?;
    Ok(())
}

/// A dot of a radius in pixels.
pub(super) fn dot(
    plane: &mut Plane<'_, '_>,
    at: (f64, f64),
    radius: f64,
    colour: RGBColor,
) -> anyhow::Result<()> {
    plane.draw_series(std::iter::once(Circle::new(at, px(radius), colour.filled())))?;
    Ok(())
}

/// Text at an offset in pixels from a point.
pub(super) fn note(
    plane: &mut Plane<'_, '_>,
    at: (f64, f64),
    (right, down): (f64, f64),
    text: &str,
    style: TextStyle<'static>,
) -> anyhow::Result<()> {
    let label = EmptyElement::at(at) + Text::new(text.to_owned(), (px(right), px(down)), style);
    plane.draw_series(std::iter::once(label))?;
    Ok(())
}

/// The points of a line that are distinct on the page: first, last, and each that is `nearest` or more
/// away from the one kept before it, in either direction.
pub(super) fn thinned(points: Vec<(f64, f64)>, nearest: f64) -> Vec<(f64, f64)> {
    let last = points.len().saturating_sub(1);
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (place, point) in points.into_iter().enumerate() {
        let apart = |&(x, y): &(f64, f64)| (x - point.0).abs() >= nearest || (y - point.1).abs() >= nearest;
        if place == last || kept.last().is_none_or(apart) {
            kept.push(point);
        }
    }
    kept
}
