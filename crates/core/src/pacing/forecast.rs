//! The traffic that is expected in the time of a budget.

use super::curve::{Curve, DAY_SLOTS, SLOT_MS};
use crate::campaign::schedule::{LocalDay, Schedule, local_day};
use crate::event::{DAY_MS, MINUTE_MS, Zone};

/// The most days of a flight that are looked at; the days after weigh nothing.
const MAX_DAYS: usize = 3_660;

/// So much of a flight that is over is looked at, in milliseconds.
const PAST_MS: i64 = 366 * DAY_MS;

/// How the traffic of a span of time is expected to come: a share of it before each instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Instants, ascending, and the weight that comes before each; between two it comes evenly.
    points: Vec<(i64, f64)>,
    /// The first instant after which nothing comes any more.
    end_ms: i64,
}

impl Forecast {
    /// The traffic of one local day while the campaign runs; without a curve as even as the clock.
    #[must_use]
    pub fn of_day(schedule: &Schedule, day: LocalDay, curve: Option<&Curve>) -> Self {
        let mut points = vec![(day.start_ms, 0.0)];
        extend_by_slots(&mut points, schedule, day, curve);
        Self::of_points(points)
    }

    /// The traffic from the start of a schedule to its end, seen from `now_ms`: that local day by quarters of an hour, the others
    /// whole. Of a flight that began more than a year ago the last year is looked at: what is over has no part in what is to come.
    /// `None` where the schedule has no start or no end.
    #[must_use]
    pub fn of_flight(schedule: &Schedule, zone: &Zone, now_ms: i64, curve: Option<&Curve>) -> Option<Self> {
        let (start_ms, end_ms) = (schedule.start_ms()?, schedule.end_ms()?);
        let mut day = local_day(zone, start_ms.max(now_ms.saturating_sub(PAST_MS)));
        let mut points = vec![(day.start_ms, 0.0)];
        for _ in 0..MAX_DAYS {
            if day.start_ms >= end_ms {
                break;
            }
            let is_last = day.end_ms >= end_ms;
            if is_last || (day.start_ms..day.end_ms).contains(&now_ms) {
                extend_by_slots(&mut points, schedule, day, curve);
            } else {
                let before = points.last().map_or(0.0, |(_, weight)| *weight);
                // One look at each quarter of an hour does for whole days: a flight of years has very many.
                let weight = |from_ms| slot_weight(schedule, from_ms, day.end_ms, curve, SLOT_MS);
                let of_day: f64 = slots(day).map(weight).sum();
                points.push((day.end_ms, before + of_day));
            }
            day = local_day(zone, day.end_ms);
        }
        Some(Self::of_points(points))
    }

    fn of_points(points: Vec<(i64, f64)>) -> Self {
        let total = points.last().map_or(0.0, |(_, weight)| *weight);
        let end = points.iter().find(|(_, weight)| *weight >= total).copied();
        Self { end_ms: end.map_or(0, |(at_ms, _)| at_ms), points }
    }

    /// The first instant after which nothing is expected any more, in Unix milliseconds.
    #[must_use]
    pub fn end_ms(&self) -> i64 {
        self.end_ms
    }

    /// The share of the traffic that comes before an instant (Unix milliseconds), `0.0..=1.0`.
    #[must_use]
    pub fn share_before(&self, at_ms: i64) -> f64 {
        let total = self.points.last().map_or(0.0, |(_, weight)| *weight);
        if total <= 0.0 {
            return 1.0;
        }
        let next = self.points.partition_point(|(point_ms, _)| *point_ms <= at_ms);
        let weight = match (next.checked_sub(1).map(|last| self.points[last]), self.points.get(next)) {
            (None, _) => 0.0,
            (Some((_, weight)), None) => weight,
            (Some((from_ms, from)), Some((to_ms, to))) => {
                from + (to - from) * ((at_ms - from_ms) as f64 / (to_ms - from_ms) as f64)
            }
        };
        weight / total
    }
}

/// The starts of the quarters of an hour of a day.
fn slots(day: LocalDay) -> impl Iterator<Item = i64> {
    (day.start_ms..day.end_ms).step_by(SLOT_MS as usize)
}

fn extend_by_slots(points: &mut Vec<(i64, f64)>, schedule: &Schedule, day: LocalDay, curve: Option<&Curve>) {
    let mut weight = points.last().map_or(0.0, |(_, weight)| *weight);
    for from_ms in slots(day) {
        weight += slot_weight(schedule, from_ms, day.end_ms, curve, MINUTE_MS);
        points.push(((from_ms + SLOT_MS).min(day.end_ms), weight));
    }
}

/// What is expected in one quarter of an hour: its share of the curve, by how long the campaign runs in it, looked at once each
/// `step_ms`.
fn slot_weight(
    schedule: &Schedule,
    from_ms: i64,
    day_end_ms: i64,
    curve: Option<&Curve>,
    step_ms: i64,
) -> f64 {
    let to_ms = (from_ms + SLOT_MS).min(day_end_ms);
    let looks = (from_ms + step_ms / 2..to_ms).step_by(step_ms as usize);
    let open =
        looks.filter(|at_ms| schedule.is_open(*at_ms)).count() as f64 * step_ms as f64 / SLOT_MS as f64;
    let share = curve.map_or(1.0, |curve| {
        let slot = (schedule.local_of_day_ms(from_ms) / SLOT_MS) as usize;
        curve.shares()[slot.min(DAY_SLOTS - 1)]
    });
    open * share
}
