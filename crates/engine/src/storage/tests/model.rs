//! The model beside an engine: plain maps, and of each record its position and what it says.

use std::collections::{BTreeMap, BTreeSet};

use upbeat_core::catalogue::Track;
use upbeat_core::event::{DecisionId, Event, EventKind, Id, Time};
use upbeat_core::profile::{Bounds, Profile};

use super::campaign;
use crate::campaigns::Slots;
use crate::event_clock::EventClock;
use crate::{Engine, Settings, Tombstone};

/// What one record says.
#[derive(Debug, Clone)]
pub enum Change {
    Event(Event, u32),
    /// An ad that was shown, or that a holdout held back: it takes its place in the caps either way.
    Shown {
        customer: Id,
        decision: DecisionId,
        campaign: Id,
        /// The number by which the record names the campaign; it may name it by its id.
        slot: Option<u16>,
        time_ms: i64,
        request: Option<(String, i64)>,
    },
    /// A decision that showed nothing, and changed nothing.
    Decided,
    /// The customer was tossed on this day.
    Tossed(Id, u16),
    /// Other campaigns: the version, the text unless it is what every process begins with, and every id that ever ran.
    Campaigns(u64, Option<String>, Vec<Id>),
    /// Up to this time, when the wall clock said that.
    Erased(Id, i64, i64),
    Profile(Id, Option<Profile>),
    LastEvent(Id, u32),
    Track(Id, Track),
}

/// Some time's truth.
pub struct Model {
    /// The version of the campaigns, and their text; `None` of those that every process begins with.
    pub campaigns: (u64, Option<String>),
    /// Every id of a campaign, by its number.
    pub slots: Vec<Id>,
    /// How many of them the last version had.
    pub recorded: usize,
    /// The days on which customers were tossed last.
    pub tossed: BTreeMap<Id, u16>,
    pub customers: BTreeMap<Id, (Profile, u32)>,
    pub tracks: BTreeMap<Id, Track>,
    /// By customer and request: the decision, when it was made, and the position of its record.
    pub answers: BTreeMap<(Id, String), (DecisionId, i64, u64)>,
    /// Of everybody who was erased: up to which time, when first, and the position of the last erasure.
    pub erased: BTreeMap<Id, (i64, i64, u64)>,
}

/// A profile as bytes, and the last event: all that later answers depend on.
pub type Held = (Vec<u8>, u32);

pub fn held(profile: &Profile, last_event_s: u32) -> Held {
    let mut bytes = Vec::new();
    profile.encode(&mut bytes);
    (bytes, last_event_s)
}

impl Default for Model {
    fn default() -> Self {
        Self {
            campaigns: (1, None),
            slots: vec![campaign().id],
            recorded: 1,
            tossed: BTreeMap::new(),
            customers: BTreeMap::new(),
            tracks: BTreeMap::new(),
            answers: BTreeMap::new(),
            erased: BTreeMap::new(),
        }
    }
}

impl Model {
    /// What the records at these positions, or below `all_below`, make of nothing, and the clock of events with them.
    /// `named` is what records name of campaigns: above all numbers, and the highest version.
    pub fn of(
        changes: &[(u64, Change)],
        recovered: &BTreeSet<u64>,
        named: (usize, u64),
        settings: &Settings,
        clock_key: u64,
    ) -> (Self, EventClock) {
        let (mut model, clock) = (Self::default(), EventClock::new(settings.clock, settings.window));
        clock.set_key(clock_key);
        for (position, change) in changes.iter().filter(|(position, _)| recovered.contains(position)) {
            model.change(*position, change.clone(), settings, &clock);
        }
        // A version was lost with the power that decisions name: the next process makes one above all.
        if named.0 > model.recorded || named.1 > model.campaigns.0 {
            Slots::fill(&mut model.slots, named.0);
            model.campaigns.0 = named.1.max(model.campaigns.0) + 1;
        }
        (model, clock)
    }

    fn customer(&mut self, id: Id) -> &mut (Profile, u32) {
        self.customers.entry(id).or_default()
    }

