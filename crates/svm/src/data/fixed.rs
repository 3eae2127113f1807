//! Numbers for people, with a fixed number of digits.

use std::fmt;

/// A number with so many digits after the point. One that rounds to zero has no sign: `-0.0000` reads like a value below
/// zero, and is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fixed(pub f64, pub usize);

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.*}", self.1, self.0);
        let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
        f.pad(if is_zero { text.trim_start_matches('-') } else { &text })
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
        ] {
            assert_eq!(Fixed(value, digits).to_string(), text, "{value:?}");
        }
        assert_eq!(format!("{:>8}|{:<8}|", Fixed(-0.0, 2), Fixed(1.0, 2)), "    0.00|1.00    |");
    }
}
