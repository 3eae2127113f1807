//! From files of plays and clicks, of any size, to feature vectors as libSVM text.
//!
//! Blocks of the files are read in parallel ([`read()`]), plays are partitioned by customer and spilled to an unnamed
//! file beyond a bound of memory, partitions are aggregated to a row per customer ([`History::aggregate`]), and rows
//! are written by ascending id ([`Aggregated::write`]). The result does not depend on [`Resources`].

mod aggregate;
mod clicks;
mod history;
mod pipeline;
mod read;
mod record;
mod rows;
mod spill;
#[cfg(test)]
mod tests;
mod text;

pub use aggregate::Aggregated;
pub use pipeline::{History, Resources, read};
pub use read::{Source, Watch};
pub use text::Style;
pub use upbeat_ingest::decode::csv::report;
