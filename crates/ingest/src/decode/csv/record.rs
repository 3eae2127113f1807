//! From a record, whose columns are already separated, to a play, click, customer or track.

use super::super::json::MAX_ZIP_LENGTH;
use super::Context;
use super::header::Columns;
use super::split::Record;
use upbeat_core::catalogue::Track;
use upbeat_core::event::{
    CUSTOMER_FILE_ID, Event, EventKind, Id, IdRef, Membership, Row, Time, TimeError, Zone,
};
use upbeat_core::excerpt::Excerpt;

/// The longest title or artist, in bytes.
const MAX_TITLE_LENGTH: usize = 512;

/// A row of a file of plays; its ids borrow from the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayRow<'a> {
    /// The event's id.
    pub event_id: IdRef<'a>,
    /// The customer who played.
    pub customer: IdRef<'a>,
    /// Which track.
    pub track: IdRef<'a>,
    /// When the track started.
    pub time: Time,
    /// Whether it was heard on a phone.
    pub mobile: bool,
}

impl From<PlayRow<'_>> for Event {
    #[inline]
    fn from(row: PlayRow<'_>) -> Self {
        Self {
            customer: row.customer.to_id(),
            id: row.event_id.to_id(),
            time: row.time,
            kind: EventKind::Play { track: row.track.to_id(), mobile: row.mobile },
        }
    }
}

/// A row of a file of clicks; its ids borrow from the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClickRow<'a> {
    /// The event's id.
    pub event_id: IdRef<'a>,
    /// The customer who clicked.
    pub customer: IdRef<'a>,
    /// Which ad.
    pub ad: IdRef<'a>,
    /// When the ad was clicked.
    pub time: Time,
}

impl From<ClickRow<'_>> for Event {
    #[inline]
    fn from(row: ClickRow<'_>) -> Self {
        Self {
            customer: row.customer.to_id(),
            id: row.event_id.to_id(),
            time: row.time,
            kind: EventKind::click(row.ad.to_id()),
        }
    }
}

/// A row of a file of impressions: an ad heard, clicked or not. Its ids borrow from the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImpressionRow<'a> {
    /// The event's id.
    pub event_id: IdRef<'a>,
    /// The customer who heard it.
    pub customer: IdRef<'a>,
    /// Which ad.
    pub ad: IdRef<'a>,
    /// When it was heard.
    pub time: Time,
    /// Whether it was clicked.
    pub clicked: bool,
}

/// The columns of a row that are read, by their place in [`Kind::columns`](super::Kind::columns).
#[derive(Clone, Copy)]
pub(super) struct Fields<'r> {
    pub(super) record: Record<'r>,
    pub(super) columns: Columns,
}

impl Fields<'_> {
    /// Which column of the file this is, counted from 1.
    fn number(self, column: usize) -> usize {
        self.columns.place(column).map_or(0, |place| place + 1)
    }
}

/// The text of a column, without blanks around it; empty for an optional column that the file does not have.
fn field(record: Fields<'_>, column: usize) -> Result<&str, String> {
    let Some(place) = record.columns.place(column) else { return Ok("") };
    let bytes = record.record.get(place).ok_or_else(|| format!("column {} is missing", place + 1))?;
    let text = std::str::from_utf8(bytes).map_err(|_| format!("column {} is not UTF-8", place + 1))?;
    Ok(text.trim())
}

fn id<'r>(record: Fields<'r>, column: usize, name: &str) -> Result<IdRef<'r>, String> {
    IdRef::parse_cell(field(record, column)?)
        .map_err(|error| format!("{name} (column {}): {error}", record.number(column)))
}

/// Reads a play.
///
/// # Errors
/// A column is wrong: which one, and what to send.
pub(super) fn play<'r>(record: Fields<'r>, zone: &Zone) -> Result<PlayRow<'r>, String> {
    let mobile = field(record, 4)?;
    let mobile = flag(mobile).ok_or_else(|| {
        let column = record.number(4);
        format!("mobile (column {column}) is {}; send 0 or 1, or false or true", Excerpt::of(mobile))
    })?;
    if field(record, 5)?.chars().count() > MAX_ZIP_LENGTH {
        return Err(format!("zip (column {}) is longer than {MAX_ZIP_LENGTH} characters", record.number(5)));
    }
    Ok(PlayRow {
        event_id: id(record, 0, "event id")?,
        customer: id(record, 1, "customer id")?,
        time: Time::parse(field(record, 3)?, zone).map_err(|error| error.to_string())?,
        track: id(record, 2, "track id")?,
        mobile,
    })
}

