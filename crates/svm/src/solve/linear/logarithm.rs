//! A natural logarithm that is the same on every machine.
//!
//! The C library's, which the standard library calls, chooses another way on processors with fused
//! multiplication and may differ in the last bit; a model would then depend on where it was trained.

/// `ln 2`, split so that whole multiples of the first part are exact.
pub(super) const LN_2_HIGH: f64 = f64::from_bits(0x3FE6_2E42_FEE0_0000);
pub(super) const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// The natural logarithm of a normal number above 0, within two units of the last place.
///
/// With `x = 2^k m` and `m` near 1, `ln x = k ln 2 + 2 atanh s` where `s = (m − 1)/(m + 1)`, and
/// `2 atanh s = 2 s + 2 s³/3 + 2 s⁵/5 + …` (Abramowitz and Stegun, 4.1.27). `|s| ≤ 0.172`, so that what
/// follows the eleventh term is below the rounding.
#[inline]
pub(super) fn ln(x: f64) -> f64 {
    const ROOT_HALF_BITS: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
    // The exponent by which m falls between the roots of ½ and of 2.
    let exponent = (x.to_bits().wrapping_sub(ROOT_HALF_BITS) as i64) >> 52;
    let m = f64::from_bits(x.to_bits().wrapping_sub((exponent << 52) as u64));
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let t = s * s;
    let u = t * t;
    let odd = 2.0 / 3.0 + u * (2.0 / 7.0 + u * (2.0 / 11.0 + u * (2.0 / 15.0 + u * (2.0 / 19.0))));
    let even = 2.0 / 5.0 + u * (2.0 / 9.0 + u * (2.0 / 13.0 + u * (2.0 / 17.0 + u * (2.0 / 21.0))));
    let series = t * (odd + t * even);
    let k = exponent as f64;
    // 2 s = f − s f, of which f is exact.
    k * LN_2_HIGH - ((s * (f - series) - k * LN_2_LOW) - f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn logarithm_agrees_with_the_standard_library(
            x in prop_oneof![1e-300f64..1e300, 0.5f64..2.0, 0.999f64..1.001, (-300f64..300.0).prop_map(f64::exp)]
        ) {
            let (ours, theirs) = (ln(x), x.ln());
            prop_assert!((ours - theirs).abs() <= 2.0 * f64::EPSILON * theirs.abs(), "{} {} {}", x, ours, theirs);
        }
    }

    #[test]
    fn logarithm_of_one_is_zero() {
        assert_eq!(ln(1.0), 0.0);
    }
}
