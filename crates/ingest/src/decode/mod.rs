//! The readers: [`rows`] turns the bytes of a body into its rows, each of which is read or refused by itself.

pub mod cloudevents;
pub mod csv;
pub mod encoding;
pub mod json;

use std::sync::Arc;

use upbeat_core::event::{Row, Time, Zone};

/// The format of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON event, or an array of them.
    Json,
    /// One JSON event per line.
    Ndjson,
    /// Rows of one of the CSV files.
    Csv(csv::Kind),
    /// One CloudEvent in structured mode.
    CloudEvent,
    /// A JSON array of CloudEvents.
    CloudEventBatch,
}

/// What reading depends on, apart from the bytes.
#[derive(Debug, Clone)]
pub struct Context {
    /// The zone of times that are written without an offset.
    pub zone: Zone,
    /// When a customer file was exported: the time of all its memberships. Without it each row has the time of its
    /// `SignDate`.
    pub as_of: Option<Time>,
    /// The columns of CSV rows, read for their kind. Without them a body names its columns in its first line, or has those of
    /// a file without a header.
    pub columns: Option<Arc<csv::Header>>,
    /// The longest JSON event, in bytes.
    pub max_event_bytes: usize,
}

/// A body that cannot be read as a whole: a sentence that says what is wrong, where, and what to send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// The rows of a body, each either read or refused with a sentence that says how to fix it.
pub struct Rows<'a> {
    /// The rows, in the order of the body.
    pub rows: Box<dyn Iterator<Item = Result<Row, String>> + 'a>,
    /// Whether the body is one event rather than a list of them.
    pub single: bool,
}

/// The rows of `body`, read lazily. A UTF-8 byte order mark is skipped.
///
/// # Errors
/// The body as a whole is unreadable; none of its rows may be applied.
pub fn rows<'a>(format: Format, body: &'a [u8], context: &'a Context) -> Result<Rows<'a>, Malformed> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match format {
        Format::Json => json::rows(text, context),
        Format::Ndjson => Ok(json::line_rows(text, context)),
        // The reader of files looks for the mark itself.
        Format::Csv(kind) => Ok(csv::rows(kind, body, context)),
        Format::CloudEvent => cloudevents::row(text, context),
        Format::CloudEventBatch => cloudevents::rows(text, context),
    }
}

#[cfg(test)]
mod tests;
