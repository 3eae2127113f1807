//! What is learnt from logged decisions, and the gate that a new model must pass before it serves.
//!
//! Pure functions over plain values: no I/O, no clock, no threads. The server reads the log and keeps the time.

pub mod sequence;
