//! The catalogue of tracks. No decision reads it.

use upbeat_core::catalogue::Track;
use upbeat_core::event::Id;
use upbeat_core::profile::Applied;

use crate::apply::outcome;
use crate::log::{OpenUnit, Payload, Use};
use crate::table::{Reservation, Table, UpdateError};
use crate::{Engine, RowKind};

/// Tracks by id, up to a limit. A track that is not known is `None`, only until it is put.
pub(crate) type Catalogue = Table<Option<Track>>;

/// Why a track was not put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotPut {
    /// The id is new and the catalogue is full: its limit.
    Full(usize),
    /// It cannot be recorded in the log at the moment.
    LogUnavailable,
}

impl Engine {
    /// Adds or replaces one track of the catalogue; an equal track is a duplicate.
    ///
    /// # Errors
    /// The id is new and the catalogue is full, or the log has no room: see [`NotPut`].
    pub fn put_track(&self, id: Id, track: Track) -> Result<Applied, NotPut> {
        let log = self.log.get();
        let recording = log.map(|log| (log, Payload::of_track(&id, &track)));
        let put = self.tracks.update(id, |held: &mut Option<Track>| {
            if held.as_ref() == Some(&track) {
                return Ok(Applied::Duplicate);
            }
            let room = match &recording {
                None => None,
                Some((log, payload)) => {
                    let room = log.room(Use::Change, 1, payload.bytes().len());
                    Some((room.ok_or(NotPut::LogUnavailable)?, payload))
                }
            };
            *held = Some(track);
            if let Some((mut room, payload)) = room {
                room.publish(payload, 0);
            }
            Ok(Applied::Accepted)
        });
        let applied = put.map_err(|error| match error {
            UpdateError::Full => NotPut::Full(self.tracks.limit()),
            UpdateError::Refused(refused) => refused,
        });
        self.counters.count_event(RowKind::Track, outcome(&applied));
        applied
    }

    /// Adds or replaces one track of an atomic body, with a reserved place for a new one.
    ///
    /// # Errors
    /// The log has no room for the unit's record at the moment: nothing was changed, and the track comes back.
    pub(crate) fn put_track_reserved(
        &self,
        id: Id,
        track: Track,
        places: &mut Reservation,
        unit: Option<&mut OpenUnit>,
    ) -> Result<Applied, (Id, Track)> {
        let recording = unit.map(|unit| (unit, Payload::of_track(&id, &track)));
        let again = id.clone();
        let applied = self.tracks.update_reserved(id, places, |held: &mut Option<Track>| {
            if held.as_ref() == Some(&track) {
                return Ok(Applied::Duplicate);
            }
            let room = match recording {
                None => None,
                Some((unit, payload)) => match unit.room(1, payload.bytes().len()) {
                    None => return Err((again, track)),
                    Some(room) => Some((room, payload)),
                },
            };
            *held = Some(track);
            if let Some(((mut room, unit), payload)) = room {
                room.publish(&payload, unit);
            }
            Ok(Applied::Accepted)
        })?;
        self.counters.count_event(RowKind::Track, outcome::<NotPut>(&Ok(applied)));
        Ok(applied)
    }

    /// One track of the catalogue; `None` if it is not there.
    #[must_use]
    pub fn track(&self, id: &Id) -> Option<Track> {
        self.tracks.with(id, Option::clone).flatten()
    }

    /// How many tracks the catalogue holds.
    #[must_use]
    pub fn track_count(&self) -> usize {
        self.tracks.len()
    }
}
