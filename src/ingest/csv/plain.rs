//! Rows of plays and clicks in the form that nearly all have: read in one pass over their bytes.
//!
//! A field here is written plainly, or in quotes with none inside. A row that is anything else, or that says something
//! wrong, is no row to this module: the reader then takes it by the rules of quoting, and tells what is wrong with it.

use super::super::json::MAX_ZIP_LENGTH;
use super::{ClickRow, PlayRow};
use crate::event::{IdRef, LastDate, Time, Zone, leading_decimal};

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
struct Row<'a> {
    rest: &'a [u8],
}

impl<'a> Row<'a> {
    #[inline]
    /// Goes on behind a field's end, if what must follow a field does.
    fn end_field(&mut self, after: &'a [u8], place: Place) -> Option<()> {
        self.rest = match (place, after) {
            (Place::Inside, [b',', rest @ ..]) => rest,
            (Place::Last, [] | [b'\r' | b'\n', ..]) => after,
            _ => return None,
        };
        Some(())
    }

    /// A field's text without its quotes.
    fn field(&mut self, place: Place) -> Option<&'a str> {
        let (text, after) = match self.rest {
            [b'"', quoted @ ..] => {
                let length = memchr::memchr(b'"', quoted)?;
                (&quoted[..length], &quoted[length + 1..])
            }
            plain => {
                let ends = |byte: &u8| matches!(byte, b',' | b'"' | b'\r' | b'\n');
                plain.split_at(plain.iter().position(ends).unwrap_or(plain.len()))
            }
        };
        self.end_field(after, place)?;
        std::str::from_utf8(text).ok()
    }

    #[inline]
    fn id(&mut self) -> Option<IdRef<'a>> {
        if let Some((number, length)) = leading_decimal(self.rest)
            && self.end_field(&self.rest[length..], Place::Inside).is_some()
        {
            return Some(IdRef::Number(number));
        }
        IdRef::parse(self.field(Place::Inside)?).ok()
    }

    #[inline]
    fn time(&mut self, zone: &Zone, last: &mut LastDate, place: Place) -> Option<Time> {
        let (quote, text) = self.opening_quote();
        if let Some((plain, after)) = text.split_first_chunk()
            && let Some(after) = after.strip_prefix(quote)
            && let Some(time) = Time::parse_plain(plain, zone, last)
            && self.end_field(after, place).is_some()
        {
            return Some(time);
        }
        Time::parse(self.field(place)?, zone).ok()
    }

    /// The quote that opens the next field and must close it, or nothing; and what follows.
    #[inline]
    fn opening_quote(&self) -> (&'static [u8], &'a [u8]) {
        match self.rest {
            [b'"', text @ ..] => (b"\"", text),
            text => (b"", text),
        }
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
        let (quote, text) = self.opening_quote();
        let length = text.iter().take(MAX_ZIP_LENGTH).take_while(|byte| byte.is_ascii_alphanumeric()).count();
        if let Some(after) = text[length..].strip_prefix(quote)
            && self.end_field(after, Place::Last).is_some()
        {
            return Some(());
        }
        self.field(Place::Last).filter(|zip| zip.len() <= MAX_ZIP_LENGTH).map(|_| ())
    }
}
