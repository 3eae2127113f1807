//! When a campaign runs, and which local day it is: by what clocks on the wall show.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::world::{Campaign, Ms};

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a zone")
}

fn local(name: &str, now: Ms) -> DateTime {
    zone(name).to_datetime(Timestamp::from_millisecond(now).expect("a time"))
}

/// The local date.
pub fn day(zone: &str, now: Ms) -> Date {
    local(zone, now).date()
}

/// The first instant at which clocks show this or something later.
pub fn instant(name: &str, local: DateTime) -> Ms {
    let zone = zone(name);
    let ambiguous = zone.to_ambiguous_timestamp(local);
    if let jiff::tz::AmbiguousOffset::Gap { .. } = ambiguous.offset() {
        // The clocks jump over it: where they go on.
        let after = ambiguous.later().expect("a time");
        let change = zone.following(after - 24.hours()).next().expect("a change");
        return change.timestamp().as_millisecond();
    }
    ambiguous.earlier().expect("a time").as_millisecond()
}

pub fn is_open(campaign: &Campaign, now: Ms) -> bool {
    let started = campaign.start.is_none_or(|start| now >= instant(&campaign.zone, start));
    let ended = campaign.end.is_some_and(|end| now >= instant(&campaign.zone, end));
    if !started || ended {
        return false;
    }
    let local = local(&campaign.zone, now);
    let runs_on = |date: Date| campaign.weekdays.contains(&(date.weekday().to_monday_zero_offset()));
    let (today, yesterday) = (local.date(), local.date().yesterday().expect("a date"));
    let minute = i64::from(local.hour()) * 60 + i64::from(local.minute());
    campaign.hours.is_empty() && runs_on(today)
        || campaign.hours.iter().any(|&(from, to)| {
            if from < to {
                return runs_on(today) && from <= minute && minute < to;
            }
            // What comes after midnight belongs to the day on which it began.
            runs_on(today) && from <= minute || runs_on(yesterday) && minute < to
        })
}

#[test]
fn clocks_that_jump_are_read_as_people_read_them() {
    let at = |text: &str| text.parse::<Timestamp>().expect("a time").as_millisecond();
    let berlin = |text: &str| instant("Europe/Berlin", text.parse().expect("a time"));
    // 02:30 is skipped in March and comes twice in October.
    assert_eq!(berlin("2026-03-29T02:30:00"), at("2026-03-29T01:00:00Z"));
    assert_eq!(berlin("2026-10-25T02:30:00"), at("2026-10-25T00:30:00Z"));
    let lord_howe = |text: &str| instant("Australia/Lord_Howe", text.parse().expect("a time"));
    assert_eq!(lord_howe("2026-10-04T02:15:00"), at("2026-10-03T15:30:00Z"));
    let night = Campaign {
        zone: "Europe/Berlin".to_owned(),
        weekdays: vec![5],
        hours: vec![(22 * 60, 2 * 60 + 30)],
        ..Campaign::plain("night")
    };
    // The night from Saturday to the Sunday on which 02:00 to 03:00 comes twice.
    for (time, open) in [
        ("2026-10-24T19:59:59Z", false),
        ("2026-10-24T20:00:00Z", true),
        ("2026-10-25T00:29:59Z", true),
        ("2026-10-25T00:30:00Z", false),
        ("2026-10-25T01:00:00Z", true),
        ("2026-10-25T01:30:00Z", false),
    ] {
        assert_eq!(is_open(&night, at(time)), open, "{time}");
    }
}
