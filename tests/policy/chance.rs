//! Chance that a seed replays.

/// Numbers that follow from a seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn draw(&mut self) -> u64 {
        crate::split_mix::next(&mut self.0)
    }

    /// 0 to `count` − 1.
    pub fn below(&mut self, count: i64) -> i64 {
        (self.draw() % count.max(1) as u64) as i64
    }

    /// One of `from` to `to`, which is the last.
    pub fn within(&mut self, from: i64, to: i64) -> i64 {
        from + self.below(to - from + 1)
    }

    pub fn one_in(&mut self, count: i64) -> bool {
        self.below(count) == 0
    }

    pub fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as i64) as usize]
    }
}
