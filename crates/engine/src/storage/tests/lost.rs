//! Confirmations of decisions whose records a kill or a loss of power took.

use upbeat_core::event::{
    ClickOf, DAY_MS, DecisionId, Event, EventKind, Id, ImpressionOf, MINUTE_MS, Row, Time,
};
use upbeat_core::profile::{Applied, Bounds, EventConflict};
use upbeat_journal::disk::simulated::SimulatedDisk;

use super::histories::History;
use super::model::{Change, held_by};
use super::{WALL_MS, campaign, memories, opened, play, settings, showing, showing_with};
use crate::log::kind;
use crate::{Clock, Engine, Rejection};

impl History {
    /// What the records of an event say; it may be an impression too, of a decision whose own record was lost.
    pub fn changes_of(&self, event: Event, last_event_s: u32, lost: bool) -> Vec<Change> {
        let shown = match event.kind {
            EventKind::Impression(ImpressionOf::Decision(decision)) if lost => {
                let (customer, time_ms) = (event.customer.clone(), event.time.unix_ms);
                let campaign = self.shown[&(customer.clone(), decision)].clone();
                Some(Change::Shown { customer, decision, campaign, slot: None, time_ms, request: None })
            }
            _ => None,
        };
        shown.into_iter().chain([Change::Event(self.looked_up(event), last_event_s)]).collect()
    }

    /// An event as the engine takes it: a click that names a decision with the ad of its campaign, which has the campaign's id.
    fn looked_up(&self, mut event: Event) -> Event {
        if let EventKind::Click { of: ClickOf::Decision { decision, ad } } = &mut event.kind {
            *ad = self.shown.get(&(event.customer.clone(), *decision)).cloned();
        }
        event
    }

    /// What should become of an event, and whether it confirms a decision whose record is lost; `None` if it is refused.
    pub fn expected(&self, event: &Event) -> Option<(Applied, bool)> {
        if self.erased.get(&event.customer).is_some_and(|until_ms| event.time.unix_ms <= *until_ms) {
            return Some((Applied::Erased, false));
        }
        let settings = settings(self.clock);
        let (running, time) = (self.engine.campaigns(), Time::from_unix_ms(event.time.unix_ms));
        let campaigns = running.slots.ids();
        let bounds = Bounds { plays: settings.window.plays as usize, campaigns };
        let mut profile = self.engine.profile(&event.customer).unwrap_or_default();
        match profile.check(event) {
            Ok(()) => Some((profile.apply(self.looked_up(event.clone()), &bounds), false)),
            Err(EventConflict::UnknownDecision(decision)) => {
                // Where what named its campaign was lost with the power, nobody knows that it was given.
                let shown = self.shown.get(&(event.customer.clone(), decision));
                let campaign = shown.filter(|campaign| campaigns.contains(campaign))?;
                if !matches!(event.kind, EventKind::Impression(_)) {
                    return Some((profile.apply(self.looked_up(event.clone()), &bounds), false));
                }
                if let Err(unchanged) = profile.check_lost(event, decision, campaign, &bounds) {
                    return Some((unchanged, false));
                }
                profile.count_decided_impression(decision, campaign.clone(), time, &bounds);
                Some((profile.apply(event.clone(), &bounds), true))
            }
            Err(_) => None,
        }
    }

    /// What the record of an event says of the last event: `accepted_s`, unless it took the place of another copy of it.
    pub fn recorded_last_event_s(&self, event: &Event, applied: Option<Applied>, accepted_s: u32) -> u32 {
        let known_s = || self.engine.customers.with(&event.customer, |customer| customer.last_event_s());
        match applied {
            Some(Applied::Replaced) => known_s().expect("another copy is there"),
            _ => accepted_s,
        }
    }

    /// The kind of each record at these positions.
    pub fn kinds_at(&self, positions: &[u64]) -> Vec<u16> {
        let kinds = self.engine.log().expect("it was opened").kinds.lock().expect("no panic");
        positions.iter().map(|position| kinds.get(position).copied().unwrap_or(0)).collect()
    }

    /// The positions from this one on, but for those of money: accounts have histories of their own, in `accounts.rs`.
    pub fn positions_from(&self, from: u64) -> Vec<u64> {
        let kinds = self.engine.log().expect("it was opened").kinds.lock().expect("no panic");
        let is_money =
            |position: &u64| matches!(kinds.get(position), Some(&(kind::MONEY | kind::BUDGET_LEASE)));
        (from..self.next()).filter(|position| !is_money(position)).collect()
    }

    pub fn note(&mut self, from: u64, changes: Vec<Change>) {
        let taken = self.positions_from(from);
        assert_eq!(taken.len(), changes.len(), "seed {}: positions of {changes:?}", self.seed);
        self.changes.extend(taken.into_iter().zip(changes));
    }

