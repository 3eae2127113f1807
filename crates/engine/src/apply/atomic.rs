//! Applying all rows of a body, or none of them.
//!
//! A body goes through three steps: it claims its customers, checks every row, and applies every row. No lock is kept
//! from one row to the next, so no decision waits for a body. What could refuse a row after all of them were checked
//! is excluded instead:
//!
//! - *room*: the check reserves a place for every new customer and every new track. Memory was there for the first row
//!   that needed it, and may be exceeded by the rest of the body.
//! - *a contradiction*: while the claim lasts, no other request deletes these customers, and they are not evicted; and
//!   where the body has a membership, a confirmation or a void of theirs, no other request makes one (see `claims.rs`). A
//!   decision may still push an impression out of the ad history that the body confirms; then the confirmation counts as
//!   made before.
//! - *the rows themselves*: each is checked against the earlier ones.
//!
//! So the last step cannot fail, and its functions return no error. A decision meanwhile may see a part of the body, but no
//! account: what becomes of money is booked together with the commit.

mod additions;

use std::ops::Range;

use additions::Additions;
use upbeat_core::event::Row;

use super::can_conflict;
use super::report::Report;
use crate::claims::{Claim, ClaimedCustomers, Claims};
use crate::ledger::Op;
use crate::log::{OpenUnit, Payload, Use};
use crate::{Engine, Outcome, Rejection, RowKind};

/// A body whose rows are being applied, all or none.
pub struct AtomicBody {
    rows: Vec<Result<Row, String>>,
    wall_ms: i64,
    next: Step,
    report: Report,
    additions: Additions,
    claim: Claim,
    /// Open from the first row that is applied to the commit, if there is a log.
    unit: Option<OpenUnit>,
    /// What becomes of money with the commit, and what is counted of shows behind it.
    ops: Vec<(u16, Op)>,
    counts: Vec<(u16, Op)>,
    committed: bool,
}

/// What is left of a body that has ended. To free the memory of a large one takes milliseconds, so it is for the caller
/// to say where it is dropped; nobody waits for that.
pub struct Remains {
    _body: Box<AtomicBody>,
    _claimed: ClaimedCustomers,
}

/// What is to be done next, from which row on.
#[derive(Debug, Clone, Copy)]
enum Step {
    Check(usize),
    Apply(usize),
}

/// How far an atomic body has come.
pub enum Progress {
    /// There is more to do.
    UnderWay(Box<AtomicBody>),
    /// All rows were applied.
    Applied(Report, Remains),
    /// Nothing was applied: the report lists the rows that would be refused.
    Refused(Report, Remains),
}

impl Engine {
    /// Applies all rows or none. A row that could not be read is an `Err` with its reason. `wall_ms` in Unix
    /// milliseconds. Waits for another atomic body to end.
    ///
    /// # Errors
    /// At least one row would be refused: the report lists these rows, and nothing was applied.
    pub fn apply_all(
        &self,
        rows: impl Iterator<Item = Result<Row, String>>,
        wall_ms: i64,
    ) -> Result<Report, Report> {
        let mut body = self.begin_atomic(rows, wall_ms);
        loop {
            match self.advance(body, usize::MAX) {
                // Where the log has no room, its thread makes some.
                Progress::UnderWay(rest) => {
                    body = rest;
                    std::thread::yield_now();
                }
                Progress::Applied(report, _) => return Ok(report),
                Progress::Refused(report, _) => return Err(report),
            }
        }
    }

    /// Begins to apply all rows or none, as [`Engine::apply_all`] does, for a caller that does it in slices. Locks no
    /// shard, but waits for another atomic body to end. What takes long for a large body is done here: the memory for all
    /// slices is allocated.
    pub fn begin_atomic(
        &self,
        rows: impl Iterator<Item = Result<Row, String>>,
        wall_ms: i64,
    ) -> Box<AtomicBody> {
        let rows: Vec<_> = rows.collect();
        let mut claimed = ClaimedCustomers::new();
        for row in &rows {
            if let Ok(Row::Event(event)) = row {
                *claimed.entry(event.customer.clone()).or_default() |= can_conflict(&event.kind);
            }
        }
        let additions = Additions::new(self, &rows, claimed.len());
        let claim = Claims::claim(&self.claims, claimed);
        Box::new(AtomicBody {
            rows,
            wall_ms,
            next: Step::Check(0),
            report: Report::default(),
            additions,
            claim,
            unit: None,
            ops: Vec::new(),
            counts: Vec::new(),
            committed: false,
        })
    }

