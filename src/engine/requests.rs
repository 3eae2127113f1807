//! Answers of the last minute by request id, so that a retry gets the same answer and counts once.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use super::Decision;
use crate::event::Id;

/// How long an answer is remembered, in milliseconds.
pub const RETRY_PERIOD_MS: i64 = 60_000;

const SHARDS: usize = 64;
/// A shard over this forgets its oldest answers before their minute is over.
const SHARD_LIMIT: usize = 16_384;

/// The longest request id, in characters.
const MAX_REQUEST_ID_LENGTH: usize = 64;

/// The caller's id for a request: 1–64 characters, whatever they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// Reads a request id.
    ///
    /// # Errors
    /// The text is empty or longer than 64 characters: what is allowed.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.chars().count() > MAX_REQUEST_ID_LENGTH {
            return Err("send 1 to 64 characters");
        }
        Ok(Self(text.into()))
    }
}

type Key = (Id, RequestId);

#[derive(Default)]
struct Shard {
    answers: HashMap<Key, (i64, Decision)>,
    by_age: VecDeque<(i64, Key)>,
}

impl Shard {
    fn forget_old(&mut self, wall_ms: i64) {
        while let Some((made_ms, key)) = self.by_age.front() {
            let old = wall_ms - made_ms > RETRY_PERIOD_MS;
            if !old && self.answers.len() < SHARD_LIMIT {
                return;
            }
            self.answers.remove(key);
            self.by_age.pop_front();
        }
    }
}

/// Bounded: 64 shards of at most 16,384 answers.
pub struct RecentRequests {
    shards: [Mutex<Shard>; SHARDS],
    hasher: foldhash::fast::RandomState,
}

impl Default for RecentRequests {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: foldhash::fast::RandomState::default(),
        }
    }
}

impl RecentRequests {
    /// The answer given to this request within the last minute, or else a new one; and whether it is a repeated one.
    ///
    /// The shard stays locked while the decision is made, so that two retries at once count once.
    pub fn once(
        &self,
        customer: &Id,
        request: &RequestId,
        wall_ms: i64,
        decide: impl FnOnce() -> Decision,
    ) -> (Decision, bool) {
        let mut shard = self.shard(customer).lock().unwrap_or_else(PoisonError::into_inner);
        shard.forget_old(wall_ms);
        let key = (customer.clone(), request.clone());
        if let Some((_, decision)) = shard.answers.get(&key) {
            return (*decision, true);
        }
        let decision = decide();
        shard.by_age.push_back((wall_ms, key.clone()));
        shard.answers.insert(key, (wall_ms, decision));
        (decision, false)
    }

    /// Forgets every answer given for a customer.
    pub fn forget(&self, customer: &Id) {
        let mut shard = self.shard(customer).lock().unwrap_or_else(PoisonError::into_inner);
        shard.answers.retain(|(id, _), _| id != customer);
        shard.by_age.retain(|(_, (id, _))| id != customer);
    }

    fn shard(&self, customer: &Id) -> &Mutex<Shard> {
        &self.shards[(self.hasher.hash_one(customer) >> 32) as usize % SHARDS]
    }
}
