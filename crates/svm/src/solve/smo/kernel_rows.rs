//! Kernel values of one row with many, in single precision as in libSVM (its `Qfloat`).
//!
//! Each loop is written once over arrays of [`BLOCK`] numbers and compiled once per instruction set. A value
//! depends on its two rows only, not on the place or the number of rows asked for at once: a row that is computed
//! again is the same to the bit.

use super::layout::{BLOCK, Blocks, Form, Points};
use crate::score::simd::Simd;
use crate::solve::vectorised::vectorised;

/// Fills `out` with the kernel values of one row of the points and each row in some of the blocks; `out.len()` is [`BLOCK`] times
/// their number.
pub(super) fn kernel_values(
    simd: Simd,
    points: &Points,
    row: usize,
    blocks: &Blocks,
    range: std::ops::Range<usize>,
    out: &mut [f32],
) {
    match points.entries(row) {
        None => kernel_row(simd, points.form, blocks.values(range), points.row(row), out),
        Some(entries) => {
            let squares = blocks.squares(range.clone());
            sparse_row(simd, points.form, points.features, blocks.values(range), squares, entries, out);
        }
    }
}

vectorised! {
    /// As [`kernel_row`], for a row of which only `entries` are not zero. Columns in which it is zero are not read, which add
    /// nothing to an inner product, and what they add to a squared distance is in `squares`, the other rows' own.
    fn sparse_row(
        form: Form,
        features: usize,
        blocks: &[f32],
        squares: &[f64],
        entries: &[(u32, f32)],
        out: &mut [f32],
    ) = row_of_entries
}

#[inline(always)]
fn row_of_entries<const FMA: bool>(
    form: Form,
    features: usize,
    blocks: &[f32],
    squares: &[f64],
    entries: &[(u32, f32)],
    out: &mut [f32],
) {
    let (out, _) = out.as_chunks_mut::<BLOCK>();
    let (squares, _) = squares.as_chunks::<BLOCK>();
    for ((block, squares), out) in blocks.chunks_exact(features * BLOCK).zip(squares).zip(out) {
        let (columns, _) = block.as_chunks::<BLOCK>();
        let pairs = entries.iter().map(|&(column, x)| (&columns[column as usize], x));
        match form {
            Form::Linear => *out = products::<FMA>(pairs),
            Form::Rbf => {
                let mut distances = *squares;
                differences::<FMA>(pairs, &mut distances);
                for (out, distance) in out.iter_mut().zip(distances) {
                    *out = exp2::<FMA>(-(distance as f32));
                }
            }
            Form::Poly { coef0, degree } => powers::<FMA>(pairs, coef0, degree, out),
            Form::Sigmoid { coef0 } => {
                *out = products::<FMA>(pairs);
                out.iter_mut().for_each(|value| *value = tanh::<FMA>(*value + coef0));
            }
        }
    }
}

/// Adds `Σ x (x − 2 value)` to each row's square: its squared distance to `x`. In double precision, whose rounding is less than
/// that of the values themselves unless rows are a thousand times closer to each other than to 0.
#[inline(always)]
fn differences<'a, const FMA: bool>(
    pairs: impl Iterator<Item = (&'a [f32; BLOCK], f32)>,
    squares: &mut [f64; BLOCK],
) {
    let mut sums = [0.0; BLOCK];
    for (column, x) in pairs {
        let x = f64::from(x);
        for lane in 0..BLOCK {
            let difference = x - 2.0 * f64::from(column[lane]);
            sums[lane] = if FMA { x.mul_add(difference, sums[lane]) } else { sums[lane] + x * difference };
        }
    }
    squares.iter_mut().zip(sums).for_each(|(square, sum)| *square = (*square + sum).max(0.0));
}

vectorised! {
    /// Fills `out` with the kernel values of `x` and each row in `blocks`; `out.len()` is [`BLOCK`] times the
    /// number of blocks.
    fn kernel_row(form: Form, blocks: &[f32], x: &[f32], out: &mut [f32]) = row
}

