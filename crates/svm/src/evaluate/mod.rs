//! Measures, intervals and curves of scores on labelled rows, and explanations of single scores.

pub(crate) mod curves;
pub(crate) mod explanation;
mod hidden_gap;
pub(crate) mod intervals;
pub(crate) mod metrics;
pub(crate) mod ties;
