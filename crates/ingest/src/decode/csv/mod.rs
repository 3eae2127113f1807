//! Rows of the CSV files: plays, clicks, customers, tracks, impressions.

mod header;
mod lines;
mod plain;
mod reader;
mod record;
mod split;

use std::sync::Arc;

use super::{Context, Row, Rows};

pub use header::{Header, Layout};
pub use lines::{LineCount, line_ends, report};
pub use reader::{Begin, Refusal, RowReader};
pub use record::{ClickRow, ImpressionRow, PlayRow};
pub use split::{MAX_COLUMNS, MAX_ROW_BYTES};

/// Which of the five files the rows are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `event id, customer id, track id, time, mobile 0 or 1, zip`; a header may name them.
    #[default]
    Plays,
    /// `event id, customer id, ad, time`; a header may name them.
    Clicks,
    /// The columns `CustID`, `SignDate` and `Level`, under a header; other columns are not kept.
    Customers,
    /// The columns `TrackId`, `Title`, `Artist` and `Length`, under a header.
    Tracks,
    /// `event id, customer id, ad, time, clicked 0 or 1`; a header may name them. Of files for training alone: the events
    /// of a server name the campaign or the decision, so that no request can ask for this kind.
    #[serde(skip)]
    Impressions,
}

/// The rows of a CSV body.
pub(super) fn rows<'a>(kind: Kind, body: &'a [u8], context: &'a Context) -> Rows<'a> {
    let layout = match &context.columns {
        Some(header) => Layout::with_header(kind, Arc::clone(header)),
        None => Layout::of(kind),
    };
    let mut reader = RowReader::new(body, layout);
    let mut lines = reader.line_count();
    let zone = &context.zone;
    let rows = std::iter::from_fn(move || {
        let row = match kind {
            Kind::Plays => reader.play_row(zone)?.map(|play| Row::Event(play.into())),
            Kind::Clicks => reader.click_row(zone)?.map(|click| Row::Event(click.into())),
            Kind::Customers => reader.customer_row(context)?.map(Row::Event),
            Kind::Tracks => reader.track_row()?,
            Kind::Impressions => {
                Err(reader.refuse("rows of impressions are read for training, and are no events")?)
            }
        };
        Some(row.map_err(|refusal| lines.report(&refusal)))
    });
    Rows { rows: Box::new(rows), single: false }
}

#[cfg(test)]
mod tests;
