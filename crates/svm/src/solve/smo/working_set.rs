//! The rows that a solve works on: their residuals, which of them are active, and kernel rows over them.

use super::cache::{RowCache, Span};
use super::kernel_rows::kernel_values;
use super::layout::{BLOCK, Blocks, GREATEST_VALUE, Points, padded};
use super::passes::{Ends, FALLS, RISES, add_row, second_place, step_residuals};
use crate::score::simd::Simd;

/// From so many features on, picking the active rows' values out of a cached row beats computing them.
const WIDE: usize = 16;

/// Bytes of narrower rows that are kept: about what the second-level cache holds besides the rest. With six features
/// a kernel value takes a third of a nanosecond to compute, which memory does not beat, and new pages from the
/// system cost more than that.
const NARROW_CACHE_BYTES: usize = 1 << 20;

/// Rows whose residuals are updated together, so that they stay in the first-level cache.
const CHUNK_BLOCKS: usize = 8;

/// A row of the pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Chosen {
    /// Its number among all rows.
    pub(super) row: u32,
    /// Its place among the active rows.
    pub(super) place: u32,
    /// Its kernel value with itself, and the ridge.
    pub(super) diagonal: f32,
    /// `y - Σ yα K`, less the ridge's part; `-y` times the gradient of the dual objective.
    pub(super) residual: f64,
}

/// The two extremes of the violation: it is `top.residual - bottom`, libSVM's `m(α) - M(α)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Extremes {
    /// The first row of the next pair; none where no row may rise.
    pub(super) top: Option<Chosen>,
    pub(super) bottom: f64,
}

/// A pair's move: the first row's signed multiplier rises by `step`, the second's falls by it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    pub(super) pair: [Chosen; 2],
    pub(super) step: f64,
    /// The directions in which the two may move afterwards.
    pub(super) moves: [u8; 2],
}

/// A change of a row's signed multiplier.
pub(super) type Change = (u32, f64);

/// All rows. Those that are active are kept packed, in order, in arrays of whole blocks.
#[derive(Debug)]
pub(super) struct WorkingSet {
    simd: Simd,
    points: Points,
    blocks: Blocks,
    /// The kernel value of each row with itself, and the greatest of them.
    diagonal: Vec<f32>,
    greatest: f32,
    /// What the loss adds to each row's; empty under the hinge loss, which adds nothing.
    ridge: Vec<f64>,
    cache: RowCache,
    /// Of every row; of an active one as it was when last packed.
    residuals: Vec<f64>,
    active: Active,
    /// Rows that were shrunk together, the earliest first.
    shrunk: Vec<Vec<u32>>,
}

#[derive(Debug)]
struct Active {
    rows: Vec<u32>,
    /// None while every row is active.
    blocks: Option<Blocks>,
    /// With the ridge.
    diagonal: Vec<f32>,
    residuals: Vec<f64>,
    moves: Vec<u8>,
}

impl WorkingSet {
    pub(super) fn new(points: Points, cache_bytes: usize, simd: Simd) -> Self {
        let rows = points.len();
        let blocks = points.blocks(0..rows);
        let width = padded(rows);
        let mut diagonal = vec![0.0; width];
        let mut values = [0.0; BLOCK];
        for row in 0..rows {
            let block = row / BLOCK..row / BLOCK + 1;
            // Computed as every other value is, so that curvatures of equal rows come out as zero.
            kernel_values(simd, &points, row, &blocks, block, &mut values);
            diagonal[row] = values[row % BLOCK];
        }
        let narrow = points.features < WIDE && simd != Simd::Portable;
        let cache_bytes = if narrow { cache_bytes.min(NARROW_CACHE_BYTES) } else { cache_bytes };
        let cache = RowCache::new(rows, width, cache_bytes);
        let nothing =
            Active { rows: vec![], blocks: None, diagonal: vec![], residuals: vec![], moves: vec![] };
        Self {
            simd,
            points,
            blocks,
            greatest: diagonal.iter().copied().fold(0.0, f32::max),
            diagonal,
            ridge: Vec::new(),
            cache,
            residuals: vec![0.0; width],
            active: nothing,
            shrunk: Vec::new(),
        }
    }

