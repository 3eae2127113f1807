//! The plays of a profile: packed where all have the usual form, otherwise a list.

use super::dropped::Dropped;
use super::packed::{Insertion, PackedPlay, PackedPlays};
use super::recent::{Recent, RecentEntry};
use super::{Applied, Window};
use crate::event::{Id, IdRef, Time};

/// One play, borrowed from its profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayRef<'a> {
    /// When the track started.
    pub time: Time,
    /// The event's id.
    pub event_id: IdRef<'a>,
    /// Which track.
    pub track: IdRef<'a>,
    /// Whether it was heard on a phone.
    pub mobile: bool,
}

impl PlayRef<'_> {
    /// Whether this is the smaller of two copies of one play: by track, then one not heard on a phone before one that
    /// was, then by the [way the time is written](Time::cmp_as_written).
    pub(super) fn precedes(&self, other: &Self) -> bool {
        let parts = self.track.cmp(&other.track).then(self.mobile.cmp(&other.mobile));
        parts.then_with(|| self.time.cmp_as_written(&other.time)).is_lt()
    }
}

/// One play that owns its ids: how a profile keeps a play that does not have the usual form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Play {
    /// When the track started.
    pub time: Time,
    /// The event's id.
    pub event_id: Id,
    /// Which track.
    pub track: Id,
    /// Whether it was heard on a phone.
    pub mobile: bool,
}

impl Play {
    /// The play, borrowed.
    #[must_use]
    pub fn view(&self) -> PlayRef<'_> {
        PlayRef {
            time: self.time,
            event_id: self.event_id.as_ref(),
            track: self.track.as_ref(),
            mobile: self.mobile,
        }
    }
}

impl From<PlayRef<'_>> for Play {
    fn from(play: PlayRef<'_>) -> Self {
        Self {
            time: play.time,
            event_id: play.event_id.to_id(),
            track: play.track.to_id(),
            mobile: play.mobile,
        }
    }
}

impl RecentEntry for Play {
    fn key(&self) -> (Time, &Id) {
        (self.time, &self.event_id)
    }

    fn precedes(&self, other: &Self) -> bool {
        self.view().precedes(&other.view())
    }

    fn heap_bytes(&self) -> usize {
        self.event_id.heap_bytes() + self.track.heap_bytes()
    }
}

/// A profile's plays, ascending by (time, event id), each once.
#[derive(Debug, Clone)]
pub(super) enum Plays {
    /// All have the usual form.
    Packed(PackedPlays),
    /// At least one does not.
    Any(Box<Recent<Play>>),
}

impl Default for Plays {
    fn default() -> Self {
        Self::Packed(PackedPlays::default())
    }
}

impl Plays {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Packed(plays) => plays.len(),
            Self::Any(plays) => plays.as_slice().len(),
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Packed(plays) => plays.heap_bytes(),
            Self::Any(plays) => size_of::<Recent<Play>>() + plays.heap_bytes(),
        }
    }

    /// Inserts a play in order. When there are more than `limit`, drops the oldest and records it in `dropped`, which is
    /// called only where it is needed.
    pub(super) fn insert<'a>(
        &mut self,
        time: Time,
        event_id: Id,
        track: Id,
        mobile: bool,
        limit: usize,
        dropped: impl FnOnce() -> &'a mut Dropped,
    ) -> Applied {
        let plays = match self {
            Self::Any(plays) => return plays.insert(Play { time, event_id, track, mobile }, limit),
            Self::Packed(plays) => plays,
        };
        let Some(play) = PackedPlay::new(time, &event_id, &track, mobile) else {
            let copy = PlayRef { time, event_id: event_id.as_ref(), track: track.as_ref(), mobile };
            if plays.find(time, &event_id).is_some_and(|held| !copy.precedes(&held.view())) {
                return Applied::Duplicate;
            }
            let kept = plays.iter_from(0).map(|play| play.view().into()).collect();
            let mut any = Recent::from_parts(kept, std::mem::take(dropped()));
            let applied = any.insert(Play { time, event_id, track, mobile }, limit);
            *self = Self::Any(Box::new(any));
            return applied;
        };
        match plays.insert(play, limit) {
            Insertion::Duplicate => Applied::Duplicate,
            Insertion::Replaced => Applied::Replaced,
            Insertion::New { dropped: None } => Applied::Accepted,
            Insertion::New { dropped: Some(oldest) } => {
                let oldest = oldest.view();
                dropped().record(oldest.time, oldest.event_id);
                Applied::Accepted
            }
            Insertion::TooOld => dropped().record_late(time, event_id.as_ref()),
        }
    }

    /// What becomes of a play that there is room for and that may have been dropped while the window was smaller; `None` if
    /// it is to be inserted. `dropped` is what [`Plays::insert`] would record in, if it exists.
    #[cold]
    pub(super) fn dropped_before(
        &self,
        time: Time,
        event_id: &Id,
        dropped: Option<&Dropped>,
    ) -> Option<Applied> {
        let (held, dropped) = match self {
            Self::Any(plays) => (plays.get(time, event_id).is_some(), Some(plays.dropped())),
            Self::Packed(plays) => (plays.find(time, event_id).is_some(), dropped),
        };
        let dropped = dropped.filter(|_| !held)?;
        let id = event_id.as_ref();
        let is_oldest =
            self.all().iter().next().is_some_and(|first| (time, id) < (first.time, first.event_id));
        dropped.of_list_with_room(time, id, is_oldest)
    }

    /// All plays if they have the usual form.
    pub(super) fn packed(&self) -> Option<&PackedPlays> {
        match self {
            Self::Packed(plays) => Some(plays),
            Self::Any(_) => None,
        }
    }

    /// What was dropped of plays that do not all have the usual form.
    pub(super) fn dropped(&self) -> Option<&Dropped> {
        match self {
            Self::Packed(_) => None,
            Self::Any(plays) => Some(plays.dropped()),
        }
    }

    /// Whether inserting this play would take more memory; `dropped` is what [`Plays::insert`] would record in, if it
    /// exists.
    pub(super) fn would_grow(
        &self,
        time: Time,
        event_id: &Id,
        track: &Id,
        limit: usize,
        dropped: Option<&Dropped>,
    ) -> bool {
        match self {
            Self::Any(plays) => plays.would_grow(time, event_id, limit),
            Self::Packed(plays) => PackedPlay::new(time, event_id, track, false).is_none_or(|play| {
                let drops_one = plays.len() >= limit && dropped.is_none_or(Dropped::grows);
                plays.would_grow(&play, limit) || drops_one && !plays.holds(&play)
            }),
        }
    }

    /// All plays kept.
    pub(super) fn all(&self) -> RecentPlays<'_> {
        RecentPlays { plays: self, from: 0 }
    }

    /// The plays in the window at `now_ms` (Unix milliseconds).
    pub(super) fn in_window(&self, window: &Window, now_ms: i64) -> RecentPlays<'_> {
        let start_ms = window.start_ms(now_ms);
        let older = match self {
            Self::Packed(plays) => {
                // Every caller reads the whole window next.
                plays.fetch();
                plays.count_before(start_ms)
            }
            Self::Any(plays) => plays.as_slice().partition_point(|play| play.time.unix_ms < start_ms),
        };
        RecentPlays { plays: self, from: window.first(self.len(), older) }
    }
}

