//! A model's id as decisions carry it.

use std::fmt;

const MAX_LENGTH: usize = 15;

/// A model's id: the first digits of its file's hash, held in place so that a decision copies 16 bytes rather than
/// counting references that all cores share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ModelId {
    length: u8,
    bytes: [u8; MAX_LENGTH],
}

impl ModelId {
    /// An id of at most 15 bytes; what is longer is cut at a character's end.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let length = text.floor_char_boundary(MAX_LENGTH);
        let mut bytes = [0; MAX_LENGTH];
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self { length: length as u8, bytes }
    }

    /// The id as answers write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
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
    fn an_id_reads_back_and_a_long_one_is_cut_between_characters() {
        for (text, kept) in
            [("", ""), ("4017e3471abc", "4017e3471abc"), ("aaaaaaaaaaaaaaéb", "aaaaaaaaaaaaaa")]
        {
            assert_eq!(ModelId::new(text).as_str(), kept);
        }
    }
}
