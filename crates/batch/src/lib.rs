#![doc = include_str!("../README.md")]

pub mod blocks;
pub mod features;
mod in_order;
pub mod predict;
pub mod report;

pub use in_order::in_order;
