//! Values as bytes in the log and in snapshots: whole numbers in as many bytes as they need, ids, times.
//!
//! Reading is strict: what was not written by the functions here is an error that says what is wrong, and never a panic.

use crate::event::{CUSTOMER_FILE_ID, Id, IdRef, MAX_ID_LENGTH, Membership, PackedTime, Time};

/// Why bytes cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They end too early.
    #[error("the bytes end within {0}")]
    Ends(&'static str),
    /// A value is none that is ever written.
    #[error("{what} is {found}, which is never written")]
    Bad {
        /// Which value.
        what: &'static str,
        /// What was found.
        found: String,
    },
    /// Something follows where nothing should.
    #[error("{0} bytes follow that belong to nothing")]
    Surplus(usize),
}

impl DecodeError {
    /// A value that is never written.
    pub fn bad(what: &'static str, found: impl std::fmt::Display) -> Self {
        Self::Bad { what, found: found.to_string() }
    }
}

/// Appends a number in 1 to 10 bytes, seven bits in each, the lowest first (LEB128).
#[inline]
pub fn put_varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// A signed number as an unsigned one that is small where the number is near 0.
#[inline]
#[must_use]
pub const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// What [`zigzag`] was given.
#[inline]
#[must_use]
pub const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// The first byte of an id: a number follows, or a text of 1 to 64 bytes, or nothing after the id of customer files.
const NUMBER: u8 = 0;
const CUSTOMER_FILE: u8 = 0xff;

/// Appends an id.
pub fn put_id(into: &mut Vec<u8>, id: IdRef<'_>) {
    match id {
        IdRef::Number(number) => {
            into.push(NUMBER);
            put_varint(into, number);
        }
        IdRef::Text(CUSTOMER_FILE_ID) => into.push(CUSTOMER_FILE),
        IdRef::Text(text) => {
            // At most 64 bytes.
            into.push(text.len() as u8);
            into.extend_from_slice(text.as_bytes());
        }
    }
}

/// The first byte of a time: whole seconds at UTC, packed, or in full.
const SECONDS: u8 = 0;
const PACKED: u8 = 1;
const FULL: u8 = 2;

/// Appends a time and how it was written.
pub fn put_time(into: &mut Vec<u8>, time: Time) {
    match time.pack() {
        Some(PackedTime { seconds, fine: 0 }) => {
            into.push(SECONDS);
            put_varint(into, seconds.into());
        }
        Some(PackedTime { seconds, fine }) => {
            into.push(PACKED);
            put_varint(into, seconds.into());
            put_varint(into, fine.into());
        }
        None => {
            into.push(FULL);
            put_varint(into, zigzag(time.unix_ms));
            put_varint(into, zigzag(time.offset_s().into()));
            into.push(time.is_offset_written().into());
        }
    }
}

/// Appends a level.
pub fn put_level(into: &mut Vec<u8>, level: Membership) {
    into.push(match level {
        Membership::Free => 0,
        Membership::Silver => 1,
        Membership::Gold => 2,
    });
}

