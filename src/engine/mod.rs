//! The one place where store, campaign and model meet: apply(event), decide(customer, now).

mod catalogue;
mod counters;
mod customer;
mod forgetting;
mod model_id;
mod requests;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use crate::campaign::Campaign;
use crate::decision::{self, Reason, Score, Verdict};
use crate::event::{DecisionId, Event, Id, Time};
use crate::profile::{Applied, Misfit, Profile, Window};
use crate::store::{Store, Table, UpdateError};
use crate::svm::{Model, ModelError, Scorer};

pub use catalogue::Track;
pub use counters::{Counted, Counters, Outcome};
pub use customer::{CUSTOMER_BYTES, Customer};
pub use model_id::ModelId;
pub use requests::{RETRY_PERIOD_MS, RequestId};

use requests::RecentRequests;

/// What *now* means for windows and caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The wall clock: production.
    #[default]
    Wall,
    /// The newest event seen: replaying history.
    Event,
}

/// What an engine is made of, beside its model.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The plays that count.
    pub window: Window,
    /// The campaign that runs.
    pub campaign: Campaign,
    /// What *now* means.
    pub clock: Clock,
    /// Events further ahead of the wall clock than this many milliseconds are refused.
    pub max_future_ms: i64,
    /// Room for so many customers from the start.
    pub expected_customers: usize,
    /// So many customers at most.
    pub max_customers: usize,
    /// So many bytes of profiles at most, as [`Engine::profile_bytes`] counts them.
    pub max_profile_bytes: usize,
    /// So many tracks of the catalogue at most.
    pub max_tracks: usize,
    /// Decisions are numbered from here on; from the wall clock at start, so that no number comes twice.
    pub first_decision: u64,
}

/// A model that is being served.
pub struct Champion {
    /// The file as read.
    pub model: Model,
    /// Its compiled form.
    pub scorer: Scorer,
    /// Its id, as answers name it.
    pub id: ModelId,
    /// Counts promotions from 1 on, so that a score can tell which model made it.
    generation: u32,
}

/// Why an event was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Further ahead of the wall clock than allowed.
    #[error(
        "time {time} is more than {max_future_s} s ahead of this server's clock; correct the sender's clock, or send \
         the offset if the time is local"
    )]
    TooFarAhead {
        /// The event's time.
        time: Time,
        /// How far ahead is allowed, in seconds.
        max_future_s: i64,
    },
    /// A new customer, and no room.
    #[error("the profile store holds its limit of {0} customers; raise limits.customers or forget some")]
    StoreFull(usize),
    /// The event needs memory, and profiles take as much as they may.
    #[error(
        "profiles hold their limit of {0} bytes; raise limits.profile_bytes, forget some customers, or send the event \
         again later: silent customers are forgotten in the background"
    )]
    MemoryFull(usize),
    /// It does not fit what is known of the customer.
    #[error(transparent)]
    Misfit(#[from] Misfit),
}

/// How a decision is asked for.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Answer without counting an impression.
    pub dry_run: bool,
    /// Retries under this id within the minute get the same answer and count once.
    pub request_id: Option<RequestId>,
}

/// A decision as it is answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Whether to show, and why.
    pub reason: Reason,
    /// The score, where the policy came as far as asking for it.
    pub score: Option<Score>,
    /// The model that was asked, if one is loaded.
    pub model: Option<ModelId>,
    /// The decision's own id.
    pub id: DecisionId,
}

/// Store, campaign, model and counters.
pub struct Engine {
    settings: Settings,
    customers: Table<Customer>,
    tracks: Store<Track>,
    champion: ArcSwapOption<Champion>,
    newest_event_ms: AtomicI64,
    next_decision: AtomicU64,
    generation: AtomicU32,
    requests: RecentRequests,
    counters: Counters,
}

