//! The end of a process in a history, and what the next one holds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use upbeat_core::event::{Id, MINUTE_MS};
use upbeat_core::profile::Profile;
use upbeat_journal::{Record, Start};

use super::histories::{History, LANES};
use super::model::{Change, Model, clock_state, held_by, recounted, tombstones_of, tracks_of};
use super::{WALL_MS, memories, opened, settings, showing};
use crate::campaigns::RECOVERY;
use crate::hashing::use_hash_key;
use crate::log::{Entry, kind};
use crate::storage::blocks::ShownAnswer;
use crate::striped::use_stripe;
use crate::{Ask, Clock, Engine, RequestId, Tombstone};

impl History {
    /// The wall clock is set: by minutes or years, ahead or back, or to where it was.
    pub fn jump(&mut self) {
        let minutes = [1, 60, 3 * 1440, 40 * 1440, 4000 * 1440][self.dice.below(5) as usize];
        let set_ms = match self.dice.below(3) {
            0 => WALL_MS,
            1 => self.wall_ms + minutes * MINUTE_MS,
            _ => self.wall_ms - minutes * MINUTE_MS,
        };
        self.wall_ms = set_ms.clamp(0, 2 * WALL_MS);
        self.jumped_at = self.next();
    }

    pub fn records(&self) -> BTreeMap<Id, (Profile, u32)> {
        let ids = (0..self.engine.customers.shards()).flat_map(|shard| self.engine.customers.ids(shard));
        let of = |id: &Id| {
            self.engine.customers.with(id, |customer| (customer.profile.clone(), customer.last_event_s()))
        };
        ids.map(|id| (id.clone(), of(&id).expect("it is there"))).collect()
    }

    /// Ends the process, begins another, and compares what it holds.
    pub fn restart(&mut self) {
        let lanes_outlive = self.dice.one_in(2);
        let money = self.money();
        let mut named = (0, 0);
        let recovered: BTreeSet<u64> = if lanes_outlive {
            self.disk.kill();
            // All that was published is there, but for the unit that was not committed.
            let open: BTreeSet<u64> = self.in_unit.iter().copied().collect();
            self.changes
                .iter()
                .map(|(position, _)| *position)
                .filter(|position| !open.contains(position))
                .collect()
        } else {
            if self.dice.one_in(3) {
                self.disk.kill()
            } else {
                self.disk.lose_power()
            }
            self.lanes = memories(LANES, 32 << 10);
            let mut positions = BTreeSet::new();
            let mut note = |record: Record<'_>| {
                positions.insert(record.position);
                name(&mut named, &record);
                Ok(())
            };
            let start = Start { from: self.read_from, reached: 1 };
            upbeat_journal::read(&self.disk, start, &mut note).expect("it can be read");
            // What is no longer in the log was durable, and is in two snapshots.
            let before = self.changes.iter().map(|(position, _)| *position).filter(|at| *at < self.read_from);
            positions.extend(before);
            positions
        };
        let seed = self.seed;
        for (position, change) in &self.changes {
            let kept = recovered.contains(position) || *position >= self.durable;
            assert!(kept, "seed {seed}: {change:?} at {position} was acknowledged and is lost");
        }
        let threads = [1, 2, 8][self.dice.below(3) as usize];
        if !lanes_outlive {
            for threads in [1, 2, 8] {
                let (engine, disk) = (showing(settings(self.clock)), self.disk.copy(seed));
                opened(&engine, &disk, memories(1, 32 << 10), threads, seed);
                self.compare(&engine, &recovered, named);
            }
        }
        // The body would say that the log has failed, which it may.
        (self.body, self.engine) = (None, Arc::new(showing(settings(self.clock))));
        let random = self.dice.draw();
        let opened = opened(&self.engine, &self.disk, self.lanes.clone(), threads, random);
        (self.writer, self.snapshotter) = (opened.writer, Some(opened.snapshotter));
        self.in_unit.clear();
        self.changes.retain(|(position, _)| recovered.contains(position));
        self.durable = self.engine.durable();
        if lanes_outlive {
            assert_eq!(self.money(), money, "seed {seed}: money is exact after a kill");
        }
        let recovered = self.changes.iter().map(|(position, _)| *position).collect();
        let model = self.compare(&self.engine, &recovered, named);
        self.note_recovered_campaigns(&model);
        self.erased = model.erased.iter().map(|(id, (until_ms, ..))| (id.clone(), *until_ms)).collect();
        self.repeat(model);
    }

    /// Notes the version that the process has made because decisions name one that was lost, if it has.
    fn note_recovered_campaigns(&mut self, model: &Model) {
        let (running, log) = (self.engine.campaigns(), self.engine.log().expect("it was opened"));
        let newest = self.engine.campaign_history().pop().expect("a version");
        let kinds = log.kinds.lock().expect("no panic");
        let made =
            kinds.iter().filter(|(_, of)| **of == kind::CAMPAIGNS).map(|(position, _)| *position).max();
        if let Some(position) = made.filter(|_| newest.who == RECOVERY) {
            let (text, slots) = (model.campaigns.1.clone(), running.slots.ids().to_vec());
            self.changes.push((position, Change::Campaigns(running.version, text, slots)));
        }
    }

    fn compare(&self, engine: &Engine, recovered: &BTreeSet<u64>, named: (usize, u64)) -> Model {
        let seed = self.seed;
        let settings = settings(self.clock);
        let (model, clock) = Model::of(&self.changes, recovered, named, &settings, engine.event_clock.key());
        let held = held_by(engine);
        for (id, (profile, last_event_s)) in &model.customers {
            let found =
                engine.customers.with(id, |customer| (customer.profile.clone(), customer.last_event_s()));
            let found = found.unwrap_or_else(|| panic!("seed {seed}: {id} is not there"));
            assert_eq!(found, (profile.clone(), *last_event_s), "seed {seed}: {id}");
        }
        assert_eq!(held, model.held(), "seed {seed}");
        self.compare_plan(engine, &model);
        assert_eq!(tracks_of(engine), model.tracks, "seed {seed}");
        let of = |(id, (erased_until_ms, made_ms, position)): (&Id, &(i64, i64, u64))| Tombstone {
            digest: engine.digest(id),
            erased_until_ms: *erased_until_ms,
            made_ms: *made_ms,
            position: *position,
        };
        let mut tombstones: Vec<Tombstone> = model.erased.iter().map(of).collect();
        tombstones.sort_by_key(|tombstone| tombstone.digest);
        assert_eq!(tombstones_of(engine), tombstones, "seed {seed}");
        assert_eq!(engine.tombstone_count(), tombstones.len(), "seed {seed}");
        let pending =
            engine.pending_erasures().map(|pending| (pending.count, pending.oldest_ms, pending.position));
        let expected = tombstones.iter().map(|of| of.position).max().map(|position| {
            let oldest_ms = tombstones.iter().map(|of| of.made_ms).min().unwrap_or_default();
            (tombstones.len(), oldest_ms, position)
        });
        assert_eq!(pending, expected, "seed {seed}");
        assert_eq!(clock_state(&engine.event_clock), clock_state(&clock), "seed {seed}");
        for ShownAnswer { customer, decision, answer, .. } in
            (0..engine.requests.shards()).flat_map(|at| engine.requests.shown(at))
        {
            if self.wall_ms.abs_diff(answer.made_ms) <= 60_000 {
                let key = (customer, answer.request.as_str().to_owned());
                let known = model.answers.get(&key).map(|(decision, ..)| *decision);
                assert_eq!(known, Some(decision), "seed {seed}: {key:?} was erased, or never answered so");
            }
        }
        assert_eq!(engine.customer_count(), model.customers.len(), "seed {seed}");
        assert_eq!(
            recounted(engine),
            (engine.counters().plays_kept(), engine.profile_bytes()),
            "seed {seed}"
        );
        model
    }

    /// Sends again what was sent, and asks again what was answered.
    fn repeat(&mut self, model: Model) {
        let seed = self.seed;
        for ((customer, request), (decision, made_ms, position)) in &model.answers {
            let (from, id) = (self.next(), RequestId::parse(request).expect("it may be one"));
            if self.wall_ms.abs_diff(*made_ms) <= 60_000 && *position >= self.jumped_at {
                let ask = Ask { dry_run: false, request_id: Some(id), ..Ask::default() };
                let again = self.engine.decide(customer, &ask, self.wall_ms).expect("it is kept");
                assert_eq!((again.id, self.next()), (*decision, from), "seed {seed}: {customer} {request}");
                assert!(again.reason.shows() && again.score.is_some(), "seed {seed}: {again:?}");
            }
        }
        for _ in 0..20.min(self.sent.len()) {
            let nth = self.dice.below(self.sent.len() as u64) as usize;
            self.apply_event(self.sent[nth].clone());
        }
        self.confirm_lost();
    }
}

