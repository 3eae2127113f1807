//! Recorded events to a running server: files to batches, batches to requests, answers to counts.
//!
//! [`Source`] reads rows of a file without interpreting them, [`oldest_batch`] merges sources by time, and
//! [`Delivery`] posts each batch until the server accepts it. The caller paces them and shows the progress.

mod delivery;
mod fates;
mod retry;
mod source;

pub use delivery::{Delivery, DeliveryError};
pub use source::{Batch, Kind, RefusedRow, Source, SourceError, oldest_batch};
