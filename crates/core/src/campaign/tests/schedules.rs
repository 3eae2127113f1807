//! Schedules and local days, over the changes of clocks.

use super::super::schedule::{LocalDay, Schedule, local_day};
use super::*;
use crate::event::{DAY_MS, HOUR_MS, MINUTE_MS, Time, Zone};

fn zone(name: &str) -> Zone {
    Zone::named(name).expect("zone files")
}

/// The instant of a time with an offset.
fn at(text: &str) -> i64 {
    Time::parse(text, &Zone::utc()).expect(text).unix_ms
}

fn schedule(zone_name: &str, edit: impl FnOnce(&mut Campaign)) -> Schedule {
    let mut campaign = campaign("a");
    campaign.time_zone = zone_name.to_owned();
    edit(&mut campaign);
    Schedule::new(&campaign, &zone(zone_name))
}

fn hours(texts: &[&str]) -> Vec<HourRange> {
    texts.iter().map(|text| text.parse().expect("hours")).collect()
}

#[test]
fn local_days_have_as_many_hours_as_the_clocks_show() {
    for (zone_name, noon, hours) in [
        ("Europe/Berlin", "2026-03-29T12:00:00+02:00", 23.0),
        ("Europe/Berlin", "2026-10-25T12:00:00+01:00", 25.0),
        ("Europe/Berlin", "2026-10-26T12:00:00+01:00", 24.0),
        ("America/New_York", "2026-03-08T12:00:00-04:00", 23.0),
        ("America/New_York", "2026-11-01T12:00:00-05:00", 25.0),
        ("Asia/Seoul", "2026-03-29T12:00:00+09:00", 24.0),
        ("Australia/Lord_Howe", "2026-04-05T12:00:00+10:30", 24.5),
        ("Australia/Lord_Howe", "2026-10-04T12:00:00+11:00", 23.5),
        ("Africa/Casablanca", "2026-02-15T12:00:00+00:00", 25.0),
        ("Africa/Casablanca", "2026-03-22T12:00:00+01:00", 23.0),
        // Clocks that skip midnight, and clocks that go back over it by a minute less than an hour.
        ("America/Sao_Paulo", "2018-11-04T12:00:00-02:00", 23.0),
        ("America/St_Johns", "2010-11-06T12:00:00-02:30", 24.0),
        ("America/St_Johns", "2010-11-07T12:00:00-03:30", 25.0),
        ("UTC", "2026-03-29T12:00:00Z", 24.0),
    ] {
        let (zone, noon_ms) = (zone(zone_name), at(noon));
        let LocalDay { day, start_ms, end_ms } = local_day(&zone, noon_ms);
        assert_eq!((end_ms - start_ms) as f64 / HOUR_MS as f64, hours, "{zone_name} {noon}");
        let date = at(&format!("{}T00:00:00Z", &noon[..10]));
        assert_eq!(i64::from(day), date / DAY_MS, "{zone_name} {noon}");
        // Every instant belongs to one day, and days follow each other.
        for instant_ms in [start_ms, start_ms + 1, end_ms - 1] {
            assert_eq!(local_day(&zone, instant_ms), LocalDay { day, start_ms, end_ms });
        }
        assert_eq!(local_day(&zone, end_ms).start_ms, end_ms);
        assert_eq!(local_day(&zone, start_ms - 1).end_ms, start_ms);
    }
}

#[test]
fn days_of_a_year_follow_each_other_in_every_zone() {
    for name in
        ["Europe/Berlin", "America/New_York", "Asia/Seoul", "Australia/Lord_Howe", "Africa/Casablanca"]
    {
        let zone = zone(name);
        let mut day = local_day(&zone, at("2026-01-01T12:00:00Z"));
        for _ in 0..400 {
            let next = local_day(&zone, day.end_ms);
            assert_eq!((next.day, next.start_ms), (day.day + 1, day.end_ms), "{name}");
            day = next;
        }
    }
    // Samoa had no 30 December 2011.
    let apia = zone("Pacific/Apia");
    let before = local_day(&apia, at("2011-12-29T12:00:00-10:00"));
    let after = local_day(&apia, before.end_ms);
    assert_eq!((after.day - before.day, after.start_ms), (2, before.end_ms));
}

