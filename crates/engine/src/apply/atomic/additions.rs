//! What an atomic body would add, as far as it is checked.

use std::collections::{HashMap, HashSet};

use upbeat_core::event::{DecisionId, Event, EventKind, Id, ImpressionOf, Membership, Row};
use upbeat_core::feedback::{FeedbackCounts, FeedbackKinds, is_feedback};
use upbeat_core::profile::{Applied, EventConflict};

use super::super::feedback::kinds_of;
use super::super::report::Refusal;
use crate::ledger::Op;
use crate::log::OpenUnit;
use crate::table::Reservation;
use crate::{Engine, Rejection, RowKind};

/// The most confirmations and voids of an atomic body: the records of their money are published together.
const MOST_MONEY_ROWS: usize = 256;

/// What the rows so far would add: each row is checked against the earlier rows as well as against the store, and room
/// is reserved for it.
pub(super) struct Additions {
    pub(super) customers: HashSet<Id>,
    pub(super) places: Reservation,
    pub(super) tracks: HashSet<Id>,
    pub(super) track_places: Reservation,
    /// By customer, time in Unix milliseconds and event id.
    pub(super) memberships: HashMap<(Id, i64, Id), Membership>,
    /// By customer, time in Unix milliseconds and event id.
    pub(super) confirmations: HashMap<(Id, i64, Id), DecisionId>,
    /// By customer, time in Unix milliseconds and event id.
    voids: HashMap<(Id, i64, Id), DecisionId>,
    /// Confirmations and voids so far.
    money_rows: usize,
}

impl Additions {
    /// No additions yet, but the memory for those of all rows: to grow a large map would take one slice milliseconds.
    pub(super) fn new(engine: &Engine, rows: &[Result<Row, String>], customers: usize) -> Self {
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
            money_rows: 0,
        }
    }

    /// Checks a row; `feedback` is there once a row says what became of a shown ad.
    pub(super) fn check(
        &mut self,
        engine: &Engine,
        row: &Result<Row, String>,
        wall_ms: i64,
        feedback: &mut Option<Box<FeedbackCounts>>,
    ) -> Result<(), Refusal> {
        match row {
            Ok(Row::Event(event)) => {
                let moves_money = matches!(
                    event.kind,
                    EventKind::Impression(ImpressionOf::Decision(_)) | EventKind::Void { .. }
                );
                self.money_rows += usize::from(moves_money);
                if moves_money && self.money_rows > MOST_MONEY_ROWS {
                    return Err(Refusal::from(format!(
                        "an atomic body confirms and voids at most {MOST_MONEY_ROWS} decisions, since their money is booked at \
                         once; send the others in another body, or without atomic"
                    )));
                }
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
    pub(super) fn apply(
        &mut self,
        engine: &Engine,
        row: Row,
        wall_ms: i64,
        unit: Option<&mut OpenUnit>,
        ops: &mut Vec<(u16, Op)>,
    ) -> Result<(Applied, FeedbackKinds), Row> {
        match row {
            Row::Event(event) => {
                engine.apply_reserved(event, wall_ms, &mut self.places, unit, ops).map_err(Row::Event)
            }
            Row::Track(id, track) => engine
                .put_track_reserved(id, track, &mut self.track_places, unit)
                .map(|applied| (applied, FeedbackKinds::default()))
                .map_err(|(id, track)| Row::Track(id, track)),
        }
    }
}