/// Reads a click.
///
/// # Errors
/// A column is wrong: which one, and what to send.
pub(super) fn click<'r>(record: Fields<'r>, zone: &Zone) -> Result<ClickRow<'r>, String> {
    Ok(ClickRow {
        event_id: id(record, 0, "event id")?,
        customer: id(record, 1, "customer id")?,
        time: Time::parse(field(record, 3)?, zone).map_err(|error| error.to_string())?,
        ad: id(record, 2, "ad")?,
    })
}

/// Reads an impression.
///
/// # Errors
/// A column is wrong: which one, and what to send.
pub(super) fn impression<'r>(record: Fields<'r>, zone: &Zone) -> Result<ImpressionRow<'r>, String> {
    let clicked = field(record, 4)?;
    let clicked = flag(clicked).ok_or_else(|| {
        let column = record.number(4);
        format!("clicked (column {column}) is {}; write 0 or 1, or false or true", Excerpt::of(clicked))
    })?;
    let ClickRow { event_id, customer, ad, time } = click(record, zone)?;
    Ok(ImpressionRow { event_id, customer, ad, time, clicked })
}

/// Reads a row of a customer file.
///
/// # Errors
/// A column is wrong: which one, and what to send.
pub(super) fn customer(record: Fields<'_>, context: &Context) -> Result<Event, String> {
    let level = field(record, 2)?;
    let level = level_of(level).ok_or_else(|| {
        format!(
            "Level is {}; send 0 (Free), 1 (Silver) or 2 (Gold), a digit without a fraction",
            Excerpt::of(level)
        )
    })?;
    let time = match context.as_of {
        Some(time) => time,
        None => sign_date(field(record, 1)?, &context.zone)?,
    };
    Ok(Event {
        id: Id::Text(CUSTOMER_FILE_ID.into()),
        customer: id(record, 0, "CustID")?.to_id(),
        time,
        kind: EventKind::Membership(level),
    })
}

/// Reads a row of a catalogue.
///
/// # Errors
/// A column is wrong: which one, and what to send.
pub(super) fn track(record: Fields<'_>) -> Result<Row, String> {
    let length = field(record, 3)?;
    let length_s =
        length.parse().map_err(|_| format!("Length is {}; send whole seconds", Excerpt::of(length)))?;
    let text = |column: usize, name: &str| -> Result<Box<str>, String> {
        let text = field(record, column)?;
        if text.is_empty() || text.len() > MAX_TITLE_LENGTH {
            return Err(format!("{name} has {} bytes; 1 to {MAX_TITLE_LENGTH} are allowed", text.len()));
        }
        Ok(text.into())
    };
    let track = Track { title: text(1, "Title")?, artist: text(2, "Artist")?, length_s };
    Ok(Row::Track(id(record, 0, "TrackId")?.to_id(), track))
}

/// A yes or no as files write it: `0` and `1`, or the words of databases, spreadsheets and data frames.
pub(super) fn flag(text: &str) -> Option<bool> {
    let is = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match () {
        () if is(["0", "f", "false"]) => Some(false),
        () if is(["1", "t", "true"]) => Some(true),
        () => None,
    }
}

fn level_of(text: &str) -> Option<Membership> {
    let levels = [Membership::Free, Membership::Silver, Membership::Gold];
    let is_named = |level: &Membership| text.eq_ignore_ascii_case(level.name());
    match text {
        "0" => Some(Membership::Free),
        "1" => Some(Membership::Silver),
        "2" => Some(Membership::Gold),
        _ => levels.into_iter().find(is_named),
    }
}

fn sign_date(text: &str, zone: &Zone) -> Result<Time, String> {
    Time::parse_date(text, zone).map_err(|error| match error {
        TimeError::Form(_) => format!(
            "SignDate is {}; send it as 06/04/2013, the month first and both in two digits, or as 2013-06-04",
            Excerpt::of(text)
        ),
        TimeError::Range { part, value, range, .. } => {
            let months = if part == "month" { "; the month comes first in MM/DD/YYYY" } else { "" };
            format!(
                "SignDate is {} with {part} {value}, which does not exist; {range}{months}",
                Excerpt::of(text)
            )
        }
    })
}
