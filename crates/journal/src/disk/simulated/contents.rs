//! A file's bytes on the platter, in the page cache, and on the way between them.

use super::dice::Dice;

/// The unit that a disk writes whole, except where it tears it.
const SECTOR: usize = 512;

#[derive(Debug, Clone)]
pub(super) enum Written {
    Bytes { at: usize, bytes: Vec<u8> },
    Size(usize),
}

impl Written {
    /// Whether it is more than a size, and more than zeros.
    pub fn is_data(&self) -> bool {
        matches!(self, Self::Bytes { bytes, .. } if bytes.iter().any(|byte| *byte != 0))
    }
}

#[derive(Debug, Default)]
pub(super) struct Contents {
    pub platter: Vec<u8>,
    /// Since the last sync, in order.
    pub written: Vec<Written>,
    pub cache: Vec<u8>,
    pub modified_ms: u64,
    /// What its blocks held before: shown once the file is synced.
    pub old: Option<Vec<u8>>,
}

impl Contents {
    pub fn write(&mut self, written: Written) {
        apply(&mut self.cache, &written);
        self.written.push(written);
    }
}

pub(super) fn apply(to: &mut Vec<u8>, written: &Written) {
    match written {
        Written::Size(size) => to.resize(*size, 0),
        Written::Bytes { at, bytes } => {
            if to.len() < at + bytes.len() {
                to.resize(at + bytes.len(), 0);
            }
            to[*at..at + bytes.len()].copy_from_slice(bytes);
        }
    }
}

/// Applies any part of a write: sectors in any subset, and now and then a torn one.
pub(super) fn apply_some(to: &mut Vec<u8>, written: &Written, dice: &mut Dice) {
    let Written::Bytes { at, bytes } = written else {
        if dice.one_in(2) {
            apply(to, written);
        }
        return;
    };
    // Most often all sectors or none of them, else each by itself.
    let (all, none) = (dice.one_in(3), dice.one_in(3));
    let mut start = 0;
    while start < bytes.len() {
        let end = (start + SECTOR - (at + start) % SECTOR).min(bytes.len());
        if all || (!none && dice.one_in(2)) {
            let torn = if dice.one_in(16) { dice.below((end - start) as u64) as usize } else { end - start };
            apply(to, &Written::Bytes { at: at + start, bytes: bytes[start..start + torn].to_vec() });
        }
        start = end;
    }
}
