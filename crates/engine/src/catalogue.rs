//! The catalogue of tracks. No decision reads it, so a map with one lock for many entries is fast enough.

use std::convert::Infallible;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use upbeat_core::catalogue::Track;
use upbeat_core::event::Id;
use upbeat_core::profile::Applied;

use crate::apply::outcome;
use crate::sync::Arc;
use crate::table::{Place, Places, Reservation};
use crate::{Engine, RowKind};

/// Tracks by id, up to a limit.
pub(crate) struct Catalogue {
    tracks: DashMap<Id, Track, foldhash::fast::RandomState>,
    /// Counted here because the map's own `len` locks every shard.
    places: Arc<Places>,
}

impl Catalogue {
    /// An empty catalogue of at most `limit` tracks.
    pub(crate) fn new(limit: usize) -> Self {
        Self { tracks: DashMap::default(), places: Arc::new(Places::new(limit)) }
    }

    /// A reservation of places in the catalogue, without one yet.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation::new(&self.places)
    }

    /// Adds or replaces a track; an equal track is a duplicate. `place` is asked for a new one.
    fn put<'a, E>(
        &self,
        id: Id,
        track: Track,
        place: impl FnOnce() -> Result<Place<'a>, E>,
    ) -> Result<Applied, E> {
        match self.tracks.entry(id) {
            Entry::Occupied(held) if *held.get() == track => Ok(Applied::Duplicate),
            Entry::Occupied(mut held) => {
                held.insert(track);
                Ok(Applied::Accepted)
            }
            Entry::Vacant(vacant) => {
                let place = place()?;
                vacant.insert(track);
                place.keep();
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
        let places = &self.tracks.places;
        let applied = self.tracks.put(id, track, || places.take().ok_or(places.limit()));
        self.counters.count_event(RowKind::Track, outcome(&applied));
        applied
    }

    /// Adds or replaces one track of an atomic body, with a reserved place for a new one.
    pub(crate) fn put_track_reserved(&self, id: Id, track: Track, places: &mut Reservation) -> Applied {
        let applied = self.tracks.put::<Infallible>(id, track, || Ok(places.take()));
        self.counters.count_event(RowKind::Track, outcome(&applied));
        let Ok(applied) = applied;
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
        self.tracks.places.taken()
    }
}
