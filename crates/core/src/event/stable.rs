//! A hash that is the same in every process, on every platform and in every version, so that files may hold it.

use super::IdRef;

/// Words that are mixed into a number, one after another.
///
/// Each step is SplitMix64's output function (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA
/// 2014), a bijection in which every bit of the input moves about half of the output's. It resists accidents, not attacks.
#[derive(Debug, Clone, Copy)]
pub struct StableHash(u64);

/// What an id of text begins with, so that it is none of a number.
const TEXT: u64 = 0x7465_7874;

impl StableHash {
    /// A hash of nothing yet; hashes with different keys have nothing in common.
    #[must_use]
    pub const fn with_key(key: u64) -> Self {
        Self(key)
    }

    /// Mixes in a number.
    #[must_use]
    pub const fn word(self, word: u64) -> Self {
        let mut mixed = (self.0 ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(mixed ^ (mixed >> 31))
    }

    /// Mixes in an id.
    #[must_use]
    pub fn id(self, id: IdRef<'_>) -> Self {
        match id {
            IdRef::Number(number) => self.word(number),
            IdRef::Text(text) => {
                let begun = self.word(TEXT ^ (text.len() as u64) << 32);
                text.as_bytes().chunks(8).fold(begun, |hash, chunk| {
                    let mut word = [0; 8];
                    word[..chunk.len()].copy_from_slice(chunk);
                    hash.word(u64::from_le_bytes(word))
                })
            }
        }
    }

    /// The hash of all that was mixed in.
    #[must_use]
    pub const fn finish(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files hold these: they may never change.
    #[test]
    fn hashes_are_those_of_the_first_version() {
        let of = |key, id| StableHash::with_key(key).word(1_700_000_000_000).id(id).finish();
        assert_eq!(
            StableHash::with_key(0).word(0).finish(),
            0xe220_a839_7b1d_cdaf,
            "SplitMix64's first of seed 0"
        );
        let long = "a-text-of-more-than-eight-bytes";
        let found = [
            of(0, IdRef::Number(0)),
            of(0, IdRef::Number(48)),
            of(1, IdRef::Number(48)),
            of(0, IdRef::Text("48")),
            of(0, IdRef::Text(long)),
        ];
        assert_eq!(
            found,
            [
                11_765_373_064_356_952_153,
                961_958_372_877_392_557,
                11_281_072_158_812_575_610,
                8_411_900_530_957_876_217,
                16_864_631_532_805_083_722,
            ],
            "{found:?}"
        );
    }
}