impl Engine {
    /// An engine with an empty store and no model.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            customers: Table::new(settings.expected_customers, settings.max_customers),
            tracks: Store::new(0, settings.max_tracks),
            champion: ArcSwapOption::empty(),
            newest_event_ms: AtomicI64::new(i64::MIN),
            next_decision: AtomicU64::new(settings.first_decision),
            generation: AtomicU32::new(1),
            requests: RecentRequests::default(),
            counters: Counters::default(),
            settings,
        }
    }

    /// Serves `model` from now on.
    ///
    /// # Errors
    /// The model's feature definition or window is not this engine's.
    pub fn promote(&self, model: Model) -> Result<(), ModelError> {
        model.check_serving(self.settings.window)?;
        let generation = self.generation.fetch_add(1, Ordering::Relaxed);
        let id = ModelId::new(model.id());
        let champion = Champion { scorer: Scorer::new(&model), id, model, generation };
        self.champion.store(Some(Arc::new(champion)));
        Ok(())
    }

    /// The model that is served.
    #[must_use]
    pub fn champion(&self) -> Option<Arc<Champion>> {
        self.champion.load_full()
    }

    /// What it was made of.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What has been counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// *Now* for windows and caps, in Unix milliseconds, when the wall clock says `wall_ms`.
    #[must_use]
    pub fn now_ms(&self, wall_ms: i64) -> i64 {
        match (self.settings.clock, self.newest_event_ms.load(Ordering::Relaxed)) {
            (Clock::Wall, _) | (Clock::Event, i64::MIN) => wall_ms,
            (Clock::Event, newest_ms) => newest_ms,
        }
    }

    /// Tells whether `event` would be refused, without changing anything; `wall_ms` in Unix milliseconds.
    ///
    /// # Errors
    /// See [`Rejection`].
    pub fn check(&self, event: &Event, wall_ms: i64) -> Result<(), Rejection> {
        self.check_time(event, wall_ms)?;
        let Settings { window, max_profile_bytes, .. } = self.settings;
        let no_room = self.profile_bytes() >= max_profile_bytes;
        let known = self.customers.with(&event.customer, |customer| {
            customer.profile.check(event)?;
            match no_room && customer.profile.grows_by(event, window.plays as usize) {
                true => Err(Rejection::MemoryFull(max_profile_bytes)),
                false => Ok(()),
            }
        });
        match known {
            Some(result) => result,
            None if self.customers.is_full() => Err(Rejection::StoreFull(self.customers.limit())),
            None if no_room => Err(Rejection::MemoryFull(max_profile_bytes)),
            None => Ok(Profile::default().check(event)?),
        }
    }

    fn check_time(&self, event: &Event, wall_ms: i64) -> Result<(), Rejection> {
        let max_future_ms = self.settings.max_future_ms;
        if event.time.unix_ms > wall_ms.saturating_add(max_future_ms) {
            return Err(Rejection::TooFarAhead { time: event.time, max_future_s: max_future_ms / 1000 });
        }
        Ok(())
    }

    /// Applies one event; the very next decision sees it. `wall_ms` in Unix milliseconds.
    ///
    /// # Errors
    /// See [`Rejection`]; nothing has changed then.
    pub fn apply(&self, event: Event, wall_ms: i64) -> Result<Applied, Rejection> {
        self.apply_within(event, wall_ms, self.settings.max_profile_bytes)
    }

    /// Applies an event of several that all passed [`Engine::check`] before the first was applied: none is refused for
    /// the memory that those before it took. `wall_ms` in Unix milliseconds.
    ///
    /// # Errors
    /// As for [`Engine::apply`], but for the limit on bytes.
    pub fn apply_checked(&self, event: Event, wall_ms: i64) -> Result<Applied, Rejection> {
        self.apply_within(event, wall_ms, usize::MAX)
    }

    fn apply_within(&self, event: Event, wall_ms: i64, max_bytes: usize) -> Result<Applied, Rejection> {
        let kind = Counted::from(&event.kind);
        let applied = self.apply_uncounted(event, wall_ms, max_bytes);
        self.counters.count_event(kind, outcome(&applied));
        applied
    }

    fn apply_uncounted(&self, event: Event, wall_ms: i64, max_bytes: usize) -> Result<Applied, Rejection> {
        self.check_time(&event, wall_ms)?;
        let max_plays = self.settings.window.plays as usize;
        let event_ms = event.time.unix_ms;
        let told_ms = match self.settings.clock {
            Clock::Wall => wall_ms.max(event_ms),
            Clock::Event => self.newest_event_ms.load(Ordering::Relaxed).max(event_ms),
        };
        let no_room = self.profile_bytes() >= max_bytes;
        let customer_id = event.customer.clone();
        let result = self.customers.update(customer_id, |customer: &mut Customer| {
            customer.profile.check(&event).map_err(Rejection::Misfit)?;
            if no_room && customer.profile.grows_by(&event, max_plays) {
                return Err(Rejection::MemoryFull(max_bytes));
            }
            Ok(customer.apply(event, max_plays, told_ms))
        });
        match result {
            Ok((applied, grown)) => {
                self.counters.add_plays(grown.plays);
                self.counters.add_bytes(grown.bytes);
                self.newest_event_ms.fetch_max(event_ms, Ordering::Relaxed);
                Ok(applied)
            }
            Err(UpdateError::Full) => Err(Rejection::StoreFull(self.customers.limit())),
            Err(UpdateError::Refused(rejection)) => Err(rejection),
        }
    }

    /// Decides for one customer; a *show* counts as an impression unless it is a dry run.
    /// `wall_ms` in Unix milliseconds.
    pub fn decide(&self, id: &Id, ask: &Ask, wall_ms: i64) -> Decision {
        let Some(request_id) = ask.request_id.as_ref().filter(|_| !ask.dry_run) else {
            return self.decide_anew(id, ask.dry_run, wall_ms);
        };
        let (decision, repeated) =
            self.requests.once(id, request_id, wall_ms, || self.decide_anew(id, false, wall_ms));
        if repeated {
            self.counters.count_retry();
        }
        decision
    }

    /// Has the cache fetch what is held of a customer who is about to be asked for, while others are answered.
    pub fn prefetch(&self, id: &Id) {
        self.customers.prefetch(id);
    }

    fn decide_anew(&self, id: &Id, dry_run: bool, wall_ms: i64) -> Decision {
        let now_ms = self.now_ms(wall_ms);
        let decision_id = DecisionId(self.next_decision.fetch_add(1, Ordering::Relaxed));
        let champion = self.champion.load();
        let known = self.customers.with_mut(id, |customer| {
            let window = &self.settings.window;
            let fresh = champion.as_deref().map(|champion| {
                customer.score(champion.generation, now_ms, |profile| {
                    decision::score(profile, &champion.scorer, window, now_ms)
                })
            });
            let campaign = &self.settings.campaign;
            let verdict = decision::decide(Some(&customer.profile), campaign, fresh, now_ms);
            if verdict.reason.shows() && !dry_run {
                let time = Time::from_unix_ms(now_ms);
                let grown = customer.count_decided_impression(decision_id, campaign.id.clone(), time);
                self.counters.add_bytes(grown);
            }
            verdict
        });
        let unknown = Verdict { reason: Reason::UnknownCustomer, value: None };
        let Verdict { reason, value } = known.unwrap_or(unknown);
        self.counters.count_decision(reason, dry_run);
        let model = champion.as_ref().map(|champion| champion.id);
        let probability =
            |value: f64| champion.as_ref().and_then(|champion| champion.scorer.probability(value));
        let score = value.map(|value| Score { value, probability: probability(value) });
        Decision { reason, score, model, id: decision_id }
    }

    /// A copy of all that is held of one customer.
    #[must_use]
    pub fn profile(&self, id: &Id) -> Option<Profile> {
        self.customers.with(id, |customer| customer.profile.clone())
    }

    /// Whether any event of this customer was told.
    #[must_use]
    pub fn knows(&self, id: &Id) -> bool {
        self.customers.with(id, |_| ()).is_some()
    }

    /// Bytes that profiles take: what they ask of the allocator and their share of the map, without the allocator's own
    /// overhead.
    #[must_use]
    pub fn profile_bytes(&self) -> usize {
        self.counters.profile_bytes()
    }

    /// How many customers are held.
    #[must_use]
    pub fn customer_count(&self) -> usize {
        self.customers.len()
    }
}

fn outcome<E>(applied: &Result<Applied, E>) -> Outcome {
    match applied {
        Ok(Applied::Accepted) => Outcome::Accepted,
        Ok(Applied::Duplicate) => Outcome::Duplicate,
        Err(_) => Outcome::Rejected,
    }
}

#[cfg(test)]
mod tests;
