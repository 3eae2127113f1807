//! Random histories of one engine over several processes, ended by a kill or a loss of power, with campaigns that change (`plans.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use upbeat_core::catalogue::Track;
use upbeat_core::event::{
    CUSTOMER_FILE_ID, ClickOf, DAY_MS, DecisionId, Event, EventKind, Id, ImpressionOf, MINUTE_MS, Membership,
    Row, Time,
};
use upbeat_core::profile::Applied;
use upbeat_journal::disk::simulated::{Call, Dice, SimulatedDisk};
use upbeat_journal::{Memory, Retention, StepError, Writer, remove_history};

use super::super::Snapshotter;
use super::model::Change;
use super::{WALL_MS, memories, opened, settings, showing};
use crate::apply::{AtomicBody, Progress};
use crate::striped::use_stripe;
use crate::{Clock, Engine, LogState};

pub const LANES: usize = 3;

/// As Linux numbers them.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// One history: the engine that runs, the disk below it and the model beside it.
pub struct History {
    pub seed: u64,
    pub dice: Dice,
    pub clock: Clock,
    pub disk: SimulatedDisk,
    pub engine: Arc<Engine>,
    pub writer: Writer<Arc<SimulatedDisk>>,
    pub snapshotter: Option<Snapshotter<SimulatedDisk>>,
    /// Records below are in a snapshot alone.
    pub read_from: u64,
    pub lanes: Vec<Memory>,
    pub wall_ms: i64,
    /// What every record says, by position.
    pub changes: Vec<(u64, Change)>,
    /// A body that is being applied, and its rows.
    pub body: Option<(Box<AtomicBody>, Vec<Row>, i64)>,
    /// The positions of its records so far.
    pub in_unit: Vec<u64>,
    /// Every number that a decision ever had.
    pub decisions: BTreeSet<DecisionId>,
    /// Every decision that showed an ad, to whom and of which campaign, whether or not its record was lost since.
    pub shown: BTreeMap<(Id, DecisionId), Id>,
    /// Up to which time the events of everybody who was erased are.
    pub erased: BTreeMap<Id, i64>,
    /// Below this everything was said to be durable.
    pub durable: u64,
    /// Events that were acknowledged or not.
    pub sent: Vec<Event>,
    /// Whether the disk may fail from now on.
    pub may_fail: bool,
    /// The journal's thread is in a call that never returns.
    pub is_stuck: bool,
    /// Answers at lower positions were given before the clock jumped: their minute may be over.
    pub jumped_at: u64,
}

impl History {
    pub fn new(seed: u64, clock: Clock) -> Self {
        let mut dice = Dice::new(seed);
        let disk = SimulatedDisk::new(dice.draw(), 1 << 30);
        let (engine, lanes) = (Arc::new(showing(settings(clock))), memories(LANES, 32 << 10));
        let opened = opened(&engine, &disk, lanes.clone(), 1, dice.draw());
        Self {
            seed,
            dice,
            clock,
            disk,
            engine,
            writer: opened.writer,
            snapshotter: Some(opened.snapshotter),
            read_from: 1,
            lanes,
            wall_ms: WALL_MS,
            changes: Vec::new(),
            body: None,
            in_unit: Vec::new(),
            decisions: BTreeSet::new(),
            shown: BTreeMap::new(),
            erased: BTreeMap::new(),
            durable: 0,
            sent: Vec::new(),
            may_fail: false,
            is_stuck: false,
            jumped_at: 0,
        }
    }

    pub fn customer(&mut self) -> Id {
        match self.dice.below(16) {
            8 => Id::Text("a-customer".into()),
            // One has so many plays that more are dropped than fingerprints are kept of.
            number => Id::Number(if number < 8 { number } else { 0 }),
        }
    }

    fn event(&mut self) -> Event {
        let mut customer = self.customer();
        // Few ids and times, so that there are repeats, copies that differ, and late ones; and sometimes dates far ahead.
        let id = match self.dice.below(30) {
            0 => Id::Text("a-text".into()),
            1 => Id::Number(u64::MAX),
            _ => Id::Number(self.dice.below(400)),
        };
        let mut unix_ms =
            WALL_MS - DAY_MS + self.dice.below(300) as i64 * MINUTE_MS + self.dice.below(2) as i64;
        if self.clock == Clock::Event && self.dice.one_in(8) {
            unix_ms = WALL_MS - self.dice.below(200) as i64 * DAY_MS;
        }
        let levels = [Membership::Free, Membership::Silver, Membership::Gold];
        let kind = match self.dice.below(12) {
            0 => EventKind::click(Id::Number(self.dice.below(3))),
            1 => EventKind::Membership(levels[self.dice.below(3) as usize]),
            2 => EventKind::Impression(ImpressionOf::Campaign(self.any_campaign())),
            3 if !self.shown.is_empty() => {
                let nth = self.dice.below(self.shown.len() as u64) as usize;
                let (to, decision) = self.shown.keys().nth(nth).expect("below their number").clone();
                customer = to;
                self.says_of(decision)
            }
            4 if !self.decisions.is_empty() => {
                let nth = self.dice.below(self.decisions.len() as u64) as usize;
                let decision = *self.decisions.iter().nth(nth).expect("below their number");
                self.says_of(decision)
            }
            _ => EventKind::Play { track: Id::Number(self.dice.below(9)), mobile: self.dice.one_in(2) },
        };
        let is_member = matches!(kind, EventKind::Membership(_));
        let id = if is_member && self.dice.one_in(2) { Id::Text(CUSTOMER_FILE_ID.into()) } else { id };
        Event { customer, id, time: Time::from_unix_ms(unix_ms), kind }
    }

