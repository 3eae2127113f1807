//! From bytes to events: JSON, NDJSON, CSV and CloudEvents, each row on its own, and into the engine.

mod atomic;
pub mod cloudevents;
pub mod csv;
pub mod encoding;
pub mod json;

use crate::engine::{Counted, Engine, Outcome, Rejection, Track};
use crate::event::{Event, Id, Time, Zone};
use crate::profile::Applied;

pub use atomic::apply_all;

/// What one row says.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// An event.
    Event(Event),
    /// An entry of the track catalogue.
    Track(Id, Track),
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON event, or an array of them.
    Json,
    /// A JSON event a line.
    Ndjson,
    /// Rows of the seed's files.
    Csv(csv::Kind),
    /// One CloudEvent in structured mode.
    CloudEvent,
    /// A JSON array of CloudEvents.
    CloudEventBatch,
}

/// What reading needs beside the bytes.
#[derive(Debug, Clone)]
pub struct Context {
    /// The zone of times without an offset.
    pub zone: Zone,
    /// When a customer file was exported; without it each row counts from its `SignDate`.
    pub as_of: Option<Time>,
    /// The longest event, in bytes.
    pub max_event_bytes: usize,
}

/// A body that cannot be read as a whole: what is wrong, where, and what to send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// The rows of a body, each either read or refused with a reason that says how to mend it.
pub struct Rows<'a> {
    /// In the order of the body.
    pub rows: Box<dyn Iterator<Item = Result<Row, String>> + 'a>,
    /// Whether the body is one event rather than a list of them.
    pub single: bool,
}

/// Finds the rows of `body`.
///
/// # Errors
/// The body as a whole is unreadable; nothing of it is to be applied.
pub fn rows<'a>(format: Format, body: &'a [u8], context: &'a Context) -> Result<Rows<'a>, Malformed> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match format {
        Format::Json => json::rows(body, context),
        Format::Ndjson => Ok(json::line_rows(body, context)),
        Format::Csv(kind) => csv::rows(kind, body, context),
        Format::CloudEvent => cloudevents::row(body, context),
        Format::CloudEventBatch => cloudevents::rows(body, context),
    }
}

/// At most so many refused rows are told one by one; the rest are counted.
pub const MAX_REJECTED_TOLD: usize = 10_000;

/// One row that was refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RejectedRow {
    /// Which row, counted from 0; a header line is not a row.
    pub index: usize,
    /// What is wrong and how to mend it.
    pub detail: String,
}

/// What became of a body's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// Rows that were new.
    pub accepted: usize,
    /// Rows that had been told before and changed nothing.
    pub duplicates: usize,
    /// Rows that were refused.
    pub rejected: Vec<RejectedRow>,
    /// How many more were refused than `rejected` tells.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rejected_omitted: usize,
    /// The gravest cause among the refused rows; `None` when there is none.
    #[serde(skip)]
    pub cause: Option<Cause>,
}

/// What kind of reason a row was refused for, the gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It does not fit what the server knows or what its clock says; another time it might.
    State,
    /// What it says is wrong.
    Content,
    /// There is no room for it.
    Room,
}

/// Why one row was refused.
#[derive(Debug)]
struct Refusal {
    detail: String,
    cause: Cause,
}

impl Refusal {
    fn catalogue_full(limit: usize) -> Self {
        let detail = format!("the catalogue holds its limit of {limit} tracks; raise limits.tracks");
        Self { detail, cause: Cause::Room }
    }
}

impl From<String> for Refusal {
    fn from(detail: String) -> Self {
        Self { detail, cause: Cause::Content }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        let cause = match rejection {
            Rejection::StoreFull(_) | Rejection::MemoryFull(_) => Cause::Room,
            Rejection::TooFarAhead { .. } | Rejection::Misfit(_) => Cause::State,
        };
        Self { detail: rejection.to_string(), cause }
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Report {
    fn count(&mut self, index: usize, result: Result<Applied, Refusal>) {
        match result {
            Ok(Applied::Accepted) => self.accepted += 1,
            Ok(Applied::Duplicate) => self.duplicates += 1,
            Err(Refusal { detail, cause }) => {
                self.cause = self.cause.max(Some(cause));
                if self.rejected.len() < MAX_REJECTED_TOLD {
                    self.rejected.push(RejectedRow { index, detail });
                } else {
                    self.rejected_omitted += 1;
                }
            }
        }
    }
}

/// Applies rows one by one: good rows count, refused rows are told. `wall_ms` in Unix milliseconds.
pub fn apply_each(engine: &Engine, rows: Rows<'_>, wall_ms: i64) -> Report {
    let mut report = Report::default();
    for (index, row) in rows.rows.enumerate() {
        let result = row
            .inspect_err(|_| engine.counters().count_event(Counted::Unreadable, Outcome::Rejected))
            .map_err(Refusal::from)
            .and_then(|row| apply(engine, row, wall_ms));
        report.count(index, result);
    }
    report
}

fn apply(engine: &Engine, row: Row, wall_ms: i64) -> Result<Applied, Refusal> {
    match row {
        Row::Event(event) => Ok(engine.apply(event, wall_ms)?),
        Row::Track(id, track) => engine.put_track(id, track).map_err(Refusal::catalogue_full),
    }
}

#[cfg(test)]
mod tests;
