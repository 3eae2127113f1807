//! A seeded random number generator: the same numbers on every machine.
//!
//! Only integer arithmetic and the IEEE operations `+ - * /` are used here and in the whole
//! simulator. `exp`, `ln`, `powf` and friends come from the platform's libm and may differ in the
//! last bit, and then the same seed would write different files.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng};

/// A seeded random number generator (xoshiro256++).
#[derive(Debug, Clone)]
pub struct Rng(Xoshiro256PlusPlus);

impl Rng {
    /// A generator whose numbers follow from `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// The generator for item `index` of one stream, so that any item can be made without those before it.
    pub(super) fn of(seed: u64, stream: Stream, index: u64) -> Self {
        let stream_seed = mix(seed.wrapping_add(stream as u64));
        Self::new(mix(stream_seed.wrapping_add(index)))
    }

    /// A number in `0.0..1.0`, a multiple of 2⁻⁵³.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// A whole number in `0..n`; 0 when `n` is 0. Off from even by less than n / 2³².
    #[inline]
    pub fn below(&mut self, n: u32) -> u32 {
        (((self.0.next_u64() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// True with probability `p` (`0.0..=1.0`).
    #[inline]
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A number in `low..high`, bell-shaped: the mean of four even draws. The standard deviation
    /// is 0.144 of the width.
    pub(super) fn bell(&mut self, low: f64, high: f64) -> f64 {
        let sum = self.unit() + self.unit() + self.unit() + self.unit();
        low + (high - low) * (sum / 4.0)
    }
}

/// What a seeded stream of numbers is for; drawing from one stream does not change another.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    Listener = 1,
    Person,
    Catalogue,
    Favourite,
    Play,
    ShipTracks,
    ShipClicks,
    ShipImpressions,
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014, section 5): the outputs of successive
/// inputs are uncorrelated.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Picks an index with probability in proportion to its weight, in constant time: the alias
/// method (Vose 1991, "A linear algorithm for generating random numbers with a given
/// distribution").
#[derive(Debug, Clone)]
pub(super) struct Weighted(Vec<Slot>);

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Of 2³² draws of this slot, this many keep it; the others go to `alias`.
    keep: u32,
    alias: u32,
}

impl Weighted {
    /// `weights`: at least one, each finite and above 0, fewer than 2³² of them.
    pub(super) fn new(weights: impl ExactSizeIterator<Item = f64> + Clone) -> Self {
        let count = weights.len();
        let mean = weights.clone().sum::<f64>() / count as f64;
        let mut scaled: Vec<f64> = weights.map(|weight| weight / mean).collect();
        let mut slots: Vec<Slot> =
            (0..count as u32).map(|index| Slot { keep: u32::MAX, alias: index }).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..count as u32).partition(|&index| scaled[index as usize] < 1.0);
        while let (Some(&under), Some(&over)) = (small.last(), large.last()) {
            small.pop();
            slots[under as usize] =
                Slot { keep: (scaled[under as usize] * (1_u64 << 32) as f64) as u32, alias: over };
            scaled[over as usize] -= 1.0 - scaled[under as usize];
            if scaled[over as usize] < 1.0 {
                large.pop();
                small.push(over);
            }
        }
        Self(slots)
    }

    #[inline]
    pub(super) fn pick(&self, rng: &mut Rng) -> u32 {
        let draw = rng.0.next_u64();
        let index = ((draw >> 32) * self.0.len() as u64) >> 32;
        let slot = self.0[index as usize];
        if (draw as u32) < slot.keep { index as u32 } else { slot.alias }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_seed_never_change() {
        let mut rng = Rng::of(7, Stream::Play, 3);
        let numbers: Vec<u32> = (0..4).map(|_| rng.below(1_000_000)).collect();
        assert_eq!(numbers, NUMBERS);
    }

    /// Written down once: a change here changes every simulated file.
    const NUMBERS: [u32; 4] = [543_538, 471_807, 966_150, 963_906];

    #[test]
    fn weighted_picks_follow_the_weights() {
        let weights = [1.0, 2.0, 3.0, 0.5, 3.5];
        let weighted = Weighted::new(weights.into_iter());
        let mut rng = Rng::new(1);
        let mut counts = [0_u32; 5];
        for _ in 0..100_000 {
            counts[weighted.pick(&mut rng) as usize] += 1;
        }
        for (count, weight) in counts.into_iter().zip(weights) {
            let share = f64::from(count) / 100_000.0;
            assert!((share - weight / 10.0).abs() < 0.01, "{counts:?}");
        }
    }

    #[test]
    fn one_weight_is_always_picked() {
        let weighted = Weighted::new([0.3].into_iter());
        assert_eq!(weighted.pick(&mut Rng::new(9)), 0);
    }
}