    pub fn apply_event(&mut self, event: Event) {
        let (from, last_event_s) = (self.next(), self.last_event_s(&event, self.wall_ms));
        let expected = self.expected(&event);
        let (applied, lost) = match self.engine.apply(event.clone(), self.wall_ms) {
            // The clock may have been set back.
            Err(Rejection::LogUnavailable | Rejection::Claimed(_) | Rejection::TooFarAhead { .. }) => {
                return self.note(from, Vec::new());
            }
            other => (other.ok(), expected.is_some_and(|(_, lost)| lost)),
        };
        assert_eq!(applied, expected.map(|(applied, _)| applied), "seed {}: {event:?}", self.seed);
        let logged = matches!(applied, Some(Applied::Accepted | Applied::Replaced));
        let last_event_s = self.recorded_last_event_s(&event, applied, last_event_s);
        let changes = if logged { self.changes_of(event, last_event_s, lost) } else { Vec::new() };
        self.note(from, changes);
    }

    /// Confirms some of the decisions that are not known any longer, twice each.
    pub fn confirm_lost(&mut self) {
        let is_known = |(customer, decision): &&(Id, DecisionId)| {
            let profile = self.engine.profile(customer);
            profile
                .is_some_and(|profile| profile.held_impressions().any(|of| of.decision() == Some(*decision)))
        };
        let running = self.engine.campaigns();
        let names = |campaign: &Id| running.slots.ids().contains(campaign);
        let shown = self.shown.iter().filter(|(_, campaign)| names(campaign)).map(|(shown, _)| shown);
        let lost: Vec<_> = shown.filter(|shown| !is_known(shown)).cloned().collect();
        for (customer, decision) in lost.into_iter().rev().take(5) {
            let (id, time) = (Id::Number(1 << 20 | decision.0 >> 30), Time::from_unix_ms(self.wall_ms));
            let kind = EventKind::Impression(ImpressionOf::Decision(decision));
            let event = Event { customer, id, time, kind };
            let from = self.next();
            self.apply_event(event.clone());
            let after = self.next();
            let taken = self.positions_from(from).len();
            assert!(taken == 0 || taken == 2, "seed {}: {event:?}", self.seed);
            self.apply_event(event);
            assert_eq!(self.next(), after, "seed {}: it is a repeat", self.seed);
        }
    }
}

fn confirmation(customer: u64, event_id: u64, decision: DecisionId) -> Event {
    let kind = EventKind::Impression(ImpressionOf::Decision(decision));
    Event { kind, ..play(customer, event_id, WALL_MS + MINUTE_MS) }
}

fn shown_to(engine: &Engine, customer: u64) -> DecisionId {
    let decision = engine.decide_once(&Id::Number(customer), false, WALL_MS);
    assert!(decision.reason.shows(), "{decision:?}");
    decision.id
}

