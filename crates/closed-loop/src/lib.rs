#![doc = include_str!("../README.md")]

mod driver;
mod learning;
mod policy;
mod tally;
mod world;

pub use driver::{Driver, Reached};
pub use learning::{Model, Verdict, models, retrain};
pub use policy::{Choice, Offered, Peer, Played, Policy};
pub use tally::{BUCKET, Counts, Decided, Money, Tally};
pub use world::{Room, START_S, Start, World, WorldSettings, written};
