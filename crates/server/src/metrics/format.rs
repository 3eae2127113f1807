//! The two text formats of `/metrics`, and which of them a scraper gets.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// The classic text format of Prometheus, 0.0.4, which `promtool check metrics` and older agents read.
    Classic,
}

impl Format {
    /// The format that the `Accept` header asks for. OpenMetrics is for those who name it, and do not like plain text
    /// better; everybody else, and whoever accepts neither, gets the classic format, which every scraper reads.
    #[must_use]
    pub fn accepted_by(headers: &HeaderMap) -> Self {
        let (mut open, mut classic) = (None, (0, 0));
        let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
        for range in lines.flat_map(|line| line.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
            let mut parameters = parts.filter_map(|part| part.split_once('='));
            let quality = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
            let quality = quality.map_or(1000, |(_, value)| per_mille(value.trim()));
            // The more specific of the ranges that match counts (RFC 9110, section 12.5.1).
            let specific = match essence.as_str() {
                "application/openmetrics-text" => {
                    open = open.max(Some(quality));
                    continue;
                }
                "text/plain" => 3,
                "text/*" => 2,
                "*/*" => 1,
                _ => continue,
            };
            classic = classic.max((specific, quality));
        }
        match open {
            Some(quality) if quality > 0 && quality >= classic.1 => Self::OpenMetrics,
            _ => Self::Classic,
        }
    }

    /// Its media type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A quality value in thousandths; one that is none counts as 0, so that it asks for nothing.
fn per_mille(text: &str) -> u16 {
    let quality = text.parse::<f32>().ok().filter(|quality| (0.0..=1.0).contains(quality));
    quality.map_or(0, |quality| (quality * 1000.0).round() as u16)
}

/// The same metrics in the classic format. `text` is what the registry encodes: OpenMetrics without exemplars, time stamps
/// and `_created` samples, in which the help of a family stands before its type.
///
/// Samples are alike in both; the classic format names a counter with its `_total` in HELP and TYPE too, calls
/// `untyped` what OpenMetrics calls `unknown`, and has neither UNIT nor EOF.
pub(super) fn classic(text: &str) -> String {
    let mut classic = String::with_capacity(text.len() + text.len() / 16);
    let mut help = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let kind = if kind == "unknown" { "untyped" } else { kind };
            if let Some((_, help)) = help.take().filter(|(described, _)| *described == name) {
                classic.extend(["# HELP ", name, suffix, " ", help, "\n"]);
            }
            classic.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            classic.extend([line, "\n"]);
        }
    }
    classic
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn accepted(lines: &[&'static str]) -> Format {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT, HeaderValue::from_static(line));
        }
        Format::accepted_by(&headers)
    }

    #[test]
    fn scraper_gets_the_format_that_it_likes_best() {
        use Format::{Classic, OpenMetrics};
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
                            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (lines, expected) in [
            (&[][..], Classic),
            (&["*/*"], Classic),
            (&["text/plain"], Classic),
            (&["text/html, */*;q=0.8"], Classic),
            (&["application/json"], Classic),
            (&["application/openmetrics-text"], OpenMetrics),
            (&["Application/OpenMetrics-Text; version=1.0.0; charset=utf-8"], OpenMetrics),
            (&["application/openmetrics-text, text/plain"], OpenMetrics),
            (&["text/plain;q=0.4", "application/openmetrics-text; Q=0.5"], OpenMetrics),
            (&["application/openmetrics-text;q=0.4, text/plain;q=0.5"], Classic),
            (&["application/openmetrics-text;q=0.4, text/plain;q=0.1, */*"], OpenMetrics),
            (&["application/openmetrics-text;q=0.4, */*"], Classic),
            (&["application/openmetrics-text;q=0, */*;q=0"], Classic),
            (&["application/openmetrics-text;q=much"], Classic),
            (&[prometheus_2], OpenMetrics),
            (&[prometheus_3], OpenMetrics),
        ] {
            assert_eq!(accepted(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn classic_text_names_counters_with_their_suffix_and_keeps_samples() {
        let open = "# HELP a_b What b counts.\n# TYPE a_b counter\n# UNIT a_b seconds\na_b_total{x=\"# EOF\"} 1\n\
                    # HELP c What c is.\n# TYPE c gauge\nc 2.5\n# HELP d What d may be.\n# TYPE d unknown\nd 3\n# EOF\n";
        let expected = "# HELP a_b_total What b counts.\n# TYPE a_b_total counter\na_b_total{x=\"# EOF\"} 1\n\
                        # HELP c What c is.\n# TYPE c gauge\nc 2.5\n# HELP d What d may be.\n# TYPE d untyped\nd 3\n";
        assert_eq!(classic(open), expected);
    }
}
