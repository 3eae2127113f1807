//! Text and numbers as the page shows them.

use upbeat_core::feature::FEATURE_DEFINITION;
use upbeat_svm::{Interval, Model};

/// Text between tags or in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A share as per cent: two decimals below one per cent, else one. The space does not break.
pub(super) fn percent(share: f64) -> String {
    format!("{}\u{a0}%", percent_number(share))
}

/// An interval of shares as per cent, `2.9 to 4.2 %`.
pub(super) fn percent_interval(interval: Option<Interval>) -> String {
    interval
        .map_or("-".to_owned(), |Interval(low, high)| format!("{} to {}", percent_number(low), percent(high)))
}

fn percent_number(share: f64) -> String {
    let percent = share * 100.0;
    if percent != 0.0 && percent < 1.0 { format!("{percent:.2}") } else { format!("{percent:.1}") }
}

/// Four significant digits without trailing zeros; powers of ten when very small or large.
pub(super) fn number(value: f64) -> String {
    // Zero has no sign.
    let value = value + 0.0;
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        return format!("{value:.2e}");
    }
    let digits_before = if size < 1.0 { 0 } else { size.log10() as usize + 1 };
    let leading_zeros = if size == 0.0 || size >= 0.1 { 0 } else { (-size.log10()) as usize };
    let decimals = (4 + leading_zeros).saturating_sub(digits_before);
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A count with a comma between thousands.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// At most `letters` letters, the last one an ellipsis when some were cut.
pub(super) fn shortened(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

/// The names of rows and classes: what they are for Upbeat's own features, else their labels.
pub(super) struct Terms {
    /// Many rows.
    pub(super) rows: &'static str,
    /// Rows of the positive class.
    pub(super) positives: String,
    /// Rows of the negative class.
    pub(super) negatives: String,
}

impl Terms {
    /// The terms for a model's rows, not escaped.
    pub(super) fn of(model: &Model) -> Self {
        let labels = &model.parts().labels;
        if is_own(model) {
            let (positives, negatives) = ("clickers".to_owned(), "non-clickers".to_owned());
            return Self { rows: "listeners", positives, negatives };
        }
        let labelled = |label: &str| format!("rows labelled {}", shortened(label, 24));
        Self { rows: "rows", positives: labelled(&labels.positive), negatives: labelled(&labels.negative) }
    }
}

/// Whether the features are Upbeat's own shares.
pub(super) fn is_own(model: &Model) -> bool {
    model.parts().features.definition.as_deref() == Some(FEATURE_DEFINITION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_say_enough() {
        for (value, wanted) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.16666666, "0.1667"),
            (0.0041666, "0.004167"),
            (-12.3456, "-12.35"),
            (1234.5, "1234"),
            (99_999.0, "99999"),
            (1e-7, "1.00e-7"),
            (2.5e9, "2.50e9"),
        ] {
            assert_eq!(number(value), wanted);
        }
        for (share, wanted) in [(0.0, "0.0"), (0.00347, "0.35"), (0.0353, "3.5"), (1.0, "100.0")] {
            assert_eq!(percent(share), format!("{wanted}\u{a0}%"));
        }
        for (rows, wanted) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(count(rows), wanted);
        }
        assert_eq!((shortened("evening", 7).as_str(), shortened("evening", 4).as_str()), ("evening", "eve…"));
    }
}
