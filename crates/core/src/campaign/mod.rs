//! Campaigns: what is offered, to whom, when, how often, for how much, and which model judges it.
//!
//! A [`Document`] is what somebody wrote; [`Document::check`] finds what is wrong with it, and [`Plan::new`] compiles it
//! for the policy. [`Single`] is the `[campaign]` table of `upbeat.toml`, and stands for a document of one campaign.

mod amounts;
mod check;
mod document;
mod numbers;
mod plan;
pub mod schedule;
mod single;
mod times;

pub use amounts::{MAX_MONEY, Money, Rate, Share};
pub use check::{Invalid, MAX_CAMPAIGNS, MAX_CAPS};
pub use document::{Bill, Campaign, CapRule, Creative, Document, Mode, Pacing, SignedUp, Threshold};
pub use plan::{Label, PeriodCap, Plan, Planned, Served, Slot};
pub use single::{Cap, Single};
pub use times::{HourRange, LocalTime, Span, Weekday};

#[cfg(test)]
pub(crate) mod tests;
