//! Records of the log, read by one thread and done again by several.
//!
//! The reading thread gets the records in the order of their positions. It deals them by customer, so that those of one are done
//! again in order by one thread; what is not of one customer it does itself: answers kept for retries, the clock of events,
//! numbers of decisions.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

use upbeat_core::campaign::Slot;
use upbeat_core::decision::Reason;
use upbeat_core::encoding::DecodeError;
use upbeat_core::event::{DecisionId, Id, StableHash};
use upbeat_journal::{Record, Visitor};

use super::blocks::ShownAnswer;
use super::redo::Redo;
use super::restore::Restored;
use super::seen::SeenIds;
use super::{OpenError, Phase, Progress};
use crate::decision_ids::NextNumbers;
use crate::log::{Answered, Entry, kind, subject};
use crate::{Clock, Engine, Tombstone};

/// Records are handed over in batches of about this many bytes.
const BATCH_BYTES: usize = 64 << 10;

/// Batches that wait for a thread, at most.
const WAITING: usize = 4;

/// Records that are decoded before the first of them is done again: what they change is on its way into the cache meanwhile.
const AHEAD: usize = 32;

/// Bytes before the payload of a record in a batch: position, length, kind.
const HEAD: usize = 14;

/// Runs `read` with a visitor that does again, in `threads` threads, what it is given; the first records are of a process that
/// `started` with this, if that is known. Returns what `read` does, and what it has seen of decisions' ids.
pub(super) fn replay<R, E>(
    engine: &Engine,
    restored: Option<&Restored>,
    threads: usize,
    progress: &dyn Fn(Progress),
    read: impl FnOnce(&mut Reader<'_, '_>) -> Result<R, E>,
) -> Result<(R, SeenIds), OpenError>
where
    OpenError: From<E>,
{
    let failure = Failure::default();
    let mut ids = SeenIds::default();
    if let Some(restored) = restored {
        ids.start(&restored.started);
        ids.versions.clone_from(&restored.versions);
        restored.campaigns.iter().for_each(|kept| ids.run(kept));
    }
    let (result, ids) = std::thread::scope(|scope| {
        let hands = (0..threads.max(1)).map(|_| {
            let (batches, waiting) = sync_channel(WAITING);
            let (give_back, returned) = sync_channel(WAITING + 2);
            let failure = &failure;
            let thread = scope.spawn(move || work(engine, restored, &waiting, &give_back, failure));
            Hand { batch: Vec::with_capacity(BATCH_BYTES), batches, returned, thread }
        });
        let hands = hands.collect();
        let mut reader = Reader {
            engine,
            hands,
            failure: &failure,
            answered: engine.requests.customers(),
            ids,
            records: 0,
            opened: 0,
            progress,
        };
        let result = read(&mut reader);
        reader.end();
        (result, reader.ids)
    });
    // Whatever `read` says, this is its cause.
    failure.take()?;
    Ok((result?, ids))
}

/// The first record that could not be done again.
#[derive(Default)]
struct Failure {
    failed: AtomicBool,
    first: Mutex<Option<(u64, DecodeError)>>,
}

impl Failure {
    fn set(&self, position: u64, error: DecodeError) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|(other, _)| position < *other) {
            *first = Some((position, error));
        }
        self.failed.store(true, Ordering::Release);
    }

    fn check(&self) -> Result<(), String> {
        if self.failed.load(Ordering::Acquire) { Err("a record is not readable".to_owned()) } else { Ok(()) }
    }

    fn take(self) -> Result<(), OpenError> {
        match self.first.into_inner().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some((position, error)) => Err(OpenError::Record { position, error }),
        }
    }
}

/// What the reading thread has of a thread that does records again.
struct Hand<'s> {
    batch: Vec<u8>,
    batches: SyncSender<Vec<u8>>,
    /// Batches that are done with, to be filled again.
    returned: Receiver<Vec<u8>>,
    thread: ScopedJoinHandle<'s, ()>,
}

