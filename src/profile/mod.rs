//! What is known of one customer: recent plays, membership, ad history.
//!
//! A profile is a function of the set of its events: neither the order of arrival nor repeats matter.

mod membership;
mod packed;
mod passed;
mod plays;
mod recent;
mod words;

pub use plays::{Play, PlayRef, PlaysIn};
pub use recent::{Recent, RecentEntry};

use membership::Latest;
use passed::Passed;
use plays::Plays;

use crate::event::{DAY_MS, DecisionId, Event, EventKind, Id, ImpressionOf, Membership, Time};

/// The most recent plays that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// At most this many plays, `1..=65_536`.
    pub plays: u32,
    /// At most this many days old, `1..=36_500`.
    pub days: u32,
}

impl Default for Window {
    fn default() -> Self {
        Self { plays: 256, days: 28 }
    }
}

impl Window {
    /// The earliest instant that is still in the window at `now_ms`; both in Unix milliseconds.
    #[must_use]
    pub fn start_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(i64::from(self.days) * DAY_MS)
    }
}

/// How many impressions, and how many clicks, a profile remembers; also the highest cap a campaign may set.
pub const AD_HISTORY_LIMIT: usize = 64;

/// One membership change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipChange {
    /// From when on.
    pub time: Time,
    /// The event's id.
    pub event_id: Id,
    /// The level from then on.
    pub level: Membership,
}

/// One ad played, as reported or as decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impression {
    /// When it was played, or decided.
    pub time: Time,
    /// The event's id; for a decision, the decision's.
    pub event_id: Id,
    /// Whose ad.
    pub campaign: Id,
    /// The decision that asked for it, if one did.
    pub decision: Option<DecisionId>,
    /// Whether an impression event has named it.
    pub confirmed: bool,
}

/// One ad clicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// When.
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

/// What an event did to a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It was new.
    Accepted,
    /// It had been told before and changed nothing.
    Duplicate,
}

/// Why an event does not fit a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// An impression names a decision that this customer's recent history does not hold.
    #[error(
        "decision_id {0} is not among this customer's last {AD_HISTORY_LIMIT} impressions; send the decision_id of a \
         recent answer with \"show\":true, or name the campaign instead"
    )]
    UnknownDecision(DecisionId),
    /// A membership change under the id and time of another one with another level.
    #[error(
        "this customer already became {} at {time}, told under the same id and time; send the change with the later \
         time at which it came about (for a customer file: ?as_of=YYYY-MM-DDTHH:MM:SS, the time of its export)",
        level.name()
    )]
    MembershipConflict {
        /// The level known.
        level: Membership,
        /// Since when.
        time: Time,
    },
}

/// What is known of one customer.
///
/// Laid out for millions of them: 48 bytes, the plays on the heap, and the rest only for those who have it.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    plays: Plays,
    membership: Latest,
    more: Option<Box<More>>,
}

/// What most profiles have not.
#[derive(Debug, Clone, Default)]
struct More {
    memberships: Recent<MembershipChange>,
    impressions: Recent<Impression>,
    clicks: Recent<Click>,
    passed_plays: Passed,
}