#[test]
fn hours_are_those_that_clocks_show_on_both_changes() {
    for (zone_name, range, instant, open) in [
        // The clocks skip 02:00 to 03:00.
        ("Europe/Berlin", "02:30-03:30", "2026-03-29T01:59:59+01:00", false),
        ("Europe/Berlin", "02:30-03:30", "2026-03-29T03:00:00+02:00", true),
        ("Europe/Berlin", "02:30-03:30", "2026-03-29T03:30:00+02:00", false),
        // They repeat it.
        ("Europe/Berlin", "02:30-03:30", "2026-10-25T02:29:59+02:00", false),
        ("Europe/Berlin", "02:30-03:30", "2026-10-25T02:30:00+02:00", true),
        ("Europe/Berlin", "02:30-03:30", "2026-10-25T02:10:00+01:00", false),
        ("Europe/Berlin", "02:30-03:30", "2026-10-25T02:30:00+01:00", true),
        ("Europe/Berlin", "02:30-03:30", "2026-10-25T03:30:00+01:00", false),
        // Hours over midnight into the change, both ways.
        ("America/New_York", "22:00-02:30", "2026-03-08T01:59:59-05:00", true),
        ("America/New_York", "22:00-02:30", "2026-03-08T03:00:00-04:00", false),
        ("America/New_York", "22:00-01:30", "2026-11-01T01:29:59-04:00", true),
        ("America/New_York", "22:00-01:30", "2026-11-01T01:30:00-04:00", false),
        ("America/New_York", "22:00-01:30", "2026-11-01T01:00:00-05:00", true),
        ("America/New_York", "22:00-01:30", "2026-11-01T01:30:00-05:00", false),
        // Half an hour.
        ("Australia/Lord_Howe", "01:45-02:15", "2026-10-04T01:59:59+10:30", true),
        ("Australia/Lord_Howe", "01:45-02:15", "2026-10-04T02:30:00+11:00", false),
        ("Australia/Lord_Howe", "01:30-01:45", "2026-04-05T01:40:00+11:00", true),
        ("Australia/Lord_Howe", "01:30-01:45", "2026-04-05T01:40:00+10:30", true),
        ("Africa/Casablanca", "02:00-03:00", "2026-02-15T02:30:00+01:00", true),
        ("Africa/Casablanca", "02:00-03:00", "2026-02-15T02:30:00+00:00", true),
        ("Africa/Casablanca", "02:00-03:00", "2026-03-22T03:00:00+01:00", false),
        ("Asia/Seoul", "07:00-23:00", "2026-11-01T06:59:59.999+09:00", false),
        ("Asia/Seoul", "07:00-23:00", "2026-11-01T07:00:00+09:00", true),
        ("Asia/Seoul", "07:00-23:00", "2026-11-01T23:00:00+09:00", false),
    ] {
        let schedule = schedule(zone_name, |campaign| campaign.hours = hours(&[range]));
        assert_eq!(schedule.is_open(at(instant)), open, "{zone_name} {range} {instant}");
    }
}

#[test]
fn part_after_midnight_belongs_to_the_weekday_on_which_it_began() {
    let schedule = schedule("Europe/Berlin", |campaign| {
        campaign.hours = hours(&["22:00-02:00"]);
        campaign.weekdays = vec![Weekday::Fri, Weekday::Sat];
    });
    // 30 October 2026 is a Friday.
    for (instant, open) in [
        ("2026-10-30T00:30:00+01:00", false),
        ("2026-10-30T21:59:59+01:00", false),
        ("2026-10-30T22:00:00+01:00", true),
        ("2026-10-31T01:59:59+01:00", true),
        ("2026-10-31T02:00:00+01:00", false),
        ("2026-11-01T01:00:00+01:00", true),
        ("2026-11-01T23:00:00+01:00", false),
        ("2026-11-02T01:00:00+01:00", false),
    ] {
        assert_eq!(schedule.is_open(at(instant)), open, "{instant}");
    }
}

#[test]
fn start_is_inclusive_and_end_is_exclusive_by_the_zones_clocks() {
    let schedule = schedule("Asia/Seoul", |campaign| {
        campaign.start = Some("2026-11-01T00:00:00".parse().expect("a time"));
        campaign.end = Some("2027-01-01T00:00:00".parse().expect("a time"));
    });
    for (instant, open) in [
        ("2026-10-31T14:59:59.999Z", false),
        ("2026-10-31T15:00:00Z", true),
        ("2026-12-31T14:59:59.999Z", true),
        ("2026-12-31T15:00:00Z", false),
    ] {
        assert_eq!(schedule.is_open(at(instant)), open, "{instant}");
    }
    assert_eq!(schedule.next_change_ms(at("2020-01-01T00:00:00Z")), Some(at("2026-10-31T15:00:00Z")));
    assert_eq!(schedule.next_change_ms(at("2026-11-11T00:00:00Z")), Some(at("2026-12-31T15:00:00Z")));
    assert_eq!(schedule.next_change_ms(at("2027-11-11T00:00:00Z")), None);
    let berlin = schedule_in_gap("2026-03-29T02:30:00");
    assert_eq!(
        berlin.start_ms(),
        Some(at("2026-03-29T03:00:00+02:00")),
        "the clocks skip it: where they go on"
    );
    let berlin = schedule_in_gap("2026-10-25T02:30:00");
    assert_eq!(berlin.start_ms(), Some(at("2026-10-25T02:30:00+02:00")), "they show it twice: the first");
}

