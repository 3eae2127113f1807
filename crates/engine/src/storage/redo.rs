//! Doing again what the records say, without checks, limits and clocks: they hold what became of things.

use std::convert::Infallible;

use upbeat_core::catalogue::Track;
use upbeat_core::decision::Reason;
use upbeat_core::event::{Id, Time};
use upbeat_core::profile::{Bounds, Profile};

use crate::campaigns::Slots;
use crate::log::{Entry, Facts, Started};
use crate::table::Reservation;
use crate::tombstones::DigestKey;
use crate::{Customer, Engine, Tombstone};

/// What one thread needs to do records again. Those of one customer, or of one track, are for one thread.
pub(super) struct Redo<'e> {
    engine: &'e Engine,
    /// Places are taken beyond the limits, too: what was held has to be held.
    places: Reservation,
    track_places: Reservation,
    plays: usize,
    campaigns: Vec<Id>,
    /// The key of tombstones, once a process has begun.
    digest_key: Option<DigestKey>,
}

impl<'e> Redo<'e> {
    /// With the bounds of the engine's own settings, until a record says with which a process began.
    pub fn new(engine: &'e Engine) -> Self {
        Self {
            engine,
            places: engine.customers.reservation(),
            track_places: engine.tracks.reservation(),
            plays: engine.settings.window.plays as usize,
            campaigns: engine.campaigns.load().slots.ids().to_vec(),
            digest_key: None,
        }
    }

    /// From here on records are of a process that began with this.
    pub fn begin(&mut self, started: &Started) {
        self.plays = started.window.plays as usize;
        if let Some(campaign) = &started.campaign {
            self.campaigns = vec![campaign.id.clone()];
        }
        self.digest_key = Some(DigestKey::of(started.id_key));
    }

    /// From here on these campaigns are known, by their numbers. A copy of the engine may know more than a record that comes again.
    pub fn run(&mut self, slots: &[Id]) {
        if slots.len() >= self.campaigns.len() || !self.campaigns.starts_with(slots) {
            self.campaigns = slots.to_vec();
        }
    }

    /// All customers share the text of a campaign's id.
    fn own(&self, campaign: Id) -> Id {
        self.campaigns.iter().find(|own| **own == campaign).cloned().unwrap_or(campaign)
    }

    /// Prefetches the customer whom a record will change.
    pub fn prefetch(&self, entry: &Entry) {
        if let Entry::Event { event, .. } = entry {
            self.engine.customers.prefetch(std::slice::from_ref(&event.customer));
        }
    }

    /// Does the record at this position again.
    pub fn entry(&mut self, position: u64, entry: Entry) {
        match entry {
            Entry::Event { event, last_event_s } => {
                let customer = event.customer.clone();
                self.change(customer, |customer, bounds| {
                    customer.apply(event, bounds, i64::from(last_event_s) * 1000);
                    // A copy from a snapshot may hold the event already, and a correction that is done again has taken its
                    // time back.
                    customer.raise_last_event(last_event_s);
                });
            }
            Entry::Shown { customer, decision, campaign, time_ms, .. } => {
                let campaign = self.own(campaign);
                self.change(customer, |customer, bounds| {
                    customer.count_decided_impression(
                        decision,
                        campaign,
                        Time::from_unix_ms(time_ms),
                        bounds,
                    );
                });
            }
            Entry::Erased { customer } => self.erase(position, &customer),
            Entry::Erasure { customer, .. } | Entry::Evicted { customer, kept: None } => {
                self.remove(&customer);
            }
            Entry::Evicted { customer, kept: Some(kept) } => {
                self.change(customer, |customer, _| customer.set_profile(Profile::of_member(kept)));
            }
            Entry::LastEvent { customer, last_event_s } => {
                self.change(customer, |customer, _| customer.set_last_event(last_event_s));
            }
            Entry::Track { id, track } => self.put_track(id, track),
            Entry::Started(started) => self.begin(&started),
            Entry::Campaigns(kept) => self.run(&kept.slots),
            Entry::Tossed { customer, day } => {
                self.change(customer, |customer, _| customer.set_explored_day(day));
            }
            // Whoever reads the records puts tombstones: they are not of one customer whose id is known.
            Entry::Tombstone(_) | Entry::Promoted { .. } | Entry::Leased { .. } | Entry::Money { .. } => {}
            Entry::ShownInPlan { customer, facts, .. } => self.show(customer, &facts),
            // An ad that was held back takes its place in the caps; nothing else was changed by it.
            Entry::Decided { customer, facts, has_state: true } if facts.reason == Reason::HeldOut => {
                self.show(customer, &facts);
            }
            Entry::Decided { .. } => {}
        }
    }

    fn show(&mut self, customer: Id, facts: &Facts<'_>) {
        let Some(slot) = facts.campaign.map(usize::from) else { return };
        // A loss of power may have taken the version of the campaigns and left what was decided by it.
        Slots::fill(&mut self.campaigns, slot + 1);
        let Some(campaign) = self.campaigns.get(slot).cloned() else { return };
        let time = Time::from_unix_ms(facts.time_ms);
        self.change(customer, |customer, bounds| {
            customer.count_decided_impression(facts.id, campaign, time, bounds);
        });
    }

    /// Puts a customer as a snapshot holds them.
    pub fn put(&mut self, id: Id, customer: Customer) {
        self.change(id, |held, _| *held = customer);
    }

    /// Puts a track as a snapshot holds it.
    pub fn put_track(&mut self, id: Id, track: Track) {
        let put = |held: &mut Option<Track>| {
            *held = Some(track);
            Ok::<(), Infallible>(())
        };
        let Ok(()) = self.engine.tracks.update_reserved(id, &mut self.track_places, put);
    }

    /// The campaigns that are known.
    pub fn campaigns(&self) -> &[Id] {
        &self.campaigns
    }

    fn change(&mut self, id: Id, change: impl FnOnce(&mut Customer, &Bounds<'_>)) {
        let Self { engine, places, plays, campaigns, .. } = self;
        let bounds = Bounds { plays: *plays, campaigns };
        let owner = id.clone();
        let redo = |customer: &mut Customer| {
            let size = |customer: &Customer| match customer.last_event_s() {
                // It is new.
                0 => (0, 0),
                _ => (customer.profile.plays().len() as isize, customer.bytes(&owner) as isize),
            };
            let before = size(customer);
            change(customer, &bounds);
            customer.set_last_event(customer.last_event_s().max(1));
            let after = size(customer);
            Ok::<_, Infallible>((after.0 - before.0, after.1 - before.1))
        };
        let Ok((plays, bytes)) = engine.customers.update_reserved(id, places, redo);
        engine.counters.change_plays(plays);
        engine.counters.add_bytes(bytes);
    }

    fn remove(&self, id: &Id) -> Option<Customer> {
        let customer = self.engine.customers.remove(id)?;
        self.engine.count_removed(id, &customer);
        Some(customer)
    }

    /// Does an erasure of a version without tombstones again. It says of no time up to which it erases, so that is the newest of
    /// what the customer's profile holds here; where none is held, no event is erased but what the log has of them.
    fn erase(&self, position: u64, id: &Id) {
        let erased_until_ms = self.remove(id).map_or(i64::MIN, |customer| customer.newest_ms());
        if let Some(key) = self.digest_key {
            let digest = key.digest(id.as_ref());
            let tombstone = Tombstone { digest, erased_until_ms, made_ms: 0, position };
            self.engine.tombstones.put(tombstone, None);
        }
    }
}
