//! The log's word on refused rows: their sender may never read the report in an answer.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use upbeat_engine::{RejectedRow, Report};

/// The shortest time between two warnings.
const PERIOD: Duration = Duration::from_secs(10);

/// How many of a body's refused rows a warning names.
const NAMED: usize = 5;

/// Warns of refused rows, at most once in [`PERIOD`], and counts those of the time in between.
#[derive(Debug, Default)]
pub(crate) struct RefusedRows {
    warned: Mutex<Option<Instant>>,
    /// Rows refused since the last warning.
    rows: AtomicUsize,
}

impl RefusedRows {
    /// Takes note of the refused rows of a body, if there are any.
    pub(crate) fn note(&self, report: &Report) {
        if let Some(rows) = self.due(report, Instant::now()) {
            tracing::warn!(
                rows,
                first = %Named(&report.rejected),
                "rows of events were refused: the answers to their senders say why"
            );
        }
    }

    /// The number of rows to warn of now, in this body and since the last warning.
    fn due(&self, report: &Report, now: Instant) -> Option<usize> {
        if report.refused() == 0 {
            return None;
        }
        self.rows.fetch_add(report.refused(), Ordering::Relaxed);
        // Whoever holds the lock is about to warn.
        let mut warned = self.warned.try_lock().ok()?;
        if warned.is_some_and(|warned| now.saturating_duration_since(warned) < PERIOD) {
            return None;
        }
        *warned = Some(now);
        Some(self.rows.swap(0, Ordering::Relaxed))
    }
}

/// The first of a body's refused rows by index and problem. Their details are left out: they may quote the sender, and
/// the log holds no personal data.
struct Named<'a>(&'a [RejectedRow]);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, row) in self.0.iter().take(NAMED).enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            write!(f, "{separator}row {}: {}", row.index, row.r#type.slug())?;
        }
        if self.0.len() > NAMED { f.write_str(", …") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use upbeat_engine::RowProblem;

    use super::*;

    fn report(rows: usize) -> Report {
        let row = |index| RejectedRow { index, r#type: RowProblem::StoreFull, detail: "secret".to_owned() };
        Report { rejected: (0..rows).map(row).collect(), ..Report::default() }
    }

    #[test]
    fn warning_comes_once_in_a_period_and_counts_the_rows_in_between() {
        let (refused, start) = (RefusedRows::default(), Instant::now());
        assert_eq!(refused.due(&report(0), start), None);
        assert_eq!(refused.due(&report(2), start), Some(2));
        assert_eq!(refused.due(&report(3), start + PERIOD / 2), None);
        assert_eq!(refused.due(&report(0), start + PERIOD), None, "no row of this body was refused");
        assert_eq!(refused.due(&report(1), start + PERIOD), Some(4));
    }

    #[test]
    fn warning_names_the_first_rows_without_their_details() {
        let text = Named(&report(7).rejected).to_string();
        assert!(
            text.starts_with("row 0: store-full, row 1: ") && text.ends_with("row 4: store-full, …"),
            "{text}"
        );
    }
}
