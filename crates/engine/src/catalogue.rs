//! The catalogue of tracks. No decision reads it, so a map with one lock for many entries is fast enough.

use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use upbeat_core::catalogue::Track;
use upbeat_core::event::Id;
use upbeat_core::profile::Applied;

use crate::apply::outcome;
use crate::{Engine, RowKind};

/// Tracks by id, up to a limit.
pub(crate) struct Catalogue {
    tracks: DashMap<Id, Track, foldhash::fast::RandomState>,
    /// Counted here because the map's own `len` locks every shard.
    len: AtomicUsize,
    limit: usize,
}

impl Catalogue {
    /// An empty catalogue of at most `limit` tracks.
    pub(crate) fn new(limit: usize) -> Self {
        Self { tracks: DashMap::default(), len: AtomicUsize::new(0), limit }
    }

    /// Adds or replaces a track; an equal track is a duplicate.
    ///
    /// # Errors
    /// The id is new and the catalogue is full: its limit.
    fn put(&self, id: Id, track: Track) -> Result<Applied, usize> {
        match self.tracks.entry(id) {
            Entry::Occupied(held) if *held.get() == track => Ok(Applied::Duplicate),
            Entry::Occupied(mut held) => {
                held.insert(track);
                Ok(Applied::Accepted)
            }
            Entry::Vacant(place) => {
                // Atomic, so that two threads cannot both take the last place.
                let taken = self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |len| {
                    (len < self.limit).then_some(len + 1)
                });
                taken.map_err(|_| self.limit)?;
                place.insert(track);
                Ok(Applied::Accepted)
            }
        }
    }
}

impl Engine {
    /// Adds or replaces one track of the catalogue; an equal track is a duplicate.
    ///
    /// # Errors
    /// The id is new and the catalogue is full: its limit.
    pub fn put_track(&self, id: Id, track: Track) -> Result<Applied, usize> {
        let applied = self.tracks.put(id, track);
        self.counters.count_event(RowKind::Track, outcome(&applied));
        applied
    }

    /// One track of the catalogue; `None` if it is not there.
    #[must_use]
    pub fn track(&self, id: &Id) -> Option<Track> {
        self.tracks.tracks.get(id).map(|track| track.clone())
    }

    /// How many tracks the catalogue holds.
    #[must_use]
    pub fn track_count(&self) -> usize {
        self.tracks.len.load(Ordering::Relaxed)
    }
}
