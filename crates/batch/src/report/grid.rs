//! The search for parameters: a heat map of C against the kernel's parameters, and the table behind it.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::chart::{Area, FAINT, GRID, INK, picture, px, stroke, style};
use super::text::{count, escape, number, percent};
use super::{Candidate, Grid};
use upbeat_svm::{Criterion, Fixed, Kernel};

/// Colours from best to worst, dark to pale so that they also work in grey.
const SCALE: [(u8, u8, u8); 5] =
    [(0x0B, 0x4F, 0x7D), (0x2B, 0x83, 0xAE), (0x7D, 0xB8, 0xC9), (0xC4, 0xDD, 0xD8), (0xF1, 0xEF, 0xDC)];

/// More rows than this are left out of the table.
const TABLE_ROWS: usize = 200;

/// A grid beyond this on a side is only shown as a table.
const MOST_CELLS: usize = 40;

/// Width of the picture in pixels.
const WIDTH: u32 = 940;
/// Where the cells begin, from the left.
const LEFT: f64 = 206.0;
/// Height of a cell.
const HIGH: f64 = 34.0;

/// The section on the search.
pub(super) fn section(grid: &Grid<'_>) -> anyhow::Result<String> {
    let mut tried: Vec<&Candidate> = grid.tried.iter().collect();
    tried.sort_by(|a, b| value(a, grid).unwrap_or(f64::MAX).total_cmp(&value(b, grid).unwrap_or(f64::MAX)));
    let named = criterion(grid);
    let mut html = format!(
        "<section>\n<h2>How the parameters were chosen</h2>\n<p>{} compared on {} by {named}; less is \
         better.",
        if tried.len() == 1 {
            "One candidate was".to_owned()
        } else {
            format!("{} candidates were", count(tried.len() as u64))
        },
        escape(grid.method)
    );
    if let (Some(best), Some(chosen)) = (tried.first(), tried.iter().find(|tried| tried.chosen)) {
        let shown = |tried: &Candidate| value(tried, grid).map_or("none".to_owned(), number);
        html += &format!(
            " The chosen one, {} with C = {}, has {named} {}; the best of all has {}.",
            escape(&described(chosen.kernel, chosen.scaled)),
            number(chosen.c),
            shown(chosen),
            shown(best)
        );
    }
    html += "</p>\n";
    let map = Map::of(grid);
    if (1..=MOST_CELLS).contains(&map.rows.len()) && map.columns.len() <= MOST_CELLS {
        html += &format!("<figure class=\"wide\">\n<div class=\"scroll\">{}</div>\n", map.draw(grid)?);
        html += &legend(&map, named);
        html += "</figure>\n";
    }
    html += &table(&tried, grid);
    html += "</section>\n";
    Ok(html)
}

/// What the choice went by, of one candidate; none when it failed.
fn value(tried: &Candidate, grid: &Grid<'_>) -> Option<f64> {
    let value = match grid.criterion {
        Criterion::LogLoss => tried.log_loss?,
        Criterion::Error => tried.error,
    };
    value.is_finite().then_some(value)
}

