//! Rows of the CSV files: plays, clicks, customers, tracks.

mod plain;
mod reader;
mod record;

use ::csv::{ByteRecord, ReaderBuilder};

use super::{Context, Malformed, Row, Rows};

pub use reader::RowReader;
pub use record::{ClickRow, PlayRow, click, play};

/// Which of the four files the rows are from.
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

/// The columns that a customer file must have.
const CUSTOMER_COLUMNS: &[&str] = &["CustID", "SignDate", "Level"];

/// The columns that a catalogue must have.
const TRACK_COLUMNS: &[&str] = &["TrackId", "Title", "Artist", "Length"];

/// The csv crate's reader for rows of unequal length, without a header.
pub fn reader<R: std::io::Read>(bytes: R) -> ::csv::Reader<R> {
    ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(1 << 16).from_reader(bytes)
}

/// The line numbers of rows. The csv reader's own count is too low after blank lines and after CRLF.
pub struct LineCount<'a> {
    bytes: &'a [u8],
    counted_to: usize,
    line: u64,
}

impl<'a> LineCount<'a> {
    /// Line numbers within `bytes`, which are those that the reader reads.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, counted_to: 0, line: 1 }
    }

    /// The line of a record, counted from 1; must be called in the order of the records.
    pub fn of(&mut self, record: &ByteRecord) -> u64 {
        self.at(record.position().map_or(0, |position| position.byte() as usize))
    }

    /// The line of the row that begins at `byte`, or after blank lines from there on, counted from 1; must be called in
    /// ascending order.
    pub fn at(&mut self, byte: usize) -> u64 {
        let rest = &self.bytes[byte.clamp(self.counted_to, self.bytes.len())..];
        let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let start = self.bytes.len() - rest.len() + blank;
        self.line += memchr::memchr_iter(b'\n', &self.bytes[self.counted_to..start]).count() as u64;
        self.counted_to = start;
        self.line
    }
}

/// The rows of a CSV body.
pub(super) fn rows<'a>(kind: Kind, body: &'a [u8], context: &'a Context) -> Result<Rows<'a>, Malformed> {
    let mut reader = RowReader::new(body);
    let mut lines = LineCount::new(body);
    let zone = &context.zone;
    let mut refusal = move |start, detail: String| format!("line {}: {detail}", lines.at(start));
    let rows: Box<dyn Iterator<Item = _>> = match kind {
        Kind::Plays => Box::new(std::iter::from_fn(move || match reader.play_row(zone)? {
            (_, Ok(play)) => Some(Ok(Row::Event(play.into()))),
            (start, Err(detail)) => Some(Err(refusal(start, detail))),
        })),
        Kind::Clicks => Box::new(std::iter::from_fn(move || match reader.click_row(zone)? {
            (_, Ok(click)) => Some(Ok(Row::Event(click.into()))),
            (start, Err(detail)) => Some(Err(refusal(start, detail))),
        })),
        Kind::Customers => {
            let header = reader.record().map(|(_, record)| record.clone()).unwrap_or_default();
            let columns = find_columns(CUSTOMER_COLUMNS, &header)?;
            Box::new(std::iter::from_fn(move || {
                let (start, record) = reader.record()?;
                let customer = record::customer(record, &columns, context);
                Some(customer.map(Row::Event).map_err(|detail| refusal(start, detail)))
            }))
        }
        Kind::Tracks => return track_rows(body),
    };
    Ok(Rows { rows, single: false })
}

/// The rows of a catalogue, one per line.
///
/// Its texts are unquoted, and some begin with a quotation mark (as `The Animals` do in the file of the real history).
/// So a line that splits at commas into as many fields as the header is taken literally; only other lines are read as
/// quoted CSV.
fn track_rows(body: &[u8]) -> Result<Rows<'_>, Malformed> {
    let mut lines = body
        .split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty());
    let header: ByteRecord =
        lines.next().map_or(&b""[..], |(_, line)| line).split(|byte| *byte == b',').collect();
    let columns = find_columns(TRACK_COLUMNS, &header)?;
    let rows = lines.map(move |(number, line)| {
        let literal: ByteRecord = line.split(|byte| *byte == b',').map(unquoted).collect();
        let record = if literal.len() == header.len() { literal } else { quoted_record(line) };
        let row = match record.len() == header.len() {
            true => record::track(&record, &columns),
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
    // Reading from memory cannot fail; an empty record is then refused for its number of columns.
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

#[cfg(test)]
mod tests;
