//! Answers of the last minute by request id, so that a retry gets the same answer and counts once.
//!
//! An answer is kept for its whole minute: none leaves early because others came. The memory is bounded all the same, so
//! a request whose answer could not be kept is refused before it is decided, and its sender told; nothing is counted for
//! it. One customer may hold a small share of the memory only, so that a sender gone astray with one customer's ids leaves
//! room for all others.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashTable};
use upbeat_core::decision::Reason;
use upbeat_core::event::Id;

use super::Decision;
use crate::hashing::{Hasher, hasher};
use crate::log::Answered;
use crate::storage::blocks::ShownAnswer;

/// How long an answer is kept for retries, in milliseconds.
pub const RETRY_PERIOD_MS: i64 = 60_000;

/// Answers are divided by their request over shards of about this many bytes when full: some thousand answers, so that
/// moving them all when a shard grows takes a tenth of a millisecond.
const SHARD_BYTES: usize = 512 << 10;
const FEWEST_SHARDS: usize = 16;
const MOST_SHARDS: usize = 1024;

/// One customer may hold one part in this many. By default that is some 70,000 requests a minute.
const CUSTOMER_SHARE: usize = 64;

/// The longest request id, in characters.
const MAX_REQUEST_ID_LENGTH: usize = 64;

/// The caller's id for a request: any 1–64 characters, but for control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// Reads a request id.
    ///
    /// # Errors
    /// The text is empty, longer than 64 characters, or has a control character, which the tools behind the caller's log
    /// may take for its end; or it has U+FFFD, which stands in a query for bytes that are not UTF-8, so that different
    /// ids would be one. The message says what is allowed.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.chars().count() > MAX_REQUEST_ID_LENGTH {
            return Err("send 1 to 64 characters");
        }
        if text.chars().any(|letter| letter.is_control() || letter == char::REPLACEMENT_CHARACTER) {
            return Err("send characters of UTF-8 other than control characters");
        }
        Ok(Self(text.into()))
    }

    /// The id as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a request with an id was not decided: its answer could not be kept for its minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Answers take all the memory that they may.
    #[error(
        "answers to requests with a request_id take their limit of memory, and each is kept for a minute: send the \
         request again in a moment, or without request_id; or raise limits.retry_bytes"
    )]
    MemoryFull,
    /// This customer's answers take the share that one customer may have.
    #[error(
        "the answers to this customer's requests of the last minute take the share of memory that one customer may \
         have: send one request_id a playback, or raise limits.retry_bytes"
    )]
    CustomerShare,
}

/// An answer, and the request that it was given to.
struct Answer {
    customer: Id,
    request: RequestId,
    made_ms: i64,
    decision: Decision,
}

impl Answer {
    fn heap_bytes(&self) -> usize {
        self.request.0.len() + self.customer.heap_bytes()
    }

    /// Memory of this answer that counts towards its customer's share.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.heap_bytes()
    }

    /// Whether its minute is over. Where the wall clock was set back by more than a minute it is over as well: else the
    /// answers from before would stay until the clock is there again.
    fn is_old(&self, wall_ms: i64) -> bool {
        wall_ms.abs_diff(self.made_ms) > RETRY_PERIOD_MS as u64
    }
}

/// Answers in the order in which they were made, with an index by request. An answer's number counts the answers before
/// it since the start, modulo 2^32.
#[derive(Default)]
struct Shard {
    answers: VecDeque<Answer>,
    /// The number of the first of `answers`.
    first: u32,
    /// The numbers of the answers, by the hash of customer and request id.
    index: HashTable<u32>,
    /// Bytes of each customer's answers.
    customers: HashMap<Id, usize, foldhash::fast::RandomState>,
    heap_bytes: usize,
}

impl Shard {
    fn answer(&self, number: u32) -> &Answer {
        &self.answers[number.wrapping_sub(self.first) as usize]
    }

    /// The number of the answer to this request, however old it is.
    fn find(&self, hash: u64, customer: &Id, request: &RequestId) -> Option<u32> {
        let is_it = |number: &u32| {
            let answer = self.answer(*number);
            answer.request == *request && answer.customer == *customer
        };
        self.index.find(hash, is_it).copied()
    }

    /// Bytes that the shard takes, without the allocator's overhead.
    fn bytes(&self) -> usize {
        let lists = self.answers.capacity() * size_of::<Answer>();
        lists + self.index_bytes() + self.customers_bytes() + self.heap_bytes
    }

    fn index_bytes(&self) -> usize {
        table_bytes::<u32>(self.index.capacity())
    }

    fn customers_bytes(&self) -> usize {
        table_bytes::<(Id, usize)>(self.customers.capacity())
    }

    /// How many answers the list grows by when it is full.
    fn growth(&self) -> usize {
        self.answers.len() / 4 + 4
    }

