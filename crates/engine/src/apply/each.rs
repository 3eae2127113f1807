//! Applying the rows of a body one by one.

use upbeat_core::event::Row;
use upbeat_core::feedback::{FeedbackCounts, is_feedback};
use upbeat_core::profile::Applied;

use super::Report;
use super::report::Refusal;
use crate::{Engine, Outcome, RowKind};

impl Engine {
    /// Applies rows one by one; refused rows are reported and change nothing. A row that could not be read is an `Err`
    /// with its reason. `wall_ms` in Unix milliseconds.
    pub fn apply_each(&self, rows: impl Iterator<Item = Result<Row, String>>, wall_ms: i64) -> Report {
        self.apply_more(Report::default(), rows, wall_ms)
    }

    /// Applies further rows of a body, as [`Engine::apply_each`] does; `report` is of the rows before them.
    pub fn apply_more(
        &self,
        mut report: Report,
        rows: impl Iterator<Item = Result<Row, String>>,
        wall_ms: i64,
    ) -> Report {
        for (index, row) in (report.rows()..).zip(rows) {
            let result = row
                .inspect_err(|_| self.counters.count_event(RowKind::Unreadable, Outcome::Rejected))
                .map_err(Refusal::from)
                .and_then(|row| self.apply_row(row, wall_ms, &mut report.feedback));
            report.count(index, result, &self.counters);
        }
        report
    }

    fn apply_row(
        &self,
        row: Row,
        wall_ms: i64,
        feedback: &mut Option<Box<FeedbackCounts>>,
    ) -> Result<Applied, Refusal> {
        match row {
            Row::Event(event) => {
                let says = is_feedback(&event.kind);
                let (applied, said) = self.apply_row_of(event, wall_ms);
                if says {
                    feedback.get_or_insert_default().add(said);
                }
                Ok(applied?)
            }
            Row::Track(id, track) => Ok(self.put_track(id, track)?),
        }
    }
}
