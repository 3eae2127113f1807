//! A lane: memory into which one thread copies its records, and from which the journal's thread collects them.
//!
//! Publishing a record is a copy and two stores; it takes no lock, makes no system call and waits for nobody. Where the
//! memory is a file in a tmpfs, what was published outlives a killed process, and the next one drains it.
//!
//! ```text
//! 0    magic u64 | life u64 | bytes of the ring u64
//! 64   tail u64: records up to here are published | since u64     written by the lane's thread
//! 128  head u64: records up to here are in the log | group u64: the last one that is there     written by the journal's thread
//! 4096 the ring
//! ```
//!
//! Head and tail count bytes since the lane began; the ring is a power of two. A record that does not fit before the
//! ring's end begins at its start, and what is left is skipped.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::memory::Memory;
use crate::positions::Positions;
use crate::record;

const MAGIC: u64 = u64::from_le_bytes(*b"UBLANE01");
const TAIL: usize = 64;
const SINCE: usize = 72;
const HEAD: usize = 128;
const GROUP: usize = 136;
const RING: usize = 4096;

/// A length that says: skip to the start of the ring.
const SKIP: u32 = u32::MAX;

/// No position has been taken that is not published.
const NONE: u64 = u64::MAX;

/// Whether memory of a lane has so many bytes.
pub(crate) fn is_size(bytes: usize) -> bool {
    bytes.checked_sub(RING).is_some_and(usize::is_power_of_two)
}

/// The lane as both sides see it.
#[derive(Debug)]
pub(crate) struct Lane {
    memory: Memory,
    mask: u64,
}

/// What the journal's thread may collect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    /// Up to here, in bytes since the lane began.
    pub tail: u64,
    /// A position that is not above any that was taken and is not published; `u64::MAX` if there is none.
    pub since: u64,
}

impl Lane {
    /// Begins an empty lane in memory of a power of two bytes beyond the first 4,096.
    ///
    /// # Panics
    /// The memory has another size.
    pub fn begin(memory: Memory, life: u64) -> Arc<Self> {
        let ring = memory.len() - RING;
        assert!(ring.is_power_of_two(), "the ring of a lane is a power of two");
        // In this order: a process that is killed here leaves no lane, or an empty one.
        let words = [
            (0, 0),
            (TAIL, 0),
            (SINCE, NONE),
            (HEAD, 0),
            (GROUP, 0),
            (8, life),
            (16, ring as u64),
            (0, MAGIC),
        ];
        for (at, word) in words {
            memory.word(at).store(word, Ordering::Release);
        }
        Arc::new(Self { memory, mask: ring as u64 - 1 })
    }

    /// The lane of a process that has ended and its random number, if that is what the memory holds.
    pub fn of_former_process(memory: Memory) -> Option<(Self, u64)> {
        let ring = memory.len().checked_sub(RING)? as u64;
        let word = |at| memory.word(at).load(Ordering::Acquire);
        let (tail, head) = (word(TAIL), word(HEAD));
        let whole = word(0) == MAGIC && word(16) == ring && ring.is_power_of_two();
        (whole && head <= tail && tail - head <= ring).then(|| {
            let life = word(8);
            (Self { memory: memory.clone(), mask: ring - 1 }, life)
        })
    }

    fn ring(&self) -> u64 {
        self.mask + 1
    }

    pub fn head(&self) -> u64 {
        self.memory.word(HEAD).load(Ordering::Acquire)
    }

    /// The last group that was in the log when records were released; 0 if none was.
    pub fn group(&self) -> u64 {
        self.memory.word(GROUP).load(Ordering::Acquire)
    }

    /// What is published. The order matters: whoever took a position below the counter that the caller read before is either
    /// seen in `since`, or has stored its tail before it cleared `since`.
    pub fn published(&self) -> Published {
        let since = self.memory.word(SINCE).load(Ordering::Acquire);
        let tail = self.memory.word(TAIL).load(Ordering::Acquire);
        Published { tail, since }
    }

    /// Records up to `head` need not be kept any longer: they are in the log's groups up to `group`.
    pub fn release(&self, head: u64, group: u64) {
        // First: a log without this group is not the one to which the records below `head` went.
        self.memory.word(GROUP).store(group, Ordering::Release);
        self.memory.word(HEAD).store(head, Ordering::Release);
    }

    /// How full it is, in thousandths.
    pub fn fill(&self) -> u16 {
        let used = self.published().tail.saturating_sub(self.head()).min(self.ring());
        (used * 1000 / self.ring()) as u16
    }

