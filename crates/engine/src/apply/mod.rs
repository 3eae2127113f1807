//! Applying events: one, the rows of a body one by one, or all of them or none.

mod atomic;
mod decisions;
mod each;
mod feedback;
mod records;
mod report;
#[cfg(all(test, not(feature = "loom")))]
mod tests;

use std::sync::Arc;

use upbeat_core::event::{Event, EventKind, Id, ImpressionOf, Time};
use upbeat_core::feedback::FeedbackKinds;
use upbeat_core::profile::{Applied, Bounds, EventConflict, Profile};

pub use atomic::{AtomicBody, Progress, Remains};
pub use report::{MAX_REJECTED_REPORTED, RejectedRow, Report, RowProblem};

use decisions::has_nothing_to_void;
use records::Records;

use crate::customer::{Growth, Lost};
use crate::event_clock::Sighting;
use crate::interests::Candidate;
use crate::ledger::Op;
use crate::log::{Log, OpenUnit, Payload, Use};
use crate::table::{Reservation, UpdateError};
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
    /// The event could contradict an atomic body that has been checked and is being applied.
    #[error(
        "an atomic body with a membership, a confirmation or a void of customer {0} is being applied at this moment; send the \
         event again, it takes well under a second"
    )]
    Claimed(Id),
    /// The event cannot be recorded in the log.
    #[error(
        "what the server has accepted waits for the disk, which is slow, full or has failed, and there is no room for more: \
         send the event again; /readyz?verbose says how the disk is"
    )]
    LogUnavailable,
    /// The event contradicts what is known of the customer.
    #[error(transparent)]
    Conflict(#[from] EventConflict),
}

impl Engine {
    /// Checks whether `event` would be accepted if there is a place for its customer, without changing anything; `wall_ms`
    /// in Unix milliseconds. Returns whether the customer is known, and thus has a place; `None` if the event is of a time up to
    /// which its customer was erased, and so changes nothing.
    ///
    /// # Errors
    /// The event would be refused: see [`Rejection`].
    fn check_but_for_places(&self, event: &Event, wall_ms: i64) -> Result<Option<bool>, Rejection> {
        self.check_time(event, wall_ms)?;
        self.check_log()?;
        // While the body has claimed the customer nobody erases them, and what is erased stays so.
        if self.is_erased(event) {
            return Ok(None);
        }
        let Settings { max_profile_bytes, .. } = self.settings;
        let campaigns = self.campaigns.load();
        let bounds = campaigns.bounds(self.settings.window.plays);
        let no_room = self.profile_bytes() >= max_profile_bytes;
        let known = self.customers.with(&event.customer, |customer| {
            let lost = self.check_profile(&customer.profile, event)?;
            match no_room && (lost.is_some() || customer.profile.would_grow(event, &bounds)) {
                true => Err(Rejection::MemoryFull(max_profile_bytes)),
                false => Ok(Some(true)),
            }
        });
        match known {
            Some(result) => result,
            None if no_room => Err(Rejection::MemoryFull(max_profile_bytes)),
            None => {
                self.check_profile(&Profile::default(), event)?;
                Ok(Some(false))
            }
        }
    }

    fn check_time(&self, event: &Event, wall_ms: i64) -> Result<(), Rejection> {
        let max_future_ms = self.settings.max_future_ms;
        if event.time.unix_ms > wall_ms.saturating_add(max_future_ms) {
            return Err(Rejection::TooFarAhead { time: event.time, max_future_s: max_future_ms / 1000 });
        }
        Ok(())
    }

    /// Checks whether the log takes events, if there is one. Whether it has room for one is asked again with the customer's
    /// shard locked.
    fn check_log(&self) -> Result<(), Rejection> {
        match self.log.get().filter(|log| !log.takes(Use::Change)) {
            None => Ok(()),
            Some(log) => {
                log.count_refusal(Use::Change);
                Err(Rejection::LogUnavailable)
            }
        }
    }

    /// Applies one event; the next decision for the customer sees it. `wall_ms` in Unix milliseconds.
    ///
    /// # Errors
    /// The event is refused, and nothing was changed: see [`Rejection`].
    pub fn apply(&self, event: Event, wall_ms: i64) -> Result<Applied, Rejection> {
        self.apply_row_of(event, wall_ms).0
    }

    /// Applies one event as [`Engine::apply`] does; what is odd about it as well.
    fn apply_row_of(&self, mut event: Event, wall_ms: i64) -> (Result<Applied, Rejection>, FeedbackKinds) {
        self.look_up_ad(&mut event);
        let kind = RowKind::from(&event.kind);
        let mut said = FeedbackKinds::default();
        let applied = self.apply_uncounted(event, wall_ms, &mut said);
        if let Err(Rejection::Conflict(conflict)) = &applied {
            said = feedback::kinds_of(conflict);
        }
        self.counters.count_event(kind, outcome(&applied));
        self.counters.count_feedback(kind, said);
        (applied, said)
    }

