//! One customer as the store holds them: the profile, the score while it stays fresh, and when they were last told of.

use crate::decision::FreshScore;
use crate::event::{DecisionId, Event, EventKind, Id, Time};
use crate::profile::{Applied, Profile};

/// Bytes of the table that a customer takes where it is at its thinnest: it has just grown, and two slots of three are
/// taken.
pub const CUSTOMER_BYTES: usize = size_of::<Option<(Id, Customer)>>() * 3 / 2;

/// One customer: 80 bytes, and what the profile holds beside them.
#[derive(Debug, Clone)]
pub struct Customer {
    /// What is known.
    pub profile: Profile,
    fresh: PackedScore,
    /// When an event was last accepted, in whole seconds since 1970 by the engine's clock.
    told_s: u32,
}

impl Default for Customer {
    fn default() -> Self {
        Self { profile: Profile::default(), fresh: PackedScore::NONE, told_s: 0 }
    }
}

/// What an event added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grown {
    pub(super) plays: usize,
    /// Below 0 where a full list let go of an entry with longer ids.
    pub(super) bytes: isize,
}

impl Customer {
    /// Applies an event that fits, told at `told_ms` by the engine's clock (Unix milliseconds).
    pub(super) fn apply(&mut self, event: Event, max_plays: usize, told_ms: i64) -> (Applied, Grown) {
        let first = self.told_s == 0;
        let customer_bytes = if first { CUSTOMER_BYTES + event.customer.heap_bytes() } else { 0 };
        let is_play = matches!(event.kind, EventKind::Play { .. });
        let bytes = |profile: &Profile| if is_play { profile.play_bytes() } else { profile.heap_bytes() };
        let (plays_before, bytes_before) = (self.profile.plays().len(), bytes(&self.profile));
        let applied = self.profile.apply(event, max_plays);
        if applied == Applied::Accepted {
            self.fresh = PackedScore::NONE;
            self.told_s = self.told_s.max(whole_seconds(told_ms)).max(1);
        }
        let grown = Grown {
            plays: self.profile.plays().len() - plays_before,
            bytes: difference(customer_bytes + bytes(&self.profile), bytes_before),
        };
        (applied, grown)
    }

    /// Remembers that a decision said *show*; how many bytes that took. Who has just been shown an ad is not silent: the
    /// cap and the confirmation to come need what is held.
    pub(super) fn count_decided_impression(
        &mut self,
        decision: DecisionId,
        campaign: Id,
        time: Time,
    ) -> isize {
        self.told_s = self.told_s.max(whole_seconds(time.unix_ms));
        let before = self.profile.heap_bytes();
        self.profile.count_decided_impression(decision, campaign, time);
        difference(self.profile.heap_bytes(), before)
    }

    /// What the model of this generation says at `now_ms` (Unix milliseconds): what it said before, while that holds.
    pub(super) fn score(
        &mut self,
        generation: u32,
        now_ms: i64,
        make: impl FnOnce(&Profile) -> FreshScore,
    ) -> FreshScore {
        if self.fresh.holds(generation, now_ms) {
            return self.fresh.unpack();
        }
        let fresh = make(&self.profile);
        self.fresh = PackedScore::pack(generation, &fresh);
        fresh
    }

    /// Whether no event was accepted since `before_ms` (Unix milliseconds).
    pub(super) fn is_silent(&self, before_ms: i64) -> bool {
        i64::from(self.told_s) * 1000 < before_ms
    }

    /// Forgets all but a membership above Free; whether nothing is left.
    pub(super) fn forget_behaviour(&mut self) -> bool {
        self.fresh = PackedScore::NONE;
        self.profile.forget_behaviour()
    }

    /// Bytes that this customer, under `id`, takes.
    pub(super) fn bytes(&self, id: &Id) -> usize {
        CUSTOMER_BYTES + id.heap_bytes() + self.profile.heap_bytes()
    }
}

/// A [`FreshScore`] and the generation of the model that made it, in 24 bytes. It holds for whole seconds only: in the
/// second in which it begins or ceases to hold, a score is made anew each time.
#[derive(Debug, Clone, Copy)]
struct PackedScore {
    value: f64,
    /// 0 where there is no score.
    generation: u32,
    plays: u32,
    from_s: u32,
    until_s: u32,
}

impl PackedScore {
    const NONE: Self = Self { value: 0.0, generation: 0, plays: 0, from_s: 0, until_s: 0 };

    fn pack(generation: u32, fresh: &FreshScore) -> Self {
        Self {
            value: fresh.value.unwrap_or(0.0),
            generation,
            plays: u32::try_from(fresh.plays).unwrap_or(u32::MAX),
            from_s: whole_seconds(fresh.from_ms.saturating_add(999)),
            until_s: whole_seconds(fresh.until_ms),
        }
    }

    fn holds(&self, generation: u32, now_ms: i64) -> bool {
        let seconds = i64::from(self.from_s)..i64::from(self.until_s);
        self.generation == generation && seconds.contains(&now_ms.div_euclid(1000))
    }

    fn unpack(&self) -> FreshScore {
        FreshScore {
            value: (self.plays > 0).then_some(self.value),
            plays: self.plays as usize,
            from_ms: i64::from(self.from_s) * 1000,
            until_ms: i64::from(self.until_s) * 1000,
        }
    }
}

/// How many more bytes there are; both are far below half of the address space.
fn difference(after: usize, before: usize) -> isize {
    after as isize - before as isize
}

/// Rounded down, and held between 1970 and 2106.
fn whole_seconds(unix_ms: i64) -> u32 {
    u32::try_from(unix_ms.div_euclid(1000).max(0)).unwrap_or(u32::MAX)
}
