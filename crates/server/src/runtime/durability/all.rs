//! Asking for all that was published, by whoever looks for it to be durable without waiting here.

use std::sync::atomic::Ordering;

use super::Durability;

impl Durability {
    /// Has everything written that was published, also what could wait for more. To be called again by whoever looks again.
    pub(crate) fn want_all(&self) {
        self.all_wanted.store(true, Ordering::Release);
        self.nudge();
    }

    /// Whether [`Durability::want_all`] was called since all was taken.
    pub(crate) fn is_all_wanted(&self) -> bool {
        self.all_wanted.load(Ordering::Acquire)
    }

    /// Everything is taken from here on.
    pub(crate) fn note_all_taken(&self) {
        self.all_wanted.store(false, Ordering::Release);
    }
}
