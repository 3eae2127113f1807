//! Removing customers: one by id, or all idle ones.

use upbeat_core::event::{DAY_MS, Id};

use crate::{Clock, Engine, Settings, Sweep};

/// An atomic body is changing the customer at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an atomic body that names this customer is being applied at this moment; send the request again")]
pub struct Claimed;

impl Engine {
    /// Removes one customer and the answers kept for their retries, which there may be of an unknown customer too;
    /// returns whether the customer was known.
    ///
    /// # Errors
    /// An atomic body that names the customer has been checked and is being applied: nothing was removed.
    pub fn remove(&self, id: &Id) -> Result<bool, Claimed> {
        let mut claimed = false;
        let removed = self.customers.remove_if(id, |_| {
            claimed = self.claims.holds(id);
            !claimed
        });
        if claimed {
            return Err(Claimed);
        }
        self.requests.remove(id);
        let Some(customer) = removed else {
            return Ok(false);
        };
        self.counters.remove_plays(customer.profile.plays().len());
        self.counters.add_bytes(-(customer.bytes(id) as isize));
        Ok(true)
    }

    /// The number of shards of the profile store, each of which [`Engine::evict_idle`] visits by itself.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.customers.shards()
    }

    /// Evicts the idle customers of one shard, `0..shards()`; returns how many.
    ///
    /// A customer is idle if no event of theirs was accepted, and no ad was shown to them, for longer than the window
    /// and the campaign's cap. Of a Silver or Gold member everything but the membership is evicted, so that a returning
    /// member is not offered what they have. `wall_ms` in Unix milliseconds.
    ///
    /// # Panics
    /// There is no such shard.
    pub fn evict_idle(&self, shard: usize, wall_ms: i64) -> usize {
        let Settings { window, campaign, clock, max_future_ms, .. } = &self.settings;
        let now_ms = self.now_ms(wall_ms);
        // A cap with a longer period than the window still needs its impressions.
        let idle_before_ms = window.start_ms(now_ms).min(campaign.cap.start_ms(now_ms));
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
            customer.correct_last_event(latest_ms, now_ms);
            if !customer.is_idle(idle_before_ms) || self.claims.holds(id) {
                return Sweep::Keep;
            }
            let (plays, bytes) = (customer.profile.plays().len(), customer.bytes(id));
            let gone = customer.drop_behaviour();
            self.counters.remove_plays(plays);
            if gone {
                evicted += 1;
                self.counters.add_bytes(-(bytes as isize));
                return Sweep::Remove;
            }
            let left = customer.bytes(id);
            evicted += usize::from(left != bytes);
            self.counters.add_bytes(left as isize - bytes as isize);
            Sweep::Keep
        });
        self.counters.count_evicted(evicted);
        evicted
    }
}