/// Equal when the same events are kept, in whatever form.
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
    /// Tells whether `event` could be applied, without changing anything.
    ///
    /// # Errors
    /// See [`Misfit`].
    pub fn check(&self, event: &Event) -> Result<(), Misfit> {
        match &event.kind {
            EventKind::Impression(ImpressionOf::Decision(decision)) => {
                let known = self.impressions().iter().any(|known| known.decision == Some(*decision));
                known.then_some(()).ok_or(Misfit::UnknownDecision(*decision))
            }
            EventKind::Membership(level) => {
                let known = self.membership.find(self.listed_memberships(), event.time, &event.id);
                match known.filter(|change| change.level != *level) {
                    Some(MembershipChange { level, time, .. }) => {
                        Err(Misfit::MembershipConflict { level, time })
                    }
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Applies an event that [`Profile::check`] has passed; keeps at most `max_plays` plays.
    pub fn apply(&mut self, event: Event, max_plays: usize) -> Applied {
        let Self { plays, membership, more } = self;
        let Event { id: event_id, time, kind, .. } = event;
        match kind {
            EventKind::Play { track, mobile } => {
                plays.insert(time, event_id, track, mobile, max_plays, || {
                    &mut more.get_or_insert_default().passed_plays
                })
            }
            EventKind::Click { ad } => {
                more.get_or_insert_default().clicks.insert(Click { time, event_id, ad }, AD_HISTORY_LIMIT)
            }
            EventKind::Membership(level) => {
                let change = MembershipChange { time, event_id, level };
                membership.insert(change, || &mut more.get_or_insert_default().memberships)
            }
            EventKind::Impression(ImpressionOf::Campaign(campaign)) => {
                let impression = Impression { time, event_id, campaign, decision: None, confirmed: true };
                more.get_or_insert_default().impressions.insert(impression, AD_HISTORY_LIMIT)
            }
            EventKind::Impression(ImpressionOf::Decision(decision)) => self.confirm(decision),
        }
    }

    /// Whether applying `event` would take more memory.
    #[must_use]
    pub fn grows_by(&self, event: &Event, max_plays: usize) -> bool {
        let Event { id, time, kind, .. } = event;
        let more = self.more.as_deref();
        match kind {
            EventKind::Play { track, .. } => {
                let passed = more.map(|more| &more.passed_plays);
                self.plays.grows_by(*time, id, track, max_plays, passed)
            }
            EventKind::Click { .. } => {
                more.is_none_or(|more| more.clicks.grows_by(*time, id, AD_HISTORY_LIMIT))
            }
            EventKind::Membership(level) => {
                let change = MembershipChange { time: *time, event_id: id.clone(), level: *level };
                self.membership.grows_by(self.listed_memberships(), &change)
            }
            EventKind::Impression(ImpressionOf::Campaign(_)) => {
                more.is_none_or(|more| more.impressions.grows_by(*time, id, AD_HISTORY_LIMIT))
            }
            EventKind::Impression(ImpressionOf::Decision(_)) => false,
        }
    }

    /// Remembers that `decision` said *show* at `time`.
    pub fn count_decided_impression(&mut self, decision: DecisionId, campaign: Id, time: Time) {
        let impression = Impression {
            time,
            event_id: Id::Text(decision.to_string().into()),
            campaign,
            decision: Some(decision),
            confirmed: false,
        };
        self.more.get_or_insert_default().impressions.insert(impression, AD_HISTORY_LIMIT);
    }

    fn confirm(&mut self, decision: DecisionId) -> Applied {
        let mut impressions = self.more.iter_mut().flat_map(|more| more.impressions.iter_mut());
        match impressions.find(|impression| impression.decision == Some(decision)) {
            Some(impression) if !impression.confirmed => {
                impression.confirmed = true;
                Applied::Accepted
            }
            _ => Applied::Duplicate,
        }
    }

    /// Forgets plays, impressions and clicks, and of memberships all but the latest level; whether nothing that
    /// differs from an unknown customer is left.
    pub fn forget_behaviour(&mut self) -> bool {
        let latest = self.membership();
        *self = Self::default();
        match latest.filter(|change| change.level != Membership::Free) {
            None => true,
            Some(change) => {
                let Self { membership, more, .. } = self;
                membership.insert(change, || &mut more.get_or_insert_default().memberships);
                false
            }
        }
    }

    /// All plays kept, oldest first, whether or not they are still in the window.
    #[must_use]
    pub fn plays(&self) -> PlaysIn<'_> {
        self.plays.all()
    }

    /// The plays in the window at `now_ms` (Unix milliseconds), oldest first.
    #[must_use]
    pub fn plays_in(&self, window: &Window, now_ms: i64) -> PlaysIn<'_> {
        self.plays.in_window(window, now_ms)
    }

    /// The latest level; `None` if none was ever told.
    #[must_use]
    pub fn level(&self) -> Option<Membership> {
        self.membership.level()
    }

    /// The latest membership and since when; `None` if none was ever told.
    #[must_use]
    pub fn membership(&self) -> Option<MembershipChange> {
        self.membership.change(self.listed_memberships())
    }

    fn listed_memberships(&self) -> Option<&Recent<MembershipChange>> {
        self.more.as_deref().map(|more| &more.memberships)
    }

    /// Those listed, which are all of them or none.
    fn memberships(&self) -> &[MembershipChange] {
        self.listed_memberships().map_or(&[], Recent::as_slice)
    }

    /// The last impressions, oldest first.
    #[must_use]
    pub fn impressions(&self) -> &[Impression] {
        self.more.as_deref().map_or(&[], |more| more.impressions.as_slice())
    }

    /// The last clicks, oldest first.
    #[must_use]
    pub fn clicks(&self) -> &[Click] {
        self.more.as_deref().map_or(&[], |more| more.clicks.as_slice())
    }

    /// How many of a campaign's impressions are later than `after_ms` (Unix milliseconds).
    #[must_use]
    pub fn impressions_after(&self, campaign: &Id, after_ms: i64) -> usize {
        let recent = self.impressions().iter().rev();
        recent
            .take_while(|impression| impression.time.unix_ms > after_ms)
            .filter(|impression| impression.campaign == *campaign)
            .count()
    }

    /// Bytes on the heap, as asked of the allocator; ids that profiles share are counted for each.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let lists = self.more.as_deref().map_or(0, |more| {
            more.memberships.heap_bytes() + more.impressions.heap_bytes() + more.clicks.heap_bytes()
        });
        self.play_bytes() + lists
    }

    /// Those of the bytes on the heap that a play may add to.
    #[must_use]
    pub fn play_bytes(&self) -> usize {
        let more = self.more.as_deref().map_or(0, |more| size_of::<More>() + more.passed_plays.heap_bytes());
        self.plays.heap_bytes() + more
    }
}

#[cfg(test)]
mod tests;