/// Reads values from the beginning of some bytes on.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// From the beginning.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Something was not read.
    pub fn end(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Surplus(self.rest.len())) }
    }

    /// The next `count` bytes; `what` they are, for the error.
    ///
    /// # Errors
    /// There are fewer.
    pub fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Ends(what))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The next byte.
    ///
    /// # Errors
    /// There is none.
    #[inline]
    pub fn byte(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        let (byte, rest) = self.rest.split_first().ok_or(DecodeError::Ends(what))?;
        self.rest = rest;
        Ok(*byte)
    }

    /// The next four bytes, little-endian.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Ends(what))?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    /// The next eight bytes, little-endian.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Ends(what))?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// Yes or no.
    ///
    /// # Errors
    /// There is nothing, or it is neither.
    pub fn flag(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        match self.byte(what)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::bad(what, other)),
        }
    }

    /// A number as [`put_varint`] writes it.
    ///
    /// # Errors
    /// The bytes end within it, or it is longer than it would be written.
    #[inline]
    pub fn varint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let (mut number, mut shift) = (0, 0);
        for (index, byte) in self.rest.iter().enumerate() {
            // The tenth byte has the last bit.
            if shift == 63 && *byte > 1 {
                return Err(DecodeError::bad(what, "a number of more than 64 bits"));
            }
            number |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                if *byte == 0 && index > 0 {
                    return Err(DecodeError::bad(what, "a number with a leading zero"));
                }
                self.rest = &self.rest[index + 1..];
                return Ok(number);
            }
            shift += 7;
        }
        Err(DecodeError::Ends(what))
    }

    /// A number below 2^32.
    ///
    /// # Errors
    /// As for [`Decoder::varint`], or it is larger.
    #[inline]
    pub fn varint_u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        let number = self.varint(what)?;
        u32::try_from(number).map_err(|_| DecodeError::bad(what, number))
    }

    /// The number of things that follow, at most `most`.
    ///
    /// # Errors
    /// As for [`Decoder::varint`], or there are more.
    pub fn count(&mut self, most: usize, what: &'static str) -> Result<usize, DecodeError> {
        let number = self.varint(what)?;
        usize::try_from(number)
            .ok()
            .filter(|count| *count <= most)
            .ok_or_else(|| DecodeError::bad(what, number))
    }

    /// An id as [`put_id`] writes it.
    ///
    /// # Errors
    /// The bytes end within it, or it is not an id.
    pub fn id(&mut self, what: &'static str) -> Result<Id, DecodeError> {
        Ok(self.id_ref(what)?.to_id())
    }

    /// An id as [`put_id`] writes it, borrowed.
    ///
    /// # Errors
    /// As for [`Decoder::id`].
    pub fn id_ref(&mut self, what: &'static str) -> Result<IdRef<'a>, DecodeError> {
        let length = match self.byte(what)? {
            NUMBER => return Ok(IdRef::Number(self.varint(what)?)),
            CUSTOMER_FILE => return Ok(IdRef::Text(CUSTOMER_FILE_ID)),
            length => usize::from(length),
        };
        if length > MAX_ID_LENGTH {
            return Err(DecodeError::bad(what, format_args!("an id of {length} characters")));
        }
        let text =
            str::from_utf8(self.bytes(length, what)?).map_err(|error| DecodeError::bad(what, error))?;
        match IdRef::parse(text) {
            Ok(id @ IdRef::Text(_)) => Ok(id),
            Ok(IdRef::Number(number)) => {
                Err(DecodeError::bad(what, format_args!("the number {number} as text")))
            }
            Err(error) => Err(DecodeError::bad(what, error)),
        }
    }

    /// A time as [`put_time`] writes it.
    ///
    /// # Errors
    /// The bytes end within it, or it is not a time.
    pub fn time(&mut self, what: &'static str) -> Result<Time, DecodeError> {
        let form = self.byte(what)?;
        let time = match form {
            SECONDS | PACKED => {
                let seconds = self.varint_u32(what)?;
                let fine = if form == PACKED { self.varint_u32(what)? } else { 0 };
                PackedTime { seconds, fine }.checked().ok_or_else(|| DecodeError::bad(what, fine))
            }
            FULL => {
                let (unix_ms, offset_s) = (unzigzag(self.varint(what)?), unzigzag(self.varint(what)?));
                let written = self.flag(what)?;
                let offset = i32::try_from(offset_s).ok();
                offset.and_then(|offset_s| Time::from_parts(unix_ms, offset_s, written)).ok_or_else(|| {
                    DecodeError::bad(what, format_args!("{unix_ms} ms with offset {offset_s} s"))
                })
            }
            form => Err(DecodeError::bad(what, format_args!("of form {form}"))),
        }?;
        // Each time has one form, the shortest.
        let written_as = match time.pack() {
            Some(PackedTime { fine: 0, .. }) => SECONDS,
            Some(_) => PACKED,
            None => FULL,
        };
        let is_own = written_as == form;
        is_own.then_some(time).ok_or_else(|| DecodeError::bad(what, format_args!("of form {form}")))
    }

    /// A level as [`put_level`] writes it.
    ///
    /// # Errors
    /// There is nothing, or it is no level.
    pub fn level(&mut self, what: &'static str) -> Result<Membership, DecodeError> {
        match self.byte(what)? {
            0 => Ok(Membership::Free),
            1 => Ok(Membership::Silver),
            2 => Ok(Membership::Gold),
            other => Err(DecodeError::bad(what, other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_id() -> impl Strategy<Value = Id> {
        prop_oneof![
            any::<u64>().prop_map(Id::Number),
            (0u64..300).prop_map(Id::Number),
            "[A-Za-z_:-][A-Za-z0-9._:-]{0,63}".prop_map(|text| Id::Text(text.into())),
            Just(Id::Text(CUSTOMER_FILE_ID.into())),
        ]
    }

    fn any_time() -> impl Strategy<Value = Time> {
        let zones =
            prop_oneof![Just(0), -1439 * 60..1439 * 60, (-1439i32..1439).prop_map(|minutes| minutes * 60)];
        let ms = prop_oneof![
            (0i64..1 << 32).prop_map(|seconds| seconds * 1000),
            -62_135_596_800_000i64..253_402_300_799_999,
        ];
        (ms, zones, any::<bool>())
            .prop_map(|(ms, offset_s, written)| Time::from_parts(ms, offset_s, written).expect("in range"))
    }

    proptest! {
        #[test]
        fn values_read_back_as_written(
            numbers in prop::collection::vec(prop_oneof![any::<u64>(), 0u64..300], 0..8),
            ids in prop::collection::vec(any_id(), 0..8),
            times in prop::collection::vec(any_time(), 0..8),
            signed in any::<i64>(),
        ) {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| put_varint(&mut bytes, *number));
            ids.iter().for_each(|id| put_id(&mut bytes, id.as_ref()));
            times.iter().for_each(|time| put_time(&mut bytes, *time));
            put_varint(&mut bytes, zigzag(signed));
            let mut decoder = Decoder::new(&bytes);
            for number in &numbers {
                prop_assert_eq!(decoder.varint("number"), Ok(*number));
            }
            for id in &ids {
                prop_assert_eq!(&decoder.id("id"), &Ok(id.clone()));
            }
            for time in &times {
                let read = decoder.time("time").expect("a time");
                prop_assert_eq!(format!("{read:?}"), format!("{time:?}"));
            }
            prop_assert_eq!(decoder.varint("signed").map(unzigzag), Ok(signed));
            prop_assert_eq!(decoder.end(), Ok(()));
            // Cut anywhere, something is missing.
            for length in 0..bytes.len() {
                let mut decoder = Decoder::new(&bytes[..length]);
                let all = numbers.iter().all(|_| decoder.varint("number").is_ok())
                    && ids.iter().all(|_| decoder.id("id").is_ok())
                    && times.iter().all(|_| decoder.time("time").is_ok())
                    && decoder.varint("signed").is_ok();
                prop_assert!(!all, "whole after {length} of {} bytes", bytes.len());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Decoder::new(&bytes).id("id");
            let _ = Decoder::new(&bytes).varint("number");
            if let Ok(time) = Decoder::new(&bytes).time("time") {
                let _ = (time.hour(), time.to_string());
            }
        }
    }

    #[test]
    fn forms_that_are_never_written_are_refused_and_named() {
        type Read = fn(&mut Decoder<'_>) -> Result<(), DecodeError>;
        let id: Read = |decoder| decoder.id("an id").map(drop);
        let time: Read = |decoder| decoder.time("a time").map(drop);
        let number: Read = |decoder| decoder.varint("a number").map(drop);
        let cases: [(&[u8], Read, &str); 8] = [
            (b"\x024\x38", id, "the number 48 as text"),
            (b"\x01/", id, "an id has '/'"),
            (b"\x50", id, "80 characters"),
            (b"\x07", time, "of form 7"),
            (b"\x80\x00", number, "leading zero"),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", number, "more than 64 bits"),
            (b"\x80", number, "end within a number"),
            (b"\x01\x00\xff\x07", time, "a time is 1023"),
        ];
        for (bytes, read, expected) in cases {
            let error = read(&mut Decoder::new(bytes)).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn time_in_a_longer_form_than_it_is_written_in_is_refused() {
        let mut short = Vec::new();
        put_time(&mut short, Time::from_unix_ms(58_000));
        assert_eq!(short, [SECONDS, 58]);
        for long in [&[PACKED, 58, 0][..], &[FULL, 0xa0, 0x8a, 0x07, 0, 0]] {
            assert!(Decoder::new(long).time("a time").is_err(), "{long:?}");
        }
    }
}