    /// The bytes of the record at `at` and where the next one begins; `None` if what lies there is no record before `tail`.
    /// A skipped end of the ring is an empty record.
    pub fn record(&self, at: u64, tail: u64) -> Option<(&[u8], u64)> {
        let offset = (at & self.mask) as usize;
        let left = (self.ring() - offset as u64).min(tail.checked_sub(at)?);
        if left < record::HEAD as u64 {
            return None;
        }
        // SAFETY: the bytes between head and tail are written before the tail is stored and not changed before the head
        // is; `left` is within the ring.
        let bytes = unsafe { self.memory.bytes(RING + offset, left as usize) };
        let length = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes"));
        if length == SKIP {
            return Some((&[], at + self.ring() - offset as u64));
        }
        let size = record::size(length as usize);
        bytes.get(..size).map(|whole| (whole, at + size as u64))
    }
}

/// The side of a lane that writes. One thread has it at a time.
#[derive(Debug)]
pub struct LaneWriter {
    lane: Arc<Lane>,
    positions: Positions,
    /// Bytes of the largest payload.
    most: usize,
    tail: u64,
    /// The head as last seen: reading it again costs a cache miss.
    head: u64,
}

impl LaneWriter {
    pub(crate) fn new(lane: Arc<Lane>, positions: Positions, group_bytes: usize) -> Self {
        // A group takes whole records; half of the ring, since as much may be skipped at its end, less what
        // `has_room` asks for the head.
        let most = (group_bytes - record::HEAD).min((lane.ring() / 2) as usize - 2 * record::HEAD);
        Self { tail: lane.published().tail, head: lane.head(), lane, positions, most: most / 16 * 16 }
    }

    /// The most bytes of one record's payload. An empty lane has room for it.
    #[must_use]
    pub fn most_payload(&self) -> usize {
        self.most
    }

    /// How full the lane is, in thousandths.
    #[must_use]
    pub fn fill(&self) -> u16 {
        self.lane.fill()
    }

    /// Whether `records` records with `payload` bytes in all will find room. It stays so until they are published: nobody
    /// else takes room, and more only becomes free. Records that need more than half of the ring never find it.
    pub fn has_room(&mut self, records: usize, payload: usize) -> bool {
        // Each is rounded up, and one of them may skip the ring's end, which is shorter than that record.
        let needed = 2 * (payload + records * 2 * record::HEAD) as u64;
        if self.tail + needed - self.head <= self.lane.ring() {
            return true;
        }
        self.head = self.lane.head();
        self.tail + needed - self.head <= self.lane.ring()
    }

    /// Takes the next position and publishes a record there; `write` gets `payload` bytes to fill. Returns the position.
    ///
    /// To be called under the lock of what the record changes, so that records of one thing have positions in the order of
    /// its changes. Where `write` panics, the record is void.
    ///
    /// # Panics
    /// There is no room: [`LaneWriter::has_room`] was not asked. Or the payload is larger than [`LaneWriter::most_payload`].
    pub fn publish(&mut self, kind: u16, unit: u16, payload: usize, write: impl FnOnce(&mut [u8])) -> u64 {
        assert!(payload <= self.most, "a record of {payload} bytes is larger than a lane or a group takes");
        let size = record::size(payload);
        let memory = &self.lane.memory;
        let offset = self.tail & self.lane.mask;
        let to_end = self.lane.ring() - offset;
        let skipped = if size as u64 > to_end { to_end } else { 0 };
        let tail = self.tail + skipped + size as u64;
        assert!(tail - self.head <= self.lane.ring(), "the lane has no room");
        if skipped > 0 {
            // SAFETY: the bytes are within the ring and after the tail, where only this thread writes and nobody reads.
            let end = unsafe { memory.bytes_mut(RING + offset as usize, record::HEAD) };
            end.fill(0xff);
        }
        let start = (self.tail + skipped) & self.lane.mask;
        // Before the position is taken, so that the journal's thread, having seen the position taken, sees this. And whoever
        // sees this sees the tail of the record before: else that could be passed over.
        memory.word(SINCE).store(self.positions.next_at_least(), Ordering::Release);
        let position = self.positions.take();
        // SAFETY: as above, and the room was checked.
        let bytes = unsafe { memory.bytes_mut(RING + start as usize, size) };
        // Void until it is written: the position is taken, and a record must say so even if `write` panics.
        record::write_head(bytes, position, record::VOID, unit, payload as u32);
        bytes[record::HEAD + payload..].fill(0);
        self.tail = tail;
        let published = Publishing { memory, tail };
        write(&mut bytes[record::HEAD..record::HEAD + payload]);
        record::write_head(bytes, position, kind, unit, payload as u32);
        drop(published);
        // Where the next record begins and mostly ends: else whoever publishes it waits for memory with the next lock that is given
        // back, since that waits until all is written.
        for ahead in [0, 64] {
            memory.prefetch_to_write(RING + ((tail + ahead) & self.lane.mask) as usize);
        }
        position
    }
}

/// Makes the journal's thread see the record when dropped, whether its payload was written or not.
struct Publishing<'l> {
    memory: &'l Memory,
    tail: u64,
}

impl Drop for Publishing<'_> {
    fn drop(&mut self) {
        self.memory.word(TAIL).store(self.tail, Ordering::Release);
        self.memory.word(SINCE).store(NONE, Ordering::Release);
    }
}