/// Notes what a record names of campaigns: above all numbers, and the highest version.
fn name((slots, version): &mut (usize, u64), record: &Record<'_>) {
    let mut slot = |slot: u16| *slots = (*slots).max(usize::from(slot) + 1);
    match Entry::decode(record.kind, record.payload) {
        Ok(Entry::ShownInPlan { facts, .. } | Entry::Decided { facts, .. }) => {
            *version = (*version).max(facts.version);
            facts.campaign.into_iter().for_each(&mut slot);
            facts.propensities().1.iter().for_each(|(of, _)| slot(*of));
        }
        Ok(Entry::Money { slot: of, .. }) => slot(of),
        _ => {}
    }
}

fn history(seed: u64, clock: Clock) {
    use_hash_key(Some(seed));
    let mut history = History::new(seed, clock);
    for _ in 0..4 {
        history.live();
        history.restart();
    }
    use_stripe(None);
    use_hash_key(None);
}

/// The seeds of histories: few by default; `UPBEAT_HISTORIES` says which for a long run, as `150` for the first or `1000..2000`.
pub fn histories(few: u64) -> Range<u64> {
    let Ok(range) = std::env::var("UPBEAT_HISTORIES") else { return 0..few };
    let (first, end) = range.split_once("..").unwrap_or(("0", &range));
    let number = |text: &str| text.parse().expect("UPBEAT_HISTORIES is END or FIRST..END");
    number(first)..number(end)
}

#[test]
fn recovered_engine_holds_what_was_acknowledged_with_any_number_of_threads() {
    for seed in histories(10) {
        history(seed, Clock::Wall);
    }
}

#[test]
fn recovered_engine_has_the_clock_of_the_events_that_it_holds() {
    for seed in histories(6) {
        history(1 << 32 | seed, Clock::Event);
    }
}