    /// Checks or applies the next rows of a body, at most `count`, at least one; none where the log has no room for the next
    /// one, which is to be tried again a little later. To drop a body of which rows were applied leaves it half applied, and
    /// the log failed.
    ///
    /// A log that fails amid the body refuses it: a part is applied, and nothing of it is in the log.
    #[must_use]
    pub fn advance(&self, mut body: Box<AtomicBody>, count: usize) -> Progress {
        let slice = |from: usize| from..body.rows.len().min(from.saturating_add(count.max(1)));
        match body.next {
            Step::Check(from) => {
                let rows = slice(from);
                body.next = Step::Check(rows.end);
                self.check_rows(&mut body, rows);
            }
            Step::Apply(from) => {
                if body.unit.as_ref().is_some_and(OpenUnit::has_failed) {
                    return self.refuse_rest(body, from);
                }
                let rows = slice(from);
                body.next = Step::Apply(self.apply_rows(&mut body, rows));
            }
        }
        let all_applied = matches!(body.next, Step::Apply(next) if next == body.rows.len());
        if all_applied && self.commit(&mut body) {
            let (report, remains) = body.end();
            return Progress::Applied(report, remains);
        }
        match body.next {
            Step::Check(next) if next == body.rows.len() => {
                let refused = body.report.refused();
                if refused > 0 {
                    (0..refused)
                        .for_each(|_| self.counters.count_event(RowKind::Unreadable, Outcome::Rejected));
                    let (report, remains) = body.end();
                    return Progress::Refused(report, remains);
                }
                body.next = Step::Apply(0);
                Progress::UnderWay(body)
            }
            Step::Check(_) | Step::Apply(_) => Progress::UnderWay(body),
        }
    }

    /// Commits a body whose rows are all applied, with what becomes of money, and counts what clicks and upgrades belong to shows;
    /// whether there was room for all of that.
    fn commit(&self, body: &mut AtomicBody) -> bool {
        if !body.committed {
            let now_ms = self.now_ms(body.wall_ms);
            body.committed = match (&mut body.unit, body.ops.is_empty()) {
                (unit, true) => unit.as_mut().is_none_or(OpenUnit::commit),
                (Some(unit), false) => unit.commit_with(&self.accounts, &body.ops, now_ms),
                (None, false) => self.accounts.make_all(None, &body.ops, now_ms, |_, _| Some(()), |(), _| {}),
            };
        }
        while let Some(op) = body.counts.last().filter(|_| body.committed) {
            let publish = |money: Option<&Payload>| match (self.log.get(), money) {
                (Some(log), Some(money)) => {
                    let room = log.room(Use::Rest, 1, money.bytes().len());
                    room.map(|mut room| room.publish(money, 0)).is_some()
                }
                _ => true,
            };
            if !self.book(Some(*op), body.wall_ms, publish) {
                return false;
            }
            body.counts.pop();
        }
        body.committed
    }

    fn check_rows(&self, body: &mut AtomicBody, rows: Range<usize>) {
        for index in rows {
            let row = &body.rows[index];
            if let Err(refusal) = body.additions.check(self, row, body.wall_ms, &mut body.report.feedback) {
                body.report.count(index, Err(refusal), &self.counters);
            }
        }
    }

    /// Applies rows and returns where it ended: before the first for which the log has no room.
    fn apply_rows(&self, body: &mut AtomicBody, rows: Range<usize>) -> usize {
        if let (None, Some(log)) = (&body.unit, self.log.get()) {
            body.unit = OpenUnit::begin(log);
            if body.unit.is_none() {
                return rows.start;
            }
        }
        for index in rows.clone() {
            // Rows are taken out, so that the memory of each is freed here and not that of all at the end.
            if let Ok(row) = std::mem::replace(&mut body.rows[index], Err(String::new())) {
                let mut ops = Vec::new();
                match body.additions.apply(self, row, body.wall_ms, body.unit.as_mut(), &mut ops) {
                    Ok((applied, said)) => {
                        if let Some(feedback) = &mut body.report.feedback {
                            feedback.add(said);
                        }
                        for op in ops {
                            let moves_money = matches!(op.1, Op::Confirm(_) | Op::Void(_));
                            (if moves_money { &mut body.ops } else { &mut body.counts }).push(op);
                        }
                        body.report.count(index, Ok(applied), &self.counters);
                    }
                    Err(row) => {
                        body.rows[index] = Ok(row);
                        return index;
                    }
                }
            }
        }
        rows.end
    }

    /// Ends a body amid which the log has failed. Nothing of it will be there after a restart, so all of it is refused.
    fn refuse_rest(&self, mut body: Box<AtomicBody>, applied: usize) -> Progress {
        body.report = Report::default();
        for index in 0..body.rows.len() {
            if index >= applied {
                self.counters.count_event(RowKind::Unreadable, Outcome::Rejected);
            }
            body.report.count(index, Err(Rejection::LogUnavailable.into()), &self.counters);
        }
        let (report, remains) = body.end();
        Progress::Refused(report, remains)
    }
}

impl AtomicBody {
    /// Whether rows are still being checked, and the row that is next.
    #[cfg(test)]
    pub(crate) fn step(&self) -> (bool, usize) {
        match self.next {
            Step::Check(row) => (true, row),
            Step::Apply(row) => (false, row),
        }
    }

    /// Ends the claim, and frees no memory.
    fn end(mut self: Box<Self>) -> (Report, Remains) {
        // The places before the claim: the next body, which waits for the claim, may need them.
        self.additions.places.give_back();
        self.additions.track_places.give_back();
        let claimed = self.claim.release();
        (std::mem::take(&mut self.report), Remains { _body: self, _claimed: claimed })
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests;