    pub fn change(&mut self, position: u64, change: Change, settings: &Settings, clock: &EventClock) {
        let mut slots = self.slots.clone();
        match change {
            Change::Event(event, last_event_s) => {
                let bounds = Bounds { plays: settings.window.plays as usize, campaigns: &slots };
                if let Some(sighting) = clock.sighting(&event) {
                    clock.advance(sighting);
                }
                let held = self.customer(event.customer.clone());
                held.0.apply(event, &bounds);
                held.1 = held.1.max(last_event_s);
            }
            Change::Shown { customer, decision, mut campaign, slot, time_ms, request } => {
                // The version that named it was lost with the power: another id stands for it.
                if let Some(slot) = slot.map(usize::from).filter(|slot| slots.get(*slot) != Some(&campaign)) {
                    Slots::fill(&mut self.slots, slot + 1);
                    slots.clone_from(&self.slots);
                    campaign = slots[slot].clone();
                }
                let bounds = Bounds { plays: settings.window.plays as usize, campaigns: &slots };
                let held = self.customer(customer.clone());
                held.0.count_decided_impression(decision, campaign, Time::from_unix_ms(time_ms), &bounds);
                held.1 = held.1.max((time_ms / 1000) as u32);
                if let Some((request, made_ms)) = request {
                    self.answers.insert((customer, request), (decision, made_ms, position));
                }
            }
            Change::Erased(id, until_ms, made_ms) => {
                self.customers.remove(&id);
                self.tossed.remove(&id);
                self.answers.retain(|(customer, _), _| *customer != id);
                let erased = self.erased.entry(id).or_insert((until_ms, made_ms, position));
                *erased = (erased.0.max(until_ms), erased.1.min(made_ms), position);
            }
            Change::Tossed(id, day) => {
                self.customer(id.clone());
                self.tossed.insert(id, day);
            }
            Change::Campaigns(version, text, slots) => {
                (self.campaigns, self.recorded, self.slots) = ((version, text), slots.len(), slots);
            }
            Change::Profile(id, None) => {
                self.tossed.remove(&id);
                self.customers.remove(&id);
            }
            Change::Profile(id, Some(profile)) => self.customer(id).0 = profile,
            Change::LastEvent(id, last_event_s) => self.customer(id).1 = last_event_s,
            Change::Track(id, track) => drop(self.tracks.insert(id, track)),
            Change::Decided => {}
        }
    }

    pub fn held(&self) -> BTreeMap<Id, Held> {
        let customers = self.customers.iter();
        customers.map(|(id, (profile, last))| (id.clone(), held(profile, *last))).collect()
    }
}

/// The newest time of what is held of a customer, from which on an erasure erases nothing.
pub fn newest_ms(id: &Id, profile: &Profile, last_event_s: u32) -> i64 {
    let events: Vec<Event> = profile.events(id).collect();
    let is_member_alone = events.iter().all(|event| matches!(event.kind, EventKind::Membership(_)))
        && profile.held_impressions().next().is_none();
    let evicted_ms = if is_member_alone { i64::from(last_event_s) * 1000 + 999 } else { i64::MIN };
    let shown = profile.held_impressions().map(|impression| impression.time.unix_ms);
    let events = events.iter().map(|event| event.time.unix_ms);
    shown.chain(events).chain([evicted_ms]).max().expect("there is one")
}

/// All tombstones of an engine, in the order of digests.
pub fn tombstones_of(engine: &Engine) -> Vec<Tombstone> {
    let mut tombstones = engine.tombstones();
    tombstones.sort_by_key(|tombstone| tombstone.digest);
    tombstones
}

/// All that an engine holds of customers.
pub fn held_by(engine: &Engine) -> BTreeMap<Id, Held> {
    let ids = (0..engine.customers.shards()).flat_map(|shard| engine.customers.ids(shard));
    ids.map(|id| {
        let held = engine.customers.with(&id, |customer| held(&customer.profile, customer.last_event_s()));
        (id, held.expect("it is there"))
    })
    .collect()
}

pub fn tracks_of(engine: &Engine) -> BTreeMap<Id, Track> {
    let ids = (0..engine.tracks.shards()).flat_map(|shard| engine.tracks.ids(shard));
    ids.map(|id| (id.clone(), engine.track(&id).expect("it is there"))).collect()
}

/// What the counters should say of the plays and bytes that are held.
pub fn recounted(engine: &Engine) -> (usize, usize) {
    let ids = (0..engine.customers.shards()).flat_map(|shard| engine.customers.ids(shard));
    ids.fold((0, 0), |(plays, bytes), id| {
        let of = engine.customers.with(&id, |customer| (customer.profile.plays().len(), customer.bytes(&id)));
        let of = of.expect("it is there");
        (plays + of.0, bytes + of.1)
    })
}

/// The clock of events in a form that can be compared.
pub fn clock_state(clock: &EventClock) -> Vec<u8> {
    let mut bytes = Vec::new();
    clock.encode(&mut bytes);
    bytes
}
