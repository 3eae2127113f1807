//! The places of a table: how many ids it may hold, and how many are taken.

use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// A number of places. A place is taken before an id is inserted, in one step with the question whether one is free, so
/// that threads together never take more than there are.
pub(crate) struct Places {
    taken: AtomicUsize,
    limit: usize,
}

impl Places {
    pub(crate) fn new(limit: usize) -> Self {
        Self { taken: AtomicUsize::new(0), limit }
    }

    /// How many are taken or reserved.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes one place; `None` if all are taken.
    pub(crate) fn take(&self) -> Option<Place<'_>> {
        self.take_many(1).then(|| Place(self))
    }

    fn take_many(&self, count: usize) -> bool {
        let more = |taken: usize| taken.checked_add(count).filter(|taken| *taken <= self.limit);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(crate) fn give_back(&self, count: usize) {
        self.taken.fetch_sub(count, Ordering::Relaxed);
    }
}

/// A place that was taken; given back when dropped, also by a panic, unless it is kept.
pub(crate) struct Place<'a>(&'a Places);

impl Place<'_> {
    /// The id is in the table: the place is its own until it is removed.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.give_back(1);
    }
}

/// Places that are taken before it is known whether they are needed; those left over are given back when it is dropped.
pub(crate) struct Reservation {
    places: Arc<Places>,
    left: usize,
}

impl Reservation {
    /// No place yet.
    pub(crate) fn new(places: &Arc<Places>) -> Self {
        Self { places: Arc::clone(places), left: 0 }
    }

    /// Reserves one more place; whether there was one.
    pub(crate) fn add_one(&mut self) -> bool {
        let reserved = self.places.take_many(1);
        self.left += usize::from(reserved);
        reserved
    }

    /// One of the reserved places. A caller that reserved too few gets one beyond the limit: what was promised to fit is
    /// never refused half-way.
    pub(crate) fn take(&mut self) -> Place<'_> {
        match self.left {
            0 => {
                self.places.taken.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.left -= 1,
        }
        Place(&self.places)
    }

    /// Gives back the places that are left over.
    pub(crate) fn give_back(&mut self) {
        self.places.give_back(std::mem::take(&mut self.left));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.give_back();
    }
}
