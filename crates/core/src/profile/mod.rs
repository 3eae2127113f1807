//! What is known of one customer: recent plays, membership, ad history.
//!
//! A profile is a function of the set of its events: neither the order of arrival nor repeats matter.

mod dropped;
mod membership;
mod packed;
mod plays;
mod recent;
mod window;
mod words;

pub use plays::{Play, PlayRef, RecentPlays};
pub use recent::{Recent, RecentEntry, keep_distinct};
pub use window::Window;

use dropped::Dropped;
use membership::LatestMembership;
use plays::Plays;

use crate::event::{DecisionId, Event, EventKind, Id, ImpressionOf, Membership, Time};

/// How many impressions, and how many clicks, a profile keeps; also the highest cap that a campaign may set.
pub const AD_HISTORY_LIMIT: usize = 64;

/// One membership change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipChange {
    /// When the level began.
    pub time: Time,
    /// The event's id.
    pub event_id: Id,
    /// The level since that time.
    pub level: Membership,
}

/// One ad played, as reported or as decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impression {
    /// When the ad was played, or decided.
    pub time: Time,
    /// The event's id; for a decision, the decision's.
    pub event_id: Id,
    /// The campaign whose ad was played.
    pub campaign: Id,
    /// The decision that asked for it, if one did.
    pub decision: Option<DecisionId>,
    /// Whether an impression event has confirmed it; a reported one always is.
    pub confirmed: bool,
}

/// One ad clicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// When the ad was clicked.
    pub time: Time,
    /// The event's id.
    pub event_id: Id,
    /// Which ad.
    pub ad: Id,
}

macro_rules! entries_keyed_by_time_and_event_id {
    ($($entry:ty, [$($id:ident),*];)*) => {$(
        impl RecentEntry for $entry {
            fn key(&self) -> (Time, &Id) {
                (self.time, &self.event_id)
            }

            fn heap_bytes(&self) -> usize {
                [$(&self.$id),*].into_iter().map(Id::heap_bytes).sum()
            }
        }
    )*};
}
entries_keyed_by_time_and_event_id! {
    MembershipChange, [event_id];
    Impression, [event_id, campaign];
    Click, [event_id, ad];
}

/// The result of applying an event to a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The event was new.
    Accepted,
    /// The event had been applied before and changed nothing.
    Duplicate,
}

/// Why an event contradicts what a profile holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventConflict {
    /// An impression names a decision that is not in this customer's ad history.
    #[error(
        "decision_id {0} is not among this customer's last {AD_HISTORY_LIMIT} impressions; send the decision_id of a \
         recent answer with \"show\":true, or name the campaign instead"
    )]
    UnknownDecision(DecisionId),
    /// A membership change has the id and time of a known one, and another level.
    #[error(
        "this customer already became {} at {time}, reported under the same id and time; send the change with the later \
         time at which it came about (for a customer file: ?as_of=YYYY-MM-DDTHH:MM:SS, the time of its export)",
        level.name()
    )]
    Membership {
        /// The known level.
        level: Membership,
        /// When the known level began.
        time: Time,
    },
}

/// What is known of one customer.
///
/// The layout is made for millions of profiles: 48 bytes in place, the plays on the heap, and a second block on the
/// heap for what few customers have.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    plays: Plays,
    membership: LatestMembership,
    extras: Option<Box<Extras>>,
}

/// What most profiles do not have.
#[derive(Debug, Clone, Default)]
struct Extras {
    memberships: Recent<MembershipChange>,
    impressions: Recent<Impression>,
    clicks: Recent<Click>,
    dropped_plays: Dropped,
}

/// Equal when the same events are kept, in any layout.
impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        self.plays().iter().eq(other.plays().iter())
            && self.membership() == other.membership()
            && self.memberships() == other.memberships()
            && self.impressions() == other.impressions()
            && self.clicks() == other.clicks()
    }
}

impl Eq for Profile {}