/// Few features are counted at compile time, so that `x` stays in registers; six are the usual number.
#[inline(always)]
fn row<const FMA: bool>(form: Form, blocks: &[f32], x: &[f32], out: &mut [f32]) {
    match x.len() {
        1 => row_of::<FMA, 1>(form, blocks, x, out),
        2 => row_of::<FMA, 2>(form, blocks, x, out),
        3 => row_of::<FMA, 3>(form, blocks, x, out),
        4 => row_of::<FMA, 4>(form, blocks, x, out),
        5 => row_of::<FMA, 5>(form, blocks, x, out),
        6 => row_of::<FMA, 6>(form, blocks, x, out),
        7 => row_of::<FMA, 7>(form, blocks, x, out),
        8 => row_of::<FMA, 8>(form, blocks, x, out),
        _ => row_of::<FMA, 0>(form, blocks, x, out),
    }
}

/// `FEATURES` is `x.len()`, or 0 where that is known at run time only.
#[inline(always)]
fn row_of<const FMA: bool, const FEATURES: usize>(form: Form, blocks: &[f32], x: &[f32], out: &mut [f32]) {
    let features = if FEATURES == 0 { x.len() } else { FEATURES };
    let x = &x[..features];
    let (out, _) = out.as_chunks_mut::<BLOCK>();
    let blocks = blocks.chunks_exact(features * BLOCK);
    match form {
        Form::Linear => {
            blocks.zip(out).for_each(|(block, out)| *out = products::<FMA>(pairs(block, x)));
        }
        Form::Rbf => {
            for (block, out) in blocks.zip(out) {
                *out = squared_distances::<FMA>(block, x);
                out.iter_mut().for_each(|value| *value = exp2::<FMA>(-*value));
            }
        }
        Form::Poly { coef0, degree } => {
            for (block, out) in blocks.zip(out) {
                powers::<FMA>(pairs(block, x), coef0, degree, out);
            }
        }
        Form::Sigmoid { coef0 } => {
            for (block, out) in blocks.zip(out) {
                *out = products::<FMA>(pairs(block, x));
                out.iter_mut().for_each(|value| *value = tanh::<FMA>(*value + coef0));
            }
        }
    }
}

/// The columns of a block, each with the value of `x`.
#[inline(always)]
fn pairs<'a>(block: &'a [f32], x: &'a [f32]) -> impl Iterator<Item = (&'a [f32; BLOCK], f32)> + Clone {
    let (columns, _) = block.as_chunks::<BLOCK>();
    columns.iter().zip(x.iter().copied())
}

/// The inner product of `x` with each row of a block.
#[inline(always)]
fn products<'a, const FMA: bool>(pairs: impl Iterator<Item = (&'a [f32; BLOCK], f32)>) -> [f32; BLOCK] {
    let mut sums = [0.0; BLOCK];
    for (column, x) in pairs {
        for lane in 0..BLOCK {
            sums[lane] = mul_add::<FMA>(column[lane], x, sums[lane]);
        }
    }
    sums
}

/// The squared distance of `x` to each row of a block, from differences: norms would cancel.
#[inline(always)]
fn squared_distances<const FMA: bool>(block: &[f32], x: &[f32]) -> [f32; BLOCK] {
    let mut sums = [0.0; BLOCK];
    let (columns, _) = block.as_chunks::<BLOCK>();
    for (column, &x) in columns.iter().zip(x) {
        for lane in 0..BLOCK {
            let difference = column[lane] - x;
            sums[lane] = mul_add::<FMA>(difference, difference, sums[lane]);
        }
    }
    sums
}