fn criterion(grid: &Grid<'_>) -> &'static str {
    match grid.criterion {
        Criterion::LogLoss => "log loss",
        Criterion::Error => "error",
    }
}

/// The kernel with its parameters, and whether it took the features as they are.
fn described(kernel: Kernel, scaled: bool) -> String {
    let mut text = kernel.name().to_owned();
    for (name, value) in [("gamma", kernel.gamma()), ("coef0", kernel.coef0())] {
        if let Some(value) = value.filter(|&value| name == "gamma" || value != 0.0) {
            text += &format!(" {name} {}", number(value));
        }
    }
    if let Some(degree) = kernel.degree() {
        text += &format!(" degree {degree}");
    }
    if scaled { text } else { text + " unscaled" }
}

/// The candidates by row and column.
struct Map {
    /// Kernels, and whether behind a scaling. From the top: curved kernels by falling gamma, the linear
    /// kernel last; of each first those that took the features as they are.
    rows: Vec<(Kernel, bool)>,
    /// The values of C, rising.
    columns: Vec<f64>,
    /// Least and greatest value that did not fail.
    range: Option<(f64, f64)>,
}

impl Map {
    fn of(grid: &Grid<'_>) -> Self {
        let mut rows: Vec<(Kernel, bool)> = Vec::new();
        let mut columns: Vec<f64> = Vec::new();
        for tried in grid.tried {
            if !rows.contains(&(tried.kernel, tried.scaled)) {
                rows.push((tried.kernel, tried.scaled));
            }
            if !columns.contains(&tried.c) {
                columns.push(tried.c);
            }
        }
        columns.sort_by(f64::total_cmp);
        rows.sort_by(|(a, a_scaled), (b, b_scaled)| {
            let linear = |kernel: &Kernel| *kernel == Kernel::Linear;
            let gamma = |kernel: &Kernel| kernel.gamma().unwrap_or(0.0);
            (linear(a), a.name(), a.degree(), a_scaled)
                .cmp(&(linear(b), b.name(), b.degree(), b_scaled))
                .then(gamma(b).total_cmp(&gamma(a)))
        });
        let values = || grid.tried.iter().filter_map(|tried| value(tried, grid));
        let range = values().reduce(f64::min).zip(values().reduce(f64::max));
        Self { rows, columns, range }
    }

    /// Where a value's colour is, from 0 for the best to 1 for the worst. The root spreads the good ones
    /// out: near the best is where the choice is made.
    fn shade(&self, value: f64) -> f64 {
        match self.range {
            Some((best, worst)) if worst > best => ((value - best) / (worst - best)).clamp(0.0, 1.0).sqrt(),
            _ => 0.0,
        }
    }

    /// Where a row's cells begin, from the top; other kernels stand apart.
    fn top(&self, row: usize) -> f64 {
        let group = |(kernel, scaled): (Kernel, bool)| (kernel.name(), scaled);
        let changes = self.rows[..=row].windows(2).filter(|pair| group(pair[0]) != group(pair[1])).count();
        10.0 + HIGH * row as f64 + 8.0 * changes as f64
    }

    fn draw(&self, grid: &Grid<'_>) -> anyhow::Result<String> {
        let bottom = self.top(self.rows.len() - 1) + HIGH;
        let wide = ((f64::from(WIDTH) - LEFT - 12.0) / self.columns.len() as f64).min(110.0);
        let description = format!(
            "Heat map of {} for {} values of C and {} kernels; the table below holds the same figures.",
            criterion(grid),
            self.columns.len(),
            self.rows.len()
        );
        picture((WIDTH, (bottom + 50.0) as u32), &description, |area| {
            for (row, &(kernel, scaled)) in self.rows.iter().enumerate() {
                let at = (px(LEFT - 10.0), px(self.top(row) + HIGH / 2.0));
                let label = style(13.0, INK, HPos::Right, VPos::Center);
                area.draw_text(&described(kernel, scaled), &label, at)?;
            }
            let every = (46.0 / wide).ceil() as usize;
            for (column, c) in self.columns.iter().enumerate().step_by(every) {
                let at = (px(LEFT + wide * (column as f64 + 0.5)), px(bottom + 8.0));
                area.draw_text(&number(*c), &style(13.0, INK, HPos::Center, VPos::Top), at)?;
            }
            let middle = px(LEFT + wide * self.columns.len() as f64 / 2.0);
            area.draw_text("C", &style(13.0, FAINT, HPos::Center, VPos::Top), (middle, px(bottom + 28.0)))?;
            // The chosen cell last, so that its frame lies above its neighbours.
            let mut cells: Vec<&Candidate> = grid.tried.iter().collect();
            cells.sort_by_key(|tried| tried.chosen);
            cells.into_iter().try_for_each(|tried| self.cell(area, tried, grid, wide))
        })
    }

    fn cell(&self, area: &Area<'_>, tried: &Candidate, grid: &Grid<'_>, wide: f64) -> anyhow::Result<()> {
        let row = self.rows.iter().position(|row| *row == (tried.kernel, tried.scaled)).unwrap_or(0);
        let column = self.columns.iter().position(|c| *c == tried.c).unwrap_or(0);
        let (left, top) = (LEFT + wide * column as f64, self.top(row));
        let corners = [(px(left + 1.0), px(top + 1.0)), (px(left + wide - 1.0), px(top + HIGH - 1.0))];
        let (text, ink) = match value(tried, grid) {
            Some(value) => {
                let shade = self.shade(value);
                area.draw(&Rectangle::new(corners, colour(shade).filled()))?;
                (shown(value, grid), if shade < 0.4 { WHITE } else { BLACK })
            }
            None => {
                area.draw(&Rectangle::new(corners, stroke(GRID, 1.0)))?;
                ("failed".to_owned(), FAINT)
            }
        };
        let middle = (px(left + wide / 2.0), px(top + HIGH / 2.0));
        if tried.chosen {
            let frame = [(px(left - 1.0), px(top - 1.0)), (px(left + wide + 1.0), px(top + HIGH + 1.0))];
            frame_rect(area, frame)?;
        }
        if wide >= 52.0 {
            area.draw_text(&text, &style(13.0, ink, HPos::Center, VPos::Center), middle)?;
        } else if tried.chosen {
            area.draw_text("✓", &style(14.0, ink, HPos::Center, VPos::Center), middle)?;
        }
        Ok(())
    }
}

/// A thick frame; plotters' own rectangle has no width of line in SVG.
fn frame_rect(area: &Area<'_>, [(left, top), (right, bottom)]: [(i32, i32); 2]) -> anyhow::Result<()> {
    let around = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top), (right, top)];
    area.draw(&PathElement::new(around, stroke(INK, 3.0)))?;
    Ok(())
}

