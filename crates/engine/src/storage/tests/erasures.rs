//! Erasures: what a directory keeps of them, and what it forgets.

use super::histories::History;
use super::model::{Change, newest_ms};

impl History {
    /// Erases somebody, known or not.
    pub fn erase(&mut self) {
        let (customer, from) = (self.customer(), self.next());
        let held = self.engine.customers.with(&customer, |held| (held.profile.clone(), held.last_event_s()));
        let until_ms = match &held {
            Some((profile, last_event_s)) => newest_ms(&customer, profile, *last_event_s),
            None => self.engine.now_ms(self.wall_ms),
        };
        if let Ok(known) = self.engine.remove(&customer, self.wall_ms) {
            assert_eq!(known, held.is_some(), "seed {}", self.seed);
            let erased = self.erased.entry(customer.clone()).or_insert(until_ms);
            *erased = (*erased).max(until_ms);
            self.note(from, vec![Change::Erased(customer, until_ms, self.wall_ms)]);
        }
    }
}
