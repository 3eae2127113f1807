//! The functions of the kernels, for eight numbers at once.

use std::f64::consts::{LN_2, LOG2_E};

use super::lanes::{Block, Lanes};

/// `(2^r - 1) / r` for `r` in -0.5..=0.5, coefficients by ascending power.
///
/// The polynomial of degree 10 whose greatest relative error is least (Remez's exchange in 200 bits): 1.8e-17.
const POWER_OF_TWO: [f64; 11] = [
    LN_2,
    0.24022650695910097,
    0.055504108664821236,
    0.009618129107607065,
    0.0013333558146531644,
    0.00015403530441481284,
    1.5252733701200714e-05,
    1.3215442723878389e-06,
    1.0178121305806717e-07,
    7.072561768398301e-09,
    4.445536131848176e-10,
];

/// Adding it leaves no bits behind the point, and the integer's bits at the end of the significand.
const ROUNDER: f64 = 1.5 * (1u64 << 52) as f64;

/// `t` as a whole number, in the last bits of a number that is [`ROUNDER`] and more, and a rest in -0.5..=0.5.
#[inline(always)]
fn split<L: Lanes>(t: L) -> (L, L) {
    let whole = t.plus(t.constant(ROUNDER));
    (whole, t.minus(whole.minus(t.constant(ROUNDER))))
}

/// `(2^r - 1) / r`
#[inline(always)]
fn quotient<L: Lanes>(r: L) -> L {
    // Two independent chains, of even and of odd powers: a single one would wait for each step in turn.
    let square = r.times(r);
    let coefficient = |power: usize| r.constant(POWER_OF_TWO[power]);
    let (mut even, mut odd) = (coefficient(10), coefficient(9));
    for power in [8, 6, 4, 2, 0] {
        even = even.times_plus(square, coefficient(power));
    }
    for power in [7, 5, 3, 1] {
        odd = odd.times_plus(square, coefficient(power));
    }
    odd.times_plus(r, even)
}

/// `(2^r - 1) / r` for `r` in -1/16..=1/16, as above: degree 6, relative error 1.1e-16.
const NEAR_ONE: [f64; 7] = [
    LN_2,
    0.24022650695910933,
    0.055504108664816275,
    0.009618129089984665,
    0.001333355817360633,
    0.0001540443379140948,
    1.5252733809326807e-05,
];

/// `2^(j/8)`, less what `j` adds to the bits in [`Lanes::times_eighths`].
static EIGHTHS: Block = Block([
    f64::from_bits(0x3ff0000000000000),
    f64::from_bits(0x3fef72b83c7d517b),
    f64::from_bits(0x3fef06fe0a31b715),
    f64::from_bits(0x3feebfdad5362a27),
    f64::from_bits(0x3feea09e667f3bcd),
    f64::from_bits(0x3feeace5422aa0db),
    f64::from_bits(0x3feee89f995ad3ad),
    f64::from_bits(0x3fef5818dcfba487),
]);

/// `2^t` for `t` below 1023.5, within 2 ulp; 2^-1021 where it would be less, which is as good as 0 in a sum.
///
/// `t` is a number of eighths and a rest (Tang, ACM TOMS 15(2), 1989): the eighths come out of a table, and
/// the rest is so small that a short polynomial does.
#[inline(always)]
pub(super) fn exp2<L: Lanes>(t: L) -> L {
    let rounder = t.constant(ROUNDER / 8.0);
    let t = t.at_least(t.constant(-1021.0));
    let eighths = t.plus(rounder);
    let r = t.minus(eighths.minus(rounder));
    let scale = eighths.pick(&EIGHTHS).times_eighths(eighths);
    let square = r.times(r);
    let coefficient = |power: usize| r.constant(NEAR_ONE[power]);
    let (mut even, mut odd) = (coefficient(6), coefficient(5));
    for power in [4, 2, 0] {
        even = even.times_plus(square, coefficient(power));
    }
    for power in [3, 1] {
        odd = odd.times_plus(square, coefficient(power));
    }
    let excess = odd.times_plus(r, even).times(r);
    excess.times_plus(scale, scale)
}

/// The hyperbolic tangent, within a few ulp also close to 0.
///
/// `tanh z = (e^2z - 1) / (e^2z + 1)`, from `2^t - 1` of `t = 2|z| log2 e`, which loses nothing near 0.
#[inline(always)]
pub(super) fn tanh<L: Lanes>(z: L) -> L {
    // From 2^64 on, the quotient below is 1.
    let t = z.absolute().times(z.constant(2.0 * LOG2_E)).at_most(z.constant(64.0));
    let (whole, r) = split(t);
    let scale = z.constant(1.0).times_power(whole);
    let less_one = quotient(r).times(r).times_plus(scale, scale.minus(z.constant(1.0)));
    less_one.over(less_one.plus(z.constant(2.0))).with_sign_of(z)
}

/// `base^degree`, `degree` ≥ 1.
#[inline(always)]
pub(super) fn power<L: Lanes>(base: L, degree: u32) -> L {
    let mut product = base;
    for _ in 1..degree {
        product = product.times(base);
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::lanes::{LANES, Portable};

    /// The distance in units of the last place of `expected`.
    fn ulps(actual: f64, expected: f64) -> f64 {
        if actual == expected {
            return 0.0;
        }
        (actual - expected).abs() / (expected.abs().next_up() - expected.abs())
    }

    /// A function's value for one number.
    fn of(function: impl Fn(Portable) -> Portable, value: f64) -> f64 {
        function(Portable([value; LANES])).0[LANES - 1]
    }

    /// Arguments from the smallest to the greatest, of both signs, near to and far from whole numbers.
    fn arguments(most: f64) -> impl Iterator<Item = f64> {
        (0..20_000).flat_map(move |i| {
            let even = most * f64::from(i) / 20_000.0;
            let small = most * (-f64::from(i) / 50.0).exp2();
            [even, -even, small, -small]
        })
    }

    #[test]
    fn powers_of_two_are_right_in_the_last_place() {
        for t in arguments(1021.0) {
            // The standard library's `exp2` is right within 1 ulp itself.
            let (actual, expected) = (of(exp2, t), t.exp2());
            assert!(ulps(actual, expected) <= 2.0, "2^{t} is {actual} and not {expected}");
        }
        for whole in -1021..1023 {
            assert_eq!(of(exp2, f64::from(whole)), f64::from(whole).exp2());
        }
    }

    #[test]
    fn powers_of_two_underflow_to_negligible_values_and_keep_nan() {
        for t in [-1021.5, -1022.0, -2000.0, -1e300, f64::NEG_INFINITY] {
            assert!((0.0..=f64::MIN_POSITIVE * 2.0).contains(&of(exp2, t)), "2^{t} is {}", of(exp2, t));
        }
        assert!(of(exp2, f64::NAN).is_nan());
    }

    #[test]
    fn tangents_are_right_in_the_last_places_also_close_to_0() {
        for z in arguments(30.0).chain(arguments(1e-3)).chain([0.0, 1e300, f64::INFINITY]) {
            let (actual, expected) = (of(tanh, z), z.tanh());
            assert!(ulps(actual, expected) <= 4.0, "tanh {z} is {actual} and not {expected}");
        }
        assert!(of(tanh, f64::NAN).is_nan());
    }

    #[test]
    fn powers_are_repeated_products() {
        for degree in 1..=10 {
            let (actual, expected) = (of(|base| power(base, degree), 1.5), 1.5f64.powi(degree as i32));
            assert!(ulps(actual, expected) <= 8.0, "degree {degree}");
        }
    }
}