    /// Whether another answer with so many bytes on the heap may be kept.
    fn check_room(&self, customer: &Id, heap_bytes: usize, limit: usize) -> Result<(), NotKept> {
        let held = self.customers.get(customer).copied().unwrap_or(0);
        if held + size_of::<Answer>() + heap_bytes > limit / CUSTOMER_SHARE && held > 0 {
            return Err(NotKept::CustomerShare);
        }
        let is_full = |length: usize, capacity: usize| usize::from(length == capacity);
        let grown = self.bytes()
            + heap_bytes
            + is_full(self.answers.len(), self.answers.capacity()) * self.growth() * size_of::<Answer>()
            // Hash tables double.
            + is_full(self.index.len(), self.index.capacity()) * self.index_bytes()
            + is_full(self.customers.len(), self.customers.capacity()) * self.customers_bytes();
        if grown > limit { Err(NotKept::MemoryFull) } else { Ok(()) }
    }

    fn push(&mut self, hash: u64, answer: Answer, hash_of: impl Fn(&Answer) -> u64) {
        if self.answers.len() == self.answers.capacity() {
            self.answers.reserve_exact(self.growth());
        }
        let number = self.first.wrapping_add(self.answers.len() as u32);
        self.heap_bytes += answer.heap_bytes();
        *self.customers.entry(answer.customer.clone()).or_default() += answer.bytes();
        self.answers.push_back(answer);
        let Self { answers, first, index, .. } = self;
        index.insert_unique(hash, number, |number| hash_of(&answers[number.wrapping_sub(*first) as usize]));
    }

    fn drop_first(&mut self, hash_of: impl Fn(&Answer) -> u64) {
        let Some(answer) = self.answers.pop_front() else {
            return;
        };
        let number = self.first;
        self.first = number.wrapping_add(1);
        self.heap_bytes -= answer.heap_bytes();
        // It is not in the index any more where a newer answer to the same request has replaced it.
        if let Ok(entry) = self.index.find_entry(hash_of(&answer), |held| *held == number) {
            entry.remove();
        }
        if let Some(bytes) = self.customers.get_mut(&answer.customer) {
            *bytes -= answer.bytes();
            if *bytes == 0 {
                self.customers.remove(&answer.customer);
            }
        }
    }

    /// Drops at most `count` answers whose minute is over, and frees memory when most of it is unused; returns how many.
    fn drop_old(&mut self, wall_ms: i64, count: usize, hash_of: impl Fn(&Answer) -> u64) -> usize {
        for dropped in 0..count {
            if !self.answers.front().is_some_and(|answer| answer.is_old(wall_ms)) {
                return dropped;
            }
            self.drop_first(&hash_of);
            if self.answers.is_empty() || self.answers.len() < self.answers.capacity() / 4 {
                let Self { answers, first, index, customers, .. } = self;
                answers.shrink_to(answers.len() + answers.len() / 4);
                index.shrink_to(0, |number| hash_of(&answers[number.wrapping_sub(*first) as usize]));
                customers.shrink_to_fit();
            }
        }
        count
    }

    /// Drops every answer of a customer.
    fn remove(&mut self, customer: &Id, hash: impl Fn(&Answer) -> u64 + Copy) {
        if !self.customers.contains_key(customer) {
            return;
        }
        let mut kept = Self::default();
        let Self { answers, first, index, .. } = std::mem::take(self);
        for (place, answer) in answers.into_iter().enumerate() {
            let number = first.wrapping_add(place as u32);
            // Or one that a newer answer has replaced would be found again.
            let is_newest = index.find(hash(&answer), |held| *held == number).is_some();
            if is_newest && answer.customer != *customer {
                kept.push(hash(&answer), answer, hash);
            }
        }
        *self = kept;
    }
}

/// Bytes of a hash table that has room for so many entries: seven of eight slots may be taken, a power of two of them,
/// each with a byte of its hash.
fn table_bytes<T>(capacity: usize) -> usize {
    match capacity {
        0 => 0,
        _ => (capacity * 8 / 7).next_power_of_two() * (size_of::<T>() + 1),
    }
}

/// The answers of the last minute by customer and request id.
pub(crate) struct RecentRequests {
    shards: Box<[Mutex<Shard>]>,
    hasher: Hasher,
    /// The most bytes of one shard. Requests are spread evenly, so all shards are full at about the same time.
    shard_limit: usize,
}

