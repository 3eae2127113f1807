//! The parts of a time's text.

use super::{DAY_MS, TimeError};

/// What a clock shows as `YYYY-MM-DD[T ]HH:MM:SS`, in milliseconds as if it had been UTC; `None` for all else.
///
/// The digits are read a word at a time: each becomes its value and each separator zero, then pairs become numbers.
#[inline]
pub(super) fn local_ms(text: &[u8; 19]) -> Option<i64> {
    let [y1, y2, y3, y4, dash1, m1, m2, dash2, d1, d2, between, time @ ..] = *text;
    let date = pairs_of_digits([y1, y2, y3, y4, dash1, m1, m2, dash2], *b"0000-00-")?;
    let time = pairs_of_digits(time, *b"00:00:00")?;
    let (d1, d2) = (d1.wrapping_sub(b'0'), d2.wrapping_sub(b'0'));
    if d1 > 9 || d2 > 9 || !matches!(between, b'T' | b't' | b' ') {
        return None;
    }
    let year = u32::from(date[0]) * 100 + u32::from(date[2]);
    let (month, day) = (u32::from(date[5]), u32::from(d1 * 10 + d2));
    let (hour, minute, second) = (u32::from(time[0]), u32::from(time[3]), u32::from(time[6]));
    let date_exists =
        year >= 1 && (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    let time_exists = hour <= 23 && minute <= 59 && second <= 59;
    (date_exists && time_exists).then(|| {
        days_from_civil(year, month, day) * DAY_MS + i64::from(hour * 3600 + minute * 60 + second) * 1000
    })
}

/// For each byte of `text` its digit's value times ten plus that of the next; `None` unless `text` has a digit wherever
/// `form` has a zero, and elsewhere what `form` has.
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

pub(super) fn form_error(text: &str) -> TimeError {
    TimeError::Form(text.chars().take(40).collect())
}

/// What is wrong with the first 19 bytes of a text, which are no date and time.
pub(super) fn head_error(text: &str) -> TimeError {
    let bytes = text.as_bytes();
    let separated = bytes[4] == b'-' && bytes[7] == b'-' && bytes[13] == b':' && bytes[16] == b':';
    if !separated || !matches!(bytes[10], b'T' | b't' | b' ') {
        return form_error(text);
    }
    check_parts(text).err().unwrap_or_else(|| form_error(text))
}

pub(super) fn check_parts(text: &str) -> Result<(), TimeError> {
    let part = |from: usize, to: usize| digits(&text.as_bytes()[from..to]).ok_or_else(|| form_error(text));
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    check_date(text, year, month, day)?;
    check(text, "hour", hour, hour <= 23, "hours go from 00 to 23")?;
    check(text, "minute", minute, minute <= 59, "minutes go from 00 to 59")?;
    check(text, "second", second, second <= 59, "seconds go from 00 to 59")
}

pub(super) fn digits(bytes: &[u8]) -> Option<u32> {
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
    Err(TimeError::Range { text: text.to_owned(), part, value, range })
}

fn check_date(text: &str, year: u32, month: u32, day: u32) -> Result<(), TimeError> {
    check(text, "year", year, year >= 1, "years go from 0001 to 9999")?;
    let month_good = (1..=12).contains(&month);
    check(text, "month", month, month_good, "months go from 01 to 12")?;
    let day_good = (1..=days_in_month(year, month)).contains(&day);
    check(text, "day", day, day_good, "that month has fewer days")
}

#[inline]
fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, for years from 1 on: Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", section `days_from_civil`; without its eras, which only years before 0 need.
#[inline]
fn days_from_civil(year: u32, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = if month <= 2 { month + 9 } else { month - 3 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    i64::from(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year) - 719_468
}

/// `.` and 1–9 digits, if there: milliseconds and what follows.
pub(super) fn parse_fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some(after_dot) = bytes.strip_prefix(b".") else {
        return Some((0, bytes));
    };
    let length = after_dot.iter().take_while(|b| b.is_ascii_digit()).count();
    if !(1..=9).contains(&length) {
        return None;
    }
    let milliseconds = (0..3).fold(0, |number, place| {
        let digit = if place < length { after_dot[place] - b'0' } else { 0 };
        number * 10 + i64::from(digit)
    });
    Some((milliseconds, &after_dot[length..]))
}

/// Nothing, `Z` or `±HH:MM` up to 23:59: `Some(None)` when nothing is written.
pub(super) fn parse_offset(bytes: &[u8]) -> Option<Option<i32>> {
    match bytes {
        [] => Some(None),
        [b'Z' | b'z'] => Some(Some(0)),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = (hours * 3600 + minutes * 60) as i32;
            Some(Some(if *sign == b'-' { -seconds } else { seconds }))
        }
        _ => None,
    }
}