    pub(super) fn points(&self) -> &Points {
        &self.points
    }

    /// Begins a solve: every row is active, and the residuals are those of these signed multipliers. `positive`
    /// and `moves` are each row's class and the directions in which its multiplier may move; `ridge` what the loss adds
    /// to each row's kernel value with itself, or nothing.
    pub(super) fn begin(
        &mut self,
        positive: &[bool],
        moves: &[u8],
        start: &[Change],
        ridge: Vec<f64>,
    ) -> Extremes {
        self.shrunk.clear();
        self.ridge = ridge;
        let rows: Vec<u32> = (0..positive.len() as u32).collect();
        let mut residuals = vec![0.0; padded(rows.len())];
        for (residual, &positive) in residuals.iter_mut().zip(positive) {
            *residual = if positive { 1.0 } else { -1.0 };
        }
        self.change(&rows, &self.blocks, start, &mut residuals);
        start.iter().for_each(|&(row, signed)| residuals[row as usize] -= self.ridge_of(row) * signed);
        self.residuals = residuals;
        let mut padded_moves = moves.to_vec();
        padded_moves.resize(padded(rows.len()), 0);
        self.activate_all(padded_moves)
    }

    /// The best second row for a first row, and their kernel value. Fan, Chen and Lin (2005), WSS 2.
    pub(super) fn partner(&mut self, first: Chosen) -> Option<(Chosen, f32)> {
        let slot = self.kernel_row(first.row);
        let (row, active) = (self.cache.values(slot), &self.active);
        let (residual, diagonal) = (first.residual, first.diagonal);
        let Active { diagonal: diagonals, moves, residuals, .. } = active;
        let place = second_place(self.simd, residual, diagonal, row, diagonals, moves, residuals)?;
        Some((self.chosen(place), row[place]))
    }

    /// The second derivative of the dual objective along a pair's move. Rows that are equal may have nothing but the
    /// ridge, of which single precision would lose what a great C leaves.
    pub(super) fn curvature(&self, first: Chosen, second: Chosen, value: f32) -> f64 {
        let [one, other] = [first.row, second.row];
        let kernel = f64::from(self.diagonal[one as usize]) + f64::from(self.diagonal[other as usize]);
        kernel - 2.0 * f64::from(value) + (self.ridge_of(one) + self.ridge_of(other))
    }

    /// The greatest kernel value of a row with itself; no two rows have a greater one.
    pub(super) fn greatest_value(&self) -> f32 {
        self.greatest
    }

    /// What the loss adds to a row's kernel value with itself.
    pub(super) fn ridge_of(&self, row: u32) -> f64 {
        self.ridge.get(row as usize).map_or(0.0, |ridge| *ridge)
    }

    /// Applies a step to the residuals.
    pub(super) fn step(&mut self, step: &Step) -> Extremes {
        for ((chosen, moves), signed) in step.pair.iter().zip(step.moves).zip([step.step, -step.step]) {
            self.active.moves[chosen.place as usize] = moves;
            let ridge = self.ridge_of(chosen.row);
            self.active.residuals[chosen.place as usize] -= ridge * signed;
        }
        // Two rows always fit the cache, so the second does not evict the first.
        let [first, second] = step.pair.map(|chosen| self.kernel_row(chosen.row));
        let Active { moves, residuals, .. } = &mut self.active;
        let (first, second) = (self.cache.values(first), self.cache.values(second));
        let ends = step_residuals(self.simd, step.step, first, second, moves, residuals);
        self.located(ends)
    }

