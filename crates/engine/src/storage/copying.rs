//! Copying an engine that goes on, block by block.
//!
//! The copy is of no single instant: it begins at a position S, and each part of it has the state of some later position. Doing
//! again all records from S on makes it the engine's state at their end, since what it holds already changes
//! nothing when it is done again, and what it should not hold is erased or evicted by one of them. What is in it is of
//! positions below E, which is read at the end.

use upbeat_core::catalogue::Track;
use upbeat_core::encoding::put_id;
use upbeat_core::event::Id;
use upbeat_journal::snapshot::MOST_BLOCK_BYTES;

use super::blocks::{Head, Part, VERSION, kind, put_account, put_answer, put_customer, put_placed_tombstone};
use crate::campaigns::CampaignVersion;
use crate::log::{encode_track, put_version};
use crate::{Customer, Engine};

/// Blocks are of about this many bytes. In tests a block holds a customer or two, so that much happens between two.
const BLOCK_BYTES: usize = if cfg!(test) { 256 } else { 192 << 10 };

/// The most bytes of a block.
const MOST_BYTES: usize = if cfg!(test) { 768 } else { MOST_BLOCK_BYTES };

/// Customers are copied under one lock until they take so many bytes in memory: a decision waits some 20 µs at most.
const LOCKED_BYTES: usize = if cfg!(test) { 1 } else { 64 << 10 };

/// What is copied next.
#[derive(Debug)]
enum Stage {
    Head,
    Versions,
    Customers,
    Tracks,
    Answers,
    Tombstones,
    Accounts,
    End,
}

/// A copy that is being made.
pub(super) struct Copying {
    from: u64,
    stage: Stage,
    shard: usize,
    /// Ids of the shard that are not copied yet.
    ids: Vec<Id>,
    block: Vec<u8>,
    /// Blocks of a customer who is larger than one, last first.
    divided: Vec<Vec<u8>>,
    divided_customers: u64,
    /// Accounts that are not copied yet, by their campaigns' numbers.
    accounts: Vec<u16>,
    /// Customers copied.
    pub customers: u64,
}

impl Copying {
    /// Begins a copy; `None` at the moments at which an erasure is published and not complete. An engine without a log has no
    /// positions, and none is copied.
    pub fn begin(engine: &Engine) -> Option<Self> {
        // Then: what was published below is erased whole.
        let from = engine.log.get()?.next_position();
        engine.erasures.is_none().then(|| Self {
            from,
            stage: Stage::Head,
            shard: 0,
            ids: Vec::new(),
            block: Vec::new(),
            divided: Vec::new(),
            divided_customers: 0,
            accounts: Vec::new(),
            customers: 0,
        })
    }

    /// S: records from this position on have to be done again over the copy.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// E: nothing in the copy is of a position at or above this one. To be asked at the end.
    pub fn reached(engine: &Engine) -> u64 {
        engine.log.get().map_or(0, |log| log.next_position())
    }

    /// The next block; `None` at the end.
    pub fn block(&mut self, engine: &Engine) -> Option<Vec<u8>> {
        loop {
            if let Some(part) = self.divided.pop() {
                return Some(part);
            }
            match self.stage {
                Stage::Head => {
                    self.stage = Stage::Versions;
                    self.block = vec![kind::VERSIONS];
                    let (head, versions) = head(engine);
                    for version in &versions {
                        put_version(&mut self.block, version);
                        if self.block.len() >= BLOCK_BYTES {
                            let block = self.take_block();
                            self.divided.push(block);
                        }
                    }
                    return Some(head.encode());
                }
                Stage::Versions => {
                    return self.end_stage(Stage::Customers, kind::CUSTOMERS).or_else(|| self.block(engine));
                }
                Stage::Customers => {
                    if !self.next_ids(engine.customers.shards(), |shard| engine.customers.ids(shard)) {
                        return self.end_stage(Stage::Tracks, kind::TRACKS).or_else(|| self.block(engine));
                    }
                    self.copy_customers(engine);
                }
                Stage::Tracks => {
                    if !self.next_ids(engine.tracks.shards(), |shard| engine.tracks.ids(shard)) {
                        return self.end_stage(Stage::Answers, kind::ANSWERS).or_else(|| self.block(engine));
                    }
                    self.copy_tracks(engine);
                }
                Stage::Answers => {
                    if self.shard == engine.requests.shards() {
                        let next = self.end_stage(Stage::Tombstones, kind::TOMBSTONES);
                        return next.or_else(|| self.block(engine));
                    }
                    for shown in engine.requests.shown(self.shard) {
                        put_answer(&mut self.block, &shown);
                    }
                    self.shard += 1;
                }
                Stage::Tombstones => {
                    if self.shard == engine.tombstones.shards() {
                        let next = self.end_stage(Stage::Accounts, kind::ACCOUNT);
                        self.accounts = engine.accounts.slots();
                        return next.or_else(|| self.block(engine));
                    }
                    for tombstone in engine.tombstones.of_shard(self.shard) {
                        put_placed_tombstone(&mut self.block, &tombstone);
                        if self.block.len() >= BLOCK_BYTES {
                            let block = self.take_block();
                            self.divided.push(block);
                        }
                    }
                    self.shard += 1;
                }
                Stage::Accounts => {
                    let Some(slot) = self.accounts.pop() else {
                        self.stage = Stage::End;
                        return None;
                    };
                    if let Some(block) = copy_account(engine, slot) {
                        return Some(block);
                    }
                }
                Stage::End => return None,
            }
            if self.block.len() >= BLOCK_BYTES {
                return Some(self.take_block());
            }
        }
    }

