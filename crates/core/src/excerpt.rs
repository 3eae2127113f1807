//! Callers' text in errors: what is quoted or passed on is bounded, and says what was left out.
//!
//! A sentence about a field of 64 KB must not take 64 KB itself: it goes back over the network, into logs, and, for a body
//! of many rows, there are ten thousand of them.

use std::fmt;

/// How many characters of a value are quoted.
const QUOTED_CHARS: usize = 40;

/// The longest message that is passed on whole, in bytes.
pub const MESSAGE_BYTES: usize = 1024;

/// How many bytes of a longer message are kept of its beginning, and of its end, where the advice is.
const KEPT_OF_START: usize = 600;
const KEPT_OF_END: usize = 300;

/// The beginning of a value that a caller has sent, for an error.
///
/// It is shown in quotes and escaped; behind them, if there was more, how many bytes there were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    start: Box<str>,
    bytes: usize,
}

impl Excerpt {
    /// The beginning of `text`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let end = text.char_indices().nth(QUOTED_CHARS).map_or(text.len(), |(end, _)| end);
        Self { start: text[..end].into(), bytes: text.len() }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, bytes } = self;
        if start.len() == *bytes {
            write!(f, "{start:?}")
        } else {
            write!(f, "{start:?}… ({bytes} bytes, cut)")
        }
    }
}

/// A message that may quote a caller's text at any length, as those of parsers do: whole up to [`MESSAGE_BYTES`] bytes,
/// otherwise its beginning and its end, and between them how many bytes were cut.
#[must_use]
pub fn bounded_message(message: String) -> String {
    if message.len() <= MESSAGE_BYTES {
        return message;
    }
    let is_boundary = |at: &usize| message.is_char_boundary(*at);
    let start = (0..=KEPT_OF_START).rev().find(is_boundary).unwrap_or(0);
    let end = (message.len() - KEPT_OF_END..).find(is_boundary).unwrap_or(message.len());
    format!("{}… ({} bytes cut) …{}", &message[..start], end - start, &message[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_value_is_cut_and_says_so() {
        assert_eq!(Excerpt::of("a \"b\"").to_string(), r#""a \"b\"""#);
        let forty = "é".repeat(40);
        assert_eq!(Excerpt::of(&forty).to_string(), format!("{forty:?}"));
        assert_eq!(Excerpt::of(&(forty.clone() + "é")).to_string(), format!("{forty:?}… (82 bytes, cut)"));
    }

    #[test]
    fn long_message_keeps_its_beginning_and_its_end_and_says_what_was_cut() {
        let whole = "x".repeat(MESSAGE_BYTES);
        assert_eq!(bounded_message(whole.clone()), whole);
        for filling in ["x", "é", "\u{1f600}"] {
            let message = format!("unknown field `{}`, expected one of `a`", filling.repeat(64 << 10));
            let cut = bounded_message(message);
            assert!(cut.len() <= MESSAGE_BYTES, "{}", cut.len());
            assert!(cut.starts_with("unknown field") && cut.ends_with("expected one of `a`"), "{cut}");
            assert!(cut.contains("bytes cut"), "{cut}");
        }
    }
}
