//! Forgetting customers: one by name, or all who are silent.

use super::{Engine, Settings};
use crate::event::Id;
use crate::store::Sweep;

impl Engine {
    /// Forgets one customer; whether there was one.
    pub fn forget(&self, id: &Id) -> bool {
        let Some(customer) = self.customers.remove(id) else {
            return false;
        };
        self.counters.remove_plays(customer.profile.plays().len());
        self.counters.add_bytes(-(customer.bytes(id) as isize));
        self.requests.forget(id);
        true
    }

    /// How many parts [`Engine::forget_silent`] divides the customers into.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.customers.parts()
    }

    /// Forgets those customers of one part who were silent for longer than the window; how many.
    ///
    /// Silent is of whom no event was accepted, and who was shown nothing, for longer than the window and the campaign's
    /// cap. What is forgotten of a Silver or Gold member is all but the membership, so that nobody who comes back is
    /// offered what they have. `wall_ms` in Unix milliseconds.
    pub fn forget_silent(&self, part: usize, wall_ms: i64) -> usize {
        let Settings { window, campaign, .. } = &self.settings;
        let now_ms = self.now_ms(wall_ms);
        // A cap that reaches further back than the window still needs its impressions.
        let silent_before_ms = window.start_ms(now_ms).min(campaign.cap.start_ms(now_ms));
        let mut forgotten = 0;
        self.customers.sweep(part, |id, customer| {
            if !customer.is_silent(silent_before_ms) {
                return Sweep::Keep;
            }
            let (plays, bytes) = (customer.profile.plays().len(), customer.bytes(id));
            let gone = customer.forget_behaviour();
            self.counters.remove_plays(plays);
            if gone {
                forgotten += 1;
                self.counters.add_bytes(-(bytes as isize));
                return Sweep::Remove;
            }
            let left = customer.bytes(id);
            forgotten += usize::from(left != bytes);
            self.counters.add_bytes(left as isize - bytes as isize);
            Sweep::Keep
        });
        self.counters.count_forgotten(forgotten);
        forgotten
    }
}
