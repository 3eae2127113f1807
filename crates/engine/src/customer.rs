//! One customer's record in the store: the profile, the cached counts, and the time of the last event.

use upbeat_core::event::{DecisionId, Event, EventKind, Id, Time};
use upbeat_core::feature::{Counts, FEATURE_COUNT, WindowCounts, counts_in};
use upbeat_core::profile::{Applied, Bounds, Profile, Window};

use crate::table::prefetch;

/// Bytes of the table that one customer takes at the lowest load: a shard that has just grown has two of three slots
/// taken.
pub const CUSTOMER_BYTES: usize = size_of::<Option<(Id, Customer)>>() * 3 / 2;

/// One customer's record: 80 bytes, and the profile's memory on the heap.
#[derive(Debug, Clone)]
pub struct Customer {
    /// What is known of the customer.
    pub profile: Profile,
    cached: PackedCounts,
    /// When an event was last accepted, in whole seconds since 1970 by the engine's clock.
    last_event_s: u32,
    /// Nothing of the ad history is later, in whole seconds since 1970. Many decisions need not read the history for that.
    history_s: u32,
}

impl Default for Customer {
    fn default() -> Self {
        Self { profile: Profile::default(), cached: PackedCounts::NONE, last_event_s: 0, history_s: 0 }
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
            self.cached.drop_counts();
            if !is_play {
                self.history_s = history_of(&self.profile);
            }
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
        self.history_s = history_of(&self.profile);
        difference(self.profile.heap_bytes(), before)
    }

    /// The counts of the window at `now_ms` (Unix milliseconds): the cached ones while they are valid, otherwise counted again.
    #[inline]
    pub(super) fn counts(&mut self, window: &Window, now_ms: i64) -> Counts {
        if !self.cached.are_valid(now_ms) {
            self.cached.put(&counts_in(&self.profile, window, now_ms));
        }
        self.cached.counts()
    }

    /// Nothing of the ad history is later, in Unix milliseconds.
    #[inline]
    pub(super) fn history_ms(&self) -> i64 {
        debug_assert_eq!(self.history_s, history_of(&self.profile), "every change of the profile renews it");
        if self.history_s == u32::MAX { i64::MAX } else { i64::from(self.history_s) * 1000 }
    }

    /// Prefetches what rules ask of the ad history, where a rule that looks back for so many milliseconds asks.
    #[inline]
    pub(super) fn prefetch_history(&self, now_ms: i64, longest_ms: i64) {
        if self.history_ms() > now_ms.saturating_sub(longest_ms) {
            self.profile.digest().into_iter().for_each(prefetch);
        }
    }

    /// The local day of the last toss for an unlikely decision, in days since 1970; 0 if there was none. It is state, not cached:
    /// the log and snapshots keep it.
    pub(super) fn explored_day(&self) -> u16 {
        self.cached.explored_day
    }

    /// There was a toss on this local day, in days since 1970.
    pub(super) fn set_explored_day(&mut self, day: u16) {
        self.cached.explored_day = day;
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
    pub(super) fn restored(profile: Profile, last_event_s: u32, explored_day: u16) -> Self {
        let history_s = history_of(&profile);
        Self { profile, cached: PackedCounts { explored_day, ..PackedCounts::NONE }, last_event_s, history_s }
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
        self.history_s = history_of(&self.profile);
        self.cached.drop_counts();
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
        Some(Self::restored(profile, self.last_event_s, self.explored_day()))
    }

    /// Bytes that this record takes under `id`, in the table and on the heap.
    pub(super) fn bytes(&self, id: &Id) -> usize {
        CUSTOMER_BYTES + id.heap_bytes() + self.profile.heap_bytes()
    }
}

/// The counts of the window, how long they are valid, and the day of the last toss, in 24 bytes. They serve every model. They are
/// valid for whole seconds only: in the second in which their validity begins or ends, every decision counts again.
#[derive(Debug, Clone, Copy)]
struct PackedCounts {
    plays: u16,
    parts: [u16; FEATURE_COUNT],
    explored_day: u16,
    from_s: u32,
    /// 0 if no counts are cached.
    until_s: u32,
}

impl PackedCounts {
    const NONE: Self = Self { plays: 0, parts: [0; FEATURE_COUNT], explored_day: 0, from_s: 0, until_s: 0 };

    fn put(&mut self, window: &WindowCounts) {
        let Counts { plays, parts } = window.counts;
        let (from_s, until_s) =
            (whole_seconds(window.from_ms.saturating_add(999)), whole_seconds(window.until_ms));
        *self = Self { plays, parts, explored_day: self.explored_day, from_s, until_s };
    }

    fn drop_counts(&mut self) {
        self.until_s = 0;
    }

    fn are_valid(&self, now_ms: i64) -> bool {
        (i64::from(self.from_s)..i64::from(self.until_s)).contains(&now_ms.div_euclid(1000))
    }

    fn counts(&self) -> Counts {
        Counts { plays: self.plays, parts: self.parts }
    }
}

/// The signed difference; both numbers of bytes are far below half of the address space.
fn difference(after: usize, before: usize) -> isize {
    after as isize - before as isize
}

/// The end of the second of the newest in a profile's ad history, in whole seconds since 1970; 0 if there is none.
fn history_of(profile: &Profile) -> u32 {
    profile.history_ms().map_or(0, |newest_ms| whole_seconds(newest_ms.saturating_add(999)))
}

/// Unix seconds, rounded down and clamped to the range from 1970 to 2106.
fn whole_seconds(unix_ms: i64) -> u32 {
    u32::try_from(unix_ms.div_euclid(1000).max(0)).unwrap_or(u32::MAX)
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use upbeat_core::encoding::{Decoder, put_id, put_varint};

    use super::*;
    use crate::storage::blocks::{self, VERSION};

    #[test]
    fn day_of_the_last_toss_outlives_events_and_snapshots_and_earlier_snapshots_have_none() {
        let id = Id::Number(48);
        let mut customer = Customer::restored(Profile::default(), 9, 20_000);
        let kind = EventKind::Play { track: Id::Number(1), mobile: true };
        let event = Event { customer: id.clone(), id: Id::Number(1), time: Time::from_unix_ms(1000), kind };
        let (window, bounds) = (Window::default(), Bounds { plays: 256, campaigns: &[] });
        assert_eq!(customer.counts(&window, 2000).plays, 0);
        customer.apply(event, &bounds, 2000);
        assert_eq!((customer.explored_day(), customer.counts(&window, 2000).plays), (20_000, 1));
        let mut block = Vec::new();
        blocks::put_customer(&mut block, &id, &customer);
        let (_, read) = blocks::customer(&mut Decoder::new(&block), VERSION, &[]).expect("it was written");
        assert_eq!((read.explored_day(), &read.profile), (20_000, &customer.profile));
        // As version 2 wrote it.
        block.clear();
        put_id(&mut block, id.as_ref());
        put_varint(&mut block, 9);
        customer.profile.encode(&mut block);
        let (_, read) = blocks::customer(&mut Decoder::new(&block), 2, &[]).expect("it is an earlier one");
        assert_eq!((read.explored_day(), &read.profile), (0, &customer.profile));
    }
}
