//! Points in time as events write them: a local date and time, with or without an offset.

use std::fmt;

use super::calendar::{civil_from_days, days_from_civil, days_in_month};
use super::zone::Zone;
use crate::excerpt::Excerpt;

/// Milliseconds in a minute.
pub const MINUTE_MS: i64 = 60_000;
/// Milliseconds in an hour.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Milliseconds in a day.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// A point in time and how it was written.
///
/// Times are compared by their instant alone. The hour of the day is the written one and does not depend on the offset.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub unix_ms: i64,
    /// The written local time minus UTC, in seconds.
    pub(super) offset_s: i32,
    /// Whether the offset was written, not taken from the configured zone.
    pub(super) offset_written: bool,
}

/// Why a text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The text is not of the form.
    #[error("time {0} is not of the form 2014-10-23T03:26:20, with an offset such as Z or +02:00 if known")]
    Form(Excerpt),
    /// The text is of the form, but the date or time of day does not exist.
    #[error("time {text} has {part} {value}, which does not exist; {range}")]
    Range {
        /// The text.
        text: Excerpt,
        /// Which part of it is out of range.
        part: &'static str,
        /// The part's value.
        value: u32,
        /// The range of the part, as a clause.
        range: &'static str,
    },
}

/// A cache of the date read last, for [`Time::parse_plain`]: its text, and its midnight as if at UTC.
#[derive(Debug, Clone)]
pub struct LastDate {
    text: [u8; 10],
    start_ms: i64,
}

impl Default for LastDate {
    fn default() -> Self {
        Self { text: *b"1970-01-01", start_ms: 0 }
    }
}

impl Time {
    /// A time at UTC, without a written offset.
    #[must_use]
    pub fn from_unix_ms(unix_ms: i64) -> Self {
        Self { unix_ms, offset_s: 0, offset_written: false }
    }

    /// The hour of the day as written, `0..=23`.
    #[must_use]
    pub fn hour(&self) -> u8 {
        (self.local_ms().rem_euclid(DAY_MS) / HOUR_MS) as u8
    }

    /// The order of two ways to write one instant: by the hour as written, then the offset, then one that was not
    /// written before one that was. Of two copies of an event the one that is smaller by it is kept.
    #[must_use]
    pub fn cmp_as_written(&self, other: &Self) -> std::cmp::Ordering {
        let written = |time: &Self| (time.hour(), time.offset_s, time.offset_written);
        written(self).cmp(&written(other))
    }

    /// The written date and time of day, as Unix milliseconds as if at UTC.
    fn local_ms(&self) -> i64 {
        self.unix_ms + i64::from(self.offset_s) * 1000
    }

    /// Reads `YYYY-MM-DD[T ]HH:MM:SS[.fraction]`, years 0001–9999, and perhaps an offset: `Z`, ` UTC`, `±HH:MM`, `±HHMM`
    /// or `±HH`, after a blank or not, as RFC 3339, databases and data frames write it. Digits after milliseconds are
    /// dropped; second 60, which a leap second has (RFC 3339, section 5.6), is taken as 59.999.
    ///
    /// # Errors
    /// The text is not of that form, or names a date or time of day that does not exist (29 February of a common
    /// year, hour 24, second 61).
    pub fn parse(text: &str, zone: &Zone) -> Result<Self, TimeError> {
        let Some((head, rest)) = text.as_bytes().split_first_chunk() else { return Err(form_error(text)) };
        let (local_ms, leap) = match local_ms(head) {
            Some(local_ms) => (local_ms, false),
            None => (leap_second_ms(head).ok_or_else(|| head_error(text))?, true),
        };
        if rest.is_empty() {
            return Ok(Self::local(local_ms, zone));
        }
        let (fraction_ms, rest) = parse_fraction(rest).ok_or_else(|| form_error(text))?;
        let local_ms = if leap { local_ms } else { local_ms + fraction_ms };
        let offset = parse_offset(rest).ok_or_else(|| form_error(text))?;
        Ok(match offset {
            None => Self::local(local_ms, zone),
            Some(offset_s) => {
                Self { unix_ms: local_ms - i64::from(offset_s) * 1000, offset_s, offset_written: true }
            }
        })
    }

