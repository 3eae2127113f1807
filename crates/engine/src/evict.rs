//! Removing customers: one by id, or all idle ones.

use std::sync::atomic::{AtomicUsize, Ordering};

use upbeat_core::event::{DAY_MS, Id, Time};

use crate::log::{Payload, Use};
use crate::table::Place;
use crate::tombstones::Tombstone;
use crate::{Clock, Customer, Engine, Settings, Sweep};

/// Why a customer was not removed, for the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRemoved {
    /// An atomic body is changing the customer at this moment.
    #[error(
        "an atomic body that names this customer is being applied at this moment; send the request again"
    )]
    Claimed,
    /// The erasure cannot be recorded in the log.
    #[error(
        "the erasure cannot be recorded, since the disk is slow, full or has failed: send the request again; \
         /readyz?verbose says how the disk is"
    )]
    LogUnavailable,
    /// There is no room for the tombstone.
    #[error(
        "tombstones hold their limit of {0}, and an erasure that nothing remembers would not survive old input that is sent again: \
         raise limits.tombstones, each takes some 50 bytes of memory, and send the request again"
    )]
    TombstonesFull(usize),
}

impl Engine {
    /// Erases one customer and the answers kept for their retries, which there may be of an unknown customer too;
    /// returns whether the customer was known. `wall_ms` in Unix milliseconds.
    ///
    /// A [tombstone](Tombstone) stays, also of one who is not known: the log may hold their events. Events of the customer up to its
    /// time are [`Applied::Erased`](upbeat_core::profile::Applied::Erased) from now on: the newest time of any event that was
    /// held. Of one who was evicted, wholly or but for the membership, that is not known any more, and it is *now*, or when an
    /// event of theirs was last accepted.
    ///
    /// # Errors
    /// An atomic body that names the customer has been checked and is being applied, the log has no room, or there is none for the
    /// tombstone: nothing was removed.
    pub fn remove(&self, id: &Id, wall_ms: i64) -> Result<bool, NotRemoved> {
        // A snapshot that begins waits until the answers, too, are removed.
        let _erasing = self.erasures.begin();
        let known = self.erase(id, wall_ms, |held_ms| held_ms.unwrap_or_else(|| self.now_ms(wall_ms)))?;
        self.counters.count_erasure();
        Ok(known)
    }

    /// Erases one customer up to the time that `until` makes of the newest that is held of them, if anything is. An erasure must be
    /// [under way](Erasures::begin).
    pub(crate) fn erase(
        &self,
        id: &Id,
        wall_ms: i64,
        until: impl FnOnce(Option<i64>) -> i64,
    ) -> Result<bool, NotRemoved> {
        let mut refused = None;
        let digest = self.digest(id);
        let removed = self.customers.remove_if(id, |customer| {
            let erased_until_ms = until(customer.map(Customer::newest_ms));
            let tombstone = Tombstone { digest, erased_until_ms, made_ms: wall_ms, position: 0 };
            refused = self.record_erasure(id, tombstone).err();
            refused.is_none()
        });
        if let Some(refused) = refused {
            return Err(refused);
        }
        self.requests.remove(id);
        self.interests.forget(id);
        let Some(customer) = removed else {
            return Ok(false);
        };
        self.count_removed(id, &customer);
        Ok(true)
    }

    pub(crate) fn count_removed(&self, id: &Id, customer: &Customer) {
        self.counters.remove_plays(customer.profile.plays().len());
        self.counters.add_bytes(-(customer.bytes(id) as isize));
    }

    /// Publishes that a customer is erased, known or not: answers may be kept of one who is not, and events in the log. The shard
    /// is locked.
    fn record_erasure(&self, id: &Id, mut tombstone: Tombstone) -> Result<(), NotRemoved> {
        if self.claims.holds(id) {
            return Err(NotRemoved::Claimed);
        }
        let place = self.place_for(tombstone.digest)?;
        if let Some(log) = self.log.get() {
            let payload = Payload::of_erasure(id, &tombstone);
            let room = log.room(Use::Erasure, 1, payload.bytes().len());
            tombstone.position = room.ok_or(NotRemoved::LogUnavailable)?.publish(&payload, 0);
        }
        self.tombstones.put(tombstone, place);
        Ok(())
    }

