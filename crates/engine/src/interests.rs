//! Interests: customers who play one track three times within half an hour, the newest of them.
//!
//! Kept are customer and track alone, of the newest 4,096. What is told of them is read from the customer's profile when somebody
//! asks: so it is of the plays that are held, whatever their order was, and of whoever was erased or evicted nothing is told.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use upbeat_core::event::{Event, EventKind, Id};
use upbeat_core::profile::{Profile, Run};

use crate::Engine;

/// The most that are kept, some 150 bytes each.
const MOST_INTERESTS: usize = 4096;

/// So many customers are looked through under one lock.
const SEARCHED: usize = 64;

/// An interest, as the profile has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interest {
    /// The customer.
    pub customer: Id,
    /// The track.
    pub track: Id,
    /// The plays.
    pub run: Run,
}

/// Which there are.
#[derive(Debug, Default)]
pub(crate) struct Interests {
    kept: Mutex<Kept>,
    found: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    /// The time of the newest play, by customer and track, in Unix milliseconds.
    newest_ms: HashMap<(Id, Id), i64>,
    /// The same, by time.
    by_time: BTreeSet<(i64, Id, Id)>,
}

impl Kept {
    /// Keeps one, and gives up the oldest where there are too many.
    fn keep(&mut self, customer: Id, track: Id, time_ms: i64) {
        let key = (customer, track);
        match self.newest_ms.get(&key) {
            Some(held_ms) if *held_ms >= time_ms => return,
            Some(held_ms) => _ = self.by_time.remove(&(*held_ms, key.0.clone(), key.1.clone())),
            None => {}
        }
        self.by_time.insert((time_ms, key.0.clone(), key.1.clone()));
        self.newest_ms.insert(key, time_ms);
        while self.by_time.len() > MOST_INTERESTS {
            let Some((_, customer, track)) = self.by_time.pop_first() else { return };
            self.newest_ms.remove(&(customer, track));
        }
    }

    fn remove(&mut self, of: &(i64, Id, Id)) {
        if self.by_time.remove(of) {
            self.newest_ms.remove(&(of.1.clone(), of.2.clone()));
        }
    }

    /// What is older than this would not be kept, in Unix milliseconds.
    fn oldest_ms(&self) -> i64 {
        let oldest = self.by_time.first().filter(|_| self.by_time.len() >= MOST_INTERESTS);
        oldest.map_or(i64::MIN, |(time_ms, ..)| *time_ms)
    }
}

impl Interests {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing of this customer is kept any more.
    pub(crate) fn forget(&self, customer: &Id) {
        let mut kept = self.kept();
        kept.newest_ms.retain(|(of, _), _| of != customer);
        kept.by_time.retain(|(_, of, _)| of != customer);
    }
}

/// A play that makes or lengthens an interest, if it is kept.
pub(crate) struct Candidate {
    customer: Id,
    track: Id,
    time_ms: i64,
}

impl Candidate {
    /// An event before it is applied; `None` where it is no such play, as nearly all are not.
    #[inline]
    pub(crate) fn of(profile: &Profile, event: &Event) -> Option<Self> {
        let EventKind::Play { track, .. } = &event.kind else { return None };
        let time_ms = event.time.unix_ms;
        profile.would_interest(track.as_ref(), time_ms).then(|| Self {
            customer: event.customer.clone(),
            track: track.clone(),
            time_ms,
        })
    }
}

impl Engine {
    /// Keeps the interest that a play has made or lengthened, once it is applied and with the customer's shard locked.
    #[cold]
    pub(crate) fn note_interest(&self, profile: &Profile, of: Candidate) {
        let Candidate { customer, track, time_ms } = of;
        let Some((run, is_new)) = profile.run_with(track.as_ref(), time_ms) else { return };
        self.interests.kept().keep(customer, track, run.to.unix_ms);
        self.interests.found.fetch_add(u64::from(is_new), Ordering::Relaxed);
    }

    /// How many interests were found since the start, in what was accepted since then: each counts with the play that made it one.
    #[must_use]
    pub fn interests_found(&self) -> u64 {
        self.interests.found.load(Ordering::Relaxed)
    }

    /// At most `limit` interests whose newest play is of `since_ms` or later, in Unix milliseconds, the newest first: of each customer
    /// and track the newest.
    #[must_use]
    pub fn interests(&self, limit: usize, since_ms: i64) -> Vec<Interest> {
        let keys: Vec<_> = {
            let kept = self.interests.kept();
            kept.by_time.iter().rev().take_while(|(time_ms, ..)| *time_ms >= since_ms).cloned().collect()
        };
        let mut told = Vec::new();
        for key in keys {
            let (_, customer, track) = &key;
            let run = self.customers.with(customer, |of| of.profile.newest_run(track.as_ref())).flatten();
            match run {
                // Its plays have left the profile, or are of another track: a smaller copy of one took its place.
                None => self.interests.kept().remove(&key),
                Some(run) if run.to.unix_ms >= since_ms => {
                    told.push(Interest { customer: customer.clone(), track: track.clone(), run });
                }
                Some(_) => {}
            }
            if told.len() >= limit {
                break;
            }
        }
        told.sort_by_key(|of| std::cmp::Reverse(of.run.to.unix_ms));
        told
    }

    /// Finds the interests of the customers of one shard, `0..shards()`, of a former process. Fewer than a hundred are looked through
    /// under one lock.
    ///
    /// # Panics
    /// There is no such shard.
    pub fn search_interests(&self, shard: usize) {
        let ids = self.customers.ids(shard);
        for ids in ids.chunks(SEARCHED) {
            let oldest_ms = self.interests.kept().oldest_ms();
            self.customers.visit(shard, ids, |id, customer| {
                let profile = &customer.profile;
                if profile.plays().last_ms().is_some_and(|last_ms| last_ms >= oldest_ms) {
                    let found = profile.interests();
                    if !found.is_empty() {
                        let mut kept = self.interests.kept();
                        found.into_iter().for_each(|(track, ms)| kept.keep(id.clone(), track.to_id(), ms));
                    }
                }
                true
            });
        }
    }
}
