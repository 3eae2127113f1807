//! Money: one account for each campaign, in integer micro-units of its currency.
//!
//! `AccountState` is plain data. Everything that changes it is a `Change`, which the state works out first and applies then;
//! the change is what the log keeps, so that a state that is read from the log is the one that was. Neither has a clock.
//!
//! What holds at every instant, for each local day with a daily budget and for the flight with a total budget:
//! *reserved + spent + lost ≤ budget*, but where a budget was lowered below what was committed already. Nothing is ever negative.

mod account;
mod accounts;
mod change;
mod days;
mod encoding;
mod engine;
mod kept;
mod leases;
mod pacing;
mod report;
mod setting;
mod state;
mod terms;
#[cfg(all(test, not(feature = "loom")))]
pub(crate) mod tests;

pub(crate) use accounts::{Accounts, Op, Shown};
pub use change::{Change, Confirmed, Voided};
pub(crate) use kept::AccountCopy;
pub use report::Report;
pub(crate) use state::{AccountState, NoMoney};
pub use terms::{Budgets, Charge, Terms};