    /// That the ad of a decision was played, was not, or was clicked.
    fn says_of(&mut self, decision: DecisionId) -> EventKind {
        match self.dice.below(3) {
            0 => EventKind::Impression(ImpressionOf::Decision(decision)),
            1 => EventKind::Void { decision },
            _ => EventKind::Click { of: ClickOf::Decision { decision, ad: None } },
        }
    }

    pub fn next(&self) -> u64 {
        self.engine.barrier()
    }

    /// The time of the last event that a record of `event` has.
    pub fn last_event_s(&self, event: &Event, wall_ms: i64) -> u32 {
        let now = if self.clock == Clock::Event { self.engine.now_ms(i64::MIN) } else { wall_ms };
        (now.max(event.time.unix_ms) / 1000) as u32
    }

    fn apply(&mut self) {
        let event = match self.dice.below(6) {
            0 if !self.sent.is_empty() => {
                let nth = self.dice.below(self.sent.len() as u64) as usize;
                let mut event = self.sent[nth].clone();
                // A repeat, or a copy that differs and may take the other's place.
                if let EventKind::Play { track, .. } = &mut event.kind {
                    *track = Id::Number(self.dice.below(9));
                }
                event
            }
            _ => self.event(),
        };
        self.sent.push(event.clone());
        self.apply_event(event);
    }

    fn sweep(&mut self) {
        let days = [0, -3, 20, 40][self.dice.below(4) as usize];
        for shard in 0..self.engine.shards() {
            let before = self.records();
            let from = self.next();
            self.engine.evict_idle(shard, self.wall_ms + days * DAY_MS);
            let after = self.records();
            let mut changes = Vec::new();
            for (id, (profile, last_event_s)) in before {
                match after.get(&id) {
                    None => changes.push(Change::Profile(id, None)),
                    Some((left, left_s)) => {
                        if *left_s != last_event_s {
                            changes.push(Change::LastEvent(id.clone(), *left_s));
                        }
                        if *left != profile {
                            changes.push(Change::Profile(id, Some(left.clone())));
                        }
                    }
                }
            }
            // An eviction may follow a correction; then the shard's customers have more records than differences.
            let several = self.next() - from != changes.len() as u64 || changes.len() > 1;
            if !several {
                self.note(from, changes);
                continue;
            }
            // In which order is not known, so none may be lost alone.
            let last = self.next() - 1;
            self.flush();
            self.changes.extend(changes.into_iter().map(|change| (last, change)));
        }
    }

    fn put_track(&mut self) {
        let (id, from) = (Id::Number(self.dice.below(5)), self.next());
        let title = format!("title {}", self.dice.below(3));
        let track = Track { title: title.into(), artist: "artist".into(), length_s: 7 };
        let put = self.engine.put_track(id.clone(), track.clone());
        let changes = if put == Ok(Applied::Accepted) { vec![Change::Track(id, track)] } else { Vec::new() };
        self.note(from, changes);
    }