    /// The block so far; the next one is of the same kind.
    fn take_block(&mut self) -> Vec<u8> {
        let next = vec![self.block[0]];
        std::mem::replace(&mut self.block, next)
    }

    /// Goes on to the next stage; the last block of this one, if there is anything in it.
    fn end_stage(&mut self, next: Stage, kind: u8) -> Option<Vec<u8>> {
        (self.stage, self.shard) = (next, 0);
        let block = std::mem::replace(&mut self.block, vec![kind]);
        (block.len() > 1).then_some(block)
    }

    /// Whether there are ids to be copied, of this shard or one of the next of `shards`.
    fn next_ids(&mut self, shards: usize, ids: impl Fn(usize) -> Vec<Id>) -> bool {
        while self.ids.is_empty() {
            if self.shard == shards {
                return false;
            }
            self.ids = ids(self.shard);
            self.shard += 1;
        }
        true
    }

    fn copy_customers(&mut self, engine: &Engine) {
        let mut copies: Vec<(Id, Customer)> = Vec::new();
        let mut bytes = 0;
        let done = engine.customers.visit(self.shard - 1, &self.ids, |id, customer| {
            bytes += customer.bytes(id);
            copies.push((id.clone(), customer.clone()));
            bytes < LOCKED_BYTES
        });
        self.ids.drain(..done);
        for (id, customer) in &copies {
            let before = self.block.len();
            put_customer(&mut self.block, id, customer);
            self.customers += 1;
            if self.block.len() > MOST_BYTES {
                let customer = self.block.split_off(before);
                self.divide(&customer);
            }
        }
    }

    /// Divides a customer who is larger than what is left of a block.
    fn divide(&mut self, customer: &[u8]) {
        let parts: Vec<&[u8]> = customer.chunks(BLOCK_BYTES).collect();
        let count = parts.len() as u64;
        for (number, bytes) in parts.iter().enumerate().rev() {
            let part = Part { of: self.divided_customers, number: number as u64, parts: count, bytes };
            self.divided.push(part.encode());
        }
        self.divided_customers += 1;
    }

    fn copy_tracks(&mut self, engine: &Engine) {
        let mut copies: Vec<(Id, Track)> = Vec::new();
        let done = engine.tracks.visit(self.shard - 1, &self.ids, |id, track| {
            copies.extend(track.clone().map(|track| (id.clone(), track)));
            copies.len() < 256
        });
        self.ids.drain(..done);
        for (id, track) in &copies {
            put_id(&mut self.block, id.as_ref());
            encode_track(track, &mut self.block);
            // Titles are short, but nothing says so.
            if self.block.len() >= BLOCK_BYTES {
                let block = self.take_block();
                self.divided.push(block);
            }
        }
    }
}

/// The block of an account: what one holds is so bounded that it fits.
fn copy_account(engine: &Engine, slot: u16) -> Option<Vec<u8>> {
    let account = engine.accounts.copy(slot, engine.log())?;
    let mut block = vec![kind::ACCOUNT];
    put_account(&mut block, slot, &account);
    Some(block)
}

/// What the first block says, and the former versions of the campaigns. The clock and the numbers are read after S: they may be of later positions, never of earlier ones.
fn head(engine: &Engine) -> (Head, Vec<CampaignVersion>) {
    let mut clock = Vec::new();
    engine.event_clock.encode(&mut clock);
    let leased = engine.log.get().map(|log| log.leased_until());
    let numbers = engine.decision_ids.next().max(leased.unwrap_or_default());
    let (campaigns, versions) = engine.kept_campaigns();
    let campaigns = Some(campaigns);
    (Head { version: VERSION, started: engine.started(), numbers, clock, campaigns }, versions)
}
