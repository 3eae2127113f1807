//! From a record, whose columns are already separated, to a play, click, customer or track.

use ::csv::ByteRecord;

use super::super::json::MAX_ZIP_LENGTH;
use super::Context;
use upbeat_core::catalogue::Track;
use upbeat_core::event::{CUSTOMER_FILE_ID, Event, EventKind, Id, IdRef, Membership, Row, Time, Zone};

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
            kind: EventKind::Click { ad: row.ad.to_id() },
        }
    }
}

fn field(record: &ByteRecord, index: usize) -> Result<&str, String> {
    let bytes = record.get(index).ok_or_else(|| format!("column {} is missing", index + 1))?;
    let text = std::str::from_utf8(bytes).map_err(|_| format!("column {} is not UTF-8", index + 1))?;
    Ok(text.trim())
}

fn id<'r>(record: &'r ByteRecord, index: usize, name: &str) -> Result<IdRef<'r>, String> {
    IdRef::parse_cell(field(record, index)?)
        .map_err(|error| format!("{name} (column {}): {error}", index + 1))
}

/// Reads one record of a file of plays: 6 columns.
///
/// # Errors
/// A column is missing, surplus or wrong: which one, and what to send.
pub fn play<'r>(record: &'r ByteRecord, zone: &Zone) -> Result<PlayRow<'r>, String> {
    if record.len() != 6 {
        return Err(format!(
            "{} columns where a play has 6: event id, customer id, track id, time, mobile 0 or 1, zip{}",
            record.len(),
            if record.len() == 4 { "; clicks go with ?kind=clicks" } else { "" }
        ));
    }
    let mobile = match field(record, 4)? {
        "0" => false,
        "1" => true,
        other => return Err(format!("mobile (column 5) is {:?}; send 0 or 1", shortened(other))),
    };
    if field(record, 5)?.chars().count() > MAX_ZIP_LENGTH {
        return Err(format!("zip (column 6) is longer than {MAX_ZIP_LENGTH} characters"));
    }
    Ok(PlayRow {
        event_id: id(record, 0, "event id")?,
        customer: id(record, 1, "customer id")?,
        time: Time::parse(field(record, 3)?, zone).map_err(|error| error.to_string())?,
        track: id(record, 2, "track id")?,
        mobile,
    })
}

/// Reads one record of a file of clicks: 4 columns.
///
/// # Errors
/// A column is missing, surplus or wrong: which one, and what to send.
pub fn click<'r>(record: &'r ByteRecord, zone: &Zone) -> Result<ClickRow<'r>, String> {
    if record.len() != 4 {
        return Err(format!(
            "{} columns where a click has 4: event id, customer id, ad, time{}",
            record.len(),
            if record.len() == 6 { "; plays go with ?kind=plays" } else { "" }
        ));
    }
    Ok(ClickRow {
        event_id: id(record, 0, "event id")?,
        customer: id(record, 1, "customer id")?,
        time: Time::parse(field(record, 3)?, zone).map_err(|error| error.to_string())?,
        ad: id(record, 2, "ad")?,
    })
}

pub(super) fn customer(record: &ByteRecord, columns: &[usize], context: &Context) -> Result<Event, String> {
    let level = match field(record, columns[2])? {
        "0" => Membership::Free,
        "1" => Membership::Silver,
        "2" => Membership::Gold,
        other => {
            return Err(format!("Level is {:?}; send 0 (Free), 1 (Silver) or 2 (Gold)", shortened(other)));
        }
    };
    let time = match context.as_of {
        Some(time) => time,
        None => Time::parse_us_date(field(record, columns[1])?, &context.zone)
            .map_err(|_| "SignDate is not a date of the form MM/DD/YYYY".to_owned())?,
    };
    Ok(Event {
        id: Id::Text(CUSTOMER_FILE_ID.into()),
        customer: id(record, columns[0], "CustID")?.to_id(),
        time,
        kind: EventKind::Membership(level),
    })
}

pub(super) fn track(record: &ByteRecord, columns: &[usize]) -> Result<Row, String> {
    let length = field(record, columns[3])?;
    let length_s =
        length.parse().map_err(|_| format!("Length is {:?}; send whole seconds", shortened(length)))?;
    let text = |column: usize, name: &str| -> Result<Box<str>, String> {
        let text = field(record, column)?;
        if text.is_empty() || text.len() > MAX_TITLE_LENGTH {
            return Err(format!("{name} has {} bytes; 1 to {MAX_TITLE_LENGTH} are allowed", text.len()));
        }
        Ok(text.into())
    };
    let track = Track { title: text(columns[1], "Title")?, artist: text(columns[2], "Artist")?, length_s };
    Ok(Row::Track(id(record, columns[0], "TrackId")?.to_id(), track))
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
