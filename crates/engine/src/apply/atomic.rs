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
//! So the last step cannot fail, and its functions return no error. A decision meanwhile may see a part of the body.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use upbeat_core::event::{DecisionId, Event, EventKind, Id, ImpressionOf, Membership, Row};
use upbeat_core::feedback::{FeedbackCounts, FeedbackKinds, is_feedback};
use upbeat_core::profile::{Applied, EventConflict};

use super::can_conflict;
use super::feedback::kinds_of;
use super::report::{Refusal, Report};
use crate::claims::{Claim, ClaimedCustomers, Claims};
use crate::log::OpenUnit;
use crate::table::Reservation;
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
            Step::Apply(next)
                if next == body.rows.len() && body.unit.as_mut().is_none_or(OpenUnit::commit) =>
            {
                let (report, remains) = body.end();
                Progress::Applied(report, remains)
            }
            Step::Check(_) | Step::Apply(_) => Progress::UnderWay(body),
        }
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
                match body.additions.apply(self, row, body.wall_ms, body.unit.as_mut()) {
                    Ok((applied, said)) => {
                        if let Some(feedback) = &mut body.report.feedback {
                            feedback.add(said);
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

/// What the rows so far would add: each row is checked against the earlier rows as well as against the store, and room
/// is reserved for it.
struct Additions {
    customers: HashSet<Id>,
    places: Reservation,
    tracks: HashSet<Id>,
    track_places: Reservation,
    /// By customer, time in Unix milliseconds and event id.
    memberships: HashMap<(Id, i64, Id), Membership>,
    /// By customer, time in Unix milliseconds and event id.
    confirmations: HashMap<(Id, i64, Id), DecisionId>,
    /// By customer, time in Unix milliseconds and event id.
    voids: HashMap<(Id, i64, Id), DecisionId>,
}

impl Additions {
    /// No additions yet, but the memory for those of all rows: to grow a large map would take one slice milliseconds.
    fn new(engine: &Engine, rows: &[Result<Row, String>], customers: usize) -> Self {
        let (mut tracks, mut memberships, mut confirmations, mut voids) = (0, 0, 0, 0);
        for row in rows.iter().flatten() {
            match row {
                Row::Track(..) => tracks += 1,
                Row::Event(event) => match event.kind {
                    EventKind::Membership(_) => memberships += 1,
                    EventKind::Impression(ImpressionOf::Decision(_)) => confirmations += 1,
                    EventKind::Void { .. } => voids += 1,
                    _ => {}
                },
            }
        }
        Self {
            customers: HashSet::with_capacity(customers),
            places: engine.customers.reservation(),
            tracks: HashSet::with_capacity(tracks),
            track_places: engine.tracks.reservation(),
            memberships: HashMap::with_capacity(memberships),
            confirmations: HashMap::with_capacity(confirmations),
            voids: HashMap::with_capacity(voids),
        }
    }

    /// Checks a row; `feedback` is there once a row says what became of a shown ad.
    fn check(
        &mut self,
        engine: &Engine,
        row: &Result<Row, String>,
        wall_ms: i64,
        feedback: &mut Option<Box<FeedbackCounts>>,
    ) -> Result<(), Refusal> {
        match row {
            Ok(Row::Event(event)) => {
                let checked = self.check_event(engine, event, wall_ms);
                if is_feedback(&event.kind) {
                    let counts = feedback.get_or_insert_default();
                    if let Err(Rejection::Conflict(conflict)) = &checked {
                        let said = kinds_of(conflict);
                        counts.add(said);
                        engine.counters.count_feedback(RowKind::from(&event.kind), said);
                    }
                }
                Ok(checked?)
            }
            Ok(Row::Track(id, _)) => self.check_track(engine, id),
            Err(reason) => Err(reason.clone().into()),
        }
    }

    fn check_event(&mut self, engine: &Engine, event: &Event, wall_ms: i64) -> Result<(), Rejection> {
        let Some(is_known) = engine.check_but_for_places(event, wall_ms)? else { return Ok(()) };
        let key = || (event.customer.clone(), event.time.unix_ms, event.id.clone());
        if let EventKind::Membership(level) = event.kind {
            let earlier = *self.memberships.entry(key()).or_insert(level);
            if earlier != level {
                return Err(EventConflict::Membership { level: earlier, time: event.time }.into());
            }
        }
        if let EventKind::Impression(ImpressionOf::Decision(decision)) = event.kind {
            let earlier = *self.confirmations.entry(key()).or_insert(decision);
            if earlier != decision {
                let (event_id, time) = (event.id.clone(), event.time);
                return Err(EventConflict::OtherDecision { decision, earlier, event_id, time }.into());
            }
        }
        if let EventKind::Void { decision } = event.kind {
            let earlier = *self.voids.entry(key()).or_insert(decision);
            if earlier != decision {
                let (event_id, time) = (event.id.clone(), event.time);
                return Err(EventConflict::OtherVoided { decision, earlier, event_id, time }.into());
            }
        }
        if !is_known && !self.customers.contains(&event.customer) {
            if !self.places.add_one() {
                return Err(Rejection::StoreFull(engine.settings().max_customers));
            }
            self.customers.insert(event.customer.clone());
        }
        Ok(())
    }

    fn check_track(&mut self, engine: &Engine, id: &Id) -> Result<(), Refusal> {
        engine.check_log()?;
        if engine.track(id).is_none() && !self.tracks.contains(id) {
            if !self.track_places.add_one() {
                return Err(Refusal::catalogue_full(engine.settings().max_tracks));
            }
            self.tracks.insert(id.clone());
        }
        Ok(())
    }

    /// Applies a row, and says what is odd about it; it comes back where the log has no room for it.
    fn apply(
        &mut self,
        engine: &Engine,
        row: Row,
        wall_ms: i64,
        unit: Option<&mut OpenUnit>,
    ) -> Result<(Applied, FeedbackKinds), Row> {
        match row {
            Row::Event(event) => {
                engine.apply_reserved(event, wall_ms, &mut self.places, unit).map_err(Row::Event)
            }
            Row::Track(id, track) => engine
                .put_track_reserved(id, track, &mut self.track_places, unit)
                .map(|applied| (applied, FeedbackKinds::default()))
                .map_err(|(id, track)| Row::Track(id, track)),
        }
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests;