/// The colour between best at 0 and worst at 1.
fn colour(shade: f64) -> RGBColor {
    let place = shade * (SCALE.len() - 1) as f64;
    let below = (place as usize).min(SCALE.len() - 2);
    let (from, to, part) = (SCALE[below], SCALE[below + 1], place - below as f64);
    let mix = |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * part).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

fn shown(value: f64, grid: &Grid<'_>) -> String {
    match grid.criterion {
        Criterion::LogLoss => Fixed(value, 4).to_string(),
        Criterion::Error => percent(value),
    }
}

fn legend(map: &Map, named: &str) -> String {
    let Some((best, worst)) = map.range else {
        return "<figcaption>Every candidate failed.</figcaption>\n".to_owned();
    };
    let swatches: String = SCALE
        .iter()
        .map(|(r, g, b)| format!("<i class=\"swatch\" style=\"background:rgb({r},{g},{b})\"></i>"))
        .collect();
    format!(
        "<figcaption>Each cell is one candidate: C along the bottom, the kernel and its parameter at the left. {} {} \
         {swatches} {}. The frame marks the chosen one; where there is no cell, nothing was tried.</figcaption>\n",
        if named == "error" { "Error" } else { "Log loss" },
        number(best),
        number(worst)
    )
}

fn table(tried: &[&Candidate], grid: &Grid<'_>) -> String {
    let mut html =         "<details>\n<summary>The candidates as a table, best first</summary>\n<div class=\"scroll\"><table>\n\
         <thead><tr><th>kernel</th><th class=\"n\">C</th><th class=\"n\">log loss</th><th class=\"n\">error</th>\
         <th></th></tr></thead>\n<tbody>\n"
        .to_owned();
    for tried in tried.iter().take(TABLE_ROWS) {
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        html += &format!(
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>\n",
            escape(&described(tried.kernel, tried.scaled)),
            number(tried.c),
            finite(tried.log_loss).map_or("–".to_owned(), |loss| Fixed(loss, 4).to_string()),
            finite(Some(tried.error)).map_or("–".to_owned(), percent),
            if tried.chosen { "✓ chosen" } else { "" }
        );
    }
    html += "</tbody></table></div>\n";
    if grid.tried.len() > TABLE_ROWS {
        html += &format!("<p>The best {TABLE_ROWS} of {} are shown.</p>\n", count(grid.tried.len() as u64));
    }
    html + "</details>\n"
}
