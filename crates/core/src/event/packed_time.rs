//! Times as their parts, and in eight bytes.

use super::time::{DAY_MS, HOUR_MS, Time};

/// A [`Time`] in eight bytes; see [`Time::pack`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackedTime {
    /// Whole seconds since 1970-01-01T00:00:00Z.
    pub seconds: u32,
    /// Milliseconds in the lowest ten bits, then one bit for whether the offset was written, then the offset in
    /// minutes, zigzag-encoded.
    pub fine: u32,
}

const MILLISECOND_BITS: u32 = (1 << 10) - 1;
const WRITTEN_BIT: u32 = 10;
const OFFSET_SHIFT: u32 = 11;

impl PackedTime {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_ms(self) -> i64 {
        i64::from(self.seconds) * 1000 + i64::from(self.fine & MILLISECOND_BITS)
    }

    /// The time, if [`Time::pack`] gives these words for one: what was read from a file may be any words.
    #[must_use]
    pub fn checked(self) -> Option<Time> {
        let offset = self.fine >> OFFSET_SHIFT;
        let whole = self.fine & MILLISECOND_BITS < 1000 && offset <= 2 * 26 * 60;
        whole.then(|| self.into())
    }
}

impl From<PackedTime> for Time {
    fn from(packed: PackedTime) -> Self {
        let zigzag = (packed.fine >> OFFSET_SHIFT) as i32;
        let minutes = (zigzag >> 1) ^ -(zigzag & 1);
        Self {
            unix_ms: packed.unix_ms(),
            offset_s: minutes * 60,
            offset_written: packed.fine >> WRITTEN_BIT & 1 == 1,
        }
    }
}

impl Time {
    /// A time from what [`Time::unix_ms`], [`Time::offset_s`] and [`Time::is_offset_written`] say of it; `None` where no text
    /// gives such a time: an offset beyond 26 hours, which no zone has, or a year far from the four digits of a text.
    #[must_use]
    pub fn from_parts(unix_ms: i64, offset_s: i32, offset_written: bool) -> Option<Self> {
        const MOST_DAYS: i64 = 366 * 10_001;
        let is_near = unix_ms.unsigned_abs() <= (MOST_DAYS * DAY_MS) as u64;
        let is_offset = i64::from(offset_s).abs() * 1000 <= 26 * HOUR_MS;
        (is_near && is_offset).then_some(Self { unix_ms, offset_s, offset_written })
    }

    /// The written local time minus UTC, in seconds; at most 26 hours either way.
    #[must_use]
    pub fn offset_s(&self) -> i32 {
        self.offset_s
    }

    /// Whether the offset was written, not taken from the configured zone.
    #[must_use]
    pub fn is_offset_written(&self) -> bool {
        self.offset_written
    }

    /// The time in two 32-bit words. [`PackedTime::fine`] is 0 for a whole second at UTC without a written offset.
    ///
    /// `None` before 1970, after 2106-02-07T06:28:15.999Z, and for offsets that are not whole minutes.
    #[must_use]
    pub fn pack(&self) -> Option<PackedTime> {
        let seconds = u32::try_from(self.unix_ms.div_euclid(1000)).ok()?;
        if self.offset_s % 60 != 0 {
            return None;
        }
        let milliseconds = self.unix_ms.rem_euclid(1000) as u32;
        let minutes = self.offset_s / 60;
        // Zigzag, so that offsets of either sign are small numbers: at most 2 * 1439 + 1.
        let offset = ((minutes << 1) ^ (minutes >> 31)) as u32;
        let fine = milliseconds | u32::from(self.offset_written) << WRITTEN_BIT | offset << OFFSET_SHIFT;
        Some(PackedTime { seconds, fine })
    }
}
