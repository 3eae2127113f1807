//! Decision values as C's `printf("%.17g")` writes them.

use std::fmt;

/// Displays a number as C's `%.17g`: 17 significant digits, which tell any two numbers apart, trailing
/// zeros left out, with an exponent below 1e-4 and from 1e17 on.
#[derive(Debug, Clone, Copy)]
pub struct G17(pub f64);

const DIGITS: i32 = 17;

impl fmt::Display for G17 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if !value.is_finite() {
            let sign = if value.is_sign_negative() { "-" } else { "" };
            return write!(f, "{sign}{}", if value.is_nan() { "nan" } else { "inf" });
        }
        // The standard library rounds as C does: correctly, and ties to the even digit.
        let scientific = format!("{value:.16e}");
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        if (-4..DIGITS).contains(&exponent) {
            let decimals = (DIGITS - 1 - exponent) as usize;
            f.write_str(without_trailing_zeros(&format!("{value:.decimals$}")))
        } else {
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(f, "{}e{sign}{:02}", without_trailing_zeros(mantissa), exponent.abs())
        }
    }
}

fn without_trailing_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_of_printf() {
        for (value, wanted) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (0.1, "0.10000000000000001"),
            (1.0 / 3.0, "0.33333333333333331"),
            (-2.0 / 3.0, "-0.66666666666666663"),
            (100.0, "100"),
            (123_456.789, "123456.789"),
            (0.0001, "0.0001"),
            (0.00012345, "0.00012344999999999999"),
            (0.00001, "1.0000000000000001e-05"),
            (-1.5e-7, "-1.4999999999999999e-07"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (99_999_999_999_999_999.0, "1e+17"),
            (1.2345678901234567e25, "1.2345678901234566e+25"),
            (1e100, "1e+100"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "4.9406564584124654e-324"),
            (12_345_678_901.0 + 1.0 / 128.0, "12345678901.007812"),
            (12_345_678_901.0 + 3.0 / 128.0, "12345678901.023438"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(G17(value).to_string(), wanted);
        }
    }

    proptest::proptest! {
        #[test]
        fn every_number_reads_back(value in proptest::num::f64::ANY) {
            let back: f64 = G17(value).to_string().parse().unwrap();
            proptest::prop_assert!(back == value || (back.is_nan() && value.is_nan()));
        }
    }
}