impl Profile {
    /// Checks whether `event` may be applied, without changing anything.
    ///
    /// # Errors
    /// The event contradicts what is known: see [`EventConflict`].
    pub fn check(&self, event: &Event) -> Result<(), EventConflict> {
        match &event.kind {
            EventKind::Impression(ImpressionOf::Decision(decision)) => {
                let known = self.impressions().iter().any(|known| known.decision == Some(*decision));
                known.then_some(()).ok_or(EventConflict::UnknownDecision(*decision))
            }
            EventKind::Membership(level) => {
                let known = self.membership.find(self.listed_memberships(), event.time, &event.id);
                match known.filter(|change| change.level != *level) {
                    Some(MembershipChange { level, time, .. }) => {
                        Err(EventConflict::Membership { level, time })
                    }
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Applies an event that [`Profile::check`] has accepted; keeps at most `max_plays` plays, the most recent.
    pub fn apply(&mut self, event: Event, max_plays: usize) -> Applied {
        let Self { plays, membership, extras } = self;
        let Event { id: event_id, time, kind, .. } = event;
        match kind {
            EventKind::Play { track, mobile } => {
                plays.insert(time, event_id, track, mobile, max_plays, || {
                    &mut extras.get_or_insert_default().dropped_plays
                })
            }
            EventKind::Click { ad } => {
                extras.get_or_insert_default().clicks.insert(Click { time, event_id, ad }, AD_HISTORY_LIMIT)
            }
            EventKind::Membership(level) => {
                let change = MembershipChange { time, event_id, level };
                membership.insert(change, || &mut extras.get_or_insert_default().memberships)
            }
            EventKind::Impression(ImpressionOf::Campaign(campaign)) => {
                let impression = Impression { time, event_id, campaign, decision: None, confirmed: true };
                extras.get_or_insert_default().impressions.insert(impression, AD_HISTORY_LIMIT)
            }
            EventKind::Impression(ImpressionOf::Decision(decision)) => self.confirm(decision),
        }
    }

    /// Whether applying `event` would take more memory.
    #[must_use]
    pub fn would_grow(&self, event: &Event, max_plays: usize) -> bool {
        let Event { id, time, kind, .. } = event;
        let extras = self.extras.as_deref();
        match kind {
            EventKind::Play { track, .. } => {
                let dropped = extras.map(|extras| &extras.dropped_plays);
                self.plays.would_grow(*time, id, track, max_plays, dropped)
            }
            EventKind::Click { .. } => {
                extras.is_none_or(|extras| extras.clicks.would_grow(*time, id, AD_HISTORY_LIMIT))
            }
            EventKind::Membership(level) => {
                let change = MembershipChange { time: *time, event_id: id.clone(), level: *level };
                self.membership.would_grow(self.listed_memberships(), &change)
            }
            EventKind::Impression(ImpressionOf::Campaign(_)) => {
                extras.is_none_or(|extras| extras.impressions.would_grow(*time, id, AD_HISTORY_LIMIT))
            }
            EventKind::Impression(ImpressionOf::Decision(_)) => false,
        }
    }

    /// Records that `decision` said *show* at `time`: an impression that counts towards the cap and is not yet
    /// confirmed.
    pub fn count_decided_impression(&mut self, decision: DecisionId, campaign: Id, time: Time) {
        let impression = Impression {
            time,
            event_id: Id::Text(decision.to_string().into()),
            campaign,
            decision: Some(decision),
            confirmed: false,
        };
        self.extras.get_or_insert_default().impressions.insert(impression, AD_HISTORY_LIMIT);
    }

    fn confirm(&mut self, decision: DecisionId) -> Applied {
        let mut impressions = self.extras.iter_mut().flat_map(|extras| extras.impressions.iter_mut());
        match impressions.find(|impression| impression.decision == Some(decision)) {
            Some(impression) if !impression.confirmed => {
                impression.confirmed = true;
                Applied::Accepted
            }
            _ => Applied::Duplicate,
        }
    }

    /// Drops plays, impressions, clicks, and all memberships but the latest level; returns whether the profile is now
    /// that of an unknown customer (latest level Free or none).
    pub fn drop_behaviour(&mut self) -> bool {
        let latest = self.membership();
        *self = Self::default();
        match latest.filter(|change| change.level != Membership::Free) {
            None => true,
            Some(change) => {
                let Self { membership, extras, .. } = self;
                membership.insert(change, || &mut extras.get_or_insert_default().memberships);
                false
            }
        }
    }

    /// All plays kept, oldest first, whether or not they are still in the window.
    #[must_use]
    pub fn plays(&self) -> RecentPlays<'_> {
        self.plays.all()
    }

    /// The plays in the window at `now_ms` (Unix milliseconds), oldest first.
    #[must_use]
    pub fn plays_in(&self, window: &Window, now_ms: i64) -> RecentPlays<'_> {
        self.plays.in_window(window, now_ms)
    }

    /// The latest level; `None` if none was ever reported.
    #[must_use]
    pub fn level(&self) -> Option<Membership> {
        self.membership.level()
    }

    /// The latest membership change; `None` if none was ever reported.
    #[must_use]
    pub fn membership(&self) -> Option<MembershipChange> {
        self.membership.change(self.listed_memberships())
    }

    fn listed_memberships(&self) -> Option<&Recent<MembershipChange>> {
        self.extras.as_deref().map(|extras| &extras.memberships)
    }

    /// The membership changes in the list, which has all of them or none.
    fn memberships(&self) -> &[MembershipChange] {
        self.listed_memberships().map_or(&[], Recent::as_slice)
    }

    /// The last impressions, oldest first; at most [`AD_HISTORY_LIMIT`].
    #[must_use]
    pub fn impressions(&self) -> &[Impression] {
        self.extras.as_deref().map_or(&[], |extras| extras.impressions.as_slice())
    }

    /// The last clicks, oldest first; at most [`AD_HISTORY_LIMIT`].
    #[must_use]
    pub fn clicks(&self) -> &[Click] {
        self.extras.as_deref().map_or(&[], |extras| extras.clicks.as_slice())
    }

    /// How many of a campaign's impressions are later than `after_ms` (Unix milliseconds), `0..=AD_HISTORY_LIMIT`.
    #[must_use]
    pub fn impressions_after(&self, campaign: &Id, after_ms: i64) -> usize {
        let recent = self.impressions().iter().rev();
        recent
            .take_while(|impression| impression.time.unix_ms > after_ms)
            .filter(|impression| impression.campaign == *campaign)
            .count()
    }

    /// Bytes on the heap, as requested of the allocator; ids that profiles share are counted for each of them.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let lists = self.extras.as_deref().map_or(0, |extras| {
            extras.memberships.heap_bytes() + extras.impressions.heap_bytes() + extras.clicks.heap_bytes()
        });
        self.play_bytes() + lists
    }

    /// The part of [`Profile::heap_bytes`] that a play can change.
    #[must_use]
    pub fn play_bytes(&self) -> usize {
        let extras = self
            .extras
            .as_deref()
            .map_or(0, |extras| size_of::<Extras>() + extras.dropped_plays.heap_bytes());
        self.plays.heap_bytes() + extras
    }
}

#[cfg(test)]
mod tests;
