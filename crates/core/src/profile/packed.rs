//! Plays of the usual form in columns of 32-bit words: 12 bytes a play.
//!
//! A play has the usual form when its event id is decimal, its track id is decimal and below 2^31, and its time is
//! from 1970 to 2106 with an offset of whole minutes. Only a profile that needs them has two more columns:
//! the upper halves of event ids from 2^32 on, and milliseconds and offsets of times that have either.

mod columns;

use crate::event::{Id, IdRef, PackedTime, Time};

use super::PlayRef;
use super::layout::{Layout, PackedLayout, USUAL_COLUMNS};
use super::words::Words;

const TIMES: usize = 0;
const TRACKS: usize = 1;
const EVENTS: usize = 2;

/// Capacity grows by at least this many plays; from 64 plays on by a sixteenth.
const SMALLEST_GROWTH: usize = 4;

/// 32-bit words in a cache line.
const WORDS_PER_LINE: usize = 16;

/// One play in the usual form.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedPlay {
    time: PackedTime,
    event_id: u64,
    /// The track's number shifted left by one; the lowest bit says whether it was heard on a phone.
    track_and_mobile: u32,
}

impl PackedPlay {
    /// `None` when the play does not have the usual form.
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

    /// Time, event id, and the track's number shifted left by one with whether it was heard on a phone.
    pub(super) fn parts(&self) -> (PackedTime, u64, u32) {
        (self.time, self.event_id, self.track_and_mobile)
    }

    /// Whether this is the smaller of two copies of one play.
    fn precedes(&self, other: &Self) -> bool {
        self.view().precedes(&other.view())
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

/// The result of inserting a play.
#[derive(Debug)]
pub(super) enum Insertion {
    /// The play was kept already.
    Duplicate,
    /// The play was kept already, in a copy that is not the smaller; this one takes its place.
    Replaced,
    /// The list is full and all its plays are newer; nothing changed.
    TooOld,
    /// The play was new and is kept now.
    New {
        /// The play that a full list dropped for it.
        dropped: Option<PackedPlay>,
    },
}

/// Plays, ascending by (time, event id), in consecutive columns of `capacity` words each. The struct takes 16 bytes,
/// the words are on the heap.
#[derive(Debug)]
pub(super) struct PackedPlays {
    words: Words,
    len: u32,
    layout: PackedLayout,
}

impl Default for PackedPlays {
    fn default() -> Self {
        Self { words: Words::none(), len: 0, layout: Layout::EMPTY.pack() }
    }
}

impl Clone for PackedPlays {
    fn clone(&self) -> Self {
        let mut copy =
            Self { words: Words::zeroed(self.layout().words()), len: self.len, layout: self.layout };
        copy.words_mut().copy_from_slice(self.words());
        copy
    }
}

impl Drop for PackedPlays {
    fn drop(&mut self) {
        // SAFETY: the words were allocated with this layout, and are not used after this.
        unsafe { self.words.free(self.layout().words()) }
    }
}

/// The columns of plays of the usual form, each as long as there are plays, or empty where there is no such column.
pub(super) struct Columns<'a> {
    /// Seconds since 1970.
    pub(super) times: &'a mut [u32],
    /// Tracks' numbers shifted left by one, and whether they were heard on a phone.
    pub(super) tracks: &'a mut [u32],
    /// The lower halves of event ids.
    pub(super) events: &'a mut [u32],
    /// Their upper halves.
    pub(super) upper_events: &'a mut [u32],
    /// What is finer than a second.
    pub(super) fine_times: &'a mut [u32],
}

impl PackedPlays {
    /// So many plays, whose columns `fill` writes; room for no more. `None` if they do not ascend.
    pub(super) fn from_columns<E>(
        len: usize,
        wide_events: bool,
        fine_times: bool,
        fill: impl FnOnce(Columns<'_>) -> Result<(), E>,
    ) -> Result<Option<Self>, E> {
        let mut plays = Self::with_layout(Layout { capacity: len, wide_events, fine_times });
        let (times, rest) = plays.words_mut().split_at_mut(len);
        let (tracks, rest) = rest.split_at_mut(len);
        let (events, rest) = rest.split_at_mut(len);
        let (upper_events, fine) = rest.split_at_mut(if wide_events { len } else { 0 });
        fill(Columns { times, tracks, events, upper_events, fine_times: fine })?;
        plays.len = len as u32;
        let ascend = plays.column(TIMES).windows(2).all(|pair| pair[0] < pair[1])
            || plays.iter_from(0).zip(plays.iter_from(0).skip(1)).all(|(one, next)| one.key() < next.key());
        Ok(ascend.then_some(plays))
    }

    /// No plays yet, with room for those of `layout`.
    fn with_layout(layout: Layout) -> Self {
        Self { words: Words::zeroed(layout.words()), len: 0, layout: layout.pack() }
    }

    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.words())
    }

    fn layout(&self) -> Layout {
        self.layout.unpack()
    }

    fn words(&self) -> &[u32] {
        // SAFETY: words and layout are set together, in `with_layout` and `clone`.
        unsafe { self.words.get(self.layout().words()) }
    }

