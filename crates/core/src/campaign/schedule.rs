//! When a campaign runs, and which local day it is, over the changes of clocks.
//!
//! Hours are those that a clock on the wall shows: an hour that the clocks repeat is open twice, and one that they skip is
//! not there.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::times::DAY_MINUTES;
use super::{Campaign, HourRange, Weekday};
use crate::event::{DAY_MS, MINUTE_MS, Zone};

/// The period of a campaign, its weekdays and its hours.
#[derive(Debug, Clone)]
pub struct Schedule {
    zone: TimeZone,
    /// From this instant on; `i64::MIN` for always.
    start_ms: i64,
    /// Before this instant; `i64::MAX` for ever.
    end_ms: i64,
    /// A bit for each weekday, Monday the lowest.
    weekdays: u8,
    hours: Box<[HourRange]>,
}

/// A bit for each day of the week.
const EVERY_DAY: u8 = 0b111_1111;

/// The most edges that [`Schedule::next_change_ms`] visits: those of two weeks and more with as many ranges of hours as may
/// be.
const MAX_EDGES: usize = 1024;

impl Schedule {
    /// The schedule of a campaign, by the clocks of a zone. A start or end that the clocks skip is where they go on, and of
    /// one that they show twice it is the first.
    #[must_use]
    pub fn new(campaign: &Campaign, zone: &Zone) -> Self {
        let zone = zone.time_zone();
        let instant = |local: super::LocalTime| instant_ms(&zone, local.0);
        let bit = |bits: u8, day: &Weekday| bits | 1 << *day as u8;
        Self {
            start_ms: campaign.start.map_or(i64::MIN, instant),
            end_ms: campaign.end.map_or(i64::MAX, instant),
            weekdays: campaign.weekdays.iter().fold(0, bit),
            hours: campaign.hours.clone().into(),
            zone,
        }
    }

    /// The first instant of the period, in Unix milliseconds; `None` where it has no start.
    #[must_use]
    pub fn start_ms(&self) -> Option<i64> {
        (self.start_ms > i64::MIN).then_some(self.start_ms)
    }

    /// The first instant after the period, in Unix milliseconds; `None` where it has no end.
    #[must_use]
    pub fn end_ms(&self) -> Option<i64> {
        (self.end_ms < i64::MAX).then_some(self.end_ms)
    }

    /// Whether the campaign runs at this instant (Unix milliseconds).
    #[must_use]
    pub fn is_open(&self, now_ms: i64) -> bool {
        if !(self.start_ms..self.end_ms).contains(&now_ms) {
            return false;
        }
        if self.is_whole_week() {
            return true;
        }
        let local_ms = now_ms + offset_ms(&self.zone, now_ms);
        let (day, minute) = (local_ms.div_euclid(DAY_MS), (local_ms.rem_euclid(DAY_MS) / MINUTE_MS) as u16);
        let has_day = |day: i64| self.weekdays & 1 << weekday(day) != 0;
        if self.hours.is_empty() {
            return has_day(day);
        }
        self.hours.iter().any(|&HourRange { from, to }| {
            if from < to {
                return has_day(day) && (from..to).contains(&minute);
            }
            (has_day(day) && minute >= from) || (has_day(day - 1) && minute < to)
        })
    }

    /// The first instant after `now_ms` at which [`Schedule::is_open`] gives another answer; both in Unix milliseconds.
    /// `None` where there is none within the next weeks or, from before the start on, within weeks of the start.
    #[must_use]
    pub fn next_change_ms(&self, now_ms: i64) -> Option<i64> {
        let open = self.is_open(now_ms);
        let mut at_ms = now_ms;
        for _ in 0..MAX_EDGES {
            at_ms = self.next_edge_ms(at_ms)?;
            if self.is_open(at_ms) != open {
                return Some(at_ms);
            }
        }
        None
    }

    /// The time of day that the clocks show at an instant, in milliseconds from midnight.
    #[must_use]
    pub fn local_of_day_ms(&self, now_ms: i64) -> i64 {
        (now_ms + offset_ms(&self.zone, now_ms)).rem_euclid(DAY_MS)
    }

    fn is_whole_week(&self) -> bool {
        self.weekdays == EVERY_DAY && self.hours.is_empty()
    }

    /// The next instant at which the answer may change; `None` where it never does again.
    fn next_edge_ms(&self, now_ms: i64) -> Option<i64> {
        if now_ms < self.start_ms {
            return Some(self.start_ms);
        }
        if now_ms >= self.end_ms {
            return None;
        }
        if self.is_whole_week() {
            return self.end_ms();
        }
        let offset_ms = offset_ms(&self.zone, now_ms);
        let local_ms = now_ms + offset_ms;
        let of_day_ms = local_ms.rem_euclid(DAY_MS);
        let edges = self.hours.iter().flat_map(|range| [range.from, range.to]).chain([DAY_MINUTES]);
        let edges = edges.map(|minute| i64::from(minute) * MINUTE_MS).filter(|edge_ms| *edge_ms > of_day_ms);
        let next_ms = now_ms - of_day_ms + edges.min().unwrap_or(DAY_MS);
        let next_ms =
            next_transition_ms(&self.zone, now_ms).map_or(next_ms, |change_ms| change_ms.min(next_ms));
        Some(next_ms.min(self.end_ms))
    }
}