    /// How many active rows there are, and how many of them [`WorkingSet::shrink`] would take.
    pub(super) fn count(&self, top: f64, bottom: f64) -> [usize; 2] {
        let active = &self.active;
        let idle = active.moves.iter().zip(&active.residuals[..active.rows.len()]);
        let idle = idle.filter(|(moves, residual)| is_idle(**moves, **residual, top, bottom)).count();
        [active.rows.len(), idle]
    }

    /// Shrinks: takes out the rows that are at a bound and are expected to stay there, because they can only move
    /// away from the extremes of the violation. Chang and Lin (2011), section 5.1.
    pub(super) fn shrink(&mut self, top: f64, bottom: f64) -> Extremes {
        self.unpack();
        let active = &self.active;
        let (mut kept, mut shrunk) = (Vec::new(), Vec::new());
        for (place, &row) in active.rows.iter().enumerate() {
            if is_idle(active.moves[place], active.residuals[place], top, bottom) {
                shrunk.push(row);
            } else {
                kept.push(place as u32);
            }
        }
        self.shrunk.push(shrunk);
        let width = padded(kept.len());
        self.cache.narrow_active(&kept, width);
        let rows: Vec<u32> = kept.iter().map(|&place| active.rows[place as usize]).collect();
        self.active = Active {
            blocks: Some(self.points.blocks(rows.iter().map(|&row| row as usize))),
            diagonal: packed(&active.diagonal, &kept),
            residuals: packed(&active.residuals, &kept),
            moves: packed(&active.moves, &kept),
            rows,
        };
        self.extremes()
    }

    /// Makes every row active again. `changes` are, for each time that rows were shrunk, the changes of the signed
    /// multipliers since; `moves` are the directions in which each row's multiplier may move.
    pub(super) fn unshrink(&mut self, moves: &[u8], changes: &[Vec<Change>]) -> Extremes {
        self.unpack();
        self.cache.clear_active();
        for (rows, changes) in std::mem::take(&mut self.shrunk).iter().zip(changes) {
            let blocks = self.points.blocks(rows.iter().map(|&row| row as usize));
            let mut residuals = packed(&self.residuals, rows);
            self.change(rows, &blocks, changes, &mut residuals);
            rows.iter().zip(residuals).for_each(|(&row, residual)| self.residuals[row as usize] = residual);
        }
        let mut padded_moves = moves.to_vec();
        padded_moves.resize(padded(moves.len()), 0);
        self.activate_all(padded_moves)
    }

    /// Puts residuals in the place of those that the steps summed up, while every row is active.
    pub(super) fn replace_residuals(&mut self, mut residuals: Vec<f64>) -> Extremes {
        residuals.resize(padded(self.active.rows.len()), 0.0);
        self.residuals.copy_from_slice(&residuals);
        self.active.residuals = residuals;
        self.extremes()
    }

    /// The residuals of all rows; right while every row is active.
    pub(super) fn residuals(&self) -> &[f64] {
        &self.active.residuals[..self.active.rows.len()]
    }

    fn activate_all(&mut self, moves: Vec<u8>) -> Extremes {
        self.cache.clear_active();
        self.active = Active {
            rows: (0..self.points.len() as u32).collect(),
            blocks: None,
            diagonal: self.ridged_diagonal(),
            residuals: self.residuals.clone(),
            moves,
        };
        self.extremes()
    }

    /// What partners are chosen by. A ridge beyond single precision would leave no gain to choose by; a step's length is of the
    /// ridge itself.
    fn ridged_diagonal(&self) -> Vec<f32> {
        let mut diagonal = self.diagonal.clone();
        let ridges = self.ridge.iter().map(|ridge| ridge.min(GREATEST_VALUE) as f32);
        diagonal.iter_mut().zip(ridges).for_each(|(value, ridge)| *value += ridge);
        diagonal
    }