    /// Reads `YYYY-MM-DD[T ]HH:MM:SS`; `None` for all else, for which [`Time::parse`] gives the time or the error.
    /// `last` caches the date of the time read before: files of events are nearly in order of time, so it often
    /// repeats.
    #[inline]
    #[must_use]
    pub fn parse_plain(text: &[u8; 19], zone: &Zone, last: &mut LastDate) -> Option<Self> {
        let date = text.first_chunk()?;
        if *date != last.text {
            *last = LastDate { text: *date, start_ms: date_ms(date)? };
        }
        Some(Self::local(last.start_ms + of_day_ms(text)?, zone))
    }

    /// The time at which the zone's clocks showed `local_ms`.
    #[inline]
    fn local(local_ms: i64, zone: &Zone) -> Self {
        let offset_s = zone.offset_s(local_ms);
        Self { unix_ms: local_ms - i64::from(offset_s) * 1000, offset_s, offset_written: false }
    }

    /// Reads a date of a customer file as midnight: `MM/DD/YYYY`, as the seed's file has it, or `YYYY-MM-DD`; and a date
    /// with a time of day, as [`Time::parse`] does.
    ///
    /// # Errors
    /// The text is not of one of these forms, or names a date that does not exist.
    pub fn parse_date(text: &str, zone: &Zone) -> Result<Self, TimeError> {
        let iso = match text.as_bytes() {
            [_, _, b'/', _, _, b'/', _, _, _, _] if text.is_ascii() => {
                format!("{}-{}-{}T00:00:00", &text[6..], &text[..2], &text[3..5])
            }
            [_, _, _, _, b'-', _, _, b'-', _, _] => format!("{text}T00:00:00"),
            _ => return Self::parse(text, zone),
        };
        Self::parse(&iso, zone).map_err(|error| match error {
            TimeError::Form(_) => form_error(text),
            range @ TimeError::Range { .. } => range,
        })
    }
}

/// `YYYY-MM-DD[T ]HH:MM:SS` in Unix milliseconds as if at UTC; `None` for all else.
///
/// The digits are read a word at a time: each becomes its value and each separator zero, then pairs become numbers.
fn local_ms(text: &[u8; 19]) -> Option<i64> {
    Some(date_ms(text.first_chunk()?)? + of_day_ms(text)?)
}

/// The last millisecond before a leap second, `YYYY-MM-DD[T ]HH:MM:60`; `None` for all else. Unix time has no leap
/// seconds, and a time of the next minute could belong to the next hour or day.
fn leap_second_ms(text: &[u8; 19]) -> Option<i64> {
    let mut before = *text;
    if !before.ends_with(b":60") {
        return None;
    }
    before[17..].copy_from_slice(b"59");
    Some(local_ms(&before)? + 999)
}

