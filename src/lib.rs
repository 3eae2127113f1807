//! Upbeat decides, in the beat before a track starts, whether this listener should hear the ad.

pub mod campaign;
pub mod cli;
pub mod client;
pub mod config;
pub mod decision;
pub mod engine;
pub mod event;
pub mod feature;
pub mod heap;
pub mod http;
pub mod ingest;
pub mod profile;
pub mod simulate;
pub mod store;
pub mod svm;