/// The most recent of a profile's plays, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct RecentPlays<'a> {
    plays: &'a Plays,
    from: usize,
}

impl<'a> RecentPlays<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.plays.len() - self.from
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many older plays the profile keeps that are not among these.
    #[must_use]
    pub fn older(&self) -> usize {
        self.from
    }

    /// When the first of these started, in Unix milliseconds; `None` if there are none.
    #[must_use]
    pub fn first_ms(&self) -> Option<i64> {
        (!self.is_empty()).then(|| self.unix_ms(self.from))
    }

    /// When the newest of these started, in Unix milliseconds; `None` if there are none.
    #[must_use]
    pub fn last_ms(&self) -> Option<i64> {
        (!self.is_empty()).then(|| self.unix_ms(self.plays.len() - 1))
    }

    /// When the newest of the older plays started, in Unix milliseconds; `None` if there are none.
    #[must_use]
    pub fn newest_older_ms(&self) -> Option<i64> {
        self.from.checked_sub(1).map(|index| self.unix_ms(index))
    }

    /// Seconds since 1970 and tracks' numbers shifted left by one of all that are kept, where these are in columns and no time is finer
    /// than a second.
    pub(super) fn seconds_and_tracks(&self) -> Option<(&'a [u32], &'a [u32])> {
        match self.plays {
            Plays::Packed(plays) => plays.seconds_and_tracks(),
            Plays::Any(_) => None,
        }
    }

    /// The track of the play at this index of all that are kept.
    pub(super) fn track(&self, index: usize) -> IdRef<'a> {
        match self.plays {
            Plays::Packed(plays) => plays.track(index),
            Plays::Any(plays) => plays.as_slice()[index].track.as_ref(),
        }
    }

    /// When the play at this index of all that are kept started, in Unix milliseconds.
    pub(super) fn unix_ms(&self, index: usize) -> i64 {
        match self.plays {
            Plays::Packed(plays) => plays.unix_ms(index),
            Plays::Any(plays) => plays.as_slice()[index].time.unix_ms,
        }
    }

    /// Each play, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = PlayRef<'a>> + use<'a> {
        match self.plays {
            Plays::Packed(plays) => match plays.usual_from(self.from) {
                Some(usual) => PlayIter::Usual(usual.map(|play| play.view())),
                None => PlayIter::Packed(plays.iter_from(self.from).map(|play| play.view())),
            },
            Plays::Any(plays) => PlayIter::Any(plays.as_slice()[self.from..].iter().map(Play::view)),
        }
    }
}

/// An iterator over plays in any layout.
#[derive(Debug, Clone)]
enum PlayIter<U, P, A> {
    /// From the usual columns.
    Usual(U),
    /// From columns.
    Packed(P),
    /// From a list.
    Any(A),
}

impl<'a, U, P, A> Iterator for PlayIter<U, P, A>
where
    U: ExactSizeIterator<Item = PlayRef<'a>>,
    P: ExactSizeIterator<Item = PlayRef<'a>>,
    A: ExactSizeIterator<Item = PlayRef<'a>>,
{
    type Item = PlayRef<'a>;

    fn next(&mut self) -> Option<PlayRef<'a>> {
        match self {
            Self::Usual(plays) => plays.next(),
            Self::Packed(plays) => plays.next(),
            Self::Any(plays) => plays.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Usual(plays) => plays.size_hint(),
            Self::Packed(plays) => plays.size_hint(),
            Self::Any(plays) => plays.size_hint(),
        }
    }

    /// Tests the layout once, not once per play.
    fn fold<B, F: FnMut(B, PlayRef<'a>) -> B>(self, init: B, step: F) -> B {
        match self {
            Self::Usual(plays) => plays.fold(init, step),
            Self::Packed(plays) => plays.fold(init, step),
            Self::Any(plays) => plays.fold(init, step),
        }
    }
}

impl<'a, U, P, A> ExactSizeIterator for PlayIter<U, P, A>
where
    U: ExactSizeIterator<Item = PlayRef<'a>>,
    P: ExactSizeIterator<Item = PlayRef<'a>>,
    A: ExactSizeIterator<Item = PlayRef<'a>>,
{
}
