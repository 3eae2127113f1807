//! Plays as they lie in their columns, for whoever looks at many of them without reading each.

use super::{EVENTS, PackedPlays, TIMES, TRACKS};
use crate::event::IdRef;
use crate::profile::layout::USUAL_COLUMNS;

impl PackedPlays {
    /// Seconds since 1970 and tracks' numbers shifted left by one, if no time is finer than a second.
    pub(in crate::profile) fn seconds_and_tracks(&self) -> Option<(&[u32], &[u32])> {
        let layout = self.layout();
        layout.fine_times().is_none().then(|| {
            let column = |column: usize| &self.words()[column * layout.capacity..][..self.len()];
            (column(TIMES), column(TRACKS))
        })
    }

    /// The words of the newest play, for prefetching: its time, track and event id.
    pub(in crate::profile) fn newest_words(&self) -> [Option<&u32>; USUAL_COLUMNS] {
        let Some(last) = self.len().checked_sub(1) else { return [None; USUAL_COLUMNS] };
        [TIMES, TRACKS, EVENTS].map(|column| self.column(column).get(last))
    }

    /// The track of the play at `index`.
    pub(in crate::profile) fn track(&self, index: usize) -> IdRef<'static> {
        IdRef::Number(u64::from(self.column(TRACKS)[index] >> 1))
    }
}