#[test]
fn decision_that_was_lost_counts_once_when_it_is_confirmed_and_invented_ones_are_refused() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let engine = showing(settings(Clock::Wall));
    let mut before = opened(&engine, &disk, memories(1, 32 << 10), 1, 1);
    for customer in [1, 2] {
        engine.apply(play(customer, 1, WALL_MS), WALL_MS).expect("it is taken");
    }
    while engine.durable() < engine.barrier() {
        before.writer.step().expect("the disk is good");
    }
    let (decision, other) = (shown_to(&engine, 1), shown_to(&engine, 2));
    let dry = engine.decide_once(&Id::Number(1), true, WALL_MS).id;
    let given: Vec<DecisionId> = (0..10).map(|_| shown_to(&engine, 1)).collect();
    disk.lose_power();

    let engine = showing(settings(Clock::Wall));
    let mut after = opened(&engine, &disk, memories(1, 32 << 10), 1, 2);
    let count = |engine: &Engine| engine.profile(&Id::Number(1)).map_or(0, |held| held.impressions().count());
    assert_eq!(count(&engine), 0, "the impression is lost");
    let barrier = engine.barrier();
    let altered = DecisionId(decision.0 ^ 1 << 20);
    let invented = DecisionId(0x0123_4567_89ab_cdef);
    for refused in [other, dry, altered, invented, DecisionId(0)] {
        let conflict = match refused {
            // Their numbers were given, for another customer or with another tag.
            _ if refused == other || refused == altered => EventConflict::ForeignDecision(refused),
            _ => EventConflict::UnknownDecision(refused),
        };
        let kinds = [
            confirmation(1, 7, refused).kind,
            EventKind::Void { decision: refused },
            EventKind::Click { of: ClickOf::Decision { decision: refused, ad: None } },
        ];
        for kind in kinds {
            let found = engine.apply(Event { kind, ..confirmation(1, 7, refused) }, WALL_MS);
            assert_eq!(found, Err(Rejection::Conflict(conflict.clone())), "{refused}");
        }
    }
    assert_eq!((count(&engine), engine.barrier()), (0, barrier));
    // What is not known any more has nothing to give back, of a known customer or not.
    for customer in [1, 2] {
        let decision = if customer == 1 { decision } else { other };
        let void = Event { kind: EventKind::Void { decision }, ..confirmation(customer, 8, decision) };
        assert_eq!(engine.apply(void, WALL_MS), Ok(Applied::TooOld));
    }
    assert_eq!((count(&engine), engine.barrier()), (0, barrier));
    assert_eq!(engine.apply(confirmation(1, 7, decision), WALL_MS), Ok(Applied::Accepted));
    // The show, the event, and what the cost is taken from.
    assert_eq!((count(&engine), engine.barrier()), (1, barrier + 3));
    assert_eq!(engine.apply(confirmation(1, 7, decision), WALL_MS), Ok(Applied::Duplicate));
    // In an atomic body, and for a customer of whom nothing else is known.
    engine.remove(&Id::Number(2), WALL_MS).expect("it is taken");
    let rows = [confirmation(1, 8, given[0]), confirmation(2, 9, other)].map(|event| Ok(Row::Event(event)));
    assert_eq!(engine.apply_all(rows.into_iter(), WALL_MS).map(|report| report.accepted), Ok(2));
    assert_eq!(count(&engine), 2);
    while engine.durable() < engine.barrier() {
        after.writer.step().expect("the disk is good");
    }
    disk.lose_power();
    for threads in [1, 2, 8] {
        let again = showing(settings(Clock::Wall));
        opened(&again, &disk.copy(3), memories(1, 32 << 10), threads, 3);
        assert_eq!(held_by(&again), held_by(&engine));
        assert_eq!(again.apply(confirmation(1, 7, decision), WALL_MS), Ok(Applied::Duplicate));
        assert_eq!(again.profile_bytes(), engine.profile_bytes());
    }
}

#[test]
fn confirmation_counts_at_its_own_time_towards_the_cap() {
    let mut campaign = campaign();
    campaign.cap.impressions = 2;
    let engine = showing_with(settings(Clock::Wall), &campaign);
    engine.apply(play(1, 1, WALL_MS), WALL_MS).expect("it is taken");
    let lost = [shown_to(&engine, 1), shown_to(&engine, 1)];
    // Without a directory an eviction is what makes a decision unknown, and the process has a key of its own.
    (0..engine.shards()).for_each(|shard| assert!(engine.evict_idle(shard, WALL_MS + 90 * DAY_MS) < 2));
    assert_eq!(engine.customer_count(), 0);
    for (event_id, decision) in lost.into_iter().enumerate() {
        let event = confirmation(1, event_id as u64, decision);
        assert_eq!(engine.apply(event.clone(), WALL_MS), Ok(Applied::Accepted));
        let other = showing_with(settings(Clock::Wall), &campaign);
        assert!(other.apply(event, WALL_MS).is_err(), "another process gave it");
    }
    engine.apply(play(1, 1, WALL_MS), WALL_MS).expect("it is taken");
    let reason = |wall_ms| engine.decide_once(&Id::Number(1), false, wall_ms).reason;
    assert_eq!(reason(WALL_MS + 2 * MINUTE_MS), upbeat_core::decision::Reason::Capped);
    assert!(reason(WALL_MS + DAY_MS + 2 * MINUTE_MS).shows(), "the cap's day is over");
}

#[test]
fn confirmation_that_many_later_impressions_follow_is_too_old_and_changes_nothing() {
    let engine = showing(settings(Clock::Wall));
    engine.apply(play(1, 1, WALL_MS), WALL_MS).expect("it is taken");
    let lost = shown_to(&engine, 1);
    assert!(engine.remove(&Id::Number(1), WALL_MS).expect("it is taken"));
    let campaign = ImpressionOf::Campaign(campaign().id);
    for event_id in 0..300 {
        let kind = EventKind::Impression(campaign.clone());
        let event = Event { kind, ..play(1, event_id, WALL_MS + 2 * MINUTE_MS) };
        assert_eq!(engine.apply(event, WALL_MS), Ok(Applied::Accepted));
    }
    let before = held_by(&engine);
    for _ in 0..2 {
        assert_eq!(engine.apply(confirmation(1, 7, lost), WALL_MS), Ok(Applied::TooOld));
        let rows = [Ok(Row::Event(confirmation(1, 7, lost)))];
        assert_eq!(engine.apply_all(rows.into_iter(), WALL_MS).map(|report| report.too_old), Ok(1));
    }
    assert_eq!(held_by(&engine), before);
}
