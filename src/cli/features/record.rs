//! One play in 32 bytes, and many of them parted by customer.

use std::hash::{BuildHasher, Hash};

use crate::event::{HOUR_MS, IdRef};
use crate::ingest::csv::PlayRow;

/// How many parts plays are sorted into; all plays of one customer are in one part.
pub(super) const PARTS: usize = 256;

/// One play: `K` is how ids are held, as numbers or as [`IdRef`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<K> {
    pub(super) customer: K,
    pub(super) event: K,
    pub(super) track: K,
    pub(super) moment: Moment,
}

impl<K: Copy> Entry<K> {
    /// What plays of a customer are ordered and recognised by.
    pub(super) fn order(&self) -> (u64, K) {
        (self.moment.instant(), self.event)
    }
}

/// A play whose ids are numbers, or places in a text that lies beside it: see [`put_aside`].
pub(super) type Record = Entry<u64>;

/// When a play was and where it was heard: the instant in the upper 49 bits, then the hour as written, then whether it
/// was on a phone; the lowest three bits say which ids of the record are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(u64);

const INSTANT_SHIFT: u32 = 15;
const HOUR_SHIFT: u32 = 10;
const MOBILE: u64 = 1 << 9;
const CUSTOMER_IS_TEXT: u64 = 1;
const EVENT_IS_TEXT: u64 = 2;
const TRACK_IS_TEXT: u64 = 4;

/// Unix milliseconds of the earliest instant there can be, negated: 0001-01-01T00:00:00 at the offset +23:59. The
/// latest, 9999-12-31T23:59:59.999-23:59, is less than 2⁴⁹ milliseconds after it.
const BIAS_MS: i64 = 62_135_596_800_000 + 24 * HOUR_MS;

/// The instant of a Unix time in milliseconds, as [`Moment::instant`] tells it; earlier than all times is 0.
pub(super) fn instant(unix_ms: i64) -> u64 {
    unix_ms.saturating_add(BIAS_MS).max(0) as u64
}

/// The Unix time in milliseconds of an instant of a [`Moment`].
pub(super) fn unix_ms(instant: u64) -> i64 {
    instant as i64 - BIAS_MS
}

impl Moment {
    /// `hour` in `0..=23`, as written.
    pub(super) fn new(unix_ms: i64, hour: u8, mobile: bool) -> Self {
        let mobile = if mobile { MOBILE } else { 0 };
        Self(instant(unix_ms) << INSTANT_SHIFT | u64::from(hour) << HOUR_SHIFT | mobile)
    }

    /// Milliseconds since the earliest instant there can be.
    pub(super) fn instant(self) -> u64 {
        self.0 >> INSTANT_SHIFT
    }

    /// The hour of the day as written.
    pub(super) fn hour(self) -> u8 {
        (self.0 >> HOUR_SHIFT & 31) as u8
    }

    /// Whether it was heard on a phone.
    pub(super) fn mobile(self) -> bool {
        self.0 & MOBILE != 0
    }

    /// All of it in one number.
    pub(super) fn to_bits(self) -> u64 {
        self.0
    }

    /// What [`Moment::to_bits`] gave.
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// What an id can be held as.
pub(super) trait AnyKey: Copy + Ord + Hash {
    fn as_id<'a>(self) -> IdRef<'a>
    where
        Self: 'a;
}

impl AnyKey for u64 {
    fn as_id<'a>(self) -> IdRef<'a> {
        IdRef::Number(self)
    }
}

impl AnyKey for IdRef<'_> {
    fn as_id<'a>(self) -> IdRef<'a>
    where
        Self: 'a,
    {
        self
    }
}

/// Adds an id to the text beside the records; where it lies: the first byte in the upper 56 bits, the length (at most
/// 64) below.
fn put_aside(id: &str, text: &mut String) -> u64 {
    let place = (text.len() as u64) << 8 | id.len() as u64;
    text.push_str(id);
    place
}

/// The id that [`put_aside`] put there.
fn text_at(place: u64, text: &str) -> &str {
    let start = (place >> 8) as usize;
    &text[start..start + (place & 0xff) as usize]
}

