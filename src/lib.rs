//! Upbeat decides, in the beat before a track starts, whether this listener should hear the ad.

pub mod cli;
pub mod event;
pub mod feature;
pub mod profile;
pub mod simulate;
pub mod svm;
