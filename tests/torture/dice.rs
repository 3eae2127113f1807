//! Chance that a seed replays.

/// Numbers that follow from a seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice for one of several parts of a test, so that one part's draws do not move another's.
    pub fn part(seed: u64, part: u64) -> Self {
        let mut dice = Self(seed ^ part.wrapping_mul(0xd6e8_feb8_6659_fd93));
        dice.draw();
        dice
    }

    pub fn draw(&mut self) -> u64 {
        crate::split_mix::next(&mut self.0)
    }

    /// 0 to `count` − 1.
    pub fn below(&mut self, count: u64) -> u64 {
        self.draw() % count.max(1)
    }

    /// A place in a list of so many.
    pub fn place(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}