    /// The slot with the kernel values of a row and the active rows, computed where they are not in the cache.
    fn kernel_row(&mut self, row: u32) -> u32 {
        let Self { simd, points, blocks, cache, active, .. } = self;
        let (blocks, span) = match &active.blocks {
            Some(packed) => (packed, Span::Active),
            None => (&*blocks, Span::All),
        };
        if let Some(slot) = cache.find(row, span) {
            return slot;
        }
        let width = padded(active.rows.len());
        if span == Span::Active
            && points.features >= WIDE
            && let Some(all) = cache.peek(row)
        {
            let values = packed(all, &active.rows);
            return cache.insert(row, span, width, |slot| slot.copy_from_slice(&values));
        }
        cache.insert(row, span, width, |values| {
            kernel_values(*simd, points, row as usize, blocks, 0..blocks.len(), values);
        })
    }

    /// Updates the residuals of `rows`, which lie in `blocks`, for changed multipliers.
    fn change(&self, rows: &[u32], blocks: &Blocks, changes: &[Change], residuals: &mut [f64]) {
        let mut values = [0.0; CHUNK_BLOCKS * BLOCK];
        for (chunk, residuals) in residuals.chunks_mut(CHUNK_BLOCKS * BLOCK).enumerate() {
            let first = chunk * CHUNK_BLOCKS;
            let chunk_blocks = first..first + residuals.len() / BLOCK;
            let rows = &rows[first * BLOCK..];
            let values = &mut values[..residuals.len()];
            for &(row, change) in changes {
                match self.cache.peek(row).filter(|_| self.points.features >= WIDE) {
                    Some(all) => {
                        values.iter_mut().zip(rows).for_each(|(value, &row)| *value = all[row as usize]);
                    }
                    None => {
                        let range = chunk_blocks.clone();
                        kernel_values(self.simd, &self.points, row as usize, blocks, range, values);
                    }
                }
                add_row(self.simd, -change, values, residuals);
            }
        }
    }

    /// Writes the residuals of active rows where all rows' are.
    fn unpack(&mut self) {
        for (&row, &residual) in self.active.rows.iter().zip(&self.active.residuals) {
            self.residuals[row as usize] = residual;
        }
    }

    fn extremes(&self) -> Extremes {
        let mut ends = Ends { top: f64::NEG_INFINITY, top_place: None, bottom: f64::INFINITY };
        for (place, (&moves, &residual)) in self.active.moves.iter().zip(&self.active.residuals).enumerate() {
            if moves & RISES != 0 && residual > ends.top {
                (ends.top, ends.top_place) = (residual, Some(place));
            }
            if moves & FALLS != 0 && residual < ends.bottom {
                ends.bottom = residual;
            }
        }
        self.located(ends)
    }

    fn located(&self, ends: Ends) -> Extremes {
        Extremes { top: ends.top_place.map(|place| self.chosen(place)), bottom: ends.bottom }
    }

    fn chosen(&self, place: usize) -> Chosen {
        Chosen {
            row: self.active.rows[place],
            place: place as u32,
            diagonal: self.active.diagonal[place],
            residual: self.active.residuals[place],
        }
    }
}

impl Extremes {
    /// By how much the optimality conditions are violated: libSVM's `m(α) - M(α)`; minus infinity where no pair
    /// can move.
    pub(super) fn violation(&self) -> f64 {
        self.top.map_or(f64::NEG_INFINITY, |top| top.residual - self.bottom)
    }
}

fn is_idle(moves: u8, residual: f64, top: f64, bottom: f64) -> bool {
    (moves == FALLS && residual > top) || (moves == RISES && residual < bottom)
}

/// The values at these places, filled up to whole blocks.
fn packed<T: Copy + Default>(values: &[T], places: &[u32]) -> Vec<T> {
    let mut packed = Vec::with_capacity(padded(places.len()));
    packed.extend(places.iter().map(|&place| values[place as usize]));
    packed.resize(padded(places.len()), T::default());
    packed
}
