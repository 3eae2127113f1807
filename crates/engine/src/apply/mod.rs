//! Applying events: one, the rows of a body one by one, or all of them or none.

mod atomic;
mod each;
mod report;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;

use upbeat_core::event::{Event, Time};
use upbeat_core::profile::{Applied, EventConflict, Profile};

pub use report::{MAX_REJECTED_REPORTED, RejectedRow, Report, RowProblem};

use crate::table::UpdateError;
use crate::{Clock, Customer, Engine, Outcome, RowKind, Settings};

/// Why an event was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The event's time is further ahead of the wall clock than allowed.
    #[error(
        "time {time} is more than {max_future_s} s ahead of this server's clock; correct the sender's clock, or send \
         the offset if the time is local"
    )]
    TooFarAhead {
        /// The event's time.
        time: Time,
        /// How far ahead a time may be, in seconds.
        max_future_s: i64,
    },
    /// The customer is new, and the store holds its limit of customers.
    #[error("the profile store holds its limit of {0} customers; raise limits.customers or delete some")]
    StoreFull(usize),
    /// The event needs memory, and profiles hold their limit of bytes.
    #[error(
        "profiles hold their limit of {0} bytes; raise limits.profile_bytes, delete some customers, or send the event \
         again later: idle customers are evicted in the background"
    )]
    MemoryFull(usize),
    /// The event contradicts what is known of the customer.
    #[error(transparent)]
    Conflict(#[from] EventConflict),
}

impl Engine {
    /// Checks whether `event` would be accepted, without changing anything; `wall_ms` in Unix milliseconds.
    ///
    /// # Errors
    /// The event would be refused: see [`Rejection`].
    pub fn check(&self, event: &Event, wall_ms: i64) -> Result<(), Rejection> {
        self.check_time(event, wall_ms)?;
        let Settings { window, max_profile_bytes, .. } = self.settings;
        let no_room = self.profile_bytes() >= max_profile_bytes;
        let known = self.customers.with(&event.customer, |customer| {
            customer.profile.check(event)?;
            match no_room && customer.profile.would_grow(event, window.plays as usize) {
                true => Err(Rejection::MemoryFull(max_profile_bytes)),
                false => Ok(()),
            }
        });
        match known {
            Some(result) => result,
            None if self.customers.is_full() => Err(Rejection::StoreFull(self.customers.limit())),
            None if no_room => Err(Rejection::MemoryFull(max_profile_bytes)),
            None => Ok(Profile::default().check(event)?),
        }
    }

    fn check_time(&self, event: &Event, wall_ms: i64) -> Result<(), Rejection> {
        let max_future_ms = self.settings.max_future_ms;
        if event.time.unix_ms > wall_ms.saturating_add(max_future_ms) {
            return Err(Rejection::TooFarAhead { time: event.time, max_future_s: max_future_ms / 1000 });
        }
        Ok(())
    }

    /// Applies one event; the next decision for the customer sees it. `wall_ms` in Unix milliseconds.
    ///
    /// # Errors
    /// The event is refused, and nothing was changed: see [`Rejection`].
    pub fn apply(&self, event: Event, wall_ms: i64) -> Result<Applied, Rejection> {
        self.apply_within(event, wall_ms, self.settings.max_profile_bytes)
    }

    /// Applies one of several events that all passed [`Engine::check`] before the first was applied. It is not refused
    /// for the memory that earlier ones of them took. `wall_ms` in Unix milliseconds.
    ///
    /// # Errors
    /// As for [`Engine::apply`], except [`Rejection::MemoryFull`].
    pub fn apply_checked(&self, event: Event, wall_ms: i64) -> Result<Applied, Rejection> {
        self.apply_within(event, wall_ms, usize::MAX)
    }

    fn apply_within(&self, event: Event, wall_ms: i64, max_bytes: usize) -> Result<Applied, Rejection> {
        let kind = RowKind::from(&event.kind);
        let applied = self.apply_uncounted(event, wall_ms, max_bytes);
        self.counters.count_event(kind, outcome(&applied));
        applied
    }

    fn apply_uncounted(&self, event: Event, wall_ms: i64, max_bytes: usize) -> Result<Applied, Rejection> {
        self.check_time(&event, wall_ms)?;
        let max_plays = self.settings.window.plays as usize;
        let event_ms = event.time.unix_ms;
        let last_event_ms = match self.settings.clock {
            Clock::Wall => wall_ms.max(event_ms),
            Clock::Event => self.newest_event_ms.load(Ordering::Relaxed).max(event_ms),
        };
        let no_room = self.profile_bytes() >= max_bytes;
        let customer_id = event.customer.clone();
        let result = self.customers.update(customer_id, |customer: &mut Customer| {
            customer.profile.check(&event).map_err(Rejection::Conflict)?;
            if no_room && customer.profile.would_grow(&event, max_plays) {
                return Err(Rejection::MemoryFull(max_bytes));
            }
            Ok(customer.apply(event, max_plays, last_event_ms))
        });
        match result {
            Ok((applied, growth)) => {
                self.counters.add_plays(growth.plays);
                self.counters.add_bytes(growth.bytes);
                self.newest_event_ms.fetch_max(event_ms, Ordering::Relaxed);
                Ok(applied)
            }
            Err(UpdateError::Full) => Err(Rejection::StoreFull(self.customers.limit())),
            Err(UpdateError::Refused(rejection)) => Err(rejection),
        }
    }
}

pub(crate) fn outcome<E>(applied: &Result<Applied, E>) -> Outcome {
    match applied {
        Ok(Applied::Accepted) => Outcome::Accepted,
        Ok(Applied::Duplicate) => Outcome::Duplicate,
        Err(_) => Outcome::Rejected,
    }
}
