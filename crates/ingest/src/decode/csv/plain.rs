//! A one-pass reader for rows of plays, clicks and impressions of the usual form.
//!
//! A field of that form is unquoted, or in quotes without quotes inside. For any other row, and for invalid rows, the
//! functions here return `None`; the csv crate then reads the row, and `record` reports what is wrong with it.

use super::super::json::MAX_ZIP_LENGTH;
use super::{ClickRow, ImpressionRow, PlayRow, record};
use upbeat_core::event::{IdRef, LastDate, MAX_ID_LENGTH, Time, Zone, leading_decimal};

/// `YYYY-MM-DDTHH:MM:SS.123456789+HH:MM`, in bytes.
const LONGEST_TIME: usize = 35;

/// The play at the beginning of `bytes`, and the length of its row in bytes without the line break.
#[inline]
pub(super) fn play<'a>(bytes: &'a [u8], zone: &Zone, last: &mut LastDate) -> Option<(PlayRow<'a>, usize)> {
    let mut row = Row { rest: bytes };
    let (event_id, customer, track) = (row.id()?, row.id()?, row.id()?);
    let time = row.time(zone, last, Place::Inside)?;
    let mobile = row.flag()?;
    row.zip()?;
    Some((PlayRow { event_id, customer, track, time, mobile }, bytes.len() - row.rest.len()))
}

/// The click at the beginning of `bytes`, and the length of its row in bytes without the line break.
#[inline]
pub(super) fn click<'a>(bytes: &'a [u8], zone: &Zone, last: &mut LastDate) -> Option<(ClickRow<'a>, usize)> {
    let mut row = Row { rest: bytes };
    let (event_id, customer, ad) = (row.id()?, row.id()?, row.id()?);
    let time = row.time(zone, last, Place::Last)?;
    Some((ClickRow { event_id, customer, ad, time }, bytes.len() - row.rest.len()))
}

/// The impression at the beginning of `bytes`, and the length of its row in bytes without the line break.
#[inline]
pub(super) fn impression<'a>(
    bytes: &'a [u8],
    zone: &Zone,
    last: &mut LastDate,
) -> Option<(ImpressionRow<'a>, usize)> {
    let mut row = Row { rest: bytes };
    let (event_id, customer, ad) = (row.id()?, row.id()?, row.id()?);
    let time = row.time(zone, last, Place::Inside)?;
    let clicked = row.other_flag(Place::Last)?;
    Some((ImpressionRow { event_id, customer, ad, time, clicked }, bytes.len() - row.rest.len()))
}

/// The position of a field in its row, which determines what must follow it.
#[derive(Clone, Copy)]
enum Place {
    /// A comma follows.
    Inside,
    /// A line break follows, or the end of the bytes.
    Last,
}

/// The unread rest of a row, and all bytes after it.
///
/// Ids and times are always inlined: returned through memory, they take a third of a row's time.
struct Row<'a> {
    rest: &'a [u8],
}

impl<'a> Row<'a> {
    /// Advances to `after`, the bytes behind a field, and past the comma; `None` if `place` does not allow what
    /// follows.
    #[inline]
    fn end_field(&mut self, after: &'a [u8], place: Place) -> Option<()> {
        self.rest = match (place, after) {
            (Place::Inside, [b',', rest @ ..]) => rest,
            (Place::Last, [] | [b'\r' | b'\n', ..]) => after,
            _ => return None,
        };
        Some(())
    }

    /// The text of a field without its quotes, if it has at most `longest` bytes.
    #[inline]
    fn field(&mut self, longest: usize, place: Place) -> Option<&'a [u8]> {
        let quoted = self.rest.first() == Some(&b'"');
        let text = &self.rest[usize::from(quoted)..];
        let ends = |byte: &u8| *byte == b'"' || !quoted && matches!(byte, b',' | b'\r' | b'\n');
        let length = text.iter().take(longest + 1).position(ends).unwrap_or(text.len());
        if length > longest {
            return None;
        }
        let (text, after) = text.split_at(length);
        let after = if quoted { after.get(1..)? } else { after };
        self.end_field(after, place)?;
        Some(text)
    }

    #[inline(always)]
    fn id(&mut self) -> Option<IdRef<'a>> {
        if let Some((number, length)) = leading_decimal(self.rest)
            && self.end_field(&self.rest[length..], Place::Inside).is_some()
        {
            return Some(IdRef::Number(number));
        }
        self.other_id()
    }

    fn other_id(&mut self) -> Option<IdRef<'a>> {
        IdRef::parse_cell(str::from_utf8(self.field(MAX_ID_LENGTH, Place::Inside)?).ok()?).ok()
    }

    #[inline(always)]
    fn time(&mut self, zone: &Zone, last: &mut LastDate, place: Place) -> Option<Time> {
        let quoted = self.rest.first() == Some(&b'"');
        if let Some((plain, after)) = self.rest[usize::from(quoted)..].split_first_chunk()
            && let Some(time) = Time::parse_plain(plain, zone, last)
            && (!quoted || after.first() == Some(&b'"'))
            && self.end_field(&after[usize::from(quoted)..], place).is_some()
        {
            return Some(time);
        }
        self.other_time(zone, place)
    }

    fn other_time(&mut self, zone: &Zone, place: Place) -> Option<Time> {
        Time::parse(str::from_utf8(self.field(LONGEST_TIME, place)?).ok()?, zone).ok()
    }

    #[inline]
    fn flag(&mut self) -> Option<bool> {
        match self.rest {
            [flag @ (b'0' | b'1'), b',', rest @ ..] => {
                self.rest = rest;
                Some(*flag == b'1')
            }
            _ => self.other_flag(Place::Inside),
        }
    }

    fn other_flag(&mut self, place: Place) -> Option<bool> {
        record::flag(str::from_utf8(self.field("false".len(), place)?).ok()?)
    }

    /// Skips the zip, which is not kept. An ASCII text has as many bytes as characters.
    #[inline]
    fn zip(&mut self) -> Option<()> {
        self.field(MAX_ZIP_LENGTH, Place::Last).filter(|zip| zip.is_ascii()).map(|_| ())
    }
}
