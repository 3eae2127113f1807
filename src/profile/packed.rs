//! Plays of the usual form in columns of 32-bit words: 12 bytes a play.
//!
//! A play has the usual form when its event id is decimal, its track id is decimal and below 2^31, and its time is
//! from 1970 to 2106 with an offset of whole minutes. Two more columns are there only in a profile that needs them:
//! the upper halves of event ids from 2^32 on, and milliseconds and offsets of times that have either.

use crate::event::{Id, IdRef, PackedTime, Time};

use super::PlayRef;

const TIMES: usize = 0;
const TRACKS: usize = 1;
const EVENTS: usize = 2;
/// Columns that are always there.
const USUAL_COLUMNS: usize = 3;

/// Room is made for so many plays at least; from 32 plays on for an eighth more.
const SMALLEST_GROWTH: usize = 4;

/// One play in the usual form.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedPlay {
    time: PackedTime,
    event_id: u64,
    /// The track's number, then one bit: whether it was heard on a phone.
    track_and_mobile: u32,
}

impl PackedPlay {
    /// `None` when a play has not the usual form.
    pub(super) fn new(time: Time, event_id: &Id, track: &Id, mobile: bool) -> Option<Self> {
        let (Id::Number(event_id), Id::Number(track)) = (event_id, track) else {
            return None;
        };
        let track = u32::try_from(*track).ok().filter(|track| *track < 1 << 31)?;
        let time = time.pack()?;
        Some(Self { time, event_id: *event_id, track_and_mobile: track << 1 | u32::from(mobile) })
    }

    fn key(&self) -> (i64, u64) {
        (self.time.unix_ms(), self.event_id)
    }

    pub(super) fn view(&self) -> PlayRef<'static> {
        PlayRef {
            time: self.time.into(),
            event_id: IdRef::Number(self.event_id),
            track: IdRef::Number(u64::from(self.track_and_mobile >> 1)),
            mobile: self.track_and_mobile & 1 == 1,
        }
    }
}

/// What became of a play that was to be inserted.
#[derive(Debug)]
pub(super) enum Inserted {
    /// It was there.
    Held,
    /// The list is full and the play older than all it keeps.
    TooOld,
    /// It is there now.
    New {
        /// The play that had to leave for it.
        pushed_out: Option<PackedPlay>,
    },
}

/// Plays, ascending by (time, event id), in columns that lie one after another, each of `capacity` words.
#[derive(Debug, Clone, Default)]
pub(super) struct PackedPlays {
    words: Box<[u32]>,
    len: u32,
    /// Whether there is a column of upper halves of event ids.
    wide_events: bool,
    /// Whether there is a column of what is finer than seconds.
    fine_times: bool,
}

/// How many plays there is room for, and which columns there are beside the usual ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    capacity: usize,
    wide_events: bool,
    fine_times: bool,
}

