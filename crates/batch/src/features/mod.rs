//! From files of plays and of clicks or impressions, of any size, to feature vectors as libSVM text.
//!
//! Blocks of the files are read in parallel ([`read()`]), plays are partitioned by customer and spilled to an unnamed
//! file beyond a bound of memory, partitions are aggregated to a row per customer ([`History::aggregate`]), and rows
//! are written by ascending id ([`Aggregated::write`]). Impressions are read and partitioned as plays are
//! ([`read_impressions`]), and each becomes a row of the plays before it ([`ImpressionHistory::aggregate`]). The result does
//! not depend on [`Resources`].

mod aggregate;
mod clicks;
mod history;
mod impressions;
mod pipeline;
mod read;
mod record;
mod row_texts;
mod rows;
mod spill;
#[cfg(test)]
mod tests;
mod text;

pub use aggregate::Aggregated;
pub use impressions::{ImpressionCounts, ImpressionHistory, ImpressionTable, read_impressions};
pub use pipeline::{History, Resources, read};
pub use read::{Source, Watch};
pub use text::Style;
pub use upbeat_ingest::decode::csv::report;
