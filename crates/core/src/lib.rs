#![doc = include_str!("../README.md")]

pub mod campaign;
pub mod catalogue;
pub mod decision;
pub mod encoding;
pub mod event;
pub mod excerpt;
pub mod feature;
pub mod feedback;
pub mod model;
pub mod pacing;
pub mod profile;