impl RecentRequests {
    /// No answers yet, and at most so many bytes of them.
    pub(crate) fn new(max_bytes: usize) -> Self {
        let shards = (max_bytes / SHARD_BYTES).clamp(FEWEST_SHARDS, MOST_SHARDS).next_power_of_two();
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            hasher: hasher(),
            shard_limit: max_bytes / shards,
        }
    }

    /// The answer given to this request within [`RETRY_PERIOD_MS`], or else a new one from `decide`; and whether it is
    /// an earlier one. `wall_ms` in Unix milliseconds.
    ///
    /// The shard stays locked while `decide` runs, so that two concurrent retries count once.
    ///
    /// # Errors
    /// A new answer could not be kept: `decide` was not called.
    pub(crate) fn get_or_decide(
        &self,
        customer: &Id,
        request: &RequestId,
        wall_ms: i64,
        decide: impl FnOnce() -> Decision,
    ) -> Result<(Decision, bool), NotKept> {
        let hash = self.hash(customer, request);
        let hash_of = |answer: &Answer| self.hash(&answer.customer, &answer.request);
        let mut shard = lock(&self.shards[(hash >> 32) as usize % self.shards.len()]);
        // As many as keep the shard from growing; most are dropped in the background.
        shard.drop_old(wall_ms, 2, hash_of);
        let found = shard.find(hash, customer, request);
        if let Some(number) = found
            && !shard.answer(number).is_old(wall_ms)
        {
            return Ok((shard.answer(number).decision, true));
        }
        shard.check_room(customer, request.0.len() + customer.heap_bytes(), self.shard_limit)?;
        let decision = decide();
        if decision.reason == Reason::LogUnavailable {
            // For the moment only: a retry is decided again.
            return Ok((decision, false));
        }
        if let Some(number) = found
            && let Ok(entry) = shard.index.find_entry(hash, |held| *held == number)
        {
            entry.remove();
        }
        let answer =
            Answer { customer: customer.clone(), request: request.clone(), made_ms: wall_ms, decision };
        shard.push(hash, answer, hash_of);
        Ok((decision, false))
    }

    /// Keeps an answer that a former process gave, without a limit: it was kept within one.
    ///
    /// Where answers come `in_order` of their time, it is the clock by which old ones are dropped.
    pub(crate) fn restore(
        &self,
        customer: &Id,
        request: RequestId,
        made_ms: i64,
        decision: Decision,
        in_order: bool,
    ) {
        let hash = self.hash(customer, &request);
        let hash_of = |answer: &Answer| self.hash(&answer.customer, &answer.request);
        let mut shard = lock(&self.shards[(hash >> 32) as usize % self.shards.len()]);
        if in_order {
            shard.drop_old(made_ms, 2, hash_of);
        }
        if let Some(number) = shard.find(hash, customer, &request) {
            if shard.answer(number).decision.id == decision.id {
                return;
            }
            if let Ok(entry) = shard.index.find_entry(hash, |held| *held == number) {
                entry.remove();
            }
        }
        shard.push(hash, Answer { customer: customer.clone(), request, made_ms, decision }, hash_of);
    }

    /// The customers to whom there are answers.
    pub(crate) fn customers(&self) -> HashSet<Id> {
        let of = |shard: &Mutex<Shard>| lock(shard).customers.keys().cloned().collect::<Vec<_>>();
        self.shards.iter().flat_map(of).collect()
    }

    /// The answers of one shard, `0..shards()`, that said *show*, in the order in which they were made. An answer that a
    /// newer one to the same request has replaced is none of them, though its memory may not be free yet: whoever reads them
    /// back may not do so in this order.
    pub(crate) fn shown(&self, shard: usize) -> Vec<ShownAnswer> {
        let shard = lock(&self.shards[shard]);
        let mut places: Vec<u32> =
            shard.index.iter().map(|number| number.wrapping_sub(shard.first)).collect();
        places.sort_unstable();
        let answers = places.iter().map(|place| &shard.answers[*place as usize]);
        let shown = answers.filter(|answer| answer.decision.reason.shows());
        let of = |answer: &Answer| {
            let Decision { reason, score, campaign, model, id } = answer.decision;
            ShownAnswer {
                customer: answer.customer.clone(),
                decision: id,
                campaign,
                is_exploring: reason != Reason::LikelyToClick,
                answer: Answered { request: answer.request.clone(), made_ms: answer.made_ms, score, model },
            }
        };
        shown.map(of).collect()
    }

    /// Removes every answer given for a customer.
    pub(crate) fn remove(&self, customer: &Id) {
        for shard in &self.shards {
            lock(shard).remove(customer, |answer| self.hash(&answer.customer, &answer.request));
        }
    }

    /// The number of shards, each of which [`RecentRequests::drop_old`] visits by itself.
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Drops the answers of one shard whose minute is over; returns how many. `wall_ms` in Unix milliseconds.
    pub(crate) fn drop_old(&self, shard: usize, wall_ms: i64) -> usize {
        let hash_of = |answer: &Answer| self.hash(&answer.customer, &answer.request);
        lock(&self.shards[shard]).drop_old(wall_ms, usize::MAX, hash_of)
    }

    /// Bytes that the answers take, without the allocator's overhead.
    pub(crate) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).bytes()).sum()
    }

    fn hash(&self, customer: &Id, request: &RequestId) -> u64 {
        self.hasher.hash_one((customer, request))
    }
}

/// Locks a shard even if it is poisoned: what panicked is `decide`, which runs between two changes of the shard.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, not(feature = "loom")))]
mod tests;