    /// Begins an atomic body, or takes a slice of it.
    fn advance(&mut self) {
        let Some((body, rows, wall_ms)) = self.body.take() else {
            let rows = (0..self.dice.below(8) + 1).map(|row| match self.dice.below(6) {
                0 => Row::Track(Id::Number(row), Track { title: "of a body".into(), ..Track::default() }),
                _ => Row::Event(self.event()),
            });
            let rows: Vec<Row> = rows.collect();
            let body = self.engine.begin_atomic(rows.iter().cloned().map(Ok), self.wall_ms);
            self.body = Some((body, rows, self.wall_ms));
            return;
        };
        let (checks, row) = body.step();
        if checks {
            match self.engine.advance(body, 3) {
                Progress::UnderWay(body) => self.body = Some((body, rows, wall_ms)),
                Progress::Refused(..) => {}
                Progress::Applied(..) => panic!("seed {}: applied while it was checked", self.seed),
            }
            return;
        }
        // One row, so that its record is known.
        let from = self.next();
        let (expected, accepted_s) = match rows.get(row) {
            Some(Row::Event(event)) => (self.expected(event), self.last_event_s(event, wall_ms)),
            _ => (None, 0),
        };
        let progress = self.engine.advance(body, 1);
        let ended = matches!(progress, Progress::Applied(..));
        // The last row comes with the commit, unless there is nothing to commit.
        let mut taken = self.positions_from(from);
        taken.truncate(taken.len().saturating_sub(usize::from(ended)));
        if !taken.is_empty() {
            let changes = match rows[row].clone() {
                Row::Event(event) => {
                    let applied = expected.map(|(applied, _)| applied);
                    let last_event_s = self.recorded_last_event_s(&event, applied, accepted_s);
                    self.changes_of(event, last_event_s, taken.len() == 2)
                }
                Row::Track(id, track) => vec![Change::Track(id, track)],
            };
            assert_eq!(changes.len(), taken.len(), "seed {}: positions of {changes:?}", self.seed);
            self.in_unit.extend(&taken);
            self.changes.extend(taken.into_iter().zip(changes));
        }
        match progress {
            Progress::UnderWay(body) => self.body = Some((body, rows, wall_ms)),
            Progress::Applied(..) => self.in_unit.clear(),
            Progress::Refused(..) => {
                assert_eq!(self.engine.log_state(), LogState::Failed, "seed {}", self.seed);
            }
        }
    }

    /// Takes a step of the journal's thread, and says how the disk is, as the server does. Of one that is stuck nobody hears.
    fn step(&mut self) -> bool {
        if self.is_stuck {
            return false;
        }
        let Some(step) = self.disk.catch_hang(|| self.writer.step()) else {
            self.is_stuck = true;
            return false;
        };
        self.durable = self.durable.max(self.engine.durable());
        match step {
            Ok(_) => self.engine.set_log_state(LogState::Accepting),
            Err(StepError::Full) => self.engine.set_log_state(LogState::Full),
            Err(_) => self.engine.set_log_state(LogState::Failed),
        }
        step.is_ok()
    }

    fn flush(&mut self) {
        while self.engine.durable() < self.engine.barrier() {
            assert!(self.step(), "seed {}: nothing was to fail", self.seed);
        }
    }

    /// What happens until the process ends; near the end the disk may fail.
    pub fn live(&mut self) {
        let steps = 100 + self.dice.below(400);
        (self.may_fail, self.is_stuck) = (false, false);
        for step in 0..steps {
            self.wall_ms += self.dice.below(4) as i64 * 1000;
            if self.dice.one_in(150) {
                self.jump();
            }
            if self.dice.one_in(6) {
                self.engine.tick(self.wall_ms);
            }
            use_stripe(Some(self.dice.below(4) as usize).filter(|stripe| *stripe > 0));
            self.may_fail |= step + 30 >= steps;
            if step == steps - 30 && self.dice.one_in(4) {
                self.disk.hang_after(Call::Sync, self.dice.below(4));
            } else if step == steps - 30 && self.dice.one_in(2) {
                let calls = [Call::Write, Call::Sync, Call::Create, Call::SyncNames];
                let error = [EIO, ENOSPC][self.dice.below(2) as usize];
                self.disk.fail_after(calls[self.dice.below(4) as usize], self.dice.below(4), error);
            }
            match self.dice.below(80) {
                0 => self.snapshot(),
                1 if self.body.is_none() && !self.may_fail => self.sweep(),
                _ => self.act(),
            }
            if self.engine.log_state() == LogState::Failed {
                return;
            }
        }
    }

    /// Something that may happen while a snapshot is written.
    fn act(&mut self) {
        match self.dice.below(40) {
            0..=21 => self.apply(),
            22..=29 => self.decide(),
            30 if self.dice.one_in(2) => self.erase(),
            30 => self.change_campaigns(),
            31 => self.put_track(),
            32..=36 => self.advance(),
            _ => drop(self.step()),
        }
    }

    /// Writes a snapshot while other things happen; gives up now and then.
    fn snapshot(&mut self) {
        // None once its thread is stuck.
        let Some(mut snapshotter) = self.snapshotter.take() else { return };
        let (engine, mut tries) = (Arc::clone(&self.engine), 100 + self.dice.below(400));
        let disk = self.disk.clone();
        let written = disk.catch_hang(|| {
            snapshotter.write(&engine, &mut |_| {
                for _ in 0..self.dice.below(4) {
                    self.act();
                }
                if self.body.is_none() && !self.may_fail && self.dice.one_in(30) {
                    self.sweep();
                }
                tries -= 1;
                tries > 0 && self.engine.log_state() != LogState::Failed
            })
        });
        if matches!(written, Some(Ok(Some(_))))
            && let Some(needed) = snapshotter.log_needed_from()
        {
            let retention = Retention { bytes: 0, not_before_ms: 0 };
            // It may fail after it has removed some.
            drop(remove_history(&self.disk, Some(needed), retention));
            self.read_from = needed;
        }
        self.snapshotter = written.is_some().then_some(snapshotter);
    }
}
