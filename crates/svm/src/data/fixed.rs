//! Numbers for people: with a fixed number of digits behind the point, with few significant ones, or all of them.

use std::fmt;

/// A number with so many digits after the point. One that rounds to zero has no sign: `-0.0000` reads like a value below
/// zero, and is none. From 10^15 on, where there are no digits after the point to tell, it has a power of ten.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fixed(pub f64, pub usize);

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_finite() && self.0.abs() >= 1e15 {
            return f.pad(&format!("{:.*e}", self.1, self.0));
        }
        let text = format!("{:.*}", self.1, self.0);
        let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
        f.pad(if is_zero { text.trim_start_matches('-') } else { &text })
    }
}

/// A number in the fewest digits that read back as the same: `0.25`, `1e-300`, `1e21`. Rust's own `Display` writes
/// hundreds of zeros for very small and very large numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shortest(pub f64);

impl fmt::Display for Shortest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Zero has no sign.
        let text = format!("{:?}", self.0 + 0.0);
        f.pad(text.strip_suffix(".0").unwrap_or(&text))
    }
}

/// A number rounded to so many significant digits, 1 to 17, and written as [`Shortest`] does: it rounds no small number
/// to zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Significant(pub f64, pub usize);

impl fmt::Display for Significant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.*e}", self.1.saturating_sub(1), self.0);
        match text.parse::<f64>() {
            Ok(rounded) if rounded.is_finite() => Shortest(rounded).fmt(f),
            // No number, or one that was rounded up beyond the greatest.
            _ => f.pad(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_that_rounds_to_zero_has_no_sign() {
        for (value, digits, text) in [
            (-0.0, 4, "0.0000"),
            (-0.000_049, 4, "0.0000"),
            (-0.000_051, 4, "-0.0001"),
            (-0.4, 0, "0"),
            (0.0, 2, "0.00"),
            (-1.0, 2, "-1.00"),
            (f64::NAN, 2, "NaN"),
            (f64::NEG_INFINITY, 2, "-inf"),
            (-1.25e300, 2, "-1.25e300"),
            (999_999_999_999_999.0, 0, "999999999999999"),
        ] {
            assert_eq!(Fixed(value, digits).to_string(), text, "{value:?}");
        }
        assert_eq!(format!("{:>8}|{:<8}|", Fixed(-0.0, 2), Fixed(1.0, 2)), "    0.00|1.00    |");
    }

    #[test]
    fn no_number_is_written_with_hundreds_of_zeros_or_as_zero() {
        for (value, shortest, significant) in [
            (1e-300, "1e-300", "1e-300"),
            (-1.5549042962914594e-8, "-1.5549042962914594e-8", "-1.555e-8"),
            (0.001, "0.001", "0.001"),
            (-0.0, "0", "0"),
            (1.0 / 3.0, "0.3333333333333333", "0.3333"),
            (5.0, "5", "5"),
            (65536.0, "65536", "65540"),
            (1.7976931348623157e308, "1.7976931348623157e308", "1.798e308"),
            (f64::NAN, "NaN", "NaN"),
            (f64::INFINITY, "inf", "inf"),
        ] {
            assert_eq!(Shortest(value).to_string(), shortest);
            assert_eq!(Significant(value, 4).to_string(), significant);
        }
        assert_eq!(format!("{:>6}|", Shortest(0.5)), "   0.5|");
    }

    proptest::proptest! {
        #[test]
        fn shortest_form_reads_back(value in proptest::num::f64::NORMAL) {
            let text = Shortest(value).to_string();
            proptest::prop_assert!(text.len() < 26, "{}", text);
            proptest::prop_assert_eq!(text.parse::<f64>().unwrap(), value);
        }
    }
}