    fn words_mut(&mut self) -> &mut [u32] {
        let length = self.layout().words();
        // SAFETY: as above.
        unsafe { self.words.get_mut(length) }
    }

    fn column(&self, column: usize) -> &[u32] {
        &self.words()[column * self.layout().capacity..][..self.len()]
    }

    /// When the play at `index` started, in Unix milliseconds.
    pub(super) fn unix_ms(&self, index: usize) -> i64 {
        self.time(index).unix_ms()
    }

    fn time(&self, index: usize) -> PackedTime {
        let fine = self.layout().fine_times().map_or(0, |column| self.column(column)[index]);
        PackedTime { seconds: self.column(TIMES)[index], fine }
    }

    /// The play at `index`.
    pub(super) fn get(&self, index: usize) -> PackedPlay {
        let upper = self.layout().upper_events().map_or(0, |column| self.column(column)[index]);
        PackedPlay {
            time: self.time(index),
            event_id: u64::from(upper) << 32 | u64::from(self.column(EVENTS)[index]),
            track_and_mobile: self.column(TRACKS)[index],
        }
    }

    /// The plays from `from` on, if there are only the usual columns; then no column has to be tested for at each play.
    pub(super) fn usual_from(
        &self,
        from: usize,
    ) -> Option<impl ExactSizeIterator<Item = PackedPlay> + Clone> {
        let rest = |column: usize| self.column(column)[from..].iter();
        (self.layout().columns() == USUAL_COLUMNS).then(|| {
            rest(TIMES).zip(rest(TRACKS)).zip(rest(EVENTS)).map(|((seconds, track_and_mobile), event_id)| {
                PackedPlay {
                    time: PackedTime { seconds: *seconds, fine: 0 },
                    event_id: u64::from(*event_id),
                    track_and_mobile: *track_and_mobile,
                }
            })
        })
    }

    /// The plays from `from` on, for any set of columns.
    pub(super) fn iter_from(&self, from: usize) -> impl ExactSizeIterator<Item = PackedPlay> + Clone {
        let rest = |column: usize| &self.column(column)[from..];
        let (times, tracks, events) = (rest(TIMES), rest(TRACKS), rest(EVENTS));
        let upper = self.layout().upper_events().map(rest);
        let fine = self.layout().fine_times().map(rest);
        (0..times.len()).map(move |index| PackedPlay {
            time: PackedTime { seconds: times[index], fine: fine.map_or(0, |column| column[index]) },
            event_id: u64::from(upper.map_or(0, |column| column[index])) << 32 | u64::from(events[index]),
            track_and_mobile: tracks[index],
        })
    }

    /// Reads one word of each cache line of the time and track columns, so that all lines are fetched in parallel. A
    /// binary search followed by a walk would wait for most of them one after another.
    pub(super) fn fetch(&self) {
        let words = &self.words()[..(TRACKS + 1) * self.layout().capacity];
        let read = words.chunks(WORDS_PER_LINE).fold(0, |all, line| all ^ line[0]);
        std::hint::black_box(read);
    }

