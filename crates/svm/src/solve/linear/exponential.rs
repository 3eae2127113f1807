//! A natural exponential that is the same on every machine, for the reason that `logarithm.rs` gives.

use super::logarithm::{LN_2_HIGH, LN_2_LOW};

/// Added to a small number it leaves the number, rounded, in the low bits: 1.5·2⁵².
const ROUNDER: f64 = 6_755_399_441_055_744.0;

const EXPONENT_BIAS: i64 = 1023;

/// `1/n!` for n from 13 down to 0.
const INVERSE_FACTORIALS: [f64; 14] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// `e^x` for `x ≤ 0`, within two units of the last place; below −708 it stays at what it is there, 3·10⁻³⁰⁸.
///
/// `x = k ln 2 + r` with a whole `k` and `|r| ≤ ½ ln 2`, for which the terms of the series after the fourteenth are below
/// the rounding (Abramowitz and Stegun, 4.2.1).
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    let x = if x > -708.0 { x } else { -708.0 };
    let shifted = x * std::f64::consts::LOG2_E + ROUNDER;
    let k = shifted - ROUNDER;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    let mut series = INVERSE_FACTORIALS[0];
    for inverse in &INVERSE_FACTORIALS[1..] {
        series = series * r + inverse;
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUNDER.to_bits()) as i64;
    series * f64::from_bits(((exponent + EXPONENT_BIAS) << 52) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exponential_agrees_with_the_standard_library(
            x in prop_oneof![-707.9f64..=0.0, -1.0f64..=0.0, -1e-9f64..=0.0]
        ) {
            let (ours, theirs) = (exp(x), x.exp());
            prop_assert!((ours - theirs).abs() <= 2.0 * f64::EPSILON * theirs, "{} {} {}", x, ours, theirs);
        }
    }

    #[test]
    fn exponential_of_zero_is_one_and_of_minus_infinity_next_to_nothing() {
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f64::NEG_INFINITY) < 1e-300);
    }
}