impl Hand<'_> {
    fn push(&mut self, record: &Record<'_>) {
        self.batch.extend_from_slice(&record.position.to_le_bytes());
        self.batch.extend_from_slice(&(record.payload.len() as u32).to_le_bytes());
        self.batch.extend_from_slice(&record.kind.to_le_bytes());
        self.batch.extend_from_slice(record.payload);
        if self.batch.len() >= BATCH_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let empty = self.returned.try_recv().unwrap_or_else(|_| Vec::with_capacity(BATCH_BYTES));
        // A thread that has ended has panicked, which the end of the scope tells.
        let _ = self.batches.send(std::mem::replace(&mut self.batch, empty));
    }
}

/// Does batches again until no more come.
fn work(
    engine: &Engine,
    restored: Option<&Restored>,
    batches: &Receiver<Vec<u8>>,
    give_back: &SyncSender<Vec<u8>>,
    failure: &Failure,
) {
    let mut redo = Redo::new(engine);
    if let Some(restored) = restored {
        redo.begin(&restored.started);
        restored.campaigns.iter().for_each(|kept| redo.run(&kept.slots));
    }
    let mut decoded = Vec::with_capacity(AHEAD);
    for mut batch in batches {
        let mut rest = batch.as_slice();
        while let Some((head, after)) = rest.split_first_chunk::<HEAD>() {
            let number = |from: usize, to: usize| {
                head[from..to].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
            };
            let (payload, after) = after.split_at(number(8, 12) as usize);
            match Entry::decode(number(12, 14) as u16, payload) {
                Ok(entry) => {
                    redo.prefetch(&entry);
                    decoded.push((number(0, 8), entry));
                }
                Err(error) => failure.set(number(0, 8), error),
            }
            rest = after;
            if decoded.len() == AHEAD || rest.is_empty() {
                decoded.drain(..).for_each(|(position, entry)| redo.entry(position, entry));
            }
        }
        batch.clear();
        let _ = give_back.try_send(batch);
    }
}

/// The visitor of the log.
pub(super) struct Reader<'s, 'e> {
    engine: &'e Engine,
    hands: Vec<Hand<'s>>,
    failure: &'e Failure,
    /// Customers for whom there are answers, so that few erasures look for them.
    answered: HashSet<Id>,
    ids: SeenIds,
    records: u64,
    /// The last position of a record that no process publishes before it has opened the log: what a loss of power has cost is all that
    /// comes before the record of its beginning.
    opened: u64,
    progress: &'e dyn Fn(Progress),
}

impl Reader<'_, '_> {
    /// Does again what is not of one customer alone.
    fn own(&mut self, record: &Record<'_>) -> Result<(), DecodeError> {
        let events = self.engine.settings.clock == Clock::Event;
        match record.kind {
            kind::USUAL_PLAY | kind::EVENT if !events => return Ok(()),
            kind::EVICTED | kind::LAST_EVENT | kind::TRACK | kind::TOSSED => return Ok(()),
            _ => {}
        }
        match Entry::decode(record.kind, record.payload)? {
            Entry::Event { event, .. } => {
                if let Some(sighting) = self.engine.event_clock.sighting(&event) {
                    self.engine.event_clock.advance(sighting);
                }
            }
            Entry::Shown { customer, decision, campaign, answer, .. } => {
                let campaign = self.ids.slot_of(&campaign);
                self.shown(customer, decision, campaign, false, answer);
            }
            Entry::ShownInPlan { customer, facts, charge, answer } => {
                self.ids.named.facts(&facts);
                let campaign = facts.campaign.map(Slot);
                if let Some(Slot(slot)) = campaign {
                    self.engine.accounts.redo_show(slot, record.position, charge, facts.time_ms);
                }
                let is_exploring = facts.reason == Reason::Exploring;
                self.shown(customer, facts.id, campaign, is_exploring, answer);
            }
            Entry::Decided { facts, .. } => {
                self.ids.named.facts(&facts);
                self.ids.next = self.ids.next.max(NextNumbers::above(facts.id));
                if let Some(slot) = facts.campaign {
                    self.engine.accounts.redo_not_shown(slot, record.position, facts.time_ms, facts.reason);
                }
            }
            Entry::Erased { customer } => self.erase_answers(&customer),
            Entry::Erasure { customer, tombstone } => {
                self.erase_answers(&customer);
                self.put_tombstone(tombstone, record.position);
            }
            Entry::Tombstone(tombstone) => self.put_tombstone(tombstone, record.position),
            Entry::Started(started) => {
                self.engine.event_clock.set_key(started.clock_key);
                self.ids.start(&started);
            }
            Entry::Campaigns(kept) => self.ids.run(&kept),
            Entry::Leased { until, shown_until } => {
                let until = NextNumbers { unshown: until, shown: shown_until };
                self.ids.next = self.ids.next.max(until);
            }
            Entry::Money { slot, change } => {
                self.ids.named.slot(slot);
                self.engine.accounts.redo(slot, record.position, &change);
            }
            _ => {}
        }
        Ok(())
    }