fn schedule_in_gap(start: &str) -> Schedule {
    schedule("Europe/Berlin", |campaign| campaign.start = Some(start.parse().expect("a time")))
}

#[test]
fn every_instant_has_a_local_day_and_the_last_years_are_good_for_a_schedule() {
    for zone_name in
        ["UTC", "America/New_York", "Pacific/Apia", "Pacific/Kiritimati", "Etc/GMT+12", "Etc/GMT-14"]
    {
        let zone = zone(zone_name);
        for instant_ms in [i64::MIN, i64::MIN / 2, -1, 0, i64::MAX / 2, i64::MAX - 1, i64::MAX] {
            let LocalDay { day, start_ms, end_ms } = local_day(&zone, instant_ms);
            assert!((-719_529..=2_932_894).contains(&day), "{zone_name} {instant_ms}: {day}");
            assert!((20 * HOUR_MS..=28 * HOUR_MS).contains(&(end_ms - start_ms)), "{zone_name} {instant_ms}");
        }
        // What people write for "always": it begins before all and never ends.
        let always = schedule(zone_name, |campaign| {
            campaign.start = Some("0000-01-01T00:00:00".parse().expect("a time"));
            campaign.end = Some("9999-12-31T23:59:59".parse().expect("a time"));
        });
        let never = schedule(zone_name, |campaign| {
            campaign.start = Some("9999-12-31T23:59:58".parse().expect("a time"));
            campaign.end = Some("9999-12-31T23:59:59".parse().expect("a time"));
        });
        for now in ["1970-01-01T00:00:00Z", "2026-11-27T12:00:00Z", "9000-01-01T00:00:00Z"] {
            assert!(always.is_open(at(now)) && !never.is_open(at(now)), "{zone_name} {now}");
            assert_eq!(always.next_change_ms(at(now)), None, "{zone_name} {now}");
            let _ = never.next_change_ms(at(now));
        }
    }
}

#[test]
fn next_change_is_the_first_minute_at_which_the_answer_differs() {
    let schedules = [
        ("Europe/Berlin", vec!["22:00-02:30"], vec![Weekday::Sat, Weekday::Sun]),
        ("America/New_York", vec!["01:30-02:30", "12:00-13:00"], Weekday::ALL.to_vec()),
        ("Australia/Lord_Howe", vec!["01:45-02:15"], Weekday::ALL.to_vec()),
        ("Africa/Casablanca", vec![], vec![Weekday::Sun]),
        ("Asia/Seoul", vec!["00:00-24:00"], vec![Weekday::Tue]),
    ];
    for (zone_name, ranges, weekdays) in schedules {
        let schedule = schedule(zone_name, |campaign| {
            campaign.hours = hours(&ranges);
            campaign.weekdays = weekdays;
        });
        for from in [
            "2026-02-13T00:00:00Z",
            "2026-03-07T00:00:00Z",
            "2026-03-27T00:00:00Z",
            "2026-04-03T00:00:00Z",
            "2026-10-03T00:00:00Z",
            "2026-10-23T00:00:00Z",
            "2026-10-31T00:00:00Z",
        ] {
            let mut now_ms = at(from);
            let end_ms = now_ms + 4 * DAY_MS;
            while now_ms < end_ms {
                let next_ms = schedule.next_change_ms(now_ms).expect("it opens every week");
                let open = schedule.is_open(now_ms);
                let mut minute_ms = now_ms;
                while minute_ms < next_ms {
                    assert_eq!(schedule.is_open(minute_ms), open, "{zone_name} {minute_ms}");
                    minute_ms += MINUTE_MS;
                }
                assert_eq!(schedule.is_open(next_ms - 1), open);
                assert_ne!(schedule.is_open(next_ms), open, "{zone_name} {next_ms}");
                now_ms = next_ms;
            }
        }
    }
    assert_eq!(schedule("UTC", |_| {}).next_change_ms(0), None, "always open");
}

#[test]
fn schedule_is_told_in_words() {
    let (start, end) = ("2026-10-01T00:00:00", "2026-11-01T00:00:00");
    let told = |edit: fn(&mut Campaign)| schedule("Europe/Berlin", edit).to_string();
    assert_eq!(told(|_| {}), "always Europe/Berlin");
    let weekend: fn(&mut Campaign) = |campaign| {
        campaign.weekdays = vec![Weekday::Sat, Weekday::Sun];
        campaign.hours = hours(&["22:00-02:00"]);
    };
    assert_eq!(told(weekend), "sat, sun 22:00-02:00 Europe/Berlin");
    let flight = schedule("Europe/Berlin", |campaign| {
        campaign.start = Some(start.parse().expect("a time"));
        campaign.end = Some(end.parse().expect("a time"));
    });
    let expected = "always Europe/Berlin, from 2026-10-01T00:00:00+02:00, until 2026-11-01T00:00:00+01:00";
    assert_eq!(flight.to_string(), expected);
}
