//! The catalogue of tracks: what they are called, for people; no decision asks.

use super::{Counted, Engine, outcome};
use crate::event::Id;
use crate::profile::Applied;

/// One track of the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Track {
    /// Its title.
    pub title: Box<str>,
    /// Who made it.
    pub artist: Box<str>,
    /// Its length in seconds.
    pub length_s: u32,
}

impl Engine {
    /// Adds or replaces one track of the catalogue; the same again is a duplicate.
    ///
    /// # Errors
    /// The catalogue is full: its limit.
    pub fn put_track(&self, id: Id, track: Track) -> Result<Applied, usize> {
        let result = self.tracks.update(id, |held| {
            if *held == track {
                return Ok::<_, std::convert::Infallible>(Applied::Duplicate);
            }
            *held = track;
            Ok(Applied::Accepted)
        });
        let applied = result.map_err(|_| self.tracks.limit());
        self.counters.count_event(Counted::Track, outcome(&applied));
        applied
    }

    /// One track of the catalogue.
    #[must_use]
    pub fn track(&self, id: &Id) -> Option<Track> {
        self.tracks.with(id, Track::clone)
    }

    /// How many tracks the catalogue holds.
    #[must_use]
    pub fn track_count(&self) -> usize {
        self.tracks.len()
    }
}