impl Record {
    /// The record of a play; ids that are no numbers go to the end of `text`.
    #[inline]
    pub(super) fn new(play: &PlayRow<'_>, text: &mut String) -> Self {
        let mut moment = Moment::new(play.time.unix_ms, play.time.hour(), play.mobile);
        let mut hold = |id: IdRef<'_>, flag: u64| match id {
            IdRef::Number(number) => number,
            IdRef::Text(id) => {
                moment.0 |= flag;
                put_aside(id, text)
            }
        };
        let customer = hold(play.customer, CUSTOMER_IS_TEXT);
        let event = hold(play.event_id, EVENT_IS_TEXT);
        let track = hold(play.track, TRACK_IS_TEXT);
        Self { customer, event, track, moment }
    }

    /// The record with its ids, `text` being what lies beside it.
    pub(super) fn resolve(self, text: &str) -> Entry<IdRef<'_>> {
        let key = |held: u64, flag: u64| {
            if self.moment.0 & flag == 0 { IdRef::Number(held) } else { IdRef::Text(text_at(held, text)) }
        };
        Entry {
            customer: key(self.customer, CUSTOMER_IS_TEXT),
            event: key(self.event, EVENT_IS_TEXT),
            track: key(self.track, TRACK_IS_TEXT),
            moment: self.moment,
        }
    }

    /// The same record for a copy of its ids at the end of `to`.
    fn moved(self, from: &str, to: &mut String) -> Self {
        let mut copy = |held: u64, flag: u64| {
            if self.moment.0 & flag == 0 {
                return held;
            }
            put_aside(text_at(held, from), to)
        };
        let customer = copy(self.customer, CUSTOMER_IS_TEXT);
        let event = copy(self.event, EVENT_IS_TEXT);
        let track = copy(self.track, TRACK_IS_TEXT);
        Self { customer, event, track, moment: self.moment }
    }

    /// Which part the customer's plays are in.
    fn part(&self, text: &str) -> usize {
        let hash = if self.moment.0 & CUSTOMER_IS_TEXT == 0 {
            // Multiplicative hashing, Knuth, The Art of Computer Programming 3, section 6.4.
            self.customer.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        } else {
            foldhash::quality::FixedState::default().hash_one(text_at(self.customer, text))
        };
        (hash >> 56) as usize
    }
}

/// Some records and the text beside them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) records: &'a [Record],
    pub(super) text: &'a str,
}

impl Run<'_> {
    /// Copies the run to the end of others.
    pub(super) fn append_to(&self, records: &mut Vec<Record>, text: &mut String) {
        if self.text.is_empty() {
            records.extend_from_slice(self.records);
        } else {
            records.extend(self.records.iter().map(|record| record.moved(self.text, text)));
        }
    }
}

/// Plays by their part, in each part in the order they came.
#[derive(Debug)]
pub(super) struct Parted {
    records: Vec<Record>,
    /// Where each part starts, and where the last one ends.
    starts: Vec<u32>,
    text: String,
}

impl Parted {
    /// Parts fewer than 2³² records. `text` lies beside them.
    pub(super) fn new(records: &[Record], text: String) -> Self {
        let parts: Vec<u8> = records.iter().map(|record| record.part(&text) as u8).collect();
        let mut starts = vec![0u32; PARTS + 1];
        for part in &parts {
            starts[usize::from(*part) + 1] += 1;
        }
        for part in 0..PARTS {
            starts[part + 1] += starts[part];
        }
        let Some(&any) = records.first() else { return Self { records: Vec::new(), starts, text } };
        let mut sorted = vec![any; records.len()];
        let mut ends = starts.clone();
        for (record, part) in records.iter().zip(&parts) {
            let end = &mut ends[usize::from(*part)];
            sorted[*end as usize] = *record;
            *end += 1;
        }
        Self { records: sorted, starts, text }
    }

    /// How many plays there are.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The latest instant among the plays; 0 when there are none.
    pub(super) fn newest(&self) -> u64 {
        self.records.iter().map(|record| record.moment.instant()).max().unwrap_or(0)
    }

    /// Bytes of memory taken.
    pub(super) fn bytes(&self) -> usize {
        self.records.capacity() * size_of::<Record>()
            + self.starts.len() * size_of::<u32>()
            + self.text.capacity()
    }

    /// The plays of one part.
    pub(super) fn part(&self, part: usize) -> Run<'_> {
        let range = self.starts[part] as usize..self.starts[part + 1] as usize;
        Run { records: &self.records[range], text: &self.text }
    }
}
