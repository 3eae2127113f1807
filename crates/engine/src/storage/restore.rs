//! Reading a snapshot into an engine, in several threads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use upbeat_core::encoding::{DecodeError, Decoder};
use upbeat_journal::disk::Disk;
use upbeat_journal::snapshot::Snapshot;

use super::blocks::{Head, Part, account, answer, customer, kind, placed_tombstone};
use super::redo::Redo;
use super::{OpenError, Phase, Progress};
use crate::Engine;
use crate::campaigns::{CampaignVersion, KeptCampaigns};
use crate::decision_ids::NextNumbers;
use crate::log::{Started, decode_track, decode_version};

/// What the first blocks of a snapshot say.
pub(super) struct Restored {
    /// With what its process ran.
    pub started: Started,
    /// Above the numbers of all its decisions.
    pub numbers: NextNumbers,
    /// Its campaigns.
    pub campaigns: Option<KeptCampaigns>,
    /// The versions of the campaigns before.
    pub versions: Vec<CampaignVersion>,
}

/// Fills an engine from a snapshot.
pub(super) fn restore<D: Disk>(
    engine: &Engine,
    snapshot: &Snapshot<D>,
    threads: usize,
    progress: &dyn Fn(Progress),
) -> Result<Restored, OpenError> {
    let block_error =
        |number: usize, error| OpenError::Block { file: snapshot.name().to_owned(), number, error };
    if snapshot.blocks() == 0 {
        return Err(block_error(0, DecodeError::Ends("the first block")));
    }
    let mut block = Vec::new();
    snapshot.block(0, &mut block)?;
    let head = Head::decode(&block).map_err(|error| block_error(0, error))?;
    let mut clock = Decoder::new(&head.clock);
    engine
        .event_clock
        .restore(&mut clock)
        .and_then(|()| clock.end())
        .map_err(|error| block_error(0, error))?;
    let shared = Shared {
        engine,
        snapshot,
        version: head.version,
        next: AtomicUsize::new(1),
        failed: AtomicBool::new(false),
        customers: AtomicUsize::new(0),
        parts: Mutex::default(),
        versions: Mutex::default(),
    };
    let results: Vec<Result<(), OpenError>> = std::thread::scope(|scope| {
        let hands: Vec<_> =
            (1..threads.max(1)).map(|_| scope.spawn(|| shared.read_blocks(&head, &|_, _| {}))).collect();
        // This thread reads too, and tells how far it has come.
        let own = shared.read_blocks(&head, &|block, customers| {
            let bytes = snapshot.bytes() * block as u64 / snapshot.blocks() as u64;
            let (of_bytes, records) = (snapshot.bytes(), customers as u64);
            progress(Progress { phase: Phase::Snapshot, bytes, of_bytes, records });
        });
        let joined = hands
            .into_iter()
            .map(|hand| hand.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(own).chain(joined).collect()
    });
    results.into_iter().collect::<Result<(), OpenError>>()?;
    let parts = shared.parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !parts.is_empty() {
        return Err(block_error(0, DecodeError::Ends("the parts of a customer")));
    }
    let versions = shared.versions.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Head { started, numbers, campaigns, .. } = head;
    Ok(Restored { started, numbers, campaigns, versions })
}

/// Parts of a customer, each with its number.
type Numbered = Vec<(u64, Vec<u8>)>;

/// What the threads share.
struct Shared<'a, D: Disk> {
    engine: &'a Engine,
    snapshot: &'a Snapshot<D>,
    /// Of what is in the blocks.
    version: u8,
    /// The block that is read next.
    next: AtomicUsize,
    failed: AtomicBool,
    customers: AtomicUsize,
    /// The parts of customers that are not complete.
    parts: Mutex<HashMap<u64, Numbered>>,
    versions: Mutex<Vec<CampaignVersion>>,
}

impl<D: Disk> Shared<'_, D> {
    fn read_blocks(&self, head: &Head, told: &dyn Fn(usize, usize)) -> Result<(), OpenError> {
        let mut redo = Redo::new(self.engine);
        redo.begin(&head.started);
        head.campaigns.iter().for_each(|campaigns| redo.run(&campaigns.slots));
        let mut block = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.snapshot.blocks() || self.failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let read = self.snapshot.block(number, &mut block).map_err(OpenError::from);
            let done = read.and_then(|()| {
                let file = || self.snapshot.name().to_owned();
                self.block(&mut redo, &block).map_err(|error| OpenError::Block {
                    file: file(),
                    number,
                    error,
                })
            });
            done.inspect_err(|_| self.failed.store(true, Ordering::Relaxed))?;
            told(number, self.customers.load(Ordering::Relaxed));
        }
    }

    fn block(&self, redo: &mut Redo<'_>, block: &[u8]) -> Result<(), DecodeError> {
        let mut from = Decoder::new(block);
        match from.byte("a block")? {
            kind::CUSTOMERS => {
                let mut count = 0;
                while !from.rest().is_empty() {
                    self.customer(redo, &mut from)?;
                    count += 1;
                }
                self.customers.fetch_add(count, Ordering::Relaxed);
            }
            kind::PART => {
                if let Some(whole) = self.part(&Part::decode(&mut from)?)? {
                    let mut from = Decoder::new(&whole);
                    self.customer(redo, &mut from)?;
                    from.end()?;
                    self.customers.fetch_add(1, Ordering::Relaxed);
                }
            }
            kind::TRACKS => {
                while !from.rest().is_empty() {
                    redo.put_track(from.id("a track")?, decode_track(&mut from)?);
                }
            }
            kind::ANSWERS => {
                while !from.rest().is_empty() {
                    let shown = answer(&mut from, self.version)?;
                    self.engine.restore_answer(shown, false);
                }
            }
            kind::VERSIONS => {
                let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
                while !from.rest().is_empty() {
                    versions.push(decode_version(&mut from)?);
                }
            }
            kind::TOMBSTONES => {
                while !from.rest().is_empty() {
                    self.engine.tombstones.put(placed_tombstone(&mut from)?, None);
                }
            }
            kind::ACCOUNT => {
                let (slot, account) = account(&mut from)?;
                from.end()?;
                self.engine.accounts.restore(slot, account)?;
            }
            kind => return Err(DecodeError::bad("the kind of a block", kind)),
        }
        Ok(())
    }

    fn customer(&self, redo: &mut Redo<'_>, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        let (id, customer) = customer(from, self.version, redo.campaigns())?;
        redo.put(id, customer);
        Ok(())
    }

    /// Takes a part of a customer; all of them once they are complete.
    fn part(&self, part: &Part<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
        let mut all = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = all.entry(part.of).or_default();
        parts.push((part.number, part.bytes.to_vec()));
        if (parts.len() as u64) < part.parts {
            return Ok(None);
        }
        let mut parts = all.remove(&part.of).unwrap_or_default();
        parts.sort_unstable_by_key(|(number, _)| *number);
        if parts.iter().zip(0..).any(|((number, _), expected)| *number != expected) {
            return Err(DecodeError::bad("the parts of a customer", "not each once"));
        }
        Ok(Some(parts.into_iter().flat_map(|(_, bytes)| bytes).collect()))
    }
}