    fn shown(
        &mut self,
        customer: Id,
        decision: DecisionId,
        campaign: Option<Slot>,
        is_exploring: bool,
        answer: Option<Answered>,
    ) {
        self.ids.next = self.ids.next.max(NextNumbers::above(decision));
        if let Some(answer) = answer {
            self.answered.insert(customer.clone());
            self.engine
                .restore_answer(ShownAnswer { customer, decision, campaign, is_exploring, answer }, true);
        }
    }

    fn erase_answers(&mut self, customer: &Id) {
        if self.answered.remove(customer) {
            self.engine.requests.remove(customer);
        }
    }

    fn put_tombstone(&self, tombstone: Tombstone, position: u64) {
        self.engine.tombstones.put(Tombstone { position, ..tombstone }, None);
    }

    /// Waits until all that was dealt is done.
    fn end(&mut self) {
        for mut hand in self.hands.drain(..) {
            hand.flush();
            let Hand { batches, thread, .. } = hand;
            drop(batches);
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

impl Visitor for Reader<'_, '_> {
    fn record(&mut self, record: Record<'_>) -> Result<(), String> {
        self.failure.check()?;
        self.records += 1;
        if record.kind != kind::MONEY {
            self.opened = record.position;
        }
        let described = |error: DecodeError| {
            let text = error.to_string();
            self.failure.set(record.position, error);
            text
        };
        // Decisions that changed no customer are most of a log: they count in the account of their campaign alone.
        let subject = match record.kind {
            kind::DECIDED => None,
            kind => subject(kind, record.payload).map_err(described)?,
        };
        if let Err(error) = self.own(&record) {
            let text = error.to_string();
            self.failure.set(record.position, error);
            return Err(text);
        }
        match subject {
            Some(subject) => {
                let hash = StableHash::with_key(0).id(subject).finish();
                let hand = (hash >> 32) as usize % self.hands.len();
                self.hands[hand].push(&record);
            }
            // With which bounds a process began is for all.
            None if matches!(record.kind, kind::STARTED | kind::BEGUN | kind::CAMPAIGNS) => {
                self.hands.iter_mut().for_each(|hand| hand.push(&record));
            }
            None => {}
        }
        Ok(())
    }

    fn has_opened(&self, from: u64) -> bool {
        self.opened >= from
    }

    /// Before the directory is changed: a record that cannot be done again leaves it as it is.
    fn finished(&mut self) -> Result<(), String> {
        self.end();
        self.failure.check()
    }

    fn progress(&mut self, bytes: u64, of_bytes: u64) {
        (self.progress)(Progress { phase: Phase::Log, bytes, of_bytes, records: self.records });
    }
}
