#![doc = include_str!("../README.md")]

mod campaigns;
pub mod estimate;
mod found;
mod interval;
mod outcomes;
pub mod rows;
pub mod sequence;

pub use campaigns::{Campaigns, Terms};
pub use found::Found;
pub use rows::{Joiner, Row};