    /// A place for the tombstone of this digest; none is needed where there is one already.
    pub(crate) fn place_for(&self, digest: [u8; 16]) -> Result<Option<Place<'_>>, NotRemoved> {
        if self.tombstones.get(digest).is_some() {
            return Ok(None);
        }
        let place = self.tombstones.place().ok_or(NotRemoved::TombstonesFull(self.tombstones.limit()))?;
        Ok(Some(place))
    }

    /// The number of shards of the profile store, each of which [`Engine::evict_idle`] visits by itself.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.customers.shards()
    }

    /// Evicts the idle customers of one shard, `0..shards()`; returns how many.
    ///
    /// A customer is idle if no event of theirs was accepted, and no ad was shown to them, for longer than the window
    /// and the caps and cooldowns of the campaigns. Of a Silver or Gold member everything but the membership is evicted, so that a returning
    /// member is not offered what they have. `wall_ms` in Unix milliseconds.
    ///
    /// # Panics
    /// There is no such shard.
    pub fn evict_idle(&self, shard: usize, wall_ms: i64) -> usize {
        let Settings { window, clock, max_future_ms, .. } = &self.settings;
        let now_ms = self.now_ms(wall_ms);
        // A cap or a cooldown with a longer period than the window still needs what it counts.
        let longest_ms = self.campaigns.load().longest_period_ms();
        let idle_before_ms = window.start_ms(now_ms).min(now_ms.saturating_sub(longest_ms));
        let mut evicted = 0;
        // On the wall clock an event is at most `max_future` ahead; what is further ahead was accepted while that clock was
        // wrong. The clock of events follows them within the window's days; what is further ahead is a jump that nobody has
        // confirmed. Without a correction its customer would not be idle before the clock is there. (Where it is confirmed
        // after the correction, its customer may be evicted, and with them an event or a few after a pause of all customers.)
        let ahead_ms = match clock {
            Clock::Wall => *max_future_ms,
            Clock::Event => i64::from(window.days) * DAY_MS,
        };
        let latest_ms = now_ms.saturating_add(ahead_ms);
        self.customers.sweep(shard, |id, customer| {
            if customer.is_ahead_of(latest_ms) {
                self.correct_last_event(id, customer, now_ms);
            }
            if !customer.is_idle(idle_before_ms) || self.claims.holds(id) {
                return Sweep::Keep;
            }
            match self.evict(id, customer) {
                Eviction::None => Sweep::Keep,
                Eviction::Behaviour => {
                    evicted += 1;
                    Sweep::Keep
                }
                Eviction::All => {
                    evicted += 1;
                    Sweep::Remove
                }
            }
        });
        self.counters.count_evicted(evicted);
        evicted
    }

    /// What the customers of one shard, `0..shards()`, say of the time: when an event was accepted last, or an ad shown, before
    /// `before_ms` by the clock of then, and how many of them have a play that is dated at `dated_ms` or later. All in Unix
    /// milliseconds.
    ///
    /// # Panics
    /// There is no such shard.
    #[must_use]
    pub fn times(&self, shard: usize, before_ms: i64, dated_ms: i64) -> (Option<i64>, usize) {
        let (mut newest_ms, mut dated) = (None, 0);
        self.customers.each(shard, |customer| {
            let accepted_ms = i64::from(customer.last_event_s()) * 1000;
            newest_ms = newest_ms.max(Some(accepted_ms).filter(|ms| *ms < before_ms));
            dated += usize::from(customer.profile.plays().last_ms().is_some_and(|ms| ms >= dated_ms));
        });
        (newest_ms, dated)
    }

    /// The time of some play in one shard, `0..shards()`, that was written without an offset; `None` if there is none.
    ///
    /// # Panics
    /// There is no such shard.
    #[must_use]
    pub fn time_without_offset(&self, shard: usize) -> Option<Time> {
        let mut found = None;
        self.customers.each(shard, |customer| {
            let first = || customer.profile.plays().iter().next().map(|play| play.time);
            found = found.or_else(|| first().filter(|time| !time.is_offset_written()));
        });
        found
    }

    /// Drops what goes of an idle customer and publishes it, with the shard locked. One that the log has no room for stays
    /// until the next sweep.
    fn evict(&self, id: &Id, customer: &mut Customer) -> Eviction {
        let left = customer.without_behaviour();
        let (plays, bytes) = (customer.profile.plays().len(), customer.bytes(id));
        let bytes_left = left.as_ref().map_or(0, |left| left.bytes(id));
        if bytes_left == bytes {
            return Eviction::None;
        }
        let room = match self.log.get() {
            None => None,
            Some(log) => {
                let kept = left.as_ref().and_then(|left| left.profile.membership());
                let payload = Payload::of_eviction(id, kept.as_ref());
                let Some(room) = log.room(Use::Change, 1, payload.bytes().len()) else {
                    return Eviction::None;
                };
                Some((room, payload))
            }
        };
        let eviction = if left.is_some() { Eviction::Behaviour } else { Eviction::All };
        *customer = left.unwrap_or_default();
        if let Some((mut room, payload)) = room {
            room.publish(&payload, 0);
        }
        self.counters.remove_plays(plays);
        self.counters.add_bytes(bytes_left as isize - bytes as isize);
        eviction
    }

    /// Takes *now* for the time of a customer's last event, and publishes that; without room in the log the next sweep does.
    fn correct_last_event(&self, id: &Id, customer: &mut Customer, now_ms: i64) {
        let last_event_s = Customer::last_event_of(now_ms);
        if let Some(log) = self.log.get() {
            let payload = Payload::of_last_event(id, last_event_s);
            let Some(mut room) = log.room(Use::Change, 1, payload.bytes().len()) else { return };
            customer.set_last_event(last_event_s);
            room.publish(&payload, 0);
        } else {
            customer.set_last_event(last_event_s);
        }
    }
}

/// What a sweep does with a customer.
enum Eviction {
    /// Nothing: there is only a membership, or the log has no room.
    None,
    /// Everything but a membership goes.
    Behaviour,
    /// The customer goes.
    All,
}

/// The erasures that are under way: a customer is removed, and perhaps not yet the answers kept for their retries.
#[derive(Debug, Default)]
pub(crate) struct Erasures(AtomicUsize);

impl Erasures {
    pub(crate) fn begin(&self) -> Erasing<'_> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Erasing(self)
    }

    /// Whether none is under way: all that were published before are complete.
    pub(crate) fn is_none(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

/// An erasure until it is complete.
pub(crate) struct Erasing<'a>(&'a Erasures);

impl Drop for Erasing<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}
