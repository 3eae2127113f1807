//! Parsing of decimal numbers, with a fast path for short ones.

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Digits that surely fit into 64 bits.
const MAX_DIGITS: usize = 19;

/// The greatest exponent that is read here; a greater one is left to the standard library.
const MAX_EXPONENT: i32 = 999;

/// The number at the start of `text` and its length in bytes, or none where only the standard library can decide.
/// The number is bit by bit what the standard library parses from those bytes.
///
/// A number of at most 2⁵³ times a power of ten that is exact itself takes one rounding, by the product or
/// the quotient (Clinger, "How to read floating point numbers accurately", PLDI 1990). The rest of what
/// looks like a number is parsed by the standard library.
#[inline]
pub(crate) fn leading(text: &[u8]) -> Option<(f64, usize)> {
    let mut at = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let (mut mantissa, mut exponent) = (0u64, 0i32);
    let start = at;
    while let Some(digit) = digit(text, at) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
        at += 1;
    }
    let mut digits = at - start;
    if text.get(at) == Some(&b'.') {
        at += 1;
        let start = at;
        while let Some(digit) = digit(text, at) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
            at += 1;
        }
        digits += at - start;
        exponent = i32::try_from(start).ok()? - i32::try_from(at).ok()?;
    }
    if digits == 0 {
        return None;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let (written, length) = written_exponent(&text[at + 1..])?;
        exponent = exponent.checked_add(written)?;
        at += 1 + length;
    }
    let value =
        if digits <= MAX_DIGITS && mantissa <= 1 << 53 && exponent.unsigned_abs() < POWERS.len() as u32 {
            let power = POWERS[exponent.unsigned_abs() as usize];
            let size = if exponent < 0 { mantissa as f64 / power } else { mantissa as f64 * power };
            if text[0] == b'-' { -size } else { size }
        } else {
            std::str::from_utf8(&text[..at]).ok()?.parse().ok()?
        };
    Some((value, at))
}

/// An exponent and how many bytes it takes.
fn written_exponent(text: &[u8]) -> Option<(i32, usize)> {
    let start = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let (mut at, mut size) = (start, 0);
    while let Some(digit) = digit(text, at) {
        size = size * 10 + digit as i32;
        if size > MAX_EXPONENT {
            return None;
        }
        at += 1;
    }
    let written = if text.first() == Some(&b'-') { -size } else { size };
    (at > start).then_some((written, at))
}

#[inline]
fn digit(text: &[u8], at: usize) -> Option<u64> {
    text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str) -> Result<(), TestCaseError> {
        if let Some((value, length)) = leading(text.as_bytes()) {
            let theirs: f64 = text[..length].parse().unwrap();
            prop_assert_eq!(value.to_bits(), theirs.to_bits(), "{}", text);
            let next = text.as_bytes().get(length);
            prop_assert!(next.is_none_or(|byte| !byte.is_ascii_digit()), "{}", text);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn numbers_parse_as_by_the_standard_library(value in proptest::num::f64::NORMAL, decimals in 0usize..25) {
            for text in [format!("{value}"), format!("{value:e}"), format!("{value:.decimals$e}")] {
                prop_assert!(leading(text.as_bytes()).is_some());
                check(&text)?;
            }
        }

        #[test]
        fn shares_parse_as_by_the_standard_library(value in 0.0f64..1.0, decimals in 0usize..25) {
            for text in [format!("{value}"), format!("{value:.decimals$}"), format!("{value:.decimals$} 2:1")] {
                prop_assert!(leading(text.as_bytes()).is_some());
                check(&text)?;
            }
        }

        #[test]
        fn malformed_numbers_parse_as_by_the_standard_library(text in "[-+]?[0-9]{0,22}[.]?[0-9]{0,22}([eE][-+]?[0-9]{0,4})?[ .e#]?") {
            check(&text)?;
        }
    }

    #[test]
    fn edges_of_the_fast_path_parse_as_by_the_standard_library() {
        for text in [
            "9007199254740992",
            "9007199254740993",
            "9007199254740992e22",
            "1e22",
            "1e23",
            "1e-22",
            "1e-23",
            "18446744073709551616",
            "10000000000000000000",
            "0.00000000000000000000001",
            "-0",
            "+0.0e5",
            "5.",
            ".5",
            "00000000000000000000001",
            "1e999",
            "1e-999",
            "4.9e-324",
        ] {
            assert!(leading(text.as_bytes()).is_some(), "{text}");
            check(text).unwrap();
        }
        for text in ["", ".", "-", "+.", "e5", "1e", "1e+", "nan", "inf", "1e1000"] {
            assert!(leading(text.as_bytes()).is_none(), "{text}");
        }
    }
}
