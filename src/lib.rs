//! Upbeat decides, in the beat before a track starts, whether this listener should hear the ad.

pub mod cli;
pub mod client;
pub mod feature;
pub mod simulate;
pub mod svm;
