//! Opaque ids of customers, events, tracks, ads and campaigns.

use std::fmt;
use std::sync::Arc;

use crate::excerpt::Excerpt;

/// The longest id, in characters.
pub const MAX_ID_LENGTH: usize = 64;

/// An opaque id: 1–64 of `A-Z a-z 0-9 . _ : -`, but not `.` and `..`.
///
/// Decimal ids without leading zeros that fit 64 bits (the common case) are stored as numbers. Numbers sort before
/// other ids, which sort as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// A decimal id.
    Number(u64),
    /// Any other id; reference-counted, so that a copy takes no memory.
    Text(Arc<str>),
}

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("an id is empty; send 1 to 64 of A-Z a-z 0-9 . _ : -")]
    Empty,
    /// The text has more than [`MAX_ID_LENGTH`] characters: how many.
    #[error("an id has {0} characters; at most 64 are allowed")]
    TooLong(usize),
    /// The text is `.` or `..`, which a URL cannot name: as a part of a path they mean a place in it (RFC 3986, section
    /// 5.2.4), and clients and proxies remove them.
    #[error("an id is {0:?}, which no URL can ask for, since it means a place in a path; send another")]
    PlaceInPath(String),
    /// A character is outside the alphabet: which one, and its position, counted from 1.
    #[error("an id has {0:?} at character {1}; only A-Z a-z 0-9 . _ : - are allowed")]
    BadCharacter(char, usize),
    /// A cell of a table has a number in fraction or exponent form: its first characters.
    #[error(
        "an id is {0}, a number in fraction or exponent form, as spreadsheets and data frames write numbers whose \
         digits they may have lost; export the column as whole numbers or as text (a text id of this form can be sent \
         as a JSON string)"
    )]
    NumberForm(Excerpt),
}

impl Id {
    /// Reads an id from text.
    ///
    /// # Errors
    /// The text is empty, longer than 64 characters, `.` or `..`, or has a character outside `A-Z a-z 0-9 . _ : -`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        IdRef::parse(text).map(IdRef::to_id)
    }

    /// Bytes on the heap, without the value itself; shared text is counted for each copy.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Number(_) => 0,
            Self::Text(text) => text.len() + SHARED_COUNTS_BYTES,
        }
    }

    /// The id, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> IdRef<'_> {
        match self {
            Self::Number(number) => IdRef::Number(*number),
            Self::Text(text) => IdRef::Text(text),
        }
    }
}

/// The two reference counts of an `Arc<str>`, next to its text.
const SHARED_COUNTS_BYTES: usize = 16;

/// A borrowed id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdRef<'a> {
    /// A decimal id.
    Number(u64),
    /// Any other id.
    Text(&'a str),
}

impl<'a> IdRef<'a> {
    /// Reads an id from text; an id that is not a number borrows from it.
    ///
    /// # Errors
    /// As for [`Id::parse`].
    pub fn parse(text: &'a str) -> Result<Self, IdError> {
        if let Some((number, length)) = leading_decimal(text.as_bytes())
            && length == text.len()
        {
            return Ok(Self::Number(number));
        }
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if !text.bytes().all(|byte| is_id_char(byte.into()))
            && let Some((index, bad)) = text.chars().enumerate().find(|(_, c)| !is_id_char(*c))
        {
            return Err(IdError::BadCharacter(bad, index + 1));
        }
        if text.len() > MAX_ID_LENGTH {
            return Err(IdError::TooLong(text.len()));
        }
        if matches!(text, "." | "..") {
            return Err(IdError::PlaceInPath(text.to_owned()));
        }
        Ok(Self::Text(text))
    }

    /// Reads an id from a cell of a table, in which numbers and texts look alike. A number in fraction or exponent form
    /// (`48.0`, `7.2E+15`) is refused: whoever wrote it may have rounded the id to that of another customer.
    ///
    /// # Errors
    /// As for [`Id::parse`], and [`IdError::NumberForm`].
    pub fn parse_cell(text: &'a str) -> Result<Self, IdError> {
        match Self::parse(text) {
            Ok(Self::Number(number)) => Ok(Self::Number(number)),
            _ if is_fraction_or_exponent(text) => Err(IdError::NumberForm(Excerpt::of(text))),
            other => other,
        }
    }

