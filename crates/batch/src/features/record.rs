//! One play in 32 bytes, and many of them partitioned by customer.

use std::hash::{BuildHasher, Hash};

use upbeat_core::event::{HOUR_MS, IdRef};
use upbeat_ingest::decode::csv::PlayRow;

/// How many partitions there are; all plays and impressions of one customer are in the same one.
pub(super) const PARTITIONS: usize = 256;

/// One play, or one impression without its track: `K` is how ids are held, as numbers or as [`IdRef`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<K> {
    pub(super) customer: K,
    pub(super) event: K,
    pub(super) track: K,
    pub(super) moment: Moment,
}

impl<K: Copy> Entry<K> {
    /// The key that records of a customer are ordered by, and that repeats of one share.
    pub(super) fn order(&self) -> (u64, K) {
        (self.moment.instant(), self.event)
    }
}

impl<K: IdKey> Entry<K> {
    /// Whether this is the smaller of two copies of one play, in the order of the profile store: by track, phone flag
    /// and hour as written. The rest of what a copy says is in no feature.
    pub(super) fn precedes(&self, other: &Self) -> bool {
        let content = |entry: &Self| (entry.track, entry.moment.mobile(), entry.moment.hour());
        content(self) < content(other)
    }
}

/// A play whose ids are numbers, or places in a text of interned ids: see [`intern`].
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

/// The instant of a Unix time in milliseconds, as in [`Moment::instant`]; earlier than all times is 0.
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

/// How an id can be held.
pub(super) trait IdKey: Copy + Ord + Hash {
    fn as_id<'a>(self) -> IdRef<'a>
    where
        Self: 'a;
}

impl IdKey for u64 {
    fn as_id<'a>(self) -> IdRef<'a> {
        IdRef::Number(self)
    }
}

impl IdKey for IdRef<'_> {
    fn as_id<'a>(self) -> IdRef<'a>
    where
        Self: 'a,
    {
        self
    }
}

/// Appends an id to the text of interned ids. Returns its place: the first byte in the upper 56 bits, the length (at
/// most 64) below.
fn intern(id: &str, text: &mut String) -> u64 {
    let place = (text.len() as u64) << 8 | id.len() as u64;
    text.push_str(id);
    place
}

/// The id at a place that [`intern`] returned.
fn interned(place: u64, text: &str) -> &str {
    let start = (place >> 8) as usize;
    &text[start..start + (place & 0xff) as usize]
}

impl Record {
    /// The record of a play; ids that are no numbers are interned in `text`.
    #[inline]
    pub(super) fn new(play: &PlayRow<'_>, text: &mut String) -> Self {
        let mut moment = Moment::new(play.time.unix_ms, play.time.hour(), play.mobile);
        let mut hold = |id: IdRef<'_>, flag: u64| match id {
            IdRef::Number(number) => number,
            IdRef::Text(id) => {
                moment.0 |= flag;
                intern(id, text)
            }
        };
        let customer = hold(play.customer, CUSTOMER_IS_TEXT);
        let event = hold(play.event_id, EVENT_IS_TEXT);
        let track = hold(play.track, TRACK_IS_TEXT);
        Self { customer, event, track, moment }
    }

    /// The record with its ids, of which some are interned in `text`.
    pub(super) fn resolve(self, text: &str) -> Entry<IdRef<'_>> {
        let key = |held: u64, flag: u64| {
            if self.moment.0 & flag == 0 { IdRef::Number(held) } else { IdRef::Text(interned(held, text)) }
        };
        Entry {
            customer: key(self.customer, CUSTOMER_IS_TEXT),
            event: key(self.event, EVENT_IS_TEXT),
            track: key(self.track, TRACK_IS_TEXT),
            moment: self.moment,
        }
    }

    /// The same record with its ids interned in `to`.
    fn reinterned(self, from: &str, to: &mut String) -> Self {
        let mut copy = |held: u64, flag: u64| {
            if self.moment.0 & flag == 0 {
                return held;
            }
            intern(interned(held, from), to)
        };
        let customer = copy(self.customer, CUSTOMER_IS_TEXT);
        let event = copy(self.event, EVENT_IS_TEXT);
        let track = copy(self.track, TRACK_IS_TEXT);
        Self { customer, event, track, moment: self.moment }
    }

    /// The partition of the customer's records.
    fn partition(&self, text: &str) -> usize {
        let hash = if self.moment.0 & CUSTOMER_IS_TEXT == 0 {
            // Multiplicative hashing, Knuth, The Art of Computer Programming 3, section 6.4.
            self.customer.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        } else {
            foldhash::quality::FixedState::default().hash_one(interned(self.customer, text))
        };
        (hash >> 56) as usize
    }
}

/// Some records and the text of their interned ids.
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
            records.extend(self.records.iter().map(|record| record.reinterned(self.text, text)));
        }
    }
}

/// Records by partition, in each in the order in which they were read.
#[derive(Debug)]
pub(super) struct Partitioned {
    records: Vec<Record>,
    /// Where each partition starts, and where the last one ends.
    starts: Vec<u32>,
    text: String,
}

impl Partitioned {
    /// Partitions fewer than 2³² records, whose ids are interned in `text`.
    pub(super) fn new(records: &[Record], text: String) -> Self {
        let partitions: Vec<u8> = records.iter().map(|record| record.partition(&text) as u8).collect();
        let mut starts = vec![0u32; PARTITIONS + 1];
        for partition in &partitions {
            starts[usize::from(*partition) + 1] += 1;
        }
        for partition in 0..PARTITIONS {
            starts[partition + 1] += starts[partition];
        }
        let Some(&any) = records.first() else { return Self { records: Vec::new(), starts, text } };
        let mut sorted = vec![any; records.len()];
        let mut ends = starts.clone();
        for (record, partition) in records.iter().zip(&partitions) {
            let end = &mut ends[usize::from(*partition)];
            sorted[*end as usize] = *record;
            *end += 1;
        }
        Self { records: sorted, starts, text }
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The latest instant among them; 0 when there are none.
    pub(super) fn newest(&self) -> u64 {
        self.records.iter().map(|record| record.moment.instant()).max().unwrap_or(0)
    }

    /// Bytes of memory taken.
    pub(super) fn bytes(&self) -> usize {
        self.records.capacity() * size_of::<Record>()
            + self.starts.len() * size_of::<u32>()
            + self.text.capacity()
    }

    /// The records of one partition.
    pub(super) fn partition(&self, partition: usize) -> Run<'_> {
        let range = self.starts[partition] as usize..self.starts[partition + 1] as usize;
        Run { records: &self.records[range], text: &self.text }
    }
}
