#![doc = include_str!("../README.md")]

pub mod backtest;
mod campaigns;
pub mod estimate;
mod found;
pub mod gate;
mod interval;
pub mod lift;
mod outcomes;
pub mod rows;
pub mod sequence;

pub use campaigns::{Campaigns, Terms};
pub use found::Found;
pub use rows::{Joiner, Row};
