//! Rows of the seed's files: plays, clicks, customers, tracks.

use ::csv::{ByteRecord, ReaderBuilder};

use super::json::MAX_ZIP_LENGTH;
use super::{Context, Malformed, Row, Rows};
use crate::engine::Track;
use crate::event::{Event, EventKind, Id, Membership, Time, Zone};

/// The longest title or artist, in bytes.
const MAX_TITLE_LENGTH: usize = 512;

/// The event id of a membership that a customer file tells.
const CUSTOMER_FILE: &str = "customer-file";

/// Which of the seed's files the rows are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `event id, customer id, track id, time, mobile 0 or 1, zip`, without a header.
    #[default]
    Plays,
    /// `event id, customer id, ad, time`, without a header.
    Clicks,
    /// The columns `CustID`, `SignDate` and `Level`, under a header; other columns are not kept.
    Customers,
    /// The columns `TrackId`, `Title`, `Artist` and `Length`, under a header.
    Tracks,
}

impl Kind {
    fn header(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Plays | Self::Clicks => None,
            Self::Customers => Some(&["CustID", "SignDate", "Level"]),
            Self::Tracks => Some(&["TrackId", "Title", "Artist", "Length"]),
        }
    }
}

/// A reader of rows of unequal length, without a header, over bytes from a file or a body.
pub fn reader<R: std::io::Read>(bytes: R) -> ::csv::Reader<R> {
    ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(1 << 16).from_reader(bytes)
}

/// Tells on which line a row begins. The reader's own count is behind after blank lines and after CRLF.
pub struct LineCount<'a> {
    bytes: &'a [u8],
    counted_to: usize,
    line: u64,
}

impl<'a> LineCount<'a> {
    /// A count over all that the reader reads.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, counted_to: 0, line: 1 }
    }

    /// The line of a record, counted from 1; records are asked about in their order.
    pub fn of(&mut self, record: &ByteRecord) -> u64 {
        let told = record.position().map_or(0, |position| position.byte() as usize);
        let rest = &self.bytes[told.clamp(self.counted_to, self.bytes.len())..];
        let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let start = self.bytes.len() - rest.len() + blank;
        self.line += memchr::memchr_iter(b'\n', &self.bytes[self.counted_to..start]).count() as u64;
        self.counted_to = start;
        self.line
    }
}

/// The rows of a CSV body.
pub(super) fn rows<'a>(kind: Kind, body: &'a [u8], context: &'a Context) -> Result<Rows<'a>, Malformed> {
    if kind == Kind::Tracks {
        return track_rows(body);
    }
    let mut reader = reader(body);
    let mut record = ByteRecord::new();
    let columns = match kind.header() {
        None => Vec::new(),
        Some(names) => {
            reader.read_byte_record(&mut record).map_err(|error| Malformed(error.to_string()))?;
            find_columns(names, &record)?
        }
    };
    let mut lines = LineCount::new(body);
    let rows = std::iter::from_fn(move || match reader.read_byte_record(&mut record) {
        Ok(false) => None,
        Ok(true) => {
            let read = row(kind, &record, &columns, context);
            Some(read.map_err(|detail| format!("line {}: {detail}", lines.of(&record))))
        }
        Err(error) => Some(Err(error.to_string())),
    });
    Ok(Rows { rows: Box::new(rows), single: false })
}

/// A catalogue's rows, a line each.
///
/// Its texts are unquoted and some begin with a quote (`The Animals`' line of the seed's file does), so a line that
/// splits into as many fields as the header is taken as it stands; only others are read by the rules of quoting.
fn track_rows(body: &[u8]) -> Result<Rows<'_>, Malformed> {
    let mut lines = body
        .split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty());
    let header: ByteRecord =
        lines.next().map_or(&b""[..], |(_, line)| line).split(|byte| *byte == b',').collect();
    let names = Kind::Tracks.header().unwrap_or_default();
    let columns = find_columns(names, &header)?;
    let rows = lines.map(move |(number, line)| {
        let literal: ByteRecord = line.split(|byte| *byte == b',').map(unquoted).collect();
        let record = if literal.len() == header.len() { literal } else { quoted_record(line) };
        let row = match record.len() == header.len() {
            true => track(&record, &columns),
            false => Err(format!("{} columns where the header names {}", record.len(), header.len())),
        };
        row.map_err(|detail| format!("line {number}: {detail}"))
    });
    Ok(Rows { rows: Box::new(rows), single: false })
}