    /// The id, owned.
    #[must_use]
    pub fn to_id(self) -> Id {
        match self {
            Self::Number(number) => Id::Number(number),
            Self::Text(text) => Id::Text(text.into()),
        }
    }
}

/// Whether a text is a decimal number with a point, with an exponent, or with both.
fn is_fraction_or_exponent(text: &str) -> bool {
    // Nearly every other id fails at its first letter.
    if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
        return false;
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let is_number = all_digits(whole)
        && all_digits(fraction.unwrap_or_default())
        && whole.len() + fraction.map_or(0, str::len) > 0
        && exponent.is_none_or(|exponent| !exponent.is_empty() && all_digits(exponent));
    is_number && (fraction.is_some() || exponent.is_some())
}

fn is_id_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-')
}

/// The decimal number at the beginning of `text`, and its number of digits. `None` if there is no digit, a leading
/// zero, or more than a `u64` holds: only numbers that print back as written are read.
#[inline]
#[must_use]
pub fn leading_decimal(text: &[u8]) -> Option<(u64, usize)> {
    let (mut number, mut length) = text.first_chunk().map_or((0, 0), |eight| digits_of_word(*eight));
    if length == 8 || text.len() < 8 {
        while let Some(digit) =
            text.get(length).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit <= 9)
        {
            number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
            length += 1;
        }
    }
    let canonical = length == 1 || (length > 1 && text[0] != b'0');
    canonical.then_some((number, length))
}

