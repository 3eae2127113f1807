//! Rows as libSVM text.

use std::fmt::Display;
use std::io::Write;

use super::aggregate::Row;
use upbeat_core::feature::FeatureVector;

/// How rows are written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// The customer's id as a comment at the end of the line.
    pub ids: bool,
    /// The shortest values that read back exactly, rather than two decimals.
    pub precise: bool,
}

/// Appends a row to `out`.
pub(super) fn push_row<K: Display>(out: &mut Vec<u8>, row: &Row<K>, style: Style) {
    out.push(b'0' + u8::from(row.clicked));
    if style.precise {
        push_precise(out, &row.vector);
    } else {
        for (index, share) in (b'1'..).zip(row.vector) {
            out.extend_from_slice(&[b' ', index, b':']);
            push_two_digits(out, share);
        }
    }
    if style.ids {
        write!(out, " # {}", row.customer).expect("memory can be written to");
    }
    out.push(b'\n');
}

fn push_precise(out: &mut Vec<u8>, vector: &FeatureVector) {
    for (index, share) in (1..).zip(vector) {
        write!(out, " {index}:{share}").expect("memory can be written to");
    }
}

/// Where the hundredfold of a share is this near to a half, the standard library decides. The product's error is below
/// 2⁻⁴⁶.
const NEAR_A_HALF: f64 = 1e-9;

/// Writes a share in `0.0..=1.0` as C's `%.2f` and Rust's `{:.2}` do: the exact value to the nearest, a half to even.
fn push_two_digits(out: &mut Vec<u8>, share: f64) {
    let hundredfold = share * 100.0;
    let whole = hundredfold as u8;
    let rest = hundredfold - f64::from(whole);
    if !(0.0..=1.0).contains(&share) || (rest - 0.5).abs() < NEAR_A_HALF {
        write!(out, "{share:.2}").expect("memory can be written to");
        return;
    }
    let hundredths = whole + u8::from(rest > 0.5);
    let (ones, tenths) = (hundredths / 100, hundredths / 10 % 10);
    out.extend_from_slice(&[b'0' + ones, b'.', b'0' + tenths, b'0' + hundredths % 10]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_digits(share: f64) -> String {
        let mut out = Vec::new();
        push_two_digits(&mut out, share);
        String::from_utf8(out).expect("digits")
    }

    /// Shares whose exact value ends in a half at the second digit, and what C's `printf("%.2f")` makes of them.
    #[test]
    fn halves_round_to_even_as_in_c() {
        let cases = [
            (0.125, "0.12"),
            (0.375, "0.38"),
            (0.625, "0.62"),
            (0.875, "0.88"),
            (0.005, "0.01"),
            (0.015, "0.01"),
            (0.115, "0.12"),
            (1.0, "1.00"),
            (0.0, "0.00"),
        ];
        for (share, expected) in cases {
            assert_eq!(two_digits(share), expected);
            assert_eq!(format!("{share:.2}"), expected);
        }
    }

    #[test]
    fn every_share_of_up_to_512_plays_is_written_as_by_the_standard_library() {
        for plays in 1..=512u32 {
            for count in 0..=plays {
                let share = f64::from(count) / f64::from(plays);
                assert_eq!(two_digits(share), format!("{share:.2}"), "{count}/{plays}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_share_is_written_as_by_the_standard_library(share in 0.0..=1.0f64, hundredths in 0..100u8, ulps in 0..5u64) {
            let near_a_half = f64::from_bits(((f64::from(hundredths) + 0.5) / 100.0).to_bits() + ulps - 2);
            for share in [share, near_a_half] {
                proptest::prop_assert_eq!(two_digits(share), format!("{share:.2}"));
            }
        }
    }
}