fn unquoted(field: &[u8]) -> &[u8] {
    match field {
        [b'"', inside @ .., b'"'] => inside,
        field => field,
    }
}

fn quoted_record(line: &[u8]) -> ByteRecord {
    let mut record = ByteRecord::new();
    // A line in memory cannot fail to be read; a record that comes out empty is refused for its columns.
    let _ = reader(line).read_byte_record(&mut record);
    record
}

fn find_columns(names: &[&str], header: &ByteRecord) -> Result<Vec<usize>, Malformed> {
    let position = |name: &&str| header.iter().position(|field| field.trim_ascii() == name.as_bytes());
    names.iter().map(position).collect::<Option<Vec<_>>>().ok_or_else(|| {
        Malformed(format!(
            "line 1: the header must name the columns {}; send the file with its header",
            names.join(", ")
        ))
    })
}

fn row(kind: Kind, record: &ByteRecord, columns: &[usize], context: &Context) -> Result<Row, String> {
    match kind {
        Kind::Plays => play(record, &context.zone).map(Row::Event),
        Kind::Clicks => click(record, &context.zone).map(Row::Event),
        Kind::Customers => customer(record, columns, context).map(Row::Event),
        Kind::Tracks => track(record, columns),
    }
}

fn field(record: &ByteRecord, index: usize) -> Result<&str, String> {
    let bytes = record.get(index).ok_or_else(|| format!("column {} is missing", index + 1))?;
    let text = std::str::from_utf8(bytes).map_err(|_| format!("column {} is not UTF-8", index + 1))?;
    Ok(text.trim())
}

fn id(record: &ByteRecord, index: usize, name: &str) -> Result<Id, String> {
    Id::parse(field(record, index)?).map_err(|error| format!("{name} (column {}): {error}", index + 1))
}

/// One row of a file of plays.
///
/// # Errors
/// Which column is wrong and what it should be.
pub fn play(record: &ByteRecord, zone: &Zone) -> Result<Event, String> {
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
    Ok(Event {
        id: id(record, 0, "event id")?,
        customer: id(record, 1, "customer id")?,
        time: Time::parse(field(record, 3)?, zone).map_err(|error| error.to_string())?,
        kind: EventKind::Play { track: id(record, 2, "track id")?, mobile },
    })
}

/// One row of a file of clicks.
///
/// # Errors
/// Which column is wrong and what it should be.
pub fn click(record: &ByteRecord, zone: &Zone) -> Result<Event, String> {
    if record.len() != 4 {
        return Err(format!(
            "{} columns where a click has 4: event id, customer id, ad, time{}",
            record.len(),
            if record.len() == 6 { "; plays go with ?kind=plays" } else { "" }
        ));
    }
    Ok(Event {
        id: id(record, 0, "event id")?,
        customer: id(record, 1, "customer id")?,
        time: Time::parse(field(record, 3)?, zone).map_err(|error| error.to_string())?,
        kind: EventKind::Click { ad: id(record, 2, "ad")? },
    })
}

fn customer(record: &ByteRecord, columns: &[usize], context: &Context) -> Result<Event, String> {
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
        id: Id::Text(CUSTOMER_FILE.into()),
        customer: id(record, columns[0], "CustID")?,
        time,
        kind: EventKind::Membership(level),
    })
}

fn track(record: &ByteRecord, columns: &[usize]) -> Result<Row, String> {
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
    Ok(Row::Track(id(record, columns[0], "TrackId")?, track))
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
