//! One customer's record in the store: the profile, the cached score, and the time of the last event.

use upbeat_core::decision::CachedScore;
use upbeat_core::event::{DecisionId, Event, EventKind, Id, Time};
use upbeat_core::profile::{Applied, Bounds, Profile};

/// Bytes of the table that one customer takes at the lowest load: a shard that has just grown has two of three slots
/// taken.
pub const CUSTOMER_BYTES: usize = size_of::<Option<(Id, Customer)>>() * 3 / 2;

/// One customer's record: 80 bytes, and the profile's memory on the heap.
#[derive(Debug, Clone)]
pub struct Customer {
    /// What is known of the customer.
    pub profile: Profile,
    cached: PackedScore,
    /// When an event was last accepted, in whole seconds since 1970 by the engine's clock.
    last_event_s: u32,
}

impl Default for Customer {
    fn default() -> Self {
        Self { profile: Profile::default(), cached: PackedScore::NONE, last_event_s: 0 }
    }
}

/// The growth of a record by one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Growth {
    pub(super) plays: usize,
    /// Negative where a full list dropped an entry with longer ids.
    pub(super) bytes: isize,
}

impl Growth {
    pub(super) const NONE: Self = Self { plays: 0, bytes: 0 };
}

/// A decision that said *show*, of which no impression is known.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) decision: DecisionId,
    pub(super) campaign: Id,
}

impl Customer {
    /// Applies an event that [`Profile::check`] has accepted. `last_event_ms` is the engine's clock (Unix
    /// milliseconds).
    pub(super) fn apply(
        &mut self,
        event: Event,
        bounds: &Bounds<'_>,
        last_event_ms: i64,
    ) -> (Applied, Growth) {
        let first = self.last_event_s == 0;
        let customer_bytes = if first { CUSTOMER_BYTES + event.customer.heap_bytes() } else { 0 };
        let is_play = matches!(event.kind, EventKind::Play { .. });
        let bytes = |profile: &Profile| if is_play { profile.play_bytes() } else { profile.heap_bytes() };
        let (plays_before, bytes_before) = (self.profile.plays().len(), bytes(&self.profile));
        let applied = self.profile.apply(event, bounds);
        if matches!(applied, Applied::Accepted | Applied::Replaced) {
            self.cached = PackedScore::NONE;
        }
        if applied == Applied::Accepted {
            self.last_event_s = self.last_event_s.max(Self::last_event_of(last_event_ms));
        }
        let growth = Growth {
            plays: self.profile.plays().len() - plays_before,
            bytes: difference(customer_bytes + bytes(&self.profile), bytes_before),
        };
        (applied, growth)
    }

    /// Applies an event that confirms a decision of which no impression is known, though it was shown, as [`Profile::check_lost`]
    /// has allowed: the impression counts from the event's time on.
    pub(super) fn apply_lost(
        &mut self,
        event: Event,
        lost: &Lost,
        bounds: &Bounds<'_>,
        last_event_ms: i64,
    ) -> (Applied, Growth) {
        let is_new = self.last_event_s == 0;
        let customer_bytes = CUSTOMER_BYTES + event.customer.heap_bytes();
        let time = Time::from_unix_ms(event.time.unix_ms);
        let grown = self.count_decided_impression(lost.decision, lost.campaign.clone(), time, bounds);
        let grown = if is_new && self.last_event_s > 0 { grown + customer_bytes as isize } else { grown };
        let (applied, growth) = self.apply(event, bounds, last_event_ms);
        (applied, Growth { bytes: growth.bytes + grown, ..growth })
    }

    /// The time of the last event that [`Customer::apply`] would record for this time, in whole seconds since 1970.
    pub(super) fn last_event_of(last_event_ms: i64) -> u32 {
        whole_seconds(last_event_ms).max(1)
    }

    /// Records that a decision said *show*; returns how many bytes that took. A customer who has just been shown an ad
    /// is not idle: the cap and the impression event to come need the profile.
    pub(super) fn count_decided_impression(
        &mut self,
        decision: DecisionId,
        campaign: Id,
        time: Time,
        bounds: &Bounds<'_>,
    ) -> isize {
        self.last_event_s = self.last_event_s.max(whole_seconds(time.unix_ms));
        let before = self.profile.heap_bytes();
        self.profile.count_decided_impression(decision, campaign, time, bounds);
        difference(self.profile.heap_bytes(), before)
    }