/// For people to read, as in `sat, sun 22:00-02:00 Europe/Berlin, until 2026-11-01T00:00:00+01:00`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = Weekday::ALL.iter().filter(|day| self.weekdays & 1 << **day as u8 != 0);
        let days: Vec<_> = days.map(|day| format!("{day:?}").to_lowercase()).collect();
        let hours: Vec<_> = self.hours.iter().map(HourRange::to_string).collect();
        match (self.weekdays == EVERY_DAY, hours.as_slice()) {
            (true, []) => f.write_str("always")?,
            (true, hours) => write!(f, "every day {}", hours.join(", "))?,
            (false, []) => f.write_str(&days.join(", "))?,
            (false, hours) => write!(f, "{} {}", days.join(", "), hours.join(", "))?,
        }
        write!(f, " {}", self.zone.iana_name().unwrap_or("UTC"))?;
        for (word, at_ms) in [("from", self.start_ms()), ("until", self.end_ms())] {
            let Some(at) = at_ms.and_then(timestamp) else { continue };
            write!(f, ", {word} {}", at.display_with_offset(self.zone.to_offset(at)))?;
        }
        Ok(())
    }
}

/// A day by the clocks of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalDay {
    /// Days since 1970-01-01 of the local date.
    pub day: i32,
    /// The first instant, in Unix milliseconds.
    pub start_ms: i64,
    /// The first instant of the next day, in Unix milliseconds.
    pub end_ms: i64,
}

/// The years of which there are local days, those of four digits but for their last days: the calendar goes no further in
/// every zone.
const FIRST_MS: i64 = -719_528 * DAY_MS;
const LAST_MS: i64 = 2_932_893 * DAY_MS;

/// The local day of an instant (Unix milliseconds). Days follow each other without gaps: one that the clocks skip has no
/// instants, and where clocks go back over midnight, the new day has begun. Instants before the year 0 are of its first day, and
/// those after 9999-12-28 are of that day.
#[must_use]
pub fn local_day(zone: &Zone, now_ms: i64) -> LocalDay {
    let (zone, now_ms) = (zone.time_zone(), now_ms.clamp(FIRST_MS, LAST_MS));
    let mut day = (now_ms + offset_ms(&zone, now_ms)).div_euclid(DAY_MS);
    while first_instant_ms(&zone, day) > now_ms {
        day -= 1;
    }
    while first_instant_ms(&zone, day + 1) <= now_ms {
        day += 1;
    }
    let day_number = day.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
    LocalDay {
        day: day_number,
        start_ms: first_instant_ms(&zone, day),
        end_ms: first_instant_ms(&zone, day + 1),
    }
}

/// When a local date begins: at midnight, or where clocks go on that skip it.
fn first_instant_ms(zone: &TimeZone, day: i64) -> i64 {
    let midnight = Date::constant(1970, 1, 1).checked_add(jiff::Span::new().days(day));
    midnight.map_or(day * DAY_MS, |date| instant_ms(zone, date.to_datetime(Time::midnight())))
}

/// The instant at which clocks show a local time; the first of two, or where they go on if they skip it.
fn instant_ms(zone: &TimeZone, local: DateTime) -> i64 {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let skipped_to = match ambiguous.offset() {
        // In a gap, the instant at which the clocks jump is that of the local time by neither offset.
        jiff::tz::AmbiguousOffset::Gap { before, .. } => {
            let shown_ms = before.to_timestamp(local).ok().map(Timestamp::as_millisecond);
            let after_it = shown_ms.and_then(|shown_ms| timestamp(shown_ms + 1));
            after_it.and_then(|after| zone.preceding(after).next()).map(|change| change.timestamp())
        }
        _ => None,
    };
    let instant = skipped_to.or_else(|| ambiguous.compatible().ok());
    instant.map_or(i64::MAX, |instant| instant.as_millisecond())
}

fn offset_ms(zone: &TimeZone, now_ms: i64) -> i64 {
    timestamp(now_ms).map_or(0, |now| i64::from(zone.to_offset(now).seconds()) * 1000)
}

/// When the clocks of a zone change next after an instant.
fn next_transition_ms(zone: &TimeZone, now_ms: i64) -> Option<i64> {
    let change = zone.following(timestamp(now_ms)?).next()?;
    Some(change.timestamp().as_millisecond())
}

fn timestamp(unix_ms: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(unix_ms).ok()
}

/// The weekday of a day since 1970-01-01, a Thursday; Monday is 0.
fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}
