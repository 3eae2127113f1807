//! When a batch is worth sending again, and how long the server asks to wait.

use std::time::{Duration, SystemTime};

use hyper::header::{DATE, HeaderName, RETRY_AFTER};

use crate::Answer;

/// Longest wait that a server can ask for; one that asks for more is not waited for.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Statuses that say "later", or that a defect or a proxy was in the way. Events are idempotent, so that sending them
/// again is right also where it is not known whether they arrived.
pub(super) fn is_worth_retrying(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Whether a status without a report says that no row was applied. A failed or impatient proxy does not know, and a
/// failed server may have applied some.
pub(super) fn is_definite_refusal(status: u16) -> bool {
    matches!(status, 400..=499 | 501 | 503 | 505)
}

/// The wait that the server asks for with `Retry-After`: seconds, or a date, which is taken against the server's own
/// clock where the answer has its `Date`.
pub(super) fn retry_after(answer: &Answer, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| answer.headers.get(name)?.to_str().ok();
    let asked = text(RETRY_AFTER)?.trim();
    if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        // What does not fit is longer than any wait.
        return Some(Duration::from_secs(asked.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    let now = text(DATE).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    Some(until.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let noon = httpdate::parse_http_date("Sun, 06 Nov 1994 12:00:00 GMT").unwrap();
        let earlier = "Sun, 06 Nov 1994 11:59:00 GMT";
        let cases = [
            ("7", None, Some(7)),
            (" 0 ", None, Some(0)),
            ("99999999999999999999999", None, Some(u64::MAX)),
            ("Sun, 06 Nov 1994 12:00:30 GMT", None, Some(30)),
            ("Sunday, 06-Nov-94 12:00:30 GMT", None, Some(30)),
            ("Sun Nov  6 12:00:30 1994", None, Some(30)),
            ("Sun, 06 Nov 1994 11:00:00 GMT", None, Some(0)),
            ("Sun, 06 Nov 1994 12:00:30 GMT", Some(earlier), Some(90)),
            ("-1", None, None),
            ("soon", None, None),
            ("", None, None),
        ];
        for (text, date, seconds) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            let answer = Answer { status: 503, headers, body: bytes::Bytes::new() };
            assert_eq!(retry_after(&answer, noon), seconds.map(Duration::from_secs), "{text:?}");
        }
        let silent = Answer { status: 503, headers: HeaderMap::new(), body: bytes::Bytes::new() };
        assert_eq!(retry_after(&silent, noon), None);
    }
}
