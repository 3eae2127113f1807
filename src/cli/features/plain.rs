//! Rows as most files write them, read byte by byte.
//!
//! Whatever is odd about a row is left to the general reader, which takes what this takes, with the same result, and
//! finds the right words for what is wrong.

use super::record::{Entry, Moment, Record};
use crate::event::{HOUR_MS, MINUTE_MS, Time, Zone};

/// The longest zip read here.
const LONGEST_ZIP: usize = 16;

/// Reads plain rows. Remembers the last date: files of events are in the order of time, or nearly so.
pub(super) struct PlainRows {
    date: [u8; 10],
    /// When that date began, in Unix milliseconds.
    date_ms: i64,
}

impl PlainRows {
    pub(super) fn new() -> Self {
        Self { date: *b"1970-01-01", date_ms: 0 }
    }

    /// The play in the row that `text` starts with, and the row's length with its end. None says nothing about the row.
    #[inline]
    pub(super) fn play(&mut self, text: &[u8]) -> Option<(Record, usize)> {
        let mut row = Row { text, at: 0 };
        let event = row.id()?;
        let customer = row.id()?;
        let track = row.id()?;
        let (unix_ms, hour) = self.time(&mut row)?;
        row.comma()?;
        let mobile = match row.byte()? {
            b'0' => false,
            b'1' => true,
            _ => return None,
        };
        row.comma()?;
        row.zip()?;
        row.end()?;
        Some((Entry { customer, event, track, moment: Moment::new(unix_ms, hour, mobile) }, row.at))
    }

    /// The customer of the click in the row that `text` starts with if it was on `ad`, and the row's length with its
    /// end. None says nothing about the row.
    #[inline]
    pub(super) fn click(&mut self, text: &[u8], ad: &[u8]) -> Option<(Option<u64>, usize)> {
        let mut row = Row { text, at: 0 };
        row.id()?;
        let customer = row.id()?;
        let quoted = row.quote();
        let name = row.name()?;
        row.closing(quoted)?;
        row.comma()?;
        self.time(&mut row)?;
        row.end()?;
        Some(((name == ad).then_some(customer), row.at))
    }

    /// `YYYY-MM-DD HH:MM:SS`, with `T` or blank: Unix milliseconds in UTC, and the hour.
    #[inline]
    fn time(&mut self, row: &mut Row<'_>) -> Option<(i64, u8)> {
        let quoted = row.quote();
        let text: &[u8; 19] = row.text.get(row.at..row.at + 19)?.try_into().ok()?;
        let date: &[u8; 10] = text.first_chunk()?;
        if !matches!(text[10], b' ' | b'T') {
            return None;
        }
        let (hour, minute, second) = time_of_day(text.last_chunk()?)?;
        if *date != self.date {
            self.set_date(date)?;
        }
        row.at += 19;
        row.closing(quoted)?;
        let of_day = i64::from(hour) * HOUR_MS + i64::from(minute) * MINUTE_MS + i64::from(second) * 1000;
        Some((self.date_ms + of_day, hour))
    }

    #[cold]
    fn set_date(&mut self, date: &[u8; 10]) -> Option<()> {
        let midnight = format!("{} 00:00:00", std::str::from_utf8(date).ok()?);
        self.date_ms = Time::parse(&midnight, &Zone::utc()).ok()?.unix_ms;
        self.date = *date;
        Some(())
    }
}

/// A row and how far it has been read.
struct Row<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Row<'a> {
    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// Whether there was a quote.
    #[inline]
    fn quote(&mut self) -> bool {
        let there = self.text.get(self.at) == Some(&b'"');
        self.at += usize::from(there);
        there
    }

    /// The quote that closes a field, if one opened it.
    #[inline]
    fn closing(&mut self, opened: bool) -> Option<()> {
        (self.quote() == opened).then_some(())
    }

    #[inline]
    fn comma(&mut self) -> Option<()> {
        (self.byte()? == b',').then_some(())
    }

    /// An id that is a decimal number as it prints, and the comma after it.
    #[inline]
    fn id(&mut self) -> Option<u64> {
        let eight = leading_digits(self.text.get(self.at..)?)?;
        let mut number = eight.number;
        if eight.count == 0 || (eight.count > 1 && self.text[self.at] == b'0') {
            return None;
        }
        self.at += eight.count;
        if eight.count == 8 {
            while let Some(digit) =
                self.text.get(self.at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10)
            {
                number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
                self.at += 1;
            }
        }
        self.comma()?;
        Some(number)
    }

    /// An id that need not be a number.
    #[inline]
    fn name(&mut self) -> Option<&'a [u8]> {
        let rest = self.text.get(self.at..)?;
        let length = rest.iter().position(|byte| !is_id_byte(*byte))?;
        self.at += length;
        (1..=crate::event::MAX_ID_LENGTH).contains(&length).then_some(&rest[..length])
    }

    /// A zip, which nobody reads.
    #[inline]
    fn zip(&mut self) -> Option<()> {
        let quoted = self.quote();
        let start = self.at;
        self.at += leading_digits(&self.text[start..]).map_or(0, |eight| eight.count);
        while matches!(self.text.get(self.at)?, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b' ' | b'-') {
            self.at += 1;
        }
        if self.at - start > LONGEST_ZIP {
            return None;
        }
        self.closing(quoted)
    }

    /// The end of the line.
    #[inline]
    fn end(&mut self) -> Option<()> {
        match self.byte()? {
            b'\n' => Some(()),
            b'\r' => (self.byte()? == b'\n').then_some(()),
            _ => None,
        }
    }
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-')
}

/// A decimal number and how many digits it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Digits {
    number: u64,
    count: usize,
}

const EVERY_BYTE: u64 = 0x0101_0101_0101_0101;

/// The digits among the first eight bytes before anything else; none if there are no eight bytes.
///
/// All eight at a time: those that are no digits are pushed out, zeros move in before the first, then neighbours are
/// added up in pairs (Lemire, "Quickly parsing eight digits", 2018).
#[inline]
fn leading_digits(text: &[u8]) -> Option<Digits> {
    let word = u64::from_le_bytes(*text.first_chunk()?) ^ (EVERY_BYTE * u64::from(b'0'));
    // The high bit of each byte above 9. A carry reaches only bytes after the first of them.
    let others = (word.wrapping_add(EVERY_BYTE * (0x80 - 10)) | word) & (EVERY_BYTE * 0x80);
    let count = (others.trailing_zeros() / 8) as usize;
    if count == 0 {
        return Some(Digits { number: 0, count });
    }
    let digits = word << (64 - 8 * count as u32);
    let pairs = (digits.wrapping_mul(10) + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let number = (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff;
    Some(Digits { number, count })
}

/// `HH:MM:SS` that exists.
#[inline]
fn time_of_day(text: &[u8; 8]) -> Option<(u8, u8, u8)> {
    // Every digit becomes its value, and a colon 0.
    let word = u64::from_le_bytes(*text) ^ u64::from_le_bytes(*b"00:00:00");
    let most = u64::from_le_bytes([9, 9, 0, 9, 9, 0, 9, 9]);
    let above = word.wrapping_add(EVERY_BYTE * 0x7f - most) | word;
    if above & (EVERY_BYTE * 0x80) != 0 {
        return None;
    }
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8).to_le_bytes();
    let (hour, minute, second) = (pairs[0], pairs[3], pairs[6]);
    (hour < 24 && minute < 60 && second < 60).then_some((hour, minute, second))
}
