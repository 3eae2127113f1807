//! Answers of the last minute by request id, so that a retry gets the same answer and counts once.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use super::Decision;
use upbeat_core::event::Id;

/// How long an answer is kept for retries, in milliseconds.
pub const RETRY_PERIOD_MS: i64 = 60_000;

const SHARDS: usize = 64;
/// A shard with this many answers drops its oldest before their time.
const SHARD_LIMIT: usize = 16_384;

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
}

type Key = (Id, RequestId);

#[derive(Default)]
struct Shard {
    answers: HashMap<Key, (i64, Decision)>,
    by_age: VecDeque<(i64, Key)>,
}

impl Shard {
    fn drop_old(&mut self, wall_ms: i64) {
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

/// The answers of the last minute by customer and request id; at most 64 shards of 16,384 answers.
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
    /// The answer given to this request within [`RETRY_PERIOD_MS`], or else a new one from `decide`; and whether it is
    /// an earlier one. `wall_ms` in Unix milliseconds.
    ///
    /// The shard stays locked while `decide` runs, so that two concurrent retries count once.
    pub fn get_or_decide(
        &self,
        customer: &Id,
        request: &RequestId,
        wall_ms: i64,
        decide: impl FnOnce() -> Decision,
    ) -> (Decision, bool) {
        let mut shard = self.shard(customer).lock().unwrap_or_else(PoisonError::into_inner);
        shard.drop_old(wall_ms);
        let key = (customer.clone(), request.clone());
        if let Some((_, decision)) = shard.answers.get(&key) {
            return (*decision, true);
        }
        let decision = decide();
        shard.by_age.push_back((wall_ms, key.clone()));
        shard.answers.insert(key, (wall_ms, decision));
        (decision, false)
    }

    /// Removes every answer given for a customer.
    pub fn remove(&self, customer: &Id) {
        let mut shard = self.shard(customer).lock().unwrap_or_else(PoisonError::into_inner);
        shard.answers.retain(|(id, _), _| id != customer);
        shard.by_age.retain(|(_, (id, _))| id != customer);
    }

    fn shard(&self, customer: &Id) -> &Mutex<Shard> {
        &self.shards[(self.hasher.hash_one(customer) >> 32) as usize % SHARDS]
    }
}
