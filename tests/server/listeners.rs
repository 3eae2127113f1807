//! Made-up customers whose habits are so clear that any sensible model agrees about them.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};

/// A day's hours in the mix of real listeners: 7 in the morning, 5 each in the afternoon and evening, 7 at night.
pub const HOURS: [u8; 24] =
    [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 0, 1, 2, 3, 4];

/// When the tests began: one instant for all of them, so that the same call makes the same event.
static START: LazyLock<Timestamp> = LazyLock::new(Timestamp::now);

/// `YYYY-MM-DD`, so many days before today in UTC.
pub fn day(days_ago: i64) -> String {
    let then = *START - SignedDuration::from_hours(24 * days_ago);
    then.strftime("%Y-%m-%d").to_string()
}

/// `YYYY-MM-DDTHH:MM:SSZ`, so many seconds after now (before, if negative).
pub fn seconds_from_now(seconds: i64) -> String {
    let then = *START + SignedDuration::from_secs(seconds);
    then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The time of an event that is newer than anything that has happened by now, however long the tests have run, and not so far ahead
/// that it is refused.
pub fn later_than_now() -> String {
    let then = Timestamp::now() + SignedDuration::from_secs(120);
    then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// 24 plays of the last days as NDJSON, the first `mobile` of every six of them on a phone, 23 distinct tracks.
pub fn plays(customer: &str, mobile: usize) -> String {
    let plays = HOURS.iter().enumerate().map(|(number, hour)| {
        let (day, mobile) = (day(1 + number as i64 % 5), number % 6 < mobile);
        format!(
            "{{\"type\":\"play\",\"event_id\":{number},\"customer_id\":\"{customer}\",\"track_id\":{},\
             \"time\":\"{day}T{hour:02}:30:00\",\"mobile\":{mobile}}}\n",
            number.max(1)
        )
    });
    plays.collect()
}

/// Plays of a customer who plays everything on a phone and hardly any track twice: likely to click.
pub fn likely(customer: &str) -> String {
    plays(customer, 6)
}

/// Plays of a customer who plays half of the tracks on a phone: unlikely to click.
pub fn unlikely(customer: &str) -> String {
    plays(customer, 3)
}

/// One play as JSON, so many seconds ago.
pub fn play(customer: &str, event_id: u64, seconds_ago: i64) -> String {
    play_at(customer, event_id, &seconds_from_now(-seconds_ago))
}

/// One play as JSON, at a time as written.
pub fn play_at(customer: &str, event_id: u64, time: &str) -> String {
    format!(
        "{{\"type\":\"play\",\"event_id\":{event_id},\"customer_id\":\"{customer}\",\"track_id\":{event_id},\
         \"time\":\"{time}\",\"mobile\":true}}"
    )
}

/// One change of membership as JSON.
pub fn membership(customer: &str, event_id: u64, level: &str, seconds_ago: i64) -> String {
    let time = seconds_from_now(-seconds_ago);
    format!(
        "{{\"type\":\"membership\",\"event_id\":{event_id},\"customer_id\":\"{customer}\",\"level\":\"{level}\",\
         \"time\":\"{time}\"}}"
    )
}
