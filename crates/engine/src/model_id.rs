//! A model's id as decisions carry it.

use std::fmt;

const MAX_LENGTH: usize = 15;

/// A model's id: the first digits of its file's hash. It is stored in place, so that a decision copies 16 bytes and
/// does not write to a reference count that all cores share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ModelId {
    length: u8,
    bytes: [u8; MAX_LENGTH],
}

impl ModelId {
    /// An id from text. Model ids are twelve hexadecimal digits; of a longer text the first 15 ASCII characters are
    /// kept.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; MAX_LENGTH];
        let mut length = 0;
        for (kept, byte) in bytes.iter_mut().zip(text.bytes().filter(u8::is_ascii)) {
            *kept = byte;
            length += 1;
        }
        Self { length, bytes }
    }

    /// The id as text, as in answers.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The id's characters, all of them ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl serde::Serialize for ModelId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_reads_back_and_a_long_one_is_truncated() {
        for (text, kept) in
            [("", ""), ("4017e3471abc", "4017e3471abc"), ("0123456789abcdef", "0123456789abcde")]
        {
            assert_eq!(ModelId::new(text).as_str(), kept);
        }
    }
}
