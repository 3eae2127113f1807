//! Applying the rows of a body one by one.

use upbeat_core::event::{Event, EventKind, Row};
use upbeat_core::feedback::{FeedbackCounts, is_feedback};
use upbeat_core::profile::Applied;

use super::Report;
use super::report::Refusal;
use crate::table::prefetch;
use crate::{Engine, Outcome, PREFETCHED, RowKind};

/// Rows that are read before the first of them is applied: the records of their customers, and then the plays, are on their way into the
/// cache meanwhile.
const AHEAD: usize = PREFETCHED;

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
        let mut rows = rows.fuse();
        let mut ahead: [Option<Result<Row, String>>; AHEAD] = [const { None }; AHEAD];
        let (mut read, mut applied) = (0, 0);
        let first = report.rows();
        loop {
            while read < applied + AHEAD {
                let Some(row) = rows.next() else { break };
                if let Ok(Row::Event(event)) = &row {
                    self.customers.prefetch(std::slice::from_ref(&event.customer));
                }
                ahead[read % AHEAD] = Some(row);
                read += 1;
            }
            if let Some(Ok(Row::Event(event))) = &ahead[(applied + AHEAD / 2) % AHEAD] {
                self.prefetch_plays(event);
            }
            let Some(row) = ahead[applied % AHEAD].take() else { break };
            let index = first + applied;
            applied += 1;
            let result = row
                .inspect_err(|_| self.counters.count_event(RowKind::Unreadable, Outcome::Rejected))
                .map_err(Refusal::from)
                .and_then(|row| self.apply_row(row, wall_ms, &mut report.feedback));
            report.count(index, result, &self.counters);
        }
        report
    }

    /// Prefetches the newest plays of a customer, whose record was prefetched before: a play is put there, and looked at beside them.
    fn prefetch_plays(&self, event: &Event) {
        if let EventKind::Play { .. } = event.kind {
            self.customers.with(&event.customer, |customer| {
                customer.profile.newest_words().into_iter().flatten().for_each(prefetch);
            });
        }
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
