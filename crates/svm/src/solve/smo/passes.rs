//! The passes over the active rows that an iteration makes, besides computing kernel rows.
//!
//! What an iteration reads and writes, per active row: choosing the second row takes a residual (8 bytes), a
//! kernel value (4), the diagonal (4) and the directions in which it may move (1); a step takes two kernel values
//! (8), the residual twice (16) and the directions (1). Choosing the next first row and testing the stopping rule are
//! part of the step's pass. So 42 bytes, mostly from the second-level cache, besides two kernel rows, which for six
//! features cost about as much to compute as to fetch from memory.

use super::layout::BLOCK;
use crate::solve::vectorised::vectorised;

/// The row's signed multiplier `yα` may rise: `I_up` of Fan, Chen and Lin (2005), equation 6.
pub(super) const RISES: u8 = 1;
/// It may fall: `I_low`.
pub(super) const FALLS: u8 = 2;

/// Put in for a curvature that is not positive, as libSVM does.
pub(super) const TAU: f32 = 1e-12;

/// Lanes of running extremes: two vectors of 512 bits.
const LANES: usize = 16;

/// The greatest residual among rows that may rise, with its place, and the least among those that may fall.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ends {
    pub(super) top: f64,
    /// None when no row may rise.
    pub(super) top_place: Option<usize>,
    pub(super) bottom: f64,
}

vectorised! {
    /// Takes `step` times the difference of two kernel rows from the residuals and finds their ends.
    ///
    /// All slices are of equal length, whole blocks.
    fn step_residuals(
        step: f64,
        first: &[f32],
        second: &[f32],
        moves: &[u8],
        residuals: &mut [f64],
    ) -> Ends = step_body
}

vectorised! {
    /// Adds `factor` times a kernel row to the residuals.
    fn add_row(factor: f64, row: &[f32], residuals: &mut [f64]) = add_body
}

vectorised! {
    /// The place of the row that, paired with a first row of this residual and diagonal, promises the greatest
    /// gain `b²/a`. Fan, Chen and Lin (2005), WSS 2.
    fn second_place(
        residual: f64,
        diagonal: f32,
        row: &[f32],
        diagonals: &[f32],
        moves: &[u8],
        residuals: &[f64],
    ) -> Option<usize> = second_body
}

#[inline(always)]
fn step_body<const FMA: bool>(
    step: f64,
    first: &[f32],
    second: &[f32],
    moves: &[u8],
    residuals: &mut [f64],
) -> Ends {
    let (first, _) = first.as_chunks::<BLOCK>();
    let (second, _) = second.as_chunks::<BLOCK>();
    let (moves, _) = moves.as_chunks::<BLOCK>();
    let (residual_blocks, _) = residuals.as_chunks_mut::<BLOCK>();
    let mut top = f64::NEG_INFINITY;
    let mut top_block = None;
    let mut bottoms = [f64::INFINITY; LANES];
    let rows = first.iter().zip(second).zip(moves).zip(residual_blocks).enumerate();
    for (block, (((first, second), moves), residuals)) in rows {
        let mut tops = [f64::NEG_INFINITY; LANES];
        for part in 0..BLOCK / LANES {
            for lane in 0..LANES {
                let at = part * LANES + lane;
                let difference = f64::from(first[at]) - f64::from(second[at]);
                let residual = if FMA {
                    difference.mul_add(-step, residuals[at])
                } else {
                    residuals[at] - step * difference
                };
                residuals[at] = residual;
                let rising = if moves[at] & RISES != 0 { residual } else { f64::NEG_INFINITY };
                let falling = if moves[at] & FALLS != 0 { residual } else { f64::INFINITY };
                tops[lane] = if rising > tops[lane] { rising } else { tops[lane] };
                bottoms[lane] = if falling < bottoms[lane] { falling } else { bottoms[lane] };
            }
        }
        let block_top = greatest(tops);
        if block_top > top {
            (top, top_block) = (block_top, Some(block));
        }
    }
    let bottom = -greatest(bottoms.map(|bottom| -bottom));
    let top_place = top_block.and_then(|block| {
        let start = block * BLOCK;
        let found = |at: &usize| moves[block][at - start] & RISES != 0 && residuals[*at] == top;
        (start..start + BLOCK).find(found)
    });
    Ends { top, top_place, bottom }
}

#[inline(always)]
fn add_body<const FMA: bool>(factor: f64, row: &[f32], residuals: &mut [f64]) {
    for (residual, &value) in residuals.iter_mut().zip(row) {
        let value = f64::from(value);
        *residual = if FMA { value.mul_add(factor, *residual) } else { *residual + factor * value };
    }
}

#[inline(always)]
fn second_body<const FMA: bool>(
    residual: f64,
    diagonal: f32,
    row: &[f32],
    diagonals: &[f32],
    moves: &[u8],
    residuals: &[f64],
) -> Option<usize> {
    let gain = |moves: u8, other: f64, value: f32, other_diagonal: f32| {
        let difference = (residual - other) as f32;
        let curvature = (diagonal + other_diagonal) - 2.0 * value;
        let curvature = if curvature > 0.0 { curvature } else { TAU };
        let gain = difference * difference / curvature;
        if moves & FALLS != 0 && difference > 0.0 { gain } else { -1.0 }
    };
    let (rows, _) = row.as_chunks::<BLOCK>();
    let (diagonal_blocks, _) = diagonals.as_chunks::<BLOCK>();
    let (move_blocks, _) = moves.as_chunks::<BLOCK>();
    let (residual_blocks, _) = residuals.as_chunks::<BLOCK>();
    let mut best = -1.0;
    let mut best_block = None;
    let blocks = rows.iter().zip(diagonal_blocks).zip(move_blocks).zip(residual_blocks).enumerate();
    for (block, (((row, diagonals), moves), residuals)) in blocks {
        let mut gains = [-1.0_f32; LANES];
        for part in 0..BLOCK / LANES {
            for (lane, best) in gains.iter_mut().enumerate() {
                let at = part * LANES + lane;
                let gain = gain(moves[at], residuals[at], row[at], diagonals[at]);
                *best = if gain > *best { gain } else { *best };
            }
        }
        let block_best = greatest(gains);
        if block_best > best {
            (best, best_block) = (block_best, Some(block));
        }
    }
    // All of the block's gains again at once: one after the other, their divisions would take longer than the pass.
    let block = best_block?;
    let (row, diagonals) = (&rows[block], &diagonal_blocks[block]);
    let (moves, residuals) = (&move_blocks[block], &residual_blocks[block]);
    let mut gains = [-1.0_f32; BLOCK];
    for (at, slot) in gains.iter_mut().enumerate() {
        *slot = gain(moves[at], residuals[at], row[at], diagonals[at]);
    }
    gains.iter().position(|&gain| gain == best).map(|at| block * BLOCK + at)
}

/// By halves, which vector instructions do; a number is greater than none.
#[inline(always)]
fn greatest<T: Copy + PartialOrd>(mut lanes: [T; LANES]) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = if lanes[lane + width] > lanes[lane] { lanes[lane + width] } else { lanes[lane] };
        }
        width /= 2;
    }
    lanes[0]
}
