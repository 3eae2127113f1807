//! Rows of plays and clicks in the form that nearly all have: read in one pass over their bytes.
//!
//! A field here is written plainly, or in quotes with none inside. A row that is anything else, or that says something
//! wrong, is no row to this module: the reader then takes it by the rules of quoting, and tells what is wrong with it.

use super::super::json::MAX_ZIP_LENGTH;
use super::{ClickRow, PlayRow};
use crate::event::{IdRef, LastDate, MAX_ID_LENGTH, Time, Zone, leading_decimal};

/// `YYYY-MM-DDTHH:MM:SS.123456789+HH:MM`, in bytes.
const LONGEST_TIME: usize = 35;

/// The play that `bytes` begin with, and how many bytes its row has without the line's end.
#[inline]
pub(super) fn play<'a>(bytes: &'a [u8], zone: &Zone, last: &mut LastDate) -> Option<(PlayRow<'a>, usize)> {
    let mut row = Row { rest: bytes };
    let (event_id, customer, track) = (row.id()?, row.id()?, row.id()?);
    let time = row.time(zone, last, Place::Inside)?;
    let mobile = row.flag()?;
    row.zip()?;
    Some((PlayRow { event_id, customer, track, time, mobile }, bytes.len() - row.rest.len()))
}

/// The click that `bytes` begin with, and how many bytes its row has without the line's end.
#[inline]
pub(super) fn click<'a>(bytes: &'a [u8], zone: &Zone, last: &mut LastDate) -> Option<(ClickRow<'a>, usize)> {
    let mut row = Row { rest: bytes };
    let (event_id, customer, ad) = (row.id()?, row.id()?, row.id()?);
    let time = row.time(zone, last, Place::Last)?;
    Some((ClickRow { event_id, customer, ad, time }, bytes.len() - row.rest.len()))
}

/// Where a field stands in its row, and so what must follow it.
#[derive(Clone, Copy)]
enum Place {
    /// A comma follows.
    Inside,
    /// The line's end follows, or nothing.
    Last,
}

/// What is not yet read of a row, and all that comes after it.
///
/// Ids and times are read in the caller's frame whatever the compiler thinks: passed through memory, they cost a third
/// of a row's time.
struct Row<'a> {
    rest: &'a [u8],
}

impl<'a> Row<'a> {
    /// Goes on behind a field's end, if what must follow a field does.
    #[inline]
    fn end_field(&mut self, after: &'a [u8], place: Place) -> Option<()> {
        self.rest = match (place, after) {
            (Place::Inside, [b',', rest @ ..]) => rest,
            (Place::Last, [] | [b'\r' | b'\n', ..]) => after,
            _ => return None,
        };
        Some(())
    }

    /// A field's text without its quotes, if that has at most `longest` bytes.
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
        IdRef::parse(str::from_utf8(self.field(MAX_ID_LENGTH, Place::Inside)?).ok()?).ok()
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
            _ => None,
        }
    }

    /// Passes over the zip, which nothing keeps. No more bytes than there may be characters are never too many.
    #[inline]
    fn zip(&mut self) -> Option<()> {
        self.field(MAX_ZIP_LENGTH, Place::Last).filter(|zip| zip.is_ascii()).map(|_| ())
    }
}