/// Midnight of `YYYY-MM-DD` in Unix milliseconds as if at UTC; `None` if the text is not such a date, or it does not
/// exist.
#[inline]
fn date_ms(text: &[u8; 10]) -> Option<i64> {
    let [y1, y2, y3, y4, dash1, m1, m2, dash2, d1, d2] = *text;
    let date = pairs_of_digits([y1, y2, y3, y4, dash1, m1, m2, dash2], *b"0000-00-")?;
    let (d1, d2) = (d1.wrapping_sub(b'0'), d2.wrapping_sub(b'0'));
    if d1 > 9 || d2 > 9 {
        return None;
    }
    let year = u32::from(date[0]) * 100 + u32::from(date[2]);
    let (month, day) = (u32::from(date[5]), u32::from(d1 * 10 + d2));
    let exists = year >= 1 && (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    exists.then(|| days_from_civil(year, month, day) * DAY_MS)
}

/// The time of day after a date, `[T ]HH:MM:SS`, in milliseconds; `None` if it does not exist.
#[inline]
fn of_day_ms(text: &[u8; 19]) -> Option<i64> {
    let time = pairs_of_digits(*text.last_chunk()?, *b"00:00:00")?;
    let (hour, minute, second) = (i64::from(time[0]), i64::from(time[3]), i64::from(time[6]));
    let exists = matches!(text[10], b'T' | b't' | b' ') && hour <= 23 && minute <= 59 && second <= 59;
    exists.then_some(hour * HOUR_MS + minute * MINUTE_MS + second * 1000)
}

/// For each byte of `text`, the value of its digit times ten plus that of the next; `None` unless `text` has a digit
/// wherever `form` has a zero, and equals `form` elsewhere.
#[inline]
fn pairs_of_digits(text: [u8; 8], form: [u8; 8]) -> Option<[u8; 8]> {
    let text = u64::from_le_bytes(text);
    let over_nine = u64::from_le_bytes(form.map(|byte| if byte == b'0' { 0x06 } else { 0 }));
    let refused = u64::from_le_bytes(form.map(|byte| if byte == b'0' { 0xf0 } else { 0xff }));
    let digits = text ^ u64::from_le_bytes(form);
    if (digits.wrapping_add(over_nine) | digits) & refused != 0 {
        return None;
    }
    Some((digits * 10 + (digits >> 8)).to_le_bytes())
}

fn form_error(text: &str) -> TimeError {
    TimeError::Form(Excerpt::of(text))
}

/// The error of a text of at least 19 bytes whose first 19 are not a date and time.
fn head_error(text: &str) -> TimeError {
    let bytes = text.as_bytes();
    let separated = bytes[4] == b'-' && bytes[7] == b'-' && bytes[13] == b':' && bytes[16] == b':';
    if !separated || !matches!(bytes[10], b'T' | b't' | b' ') {
        return form_error(text);
    }
    check_parts(text).err().unwrap_or_else(|| form_error(text))
}

fn check_parts(text: &str) -> Result<(), TimeError> {
    let part = |from: usize, to: usize| digits(&text.as_bytes()[from..to]).ok_or_else(|| form_error(text));
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    check_date(text, year, month, day)?;
    check(text, "hour", hour, hour <= 23, "hours go from 00 to 23")?;
    check(text, "minute", minute, minute <= 59, "minutes go from 00 to 59")?;
    check(text, "second", second, second <= 60, "seconds go from 00 to 59, or to 60 in a leap second")
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

fn check(
    text: &str,
    part: &'static str,
    value: u32,
    good: bool,
    range: &'static str,
) -> Result<(), TimeError> {
    if good {
        return Ok(());
    }
    Err(TimeError::Range { text: Excerpt::of(text), part, value, range })
}

fn check_date(text: &str, year: u32, month: u32, day: u32) -> Result<(), TimeError> {
    check(text, "year", year, year >= 1, "years go from 0001 to 9999")?;
    let month_good = (1..=12).contains(&month);
    check(text, "month", month, month_good, "months go from 01 to 12")?;
    let day_good = (1..=days_in_month(year, month)).contains(&day);
    check(text, "day", day, day_good, "that month has fewer days")
}

/// An optional fraction, `.` and one digit or more: its milliseconds, and the rest of the bytes.
fn parse_fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some(after_dot) = bytes.strip_prefix(b".") else {
        return Some((0, bytes));
    };
    let length = after_dot.iter().take_while(|b| b.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let milliseconds = (0..3).fold(0, |number, place| {
        let digit = if place < length { after_dot[place] - b'0' } else { 0 };
        number * 10 + i64::from(digit)
    });
    Some((milliseconds, &after_dot[length..]))
}

/// An optional offset, `Z`, `UTC`, `±HH`, `±HHMM` or `±HH:MM` up to 23:59, after a blank or not, in seconds:
/// `Some(None)` when there is none, `None` for anything else.
fn parse_offset(bytes: &[u8]) -> Option<Option<i32>> {
    if bytes.is_empty() {
        return Some(None);
    }
    let (sign, hours, minutes) = match bytes.strip_prefix(b" ").unwrap_or(bytes) {
        [b'Z' | b'z'] | [b'U' | b'u', b'T' | b't', b'C' | b'c'] => return Some(Some(0)),
        [sign, h1, h2] => (sign, digits(&[*h1, *h2])?, 0),
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => {
            (sign, digits(&[*h1, *h2])?, digits(&[*m1, *m2])?)
        }
        _ => return None,
    };
    if !matches!(sign, b'+' | b'-') || hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = (hours * 3600 + minutes * 60) as i32;
    Some(Some(if *sign == b'-' { -seconds } else { seconds }))
}

impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        self.unix_ms == other.unix_ms
    }
}

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.unix_ms.cmp(&other.unix_ms)
    }
}