/// Powers of `x·row + coef0`, by squaring; `degree` ≥ 1.
///
/// In double precision up to the last rounding: a power multiplies an error, and sums of great powers cancel, so
/// that with single precision the objective misses libSVM's by 2·10⁻⁵. Half a block at a time fits the registers.
#[inline(always)]
fn powers<'a, const FMA: bool>(
    pairs: impl Iterator<Item = (&'a [f32; BLOCK], f32)> + Clone,
    coef0: f64,
    degree: u32,
    out: &mut [f32; BLOCK],
) {
    const HALF: usize = BLOCK / 2;
    let bits = u32::BITS - degree.leading_zeros();
    for half in 0..2 {
        let mut base = [coef0; HALF];
        for (column, x) in pairs.clone() {
            let x = f64::from(x);
            for lane in 0..HALF {
                let value = f64::from(column[half * HALF + lane]);
                base[lane] = if FMA { value.mul_add(x, base[lane]) } else { value * x + base[lane] };
            }
        }
        let mut power = base;
        for bit in (0..bits - 1).rev() {
            power.iter_mut().for_each(|power| *power *= *power);
            if degree >> bit & 1 == 1 {
                power.iter_mut().zip(&base).for_each(|(power, base)| *power *= base);
            }
        }
        for lane in 0..HALF {
            out[half * HALF + lane] = power[lane] as f32;
        }
    }
}

/// `a·b + c`, in one instruction where the processor has it: elsewhere `f32::mul_add` is a slow call.
#[inline(always)]
fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `2^x` for `x ≤ 126`, within 2 units in the last place; below `2^-126` it is 0.
///
/// `x` is split into a whole number and a fraction in `-½..=½`; the fraction's power is a polynomial through the
/// Chebyshev points, within `2·10⁻⁸`; the whole number goes into the exponent's bits.
#[inline(always)]
fn exp2<const FMA: bool>(x: f32) -> f32 {
    /// Added to a small number it leaves the number, rounded, in the low bits: 1.5·2²³.
    const ROUNDER: f32 = 12_582_912.0;
    const EXPONENT_BIAS: i32 = 127;
    let x = x.max(-127.0);
    let shifted = x + ROUNDER;
    let whole = shifted.to_bits() as i32 - ROUNDER.to_bits() as i32;
    let fraction = x - (shifted - ROUNDER);
    let mut power = 1.546_973_2e-4;
    for coefficient in [1.340_043_3e-3, 9.618_025e-3, 5.550_327e-2, 2.402_265e-1, 6.931_472e-1, 1.0] {
        power = mul_add::<FMA>(power, fraction, coefficient);
    }
    power * f32::from_bits(((whole + EXPONENT_BIAS) << 23) as u32)
}

