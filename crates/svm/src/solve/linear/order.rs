//! The order in which a pass of coordinate descent visits the rows.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

/// How many visits ahead of its own a row's memory is prefetched: the latency of memory is about ten visits.
const AHEAD: usize = 16;

/// A random order of the rows that are still active, new for each pass.
///
/// All of them are shuffled. Shuffling blocks, and rows inside of blocks, would be kinder to the cache,
/// but rows that keep their neighbours took three times as many passes for the logistic loss.
#[derive(Debug)]
pub(super) struct Order {
    rows: usize,
    active: Vec<u32>,
    /// Visits that are left.
    left: u64,
    random: Xoshiro256PlusPlus,
}

impl Order {
    /// An order of `rows` < 2³² rows, all of them active, for so many visits of a row or a few more.
    pub fn new(rows: usize, seed: u64, most_visits: u64) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut order = Self { rows, active: Vec::new(), left: most_visits, random };
        order.activate_all();
        order
    }

    /// Whether every row is active.
    pub fn is_complete(&self) -> bool {
        self.active.len() == self.rows
    }

    /// Whether the passes have made as many visits as there may be.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Makes every row active again.
    pub fn activate_all(&mut self) {
        self.active.clear();
        self.active.extend(0..self.rows as u32);
    }

    /// Visits every active row once; a row stays active when `visit` returns true. `visit` also takes a row whose
    /// turn comes some visits later, so that its memory can be prefetched.
    #[inline]
    pub fn pass(&mut self, mut visit: impl FnMut(usize, usize) -> bool) {
        self.active.shuffle(&mut self.random);
        self.left = self.left.saturating_sub(self.active.len() as u64);
        let mut kept = 0;
        for place in 0..self.active.len() {
            let row = self.active[place];
            let later = self.active.get(place + AHEAD).map_or(row, |&later| later);
            self.active[kept] = row;
            kept += usize::from(visit(row as usize, later as usize));
        }
        self.active.truncate(kept);
    }
}