/// The number at the beginning of eight bytes, and its number of digits, `0..=8`. All bytes are processed in one word:
/// digits are combined into pairs, and the weighted pairs are added by two multiplications.
#[inline]
fn digits_of_word(eight: [u8; 8]) -> (u64, usize) {
    let digits = u64::from_le_bytes(eight) ^ 0x3030_3030_3030_3030;
    let others = (digits.wrapping_add(0x0606_0606_0606_0606) | digits) & 0xf0f0_f0f0_f0f0_f0f0;
    let length = others.trailing_zeros() / 8;
    let Some(padded) = digits.checked_shl(64 - 8 * length) else { return (0, 0) };
    let pairs = padded.wrapping_mul(10).wrapping_add(padded >> 8);
    let lower = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let upper = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    (lower.wrapping_add(upper) >> 32, length as usize)
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl std::str::FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Number ids as JSON numbers, others as strings.
impl serde::Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// From a non-negative JSON integer or a string.
impl<'de> serde::Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id: a string, or an integer from 0 to 18446744073709551615")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Id, E> {
                Ok(Id::Number(number))
            }

            /// TOML's integers are all signed.
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Id, E> {
                u64::try_from(number)
                    .map(Id::Number)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(number), &self))
            }

            /// A number in fraction or exponent form, or one beyond 64 bits. Its digits are lost already, and the
            /// nearest integer may be the id of somebody else.
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Id, E> {
                Err(E::custom(format_args!(
                    "an id is a number in fraction or exponent form, or beyond 18446744073709551615 (about \
                     {number:?}), and its last digits are lost; send all digits of the integer, or the id as a string"
                )))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Id, E> {
                Id::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_ids_are_numbers_and_print_back_as_written() {
        for (text, number) in [
            ("0", Some(0)),
            ("48", Some(48)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("007", None),
            ("-1", None),
            ("4.8", None),
            ("a:b_c-d.e", None),
        ] {
            let id = Id::parse(text).expect(text);
            assert_eq!(id.to_string(), text);
            match number {
                Some(number) => assert_eq!(id, Id::Number(number)),
                None => assert_eq!(id, Id::Text(text.into())),
            }
        }
    }

    /// A slow reference: reads a decimal digit by digit.
    fn digit_by_digit(text: &[u8]) -> Option<(u64, usize)> {
        let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&text[..length]).expect("digits").parse::<u64>().ok()?;
        (number.to_string().len() == length).then_some((number, length))
    }

    proptest::proptest! {
        #[test]
        fn decimals_are_read_as_by_the_reference(text in "[0-9]{0,22}[^0-9]{0,2}[0-9]{0,8}") {
            proptest::prop_assert_eq!(leading_decimal(text.as_bytes()), digit_by_digit(text.as_bytes()));
        }

        #[test]
        fn decimals_in_any_bytes_are_read_as_by_the_reference(
            text in proptest::collection::vec(proptest::sample::select(&b"0189/:,\x00\xff"[..]), 0..12)
        ) {
            proptest::prop_assert_eq!(leading_decimal(&text), digit_by_digit(&text));
        }
    }

    #[test]
    fn invalid_id_is_refused_with_the_reason() {
        assert_eq!(Id::parse(""), Err(IdError::Empty));
        assert_eq!(Id::parse(&"x".repeat(65)), Err(IdError::TooLong(65)));
        assert!(Id::parse(&"9".repeat(64)).is_ok());
        assert_eq!(Id::parse("a b"), Err(IdError::BadCharacter(' ', 2)));
        assert_eq!(Id::parse("né"), Err(IdError::BadCharacter('é', 2)));
        assert_eq!(Id::parse("a/b"), Err(IdError::BadCharacter('/', 2)));
        for place in [".", ".."] {
            assert_eq!(Id::parse(place), Err(IdError::PlaceInPath(place.to_owned())));
            assert_eq!(IdRef::parse_cell(place), Err(IdError::PlaceInPath(place.to_owned())));
        }
        for name in ["...", ".a", "..a", "a..", ".-", "-."] {
            assert_eq!(Id::parse(name), Ok(Id::Text(name.into())));
        }
    }

    #[test]
    fn json_number_is_an_id_only_if_written_in_digits() {
        let read = |json: &str| serde_json::from_str::<Id>(json);
        for (json, id) in [
            ("48", Id::Number(48)),
            ("\"48\"", Id::Number(48)),
            ("18446744073709551615", Id::Number(u64::MAX)),
            ("\"48.0\"", Id::Text("48.0".into())),
            ("\"7.2e15\"", Id::Text("7.2e15".into())),
        ] {
            assert_eq!(read(json).expect(json), id, "{json}");
        }
        for json in [
            "48.0",
            "4.8e1",
            "48e0",
            "48.5",
            "-1.0",
            "-0",
            "1e-400",
            "1e300",
            "7211891077227361.0",
            "7.211891077227361e15",
            "18446744073709551616",
        ] {
            let error = read(json).expect_err(json).to_string();
            assert!(error.contains("fraction or exponent form"), "{json}: {error}");
        }
        for json in ["-1", "null", "true", "[48]", "1e400"] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn cell_in_fraction_or_exponent_form_is_no_id() {
        for text in
            ["48.0", "48.", ".5", "-1.0", "4.8e1", "48E0", "1E+05", "7.2e-3", "7211891077227361.0", "1e-400"]
        {
            assert_eq!(IdRef::parse_cell(text), Err(IdError::NumberForm(Excerpt::of(text))), "{text}");
            // Text and path segments say that they are text.
            let allowed = !text.contains('+');
            assert_eq!(IdRef::parse(text).is_ok(), allowed, "{text}");
        }
        for text in
            ["48", "007", "-1", "1.2.3", "e5", "5e", "1e5x", "a.b", "...", "v1.5", "18446744073709551616"]
        {
            assert_eq!(IdRef::parse_cell(text), IdRef::parse(text), "{text}");
        }
    }

    #[test]
    fn numbers_sort_before_text() {
        let mut ids: Vec<Id> =
            ["b", "10", "9", "a", "007"].iter().map(|text| Id::parse(text).expect("an id")).collect();
        ids.sort();
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["9", "10", "007", "a", "b"]);
    }

    #[test]
    fn id_takes_two_words() {
        assert_eq!(size_of::<Id>(), 16);
    }
}