    /// The score by the model of this generation at `now_ms` (Unix milliseconds): the cached one while it is valid,
    /// otherwise recomputed by `compute`.
    pub(super) fn score(
        &mut self,
        generation: u32,
        now_ms: i64,
        compute: impl FnOnce(&Profile) -> CachedScore,
    ) -> CachedScore {
        if self.cached.is_valid(generation, now_ms) {
            return self.cached.unpack();
        }
        let score = compute(&self.profile);
        self.cached = PackedScore::pack(generation, &score);
        score
    }

    /// Whether no event was accepted since `before_ms` (Unix milliseconds).
    pub(super) fn is_idle(&self, before_ms: i64) -> bool {
        i64::from(self.last_event_s) * 1000 < before_ms
    }

    /// Whether the last event is later than `latest_ms`, in Unix milliseconds.
    pub(super) fn is_ahead_of(&self, latest_ms: i64) -> bool {
        i64::from(self.last_event_s) * 1000 > latest_ms
    }

    /// A record as it was kept.
    pub(super) fn restored(profile: Profile, last_event_s: u32) -> Self {
        Self { profile, cached: PackedScore::NONE, last_event_s }
    }

    /// When an event was last accepted, in whole seconds since 1970; 0 for a new record.
    pub(super) fn last_event_s(&self) -> u32 {
        self.last_event_s
    }

    /// The newest time of any event that is held, in Unix milliseconds. Where nothing but a membership is, the events that were
    /// evicted beside it may be newer: then it is the end of the second in which an event was last accepted, if that is later.
    pub(super) fn newest_ms(&self) -> i64 {
        let newest_ms = self.profile.newest_ms().unwrap_or(i64::MIN);
        if self.profile.is_membership_alone() {
            newest_ms.max(i64::from(self.last_event_s) * 1000 + 999)
        } else {
            newest_ms
        }
    }

    /// Takes another profile.
    pub(super) fn set_profile(&mut self, profile: Profile) {
        self.profile = profile;
        self.cached = PackedScore::NONE;
    }

    /// Takes the later of this time and that of the last event.
    pub(super) fn raise_last_event(&mut self, last_event_s: u32) {
        self.last_event_s = self.last_event_s.max(last_event_s);
    }

    /// Takes another time for that of the last event.
    pub(super) fn set_last_event(&mut self, last_event_s: u32) {
        self.last_event_s = last_event_s;
    }

    /// What is left of the record without behaviour: a membership above Free, if there is one.
    pub(super) fn without_behaviour(&self) -> Option<Self> {
        let profile = self.profile.without_behaviour()?;
        Some(Self { profile, cached: PackedScore::NONE, last_event_s: self.last_event_s })
    }

    /// Bytes that this record takes under `id`, in the table and on the heap.
    pub(super) fn bytes(&self, id: &Id) -> usize {
        CUSTOMER_BYTES + id.heap_bytes() + self.profile.heap_bytes()
    }
}

/// A [`CachedScore`] and the generation of its model, in 24 bytes. It is valid for whole seconds only: in the second in
/// which its validity begins or ends, every decision recomputes the score.
#[derive(Debug, Clone, Copy)]
struct PackedScore {
    value: f64,
    /// 0 if no score is cached.
    generation: u32,
    plays: u32,
    from_s: u32,
    until_s: u32,
}

impl PackedScore {
    const NONE: Self = Self { value: 0.0, generation: 0, plays: 0, from_s: 0, until_s: 0 };

    fn pack(generation: u32, score: &CachedScore) -> Self {
        Self {
            value: score.value.unwrap_or(0.0),
            generation,
            plays: u32::try_from(score.plays).unwrap_or(u32::MAX),
            from_s: whole_seconds(score.from_ms.saturating_add(999)),
            until_s: whole_seconds(score.until_ms),
        }
    }

    fn is_valid(&self, generation: u32, now_ms: i64) -> bool {
        let seconds = i64::from(self.from_s)..i64::from(self.until_s);
        self.generation == generation && seconds.contains(&now_ms.div_euclid(1000))
    }

    fn unpack(&self) -> CachedScore {
        CachedScore {
            value: (self.plays > 0).then_some(self.value),
            plays: self.plays as usize,
            from_ms: i64::from(self.from_s) * 1000,
            until_ms: i64::from(self.until_s) * 1000,
        }
    }
}

/// The signed difference; both numbers of bytes are far below half of the address space.
fn difference(after: usize, before: usize) -> isize {
    after as isize - before as isize
}

/// Unix seconds, rounded down and clamped to the range from 1970 to 2106.
fn whole_seconds(unix_ms: i64) -> u32 {
    u32::try_from(unix_ms.div_euclid(1000).max(0)).unwrap_or(u32::MAX)
}