    fn apply_uncounted(
        &self,
        event: Event,
        wall_ms: i64,
        said: &mut FeedbackKinds,
    ) -> Result<Applied, Rejection> {
        self.check_time(&event, wall_ms)?;
        self.check_log()?;
        // What is erased needs no place, which a new customer has to take before the question is asked under the shard's lock. It
        // stays erased, so the answer holds without one.
        if self.customers.is_full() && self.is_erased(&event) {
            return Ok(Applied::Erased);
        }
        let Settings { max_profile_bytes, .. } = self.settings;
        let campaigns = self.campaigns.load();
        let bounds = campaigns.bounds(self.settings.window.plays);
        let (sighting, last_event_ms) =
            (self.event_clock.sighting(&event), self.last_event_ms(&event, wall_ms));
        let recording = self.recording(&event, last_event_ms);
        let no_room = self.profile_bytes() >= max_profile_bytes;
        let customer_id = event.customer.clone();
        let result = self.customers.update(customer_id, |customer: &mut Customer| {
            if self.is_erased(&event) {
                return Err(Unapplied::Unchanged(Applied::Erased));
            }
            let lost = self.check_profile(&customer.profile, &event).map_err(Rejection::Conflict)?;
            let feedback = self.feedback(&campaigns, &customer.profile, &event, wall_ms);
            *said = feedback.kinds;
            if has_nothing_to_void(&customer.profile, &event) {
                return Err(Unapplied::Unchanged(Applied::TooOld));
            }
            if let Some(unchanged) = lost.as_ref().and_then(|lost| lost.unchanged(customer, &event, &bounds))
            {
                return Ok((unchanged, Growth::NONE));
            }
            if no_room && (lost.is_some() || customer.profile.would_grow(&event, &bounds)) {
                return Err(Rejection::MemoryFull(max_profile_bytes).into());
            }
            if can_conflict(&event.kind) && self.claims.can_be_contradicted(&event.customer) {
                return Err(Rejection::Claimed(event.customer).into());
            }
            let mut done = Err(Rejection::LogUnavailable.into());
            let op = feedback::op_of(&campaigns, feedback.consequence.as_ref(), lost.as_ref(), &event);
            self.book(op, wall_ms, |money| {
                let room = match &recording {
                    None => None,
                    Some((log, payload)) => {
                        let records = Records::new(payload, lost.as_ref(), &event, money);
                        let room = log.room(Use::Change, records.count(), records.bytes());
                        let Some(room) = room else { return false };
                        Some((room, records))
                    }
                };
                let interest = Candidate::of(&customer.profile, &event);
                let (applied, growth) = match &lost {
                    None => customer.apply(event, &bounds, last_event_ms),
                    Some(lost) => customer.apply_lost(event, lost, &bounds, last_event_ms),
                };
                if changes(applied) {
                    interest.into_iter().for_each(|of| self.note_interest(&customer.profile, of));
                    self.advance_clock(sighting);
                    if let Some((mut room, records)) = room {
                        records.publish(&mut room, 0, applied, customer);
                    }
                }
                done = Ok((applied, growth));
                changes(applied)
            });
            done
        });
        match result {
            Ok((applied, growth)) => {
                self.count_growth(growth);
                Ok(applied)
            }
            Err(UpdateError::Refused(Unapplied::Unchanged(applied))) => Ok(applied),
            Err(UpdateError::Refused(Unapplied::Refused(rejection))) => Err(rejection),
            Err(UpdateError::Full) => Err(Rejection::StoreFull(self.customers.limit())),
        }
    }

