//! Applying all rows of a body, or none of them.

use std::collections::{HashMap, HashSet};

use upbeat_core::event::{Event, EventKind, Id, Membership, Row};
use upbeat_core::profile::EventConflict;

use super::report::{Refusal, Report};
use crate::{Engine, Outcome, Rejection, RowKind};

impl Engine {
    /// Applies all rows or none. A row that could not be read is an `Err` with its reason. `wall_ms` in Unix
    /// milliseconds.
    ///
    /// # Errors
    /// At least one row would be refused: the report lists these rows, and nothing was applied.
    pub fn apply_all(
        &self,
        rows: impl Iterator<Item = Result<Row, String>>,
        wall_ms: i64,
    ) -> Result<Report, Report> {
        let mut report = Report::default();
        let mut good = Vec::new();
        let mut additions = Additions::default();
        for (index, row) in rows.enumerate() {
            let checked = row.map_err(Refusal::from).and_then(|row| {
                additions.check(self, &row, wall_ms)?;
                Ok(row)
            });
            match checked {
                Ok(row) => good.push(row),
                Err(refusal) => report.count(index, Err(refusal), &self.counters),
            }
        }
        if !report.rejected.is_empty() {
            for _ in 0..report.refused() {
                self.counters.count_event(RowKind::Unreadable, Outcome::Rejected);
            }
            return Err(report);
        }
        for (index, row) in good.into_iter().enumerate() {
            let applied = match row {
                Row::Event(event) => self.apply_checked(event, wall_ms).map_err(Refusal::from),
                Row::Track(id, track) => self.put_track(id, track).map_err(Refusal::catalogue_full),
            };
            report.count(index, applied, &self.counters);
        }
        Ok(report)
    }
}

/// What the rows so far would add: each row is checked against the earlier rows as well as against the store.
#[derive(Default)]
struct Additions {
    customers: HashSet<Id>,
    tracks: HashSet<Id>,
    /// By customer, time in Unix milliseconds and event id.
    memberships: HashMap<(Id, i64, Id), Membership>,
}

impl Additions {
    fn check(&mut self, engine: &Engine, row: &Row, wall_ms: i64) -> Result<(), Refusal> {
        match row {
            Row::Event(event) => Ok(self.check_event(engine, event, wall_ms)?),
            Row::Track(id, _) => self.check_track(engine, id),
        }
    }

    fn check_event(&mut self, engine: &Engine, event: &Event, wall_ms: i64) -> Result<(), Rejection> {
        engine.check(event, wall_ms)?;
        if let EventKind::Membership(level) = event.kind {
            let key = (event.customer.clone(), event.time.unix_ms, event.id.clone());
            let earlier = *self.memberships.entry(key).or_insert(level);
            if earlier != level {
                return Err(EventConflict::Membership { level: earlier, time: event.time }.into());
            }
        }
        if !engine.contains(&event.customer) && !self.customers.contains(&event.customer) {
            let limit = engine.settings().max_customers;
            if self.customers.len() >= limit.saturating_sub(engine.customer_count()) {
                return Err(Rejection::StoreFull(limit));
            }
            self.customers.insert(event.customer.clone());
        }
        Ok(())
    }

    fn check_track(&mut self, engine: &Engine, id: &Id) -> Result<(), Refusal> {
        if engine.track(id).is_none() && !self.tracks.contains(id) {
            let limit = engine.settings().max_tracks;
            if self.tracks.len() >= limit.saturating_sub(engine.track_count()) {
                return Err(Refusal::catalogue_full(limit));
            }
            self.tracks.insert(id.clone());
        }
        Ok(())
    }
}
