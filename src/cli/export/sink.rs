//! Where exported events go: NDJSON, or CSV.

use std::path::Path;

use serde_json::Value;

use crate::cli::WrongCall;
use crate::cli::output::{self, Output};

/// The columns of a CSV file; a cell is empty where its kind of event has no such field.
const COLUMNS: [&str; 10] = [
    "type",
    "event_id",
    "customer_id",
    "time",
    "track_id",
    "mobile",
    "ad",
    "campaign",
    "decision_id",
    "level",
];

/// Bytes that are written together.
const MOST_HELD_BYTES: usize = 64 << 10;

/// An output of events.
pub(super) struct Sink {
    output: Output,
    is_csv: bool,
    held: String,
    events: u64,
}

impl Sink {
    /// Opens an output, of the form that its name ends with.
    ///
    /// # Errors
    /// It ends with another, or cannot be written.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let refused = |what: &str| Err(WrongCall(format!("{}: {what}", path.display())).into());
        let is_csv = match ending.as_deref() {
            Some("csv") => true,
            None | Some("ndjson" | "jsonl") => false,
            Some("parquet") => {
                return refused(
                    "Parquet is not written here; name FILE.csv or FILE.ndjson, which other tools turn into it",
                );
            }
            Some(_) => return refused("no such form is written here; name FILE.ndjson or FILE.csv"),
        };
        let held = if is_csv { COLUMNS.join(",") + "\n" } else { String::new() };
        Ok(Self { output: output::open_one(&[], path)?, is_csv, held, events: 0 })
    }

    /// Writes an event, in the form of a JSON event.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn event(&mut self, event: &Value) -> anyhow::Result<()> {
        self.events += 1;
        if self.is_csv {
            let cells: Vec<String> = COLUMNS.iter().map(|column| cell(&event[*column])).collect();
            self.held += &cells.join(",");
        } else {
            self.held += &event.to_string();
        }
        self.held.push('\n');
        if self.held.len() >= MOST_HELD_BYTES { self.flush() } else { Ok(()) }
    }

    /// Events so far.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let held = std::mem::take(&mut self.held);
        self.output.write(|out| Ok(out.write_all(held.as_bytes())?))
    }

    /// Writes the rest, and gives a file its name.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.flush()?;
        self.output.finish()
    }
}

/// A cell of CSV (RFC 4180).
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_have_to_be() {
        let cells =
            [Value::Null, "a,b".into(), "a\"b".into(), 7.into(), true.into()].map(|value| cell(&value));
        assert_eq!(cells, ["", "\"a,b\"", "\"a\"\"b\"", "7", "true"]);
    }
}