    /// Applies an event of an atomic body, which was checked whole, has claimed its customers and reserved their places. What becomes of
    /// money waits in `ops` for the commit.
    ///
    /// # Errors
    /// The log has no room for the unit's record at the moment: nothing was changed, and the event comes back.
    pub(crate) fn apply_reserved(
        &self,
        mut event: Event,
        wall_ms: i64,
        places: &mut Reservation,
        unit: Option<&mut OpenUnit>,
        ops: &mut Vec<(u16, Op)>,
    ) -> Result<(Applied, FeedbackKinds), Event> {
        self.look_up_ad(&mut event);
        let kind = RowKind::from(&event.kind);
        let campaigns = self.campaigns.load();
        let bounds = campaigns.bounds(self.settings.window.plays);
        let (sighting, last_event_ms) =
            (self.event_clock.sighting(&event), self.last_event_ms(&event, wall_ms));
        let mut recording = unit.zip(self.recording(&event, last_event_ms));
        let mut said = FeedbackKinds::default();
        let customer_id = event.customer.clone();
        let result = self.customers.update_reserved(customer_id, places, |customer: &mut Customer| {
            if self.is_erased(&event) {
                return Err(Unapplied::Unchanged(Applied::Erased));
            }
            let feedback = self.feedback(&campaigns, &customer.profile, &event, wall_ms);
            said = feedback.kinds;
            if has_nothing_to_void(&customer.profile, &event) {
                return Err(Unapplied::Unchanged(Applied::TooOld));
            }
            // The check has excluded a conflict, but for a decision that was pushed out of the ad history since.
            let lost = self.check_profile(&customer.profile, &event).unwrap_or_default();
            if let Some(unchanged) = lost.as_ref().and_then(|lost| lost.unchanged(customer, &event, &bounds))
            {
                return Ok((unchanged, Growth::NONE));
            }
            let room = match &mut recording {
                None => None,
                Some((unit, (_, payload))) => {
                    let records = Records::new(payload, lost.as_ref(), &event, None);
                    match unit.room(records.count(), records.bytes()) {
                        None => return Err(Unapplied::Refused(event)),
                        Some(room) => Some((room, records)),
                    }
                }
            };
            let op = feedback::op_of(&campaigns, feedback.consequence.as_ref(), lost.as_ref(), &event);
            let interest = Candidate::of(&customer.profile, &event);
            let (applied, growth) = match &lost {
                None => customer.apply(event, &bounds, last_event_ms),
                Some(lost) => customer.apply_lost(event, lost, &bounds, last_event_ms),
            };
            if changes(applied) {
                interest.into_iter().for_each(|of| self.note_interest(&customer.profile, of));
                ops.extend(op);
                self.advance_clock(sighting);
                if let Some(((mut room, unit), records)) = room {
                    records.publish(&mut room, unit, applied, customer);
                }
            }
            Ok((applied, growth))
        });
        let (applied, growth) = match result {
            Ok(applied) => applied,
            Err(Unapplied::Unchanged(applied)) => (applied, Growth::NONE),
            Err(Unapplied::Refused(event)) => return Err(event),
        };
        self.count_growth(growth);
        self.counters.count_event(kind, outcome::<Rejection>(&Ok(applied)));
        self.counters.count_feedback(kind, said);
        Ok((applied, said))
    }

    /// The record of an event and the log that it is for, if there is one.
    #[inline]
    fn recording(&self, event: &Event, last_event_ms: i64) -> Option<(&Arc<Log>, Payload)> {
        let log = self.log.get()?;
        Some((log, Payload::of_event(event, Customer::last_event_of(last_event_ms))))
    }

    fn last_event_ms(&self, event: &Event, wall_ms: i64) -> i64 {
        match self.settings.clock {
            Clock::Wall => wall_ms.max(event.time.unix_ms),
            Clock::Event => self.now_ms(i64::MIN).max(event.time.unix_ms),
        }
    }

    pub(crate) fn count_growth(&self, growth: Growth) {
        self.counters.add_plays(growth.plays);
        self.counters.add_bytes(growth.bytes);
    }

    /// Before the position of the event's record is taken: whoever has read a position has the clock of all records below.
    fn advance_clock(&self, sighting: Option<Sighting>) {
        if let Some(sighting) = sighting {
            self.event_clock.advance(sighting);
        }
    }
}

/// Why an event was not applied, with which its customer is not inserted if new.
enum Unapplied<R> {
    /// It changes nothing, and what becomes of it: it is of a time up to which its customer was erased, or voids what is not known
    /// any more.
    Unchanged(Applied),
    /// It was refused.
    Refused(R),
}

impl From<Rejection> for Unapplied<Rejection> {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl Lost {
    /// What becomes of an event that confirms it, if the event changes nothing.
    fn unchanged(&self, customer: &Customer, event: &Event, bounds: &Bounds<'_>) -> Option<Applied> {
        customer.profile.check_lost(event, self.decision, &self.campaign, bounds).err()
    }
}

/// Whether an event has changed its customer; what has not is in no record, or a flood of repeats would fill the log.
fn changes(applied: Applied) -> bool {
    matches!(applied, Applied::Accepted | Applied::Replaced)
}

/// Whether an event can contradict a row that an atomic body has checked.
fn can_conflict(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Membership(_) | EventKind::Impression(ImpressionOf::Decision(_)) | EventKind::Void { .. }
    )
}

pub(crate) fn outcome<E>(applied: &Result<Applied, E>) -> Outcome {
    match applied {
        Ok(Applied::Accepted) => Outcome::Accepted,
        Ok(Applied::Duplicate | Applied::Replaced) => Outcome::Duplicate,
        Ok(Applied::TooOld) => Outcome::TooOld,
        Ok(Applied::Erased) => Outcome::Erased,
        Err(_) => Outcome::Rejected,
    }
}
