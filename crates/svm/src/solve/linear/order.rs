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
    random: Xoshiro256PlusPlus,
}

impl Order {
    /// An order of `rows` < 2³² rows, all of them active.
    pub fn new(rows: usize, seed: u64) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut order = Self { rows, active: Vec::new(), random };
        order.activate_all();
        order
    }

    /// Whether every row is active.
    pub fn is_complete(&self) -> bool {
        self.active.len() == self.rows
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
