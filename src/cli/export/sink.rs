//! Where exported events go: NDJSON, or a table.

use std::path::Path;

use serde_json::Value;

use super::table::{Cell, Column, Kind, Table};
use crate::cli::output::{self, Output};

/// The columns of a table; a cell is empty where its kind of event has no such field. Times are as they were written.
const COLUMNS: [Column; 10] = [
    ("type", Kind::Text),
    ("event_id", Kind::Text),
    ("customer_id", Kind::Text),
    ("time", Kind::Text),
    ("track_id", Kind::Text),
    ("mobile", Kind::Flag),
    ("ad", Kind::Text),
    ("campaign", Kind::Text),
    ("decision_id", Kind::Text),
    ("level", Kind::Text),
];

/// Bytes that are written together.
const MOST_HELD_BYTES: usize = 64 << 10;

/// An output of events.
pub(super) struct Sink {
    form: Form,
    events: u64,
}

enum Form {
    Lines(Output, String),
    Table(Table),
}

impl Sink {
    /// Opens an output, of the form that its name ends with.
    ///
    /// # Errors
    /// It ends with another, or cannot be written.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let form = match ending.as_deref() {
            None | Some("ndjson" | "jsonl") => Form::Lines(output::open_one(&[], path)?, String::new()),
            _ => Form::Table(Table::open(path, &COLUMNS)?),
        };
        Ok(Self { form, events: 0 })
    }

    /// Writes an event, in the form of a JSON event.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn event(&mut self, event: &Value) -> anyhow::Result<()> {
        self.events += 1;
        match &mut self.form {
            Form::Table(table) => table.row(&COLUMNS.map(|(name, _)| cell(&event[name]))),
            Form::Lines(output, held) => {
                held.push_str(&event.to_string());
                held.push('\n');
                if held.len() < MOST_HELD_BYTES {
                    return Ok(());
                }
                let held = std::mem::take(held);
                output.write(|out| Ok(out.write_all(held.as_bytes())?))
            }
        }
    }

    /// Events so far.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Writes the rest, and gives a file its name.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self.form {
            Form::Table(table) => table.finish(),
            Form::Lines(mut output, held) => {
                output.write(|out| Ok(out.write_all(held.as_bytes())?))?;
                output.finish()
            }
        }
    }
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Empty,
        Value::Bool(flag) => Cell::Flag(*flag),
        Value::String(text) => Cell::Text(text.clone()),
        other => Cell::Text(other.to_string()),
    }
}