/// As written, with `T` between date and time: milliseconds and offset only where there were any.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local_ms = self.local_ms();
        let (year, month, day) = civil_from_days(local_ms.div_euclid(DAY_MS));
        let of_day = local_ms.rem_euclid(DAY_MS);
        let (hour, minute, second) = (of_day / HOUR_MS, of_day / MINUTE_MS % 60, of_day / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if of_day % 1000 != 0 {
            write!(f, ".{:03}", of_day % 1000)?;
        }
        match (self.offset_written, self.offset_s) {
            (false, _) => Ok(()),
            (true, 0) => f.write_str("Z"),
            (true, offset_s) => {
                let sign = if offset_s < 0 { '-' } else { '+' };
                let minutes = offset_s.abs() / 60;
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

impl serde::Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Result<Time, TimeError> {
        Time::parse(text, &Zone::utc())
    }

    #[test]
    fn times_print_back_as_written() {
        for text in [
            "2014-10-23T03:26:20",
            "2014-10-23T03:26:20Z",
            "2014-10-23T03:26:20.250+02:00",
            "2014-10-23T03:26:20-09:30",
            "0001-01-01T00:00:00",
            "2000-02-29T23:59:59",
            "9999-12-31T23:59:59",
        ] {
            assert_eq!(utc(text).expect(text).to_string(), text);
        }
        assert_eq!(utc("2014-10-23 03:26:20").expect("space").to_string(), "2014-10-23T03:26:20");
    }

    #[test]
    fn packed_time_unpacks_to_the_written_time() {
        for (text, fits) in [
            ("2014-10-23T03:26:20", true),
            ("1970-01-01T00:00:00", true),
            ("2106-02-07T06:28:15.999", true),
            ("2014-10-23T03:26:20.250+23:59", true),
            ("2014-10-23T03:26:20.001-23:59", true),
            ("2014-10-23T03:26:20Z", true),
            ("2014-10-23T03:26:20-00:01", true),
            ("1969-12-31T23:59:59.999", false),
            ("2106-02-07T06:28:16", false),
        ] {
            let time = utc(text).expect(text);
            assert_eq!(time.pack().is_some(), fits, "{text}");
            if let Some(packed) = time.pack() {
                assert_eq!(Time::from(packed).to_string(), text);
                assert_eq!(packed.unix_ms(), time.unix_ms);
                assert_eq!(Time::from(packed).hour(), time.hour());
            }
        }
        assert_eq!(utc("2014-10-23T03:26:20").expect("a time").pack().expect("fits").fine, 0);
    }

    /// A slow reference: reads a time part by part, and checks year, month, day, hour, minute and second against their
    /// ranges in this order.
    fn part_by_part(text: &str) -> Result<Time, TimeError> {
        let bytes = text.as_bytes();
        if bytes.len() < 19 || !matches!(bytes[10], b'T' | b't' | b' ') {
            return Err(form_error(text));
        }
        if bytes[4] != b'-' || bytes[7] != b'-' || bytes[13] != b':' || bytes[16] != b':' {
            return Err(form_error(text));
        }
        let part = |from: usize, to: usize| digits(&bytes[from..to]).ok_or_else(|| form_error(text));
        let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
        let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
        check_parts(text)?;
        let leap = second == 60;
        let second = second.min(59);
        let (fraction_ms, rest) = parse_fraction(&bytes[19..]).ok_or_else(|| form_error(text))?;
        let offset = parse_offset(rest).ok_or_else(|| form_error(text))?;
        let date = jiff::civil::date(year as i16, month as i8, day as i8);
        let epoch = jiff::civil::date(1970, 1, 1);
        let days = i64::from(epoch.until(date).expect("within range").get_days());
        let fraction_ms = if leap { 999 } else { fraction_ms };
        let of_day = i64::from(hour * 3600 + minute * 60 + second) * 1000 + fraction_ms;
        let offset_s = offset.unwrap_or(0);
        let unix_ms = days * DAY_MS + of_day - i64::from(offset_s) * 1000;
        Ok(Time { unix_ms, offset_s, offset_written: offset.is_some() })
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

        #[test]
        fn times_are_read_as_by_the_reference(
            date in "[0-9]{4}-[012][0-9]-[0-3][0-9]",
            between in "[Tt ]",
            time in "[012][0-9]:[0-6][0-9]:[0-6][0-9]",
            rest in r"(\.[0-9]{0,12})?( ?(Z|z|UTC|[+-][0-9]{2}:[0-9]{2}|[+-][0-9]{2}|[+-][0-9]{4}))?",
            stray in proptest::option::weighted(0.3, (0usize..25, "[-0-9:./T \x00\u{ff}]")),
        ) {
            let mut text = date + &between + &time + &rest;
            if let Some((at, stray)) = stray && at < text.len() {
                text.replace_range(at..=at, &stray);
            }
            let (read, expected) = (utc(&text), part_by_part(&text));
            proptest::prop_assert_eq!(format!("{read:?}"), format!("{expected:?}"));
        }
    }

    #[test]
    fn instants_agree_with_jiff_on_every_day_of_four_centuries() {
        let mut day = jiff::civil::date(1800, 1, 1);
        while day.year() < 2201 {
            let civil = day.at(5, 6, 7, 0);
            let expected = civil.in_tz("UTC").expect("utc").timestamp().as_millisecond();
            assert_eq!(utc(&civil.to_string()).expect("a time").unix_ms, expected, "{civil}");
            day = day.tomorrow().expect("in range");
        }
    }

    #[test]
    fn hours_are_taken_as_written() {
        assert_eq!(utc("2014-10-23T03:26:20").expect("time").hour(), 3);
        assert_eq!(utc("2014-10-23T03:26:20+05:00").expect("time").hour(), 3);
        assert_eq!(utc("1969-12-31T23:00:00-01:00").expect("time").hour(), 23);
        let berlin = Zone::named("Europe/Berlin").expect("zone files");
        let summer = Time::parse("2014-07-01T12:00:00", &berlin).expect("time");
        assert_eq!(summer.hour(), 12);
        assert_eq!(summer, utc("2014-07-01T10:00:00Z").expect("time"));
    }

    #[test]
    fn local_time_skipped_by_its_zone_keeps_the_written_hour() {
        let berlin = Zone::named("Europe/Berlin").expect("zone files");
        let skipped = Time::parse("2014-03-30T02:30:00", &berlin).expect("time");
        assert_eq!(skipped.hour(), 2);
        assert_eq!(skipped.to_string(), "2014-03-30T02:30:00");
    }

    #[test]
    fn invalid_time_is_refused_with_the_reason() {
        for (text, said) in [
            ("", "form"),
            ("yesterday", "form"),
            ("2014-10-23", "form"),
            ("2014-10-23T03:26", "form"),
            ("2014-10-23T03:26:20+2", "form"),
            ("2014-10-23T03:26:20+24:00", "form"),
            ("2014-10-23T03:26:20.", "form"),
            ("2014-10-23T03:26:20 ", "form"),
            ("+014-10-23T03:26:20", "form"),
            ("２０１４-10-23T03:26:20", "form"),
            ("0000-01-01T00:00:00", "year 0"),
            ("2014-13-01T00:00:00", "month 13"),
            ("2014-02-29T00:00:00", "day 29"),
            ("1900-02-29T00:00:00", "day 29"),
            ("2014-04-31T00:00:00", "day 31"),
            ("2014-04-30T24:00:00", "hour 24"),
            ("2014-04-30T23:60:00", "minute 60"),
            ("2014-04-30T23:59:61", "second 61"),
            ("2014-04-30T24:59:60", "hour 24"),
            ("2014-10-23T03:26:20+020", "form"),
            ("2014-10-23T03:26:20+2400", "form"),
            ("2014-10-23T03:26:20  UTC", "form"),
            ("2014-10-23T03:26:20 CET", "form"),
            ("2014-10-23T03:26:20 00:00", "form"),
        ] {
            let error = utc(text).expect_err(text).to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn offsets_of_databases_and_data_frames_are_read() {
        for (text, same) in [
            ("2014-10-23 03:26:20+00", "2014-10-23T03:26:20Z"),
            ("2014-10-23 03:26:20.25+05", "2014-10-23T03:26:20.250+05:00"),
            ("2014-10-23 03:26:20-0930", "2014-10-23T03:26:20-09:30"),
            ("2014-10-23 03:26:20 +0200", "2014-10-23T03:26:20+02:00"),
            ("2014-10-23 03:26:20 UTC", "2014-10-23T03:26:20Z"),
            ("2014-10-23T03:26:20.123456789UTC", "2014-10-23T03:26:20.123Z"),
            ("2014-10-23 03:26:20 +02:00", "2014-10-23T03:26:20+02:00"),
        ] {
            assert_eq!(utc(text).expect(text).to_string(), same);
        }
    }

    #[test]
    fn digits_after_milliseconds_are_dropped() {
        for digits in ["2509", "250999999", "2509999999", "250999999999999999999999999"] {
            let text = format!("2014-10-23T03:26:20.{digits}Z");
            assert_eq!(utc(&text).expect(&text).to_string(), "2014-10-23T03:26:20.250Z");
        }
    }

    #[test]
    fn leap_second_is_the_last_millisecond_before_it() {
        for (text, same) in [
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z"),
            ("2016-12-31T23:59:60.5Z", "2016-12-31T23:59:59.999Z"),
            ("1990-12-31T15:59:60-08:00", "1990-12-31T15:59:59.999-08:00"),
            ("2016-12-31 23:59:60", "2016-12-31T23:59:59.999"),
        ] {
            let time = utc(text).expect(text);
            assert_eq!(time.to_string(), same);
            assert_eq!(time.hour(), utc(same).expect(same).hour());
        }
    }

    #[test]
    fn dates_of_the_customer_file_are_month_first_or_iso() {
        let zone = Zone::named("Europe/Berlin").expect("zone files");
        for text in ["06/04/2013", "2013-06-04", "2013-06-04 00:00:00", "2013-06-04T00:00:00"] {
            let date = Time::parse_date(text, &zone).expect(text);
            assert_eq!(
                (date.to_string().as_str(), date.unix_ms % DAY_MS),
                ("2013-06-04T00:00:00", 22 * HOUR_MS)
            );
        }
        assert_eq!(Time::parse_date("2013-06-04 00:00:00+00", &zone).expect("a date").unix_ms % DAY_MS, 0);
        for bad in
            ["2013-06-31", "13/01/2013", "02/29/2013", "6/4/2013", "é6/04/201", "2013-é-1", "04.06.2013", ""]
        {
            assert!(Time::parse_date(bad, &zone).is_err(), "{bad}");
        }
    }
}