    /// How many plays are older than `start_ms`, in Unix milliseconds.
    pub(super) fn count_before(&self, start_ms: i64) -> usize {
        // The usual case: all plays kept are in the window.
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

    /// The play of this time and event id, if it is kept.
    pub(super) fn find(&self, time: Time, event_id: &Id) -> Option<PackedPlay> {
        let Id::Number(event_id) = event_id else { return None };
        self.position((time.unix_ms, *event_id)).ok().map(|position| self.get(position))
    }

    /// Whether a play of the same time and event id is kept.
    pub(super) fn holds(&self, play: &PackedPlay) -> bool {
        self.position(play.key()).is_ok()
    }

    /// Whether inserting this play would take more memory: for more capacity, or for a column that no play needed
    /// before.
    pub(super) fn would_grow(&self, play: &PackedPlay, limit: usize) -> bool {
        match self.position(play.key()) {
            Ok(position) => {
                self.layout_replacing(play) != self.layout() && play.precedes(&self.get(position))
            }
            Err(0) if self.len() >= limit => false,
            Err(_) => self.layout_with(play, limit) != self.layout(),
        }
    }

    /// The layout that has the columns that `play` needs, and room for no more plays.
    fn layout_replacing(&self, play: &PackedPlay) -> Layout {
        let Layout { capacity, wide_events, fine_times } = self.layout();
        Layout { capacity, wide_events, fine_times: fine_times || play.time.fine != 0 }
    }

    /// The layout that has room for `play` in addition to those kept.
    fn layout_with(&self, play: &PackedPlay, limit: usize) -> Layout {
        let (len, Layout { capacity, wide_events, fine_times }) = (self.len(), self.layout());
        let more = len == capacity && len < limit;
        Layout {
            capacity: if more { (len + (len / 16).max(SMALLEST_GROWTH)).min(limit) } else { capacity },
            wide_events: wide_events || play.event_id > u64::from(u32::MAX),
            fine_times: fine_times || play.time.fine != 0,
        }
    }

    /// Inserts a play in order, and drops the oldest when there are more than `limit`. Of two copies of one play the
    /// smaller is kept.
    pub(super) fn insert(&mut self, play: PackedPlay, limit: usize) -> Insertion {
        let position = match self.position(play.key()) {
            Ok(position) if play.precedes(&self.get(position)) => {
                let layout = self.layout_replacing(&play);
                if layout != self.layout() {
                    self.relayout(layout);
                }
                self.replace(position, play);
                return Insertion::Replaced;
            }
            Ok(_) => return Insertion::Duplicate,
            Err(0) if self.len() >= limit => return Insertion::TooOld,
            Err(position) => position,
        };
        let layout = self.layout_with(&play, limit);
        if layout != self.layout() {
            self.relayout(layout);
        }
        let dropped = (self.len() >= limit).then(|| self.get(0));
        self.put(position, play, dropped.is_some());
        Insertion::New { dropped }
    }

    /// Writes a play before `position`. If the oldest is dropped, the plays before `position` move down by one;
    /// otherwise those from `position` on move up by one.
    fn put(&mut self, position: usize, play: PackedPlay, drops_oldest: bool) {
        let (layout, len) = (self.layout(), self.len());
        for (column, word) in Self::words_of(play, layout) {
            let words = &mut self.words_mut()[column * layout.capacity..][..layout.capacity];
            if drops_oldest {
                words.copy_within(1..position, 0);
                words[position - 1] = word;
            } else {
                words.copy_within(position..len, position + 1);
                words[position] = word;
            }
        }
        self.len += u32::from(!drops_oldest);
    }

    /// Writes a play in place of the one at `position`, which has the same key.
    fn replace(&mut self, position: usize, play: PackedPlay) {
        let layout = self.layout();
        for (column, word) in Self::words_of(play, layout) {
            self.words_mut()[column * layout.capacity + position] = word;
        }
    }

    /// The word of a play in each column that there is.
    fn words_of(play: PackedPlay, layout: Layout) -> impl Iterator<Item = (usize, u32)> {
        let event_id = play.event_id as u32;
        let upper = layout.upper_events().map(|column| (column, (play.event_id >> 32) as u32));
        let fine = layout.fine_times().map(|column| (column, play.time.fine));
        let usual = [(TIMES, play.time.seconds), (TRACKS, play.track_and_mobile), (EVENTS, event_id)];
        usual.into_iter().chain(upper).chain(fine)
    }

    /// Moves all plays into columns of another layout.
    fn relayout(&mut self, layout: Layout) {
        let mut moved = Self::with_layout(layout);
        let old = self.layout();
        let upper = old.upper_events().zip(layout.upper_events());
        let fine = old.fine_times().zip(layout.fine_times());
        let usual = (0..USUAL_COLUMNS).map(|column| (column, column));
        for (from, to) in usual.chain(upper).chain(fine) {
            let words = self.column(from);
            moved.words_mut()[to * layout.capacity..][..words.len()].copy_from_slice(words);
        }
        moved.len = self.len;
        *self = moved;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays that need each column alone, both, and neither, under keys that are neighbours.
    fn plays() -> Vec<PackedPlay> {
        let play = |unix_ms: i64, event_id: u64, track: u64| {
            PackedPlay::new(
                Time::from_unix_ms(unix_ms),
                &Id::Number(event_id),
                &Id::Number(track),
                track == 1,
            )
            .expect("the usual form")
        };
        vec![
            play(1000, 1, 1),
            play(1000, 2, 2),
            play(2000, 1 << 40, 3),
            play(2001, 1, 4),
            play(2001, u64::MAX, 5),
            // Copies of earlier ones: the first is the smaller, the second is not.
            play(1000, 2, 1),
            play(2001, u64::MAX, 6),
        ]
    }

    /// Calls `visit` with every order of `rest` behind `order`.
    fn for_each_order(
        order: &mut Vec<PackedPlay>,
        rest: &[PackedPlay],
        visit: &mut impl FnMut(&[PackedPlay]),
    ) {
        if rest.is_empty() {
            visit(order);
        }
        for index in 0..rest.len() {
            let mut others = rest.to_vec();
            order.push(others.remove(index));
            for_each_order(order, &others, visit);
            order.pop();
        }
    }

    /// Every change of layout occurs at every length; a sanitizer or miri sees an access outside of the columns.
    #[test]
    fn every_order_of_plays_of_every_layout_gives_one_list() {
        for limit in 1..=6 {
            let mut expected = None;
            for_each_order(&mut Vec::new(), &plays()[..if cfg!(miri) { 5 } else { 7 }], &mut |order| {
                let mut packed = PackedPlays::default();
                for play in order {
                    let grows = packed.would_grow(play, limit);
                    let bytes = packed.heap_bytes();
                    packed.insert(*play, limit);
                    assert_eq!(grows, packed.heap_bytes() > bytes, "{play:?}");
                }
                let copy = packed.clone();
                drop(packed);
                let content = |play: PackedPlay| (play.key(), play.track_and_mobile, play.time.fine);
                let held: Vec<_> = copy.iter_from(0).map(content).collect();
                assert_eq!(*expected.get_or_insert_with(|| held.clone()), held, "at most {limit}");
            });
        }
    }
}