impl PackedPlays {
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.words)
    }

    fn columns(&self) -> usize {
        USUAL_COLUMNS + usize::from(self.wide_events) + usize::from(self.fine_times)
    }

    fn capacity(&self) -> usize {
        // Divisions by constants, which cost no division.
        match self.columns() {
            3 => self.words.len() / 3,
            4 => self.words.len() / 4,
            _ => self.words.len() / 5,
        }
    }

    fn column(&self, column: usize) -> &[u32] {
        &self.words[column * self.capacity()..][..self.len()]
    }

    /// Where the upper halves are, and where the fine times.
    fn upper_events_column(&self) -> Option<usize> {
        self.wide_events.then_some(USUAL_COLUMNS)
    }

    fn fine_times_column(&self) -> Option<usize> {
        self.fine_times.then_some(USUAL_COLUMNS + usize::from(self.wide_events))
    }

    /// When the play at `index` started, in Unix milliseconds.
    pub(super) fn unix_ms(&self, index: usize) -> i64 {
        self.time(index).unix_ms()
    }

    fn time(&self, index: usize) -> PackedTime {
        let fine = self.fine_times_column().map_or(0, |column| self.column(column)[index]);
        PackedTime { seconds: self.column(TIMES)[index], fine }
    }

    /// The play at `index`.
    pub(super) fn get(&self, index: usize) -> PackedPlay {
        let upper = self.upper_events_column().map_or(0, |column| self.column(column)[index]);
        PackedPlay {
            time: self.time(index),
            event_id: u64::from(upper) << 32 | u64::from(self.column(EVENTS)[index]),
            track_and_mobile: self.column(TRACKS)[index],
        }
    }

    /// The plays from `from` on.
    pub(super) fn iter_from(&self, from: usize) -> impl ExactSizeIterator<Item = PackedPlay> + Clone {
        let rest = |column: usize| &self.column(column)[from..];
        let (times, tracks, events) = (rest(TIMES), rest(TRACKS), rest(EVENTS));
        let upper = self.upper_events_column().map(rest);
        let fine = self.fine_times_column().map(rest);
        (0..times.len()).map(move |index| PackedPlay {
            time: PackedTime { seconds: times[index], fine: fine.map_or(0, |column| column[index]) },
            event_id: u64::from(upper.map_or(0, |column| column[index])) << 32 | u64::from(events[index]),
            track_and_mobile: tracks[index],
        })
    }

    /// How many plays are older than `start_ms`, in Unix milliseconds.
    pub(super) fn count_before(&self, start_ms: i64) -> usize {
        // Usually none is: the window holds all that is kept.
        if self.len == 0 || self.unix_ms(0) >= start_ms {
            return 0;
        }
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.unix_ms(middle) < start_ms {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn position(&self, key: (i64, u64)) -> Result<usize, usize> {
        let len = self.len();
        if len == 0 || self.get(len - 1).key() < key {
            return Err(len);
        }
        let (mut low, mut high) = (0, len);
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle).key().cmp(&key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Whether this very play is kept.
    pub(super) fn holds(&self, play: &PackedPlay) -> bool {
        self.position(play.key()).is_ok()
    }

    /// Whether inserting this play would take more memory: for more plays, or for a column that none needed before.
    pub(super) fn grows_by(&self, play: &PackedPlay, limit: usize) -> bool {
        self.layout_with(play, limit) != self.layout() && !self.holds(play)
    }

    fn layout(&self) -> Layout {
        let Self { wide_events, fine_times, .. } = *self;
        Layout { capacity: self.capacity(), wide_events, fine_times }
    }

    /// The layout that has room for one more play, this one.
    fn layout_with(&self, play: &PackedPlay, limit: usize) -> Layout {
        let (len, capacity) = (self.len(), self.capacity());
        let more = len == capacity && len < limit;
        Layout {
            capacity: if more { (len + (len / 8).max(SMALLEST_GROWTH)).min(limit) } else { capacity },
            wide_events: self.wide_events || play.event_id > u64::from(u32::MAX),
            fine_times: self.fine_times || play.time.fine != 0,
        }
    }

    /// Adds a play where it belongs; the oldest leaves when there are more than `limit`.
    pub(super) fn insert(&mut self, play: PackedPlay, limit: usize) -> Inserted {
        let position = match self.position(play.key()) {
            Ok(_) => return Inserted::Held,
            Err(0) if self.len() >= limit => return Inserted::TooOld,
            Err(position) => position,
        };
        let layout = self.layout_with(&play, limit);
        if layout != self.layout() {
            self.lay_out(layout);
        }
        let pushed_out = (self.len() >= limit).then(|| self.get(0));
        self.put(position, play, pushed_out.is_some());
        Inserted::New { pushed_out }
    }

    /// Writes a play before `position`; where the oldest leaves, those between move down, else those after move up.
    fn put(&mut self, position: usize, play: PackedPlay, oldest_leaves: bool) {
        let (capacity, len) = (self.capacity(), self.len());
        let event_id = play.event_id as u32;
        let upper = self.upper_events_column().map(|column| (column, (play.event_id >> 32) as u32));
        let fine = self.fine_times_column().map(|column| (column, play.time.fine));
        let usual = [(TIMES, play.time.seconds), (TRACKS, play.track_and_mobile), (EVENTS, event_id)];
        for (column, word) in usual.into_iter().chain(upper).chain(fine) {
            let words = &mut self.words[column * capacity..][..capacity];
            if oldest_leaves {
                words.copy_within(1..position, 0);
                words[position - 1] = word;
            } else {
                words.copy_within(position..len, position + 1);
                words[position] = word;
            }
        }
        self.len += u32::from(!oldest_leaves);
    }

    fn lay_out(&mut self, layout: Layout) {
        let Layout { capacity, wide_events, fine_times } = layout;
        let columns = USUAL_COLUMNS + usize::from(wide_events) + usize::from(fine_times);
        let words = vec![0; capacity * columns].into_boxed_slice();
        let mut laid_out = Self { words, len: self.len, wide_events, fine_times };
        let upper = self.upper_events_column().zip(laid_out.upper_events_column());
        let fine = self.fine_times_column().zip(laid_out.fine_times_column());
        let usual = (0..USUAL_COLUMNS).map(|column| (column, column));
        for (from, to) in usual.chain(upper).chain(fine) {
            let words = self.column(from);
            laid_out.words[to * capacity..][..words.len()].copy_from_slice(words);
        }
        *self = laid_out;
    }
}