/// The hyperbolic tangent within 4 units in the last place: Cephes' `tanhf` (Moshier, 1989), a polynomial near
/// zero, where the exponential's form would cancel, and `1 - 2/(e^2|x| + 1)` elsewhere.
#[inline(always)]
fn tanh<const FMA: bool>(x: f32) -> f32 {
    const TWO_LOG2_E: f32 = 2.0 * std::f32::consts::LOG2_E;
    let square = x * x;
    let mut near = -5.704_988_7e-3;
    for coefficient in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        near = mul_add::<FMA>(near, square, coefficient);
    }
    let near = mul_add::<FMA>(near * square, x, x);
    // Beyond 10 the tangent is 1 in single precision.
    let magnitude = x.abs().min(10.0);
    let far = 1.0 - 2.0 / (exp2::<FMA>(magnitude * TWO_LOG2_E) + 1.0);
    if magnitude < 0.625 { near } else { far.copysign(x) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::matrix::Matrix;
    use crate::kernel::Kernel;
    use crate::score::simd::Simd;
    use crate::solve::smo::layout::Points;

    #[test]
    fn powers_of_two_are_within_two_units_in_the_last_place() {
        for step in 0..=126_000 {
            let x = 1.0 - step as f32 / 1000.0;
            for (power, name) in [(exp2::<false>(x), "plain"), (exp2::<true>(x), "fused")] {
                let exact = f64::from(x).exp2();
                let units = (f64::from(power) - exact).abs() / (exact * f64::from(f32::EPSILON));
                assert!(units <= 2.0, "{name}: 2^{x} is {power}, {units} units off");
            }
        }
        for x in [-127.0, -1000.0, f32::NEG_INFINITY] {
            assert_eq!(exp2::<false>(x), 0.0);
        }
        assert_eq!(exp2::<false>(0.0), 1.0);
    }

    #[test]
    fn tangents_are_within_four_units_in_the_last_place() {
        for step in -12_000..=12_000 {
            let x = step as f32 / 1000.0;
            for tangent in [tanh::<false>(x), tanh::<true>(x)] {
                let exact = f64::from(x).tanh();
                let off = (f64::from(tangent) - exact).abs();
                assert!(off <= 4.0 * f64::from(f32::EPSILON) * exact.abs(), "tanh {x} is {tangent}");
            }
        }
    }

    #[test]
    fn sparse_rows_have_the_kernel_values_of_dense_ones() {
        let mut x = Matrix::new(100);
        for row in 0..70 {
            // One column is never zero, and far from it.
            let value = |column: usize| match column {
                0 => 1000.0 + row as f64 * 0.1,
                column if (row * 7 + column * 11) % 9 == 0 => (row as f64 * 0.7 + column as f64 * 1.3).sin(),
                _ => 0.0,
            };
            x.push(&(0..100).map(value).collect::<Vec<_>>());
        }
        // The last row is the first one again.
        let first = x.row(0).to_vec();
        x.push(&first);
        for kernel in [
            Kernel::Rbf { gamma: 0.3 },
            Kernel::Poly { gamma: 1e-6, coef0: 0.5, degree: 3 },
            Kernel::Sigmoid { gamma: 1e-6, coef0: -0.5 },
        ] {
            let points = Points::new(&x, kernel);
            let blocks = points.blocks(0..71);
            for &simd in Simd::available() {
                for row in [0, 33, 69] {
                    assert!(points.entries(row).is_some_and(|entries| entries.len() < 20), "{kernel}");
                    let mut values = vec![0.0; 2 * BLOCK];
                    kernel_values(simd, &points, row, &blocks, 0..2, &mut values);
                    for (other, &value) in values[..71].iter().enumerate() {
                        let exact = kernel.apply(x.row(other), x.row(row));
                        let off = (f64::from(value) - exact).abs();
                        assert!(off <= 3e-6 * exact.abs().max(1.0), "{kernel}: {value} for {exact}");
                    }
                    assert_eq!(values[70].to_bits(), values[0].to_bits(), "{kernel}: equal rows");
                    if row == 0 && matches!(kernel, Kernel::Rbf { .. }) {
                        assert_eq!(values[70], 1.0);
                    }
                }
            }
        }
    }

    #[test]
    fn rows_equal_the_kernel_whatever_the_width_and_the_instructions() {
        for features in [1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 100] {
            let mut x = Matrix::new(features);
            for row in 0..70 {
                let value = |column: usize| (row as f64 * 0.7 + column as f64 * 1.3).sin();
                x.push(&(0..features).map(value).collect::<Vec<_>>());
            }
            for kernel in [
                Kernel::Rbf { gamma: 0.3 },
                Kernel::Poly { gamma: 0.1, coef0: 0.5, degree: 5 },
                Kernel::Poly { gamma: 0.1, coef0: 0.5, degree: 2 },
                Kernel::Sigmoid { gamma: 0.1, coef0: -0.5 },
            ] {
                let points = Points::new(&x, kernel);
                let blocks = points.blocks(0..70);
                for &simd in Simd::available() {
                    let mut values = vec![0.0; 2 * BLOCK];
                    kernel_row(simd, points.form, blocks.values(0..2), points.row(69), &mut values);
                    for (row, &value) in values[..70].iter().enumerate() {
                        let exact = kernel.apply(x.row(row), x.row(69));
                        let off = (f64::from(value) - exact).abs();
                        assert!(
                            off <= 3e-6 * exact.abs().max(1.0),
                            "{kernel} {features}: {value} for {exact}"
                        );
                    }
                }
            }
        }
    }
}
