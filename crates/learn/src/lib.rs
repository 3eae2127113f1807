#![doc = include_str!("../README.md")]

pub mod backtest;
mod campaigns;
pub mod consistency;
pub mod detail;
pub mod estimate;
mod found;
pub mod gate;
mod interval;
pub mod job;
mod judging;
pub mod lift;
mod outcomes;
pub mod registry;
pub mod rows;
pub mod sequence;
pub mod slices;
#[cfg(test)]
mod testing;
pub mod training;
pub mod watch;

pub use campaigns::{Campaigns, Terms};
pub use found::Found;
pub use rows::{Joiner, Row};
