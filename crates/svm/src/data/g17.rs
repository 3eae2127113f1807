//! Decision values as C's `printf("%.17g")` writes them.

use std::fmt::{self, Write};

/// Displays a number as C's `%.17g`: 17 significant digits, enough to distinguish any two numbers, trailing
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
        let mut scientific = ShortText::default();
        write!(scientific, "{:.16e}", value.abs())?;
        let (mantissa, exponent) = scientific.as_str().split_once('e').ok_or(fmt::Error)?;
        let exponent: i32 = exponent.parse().map_err(|_| fmt::Error)?;
        let (first, others) = (&mantissa[..1], mantissa[2..].trim_end_matches('0'));
        let mut text = ShortText::default();
        if value.is_sign_negative() {
            text.write_str("-")?;
        }
        if (-4..DIGITS).contains(&exponent) {
            write_fixed(&mut text, first, others, exponent)?;
        } else {
            let sign = if exponent < 0 { '-' } else { '+' };
            let point = if others.is_empty() { "" } else { "." };
            write!(text, "{first}{point}{others}e{sign}{:02}", exponent.abs())?;
        }
        f.write_str(text.as_str())
    }
}

/// Writes the digits `first` and `others`, the first of which stands for 10 to the power of `exponent`, in full.
fn write_fixed(text: &mut ShortText, first: &str, others: &str, exponent: i32) -> fmt::Result {
    let Ok(whole) = usize::try_from(exponent) else {
        text.write_str("0.")?;
        text.write_str(&ZEROS[..exponent.unsigned_abs() as usize - 1])?;
        text.write_str(first)?;
        return text.write_str(others);
    };
    let (before, after) = others.split_at(whole.min(others.len()));
    text.write_str(first)?;
    text.write_str(before)?;
    text.write_str(&ZEROS[..whole - before.len()])?;
    if !after.is_empty() {
        text.write_str(".")?;
        text.write_str(after)?;
    }
    Ok(())
}

/// As many as the numbers between 1e-4 and 1e17 need.
const ZEROS: &str = "0000000000000000";

/// Text on the stack: no number written here is longer than `-1.7976931348623157e+308`, which is 24 bytes.
#[derive(Default)]
struct ShortText {
    bytes: [u8; 32],
    length: usize,
}

impl ShortText {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl fmt::Write for ShortText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printf_writes_the_same_known_values() {
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

    /// Two roundings of the standard library, each in its own notation.
    fn in_two_steps(value: f64) -> String {
        let trimmed = |text: &str| match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text.to_owned(),
        };
        let scientific = format!("{value:.16e}");
        let (mantissa, exponent) = scientific.split_once('e').unwrap();
        let exponent: i32 = exponent.parse().unwrap();
        if (-4..DIGITS).contains(&exponent) {
            trimmed(&format!("{value:.*}", (DIGITS - 1 - exponent) as usize))
        } else {
            format!("{}e{}{:02}", trimmed(mantissa), if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
    }

    proptest::proptest! {
        #[test]
        fn every_number_is_written_as_in_two_steps(
            value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO,
            digits in -1_000_000i64..1_000_000,
            power in -8i32..20,
        ) {
            for value in [value, digits as f64 * 10f64.powi(power)] {
                proptest::prop_assert_eq!(G17(value).to_string(), in_two_steps(value));
            }
        }

        #[test]
        fn every_number_reads_back(value in proptest::num::f64::ANY) {
            let back: f64 = G17(value).to_string().parse().unwrap();
            proptest::prop_assert!(back == value || (back.is_nan() && value.is_nan()));
        }
    }
}
