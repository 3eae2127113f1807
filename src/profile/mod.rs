//! What is known of one customer: recent plays, membership, ad history.
//!
//! A profile is a function of the set of its events: neither the order of arrival nor repeats matter.

mod recent;

pub use recent::{Recent, RecentEntry};

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

    /// Those of `plays`, ascending by (time, event id), that are in the window at `now_ms` (Unix milliseconds).
    #[must_use]
    pub fn of<'a>(&self, plays: &'a [Play], now_ms: i64) -> &'a [Play] {
        let start_ms = self.start_ms(now_ms);
        let by_age = plays.partition_point(|play| play.time.unix_ms < start_ms);
        let by_count = plays.len().saturating_sub(self.plays as usize);
        &plays[by_age.max(by_count)..]
    }
}

/// How many impressions, and how many clicks, a profile remembers; also the highest cap a campaign may set.
pub const AD_HISTORY_LIMIT: usize = 64;

/// How many membership changes a profile remembers.
const MEMBERSHIP_HISTORY_LIMIT: usize = 16;

/// One play as the profile keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Play {
    /// When the track started.
    pub time: Time,
    /// The event's id.
    pub event_id: Id,
    /// Which track.
    pub track: Id,
    /// Whether it was heard on a phone.
    pub mobile: bool,
}

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

macro_rules! entry_keyed_by_time_and_event_id {
    ($($entry:ty),*) => {$(
        impl RecentEntry for $entry {
            fn key(&self) -> (Time, &Id) {
                (self.time, &self.event_id)
            }
        }
    )*};
}
entry_keyed_by_time_and_event_id!(Play, MembershipChange, Impression, Click);

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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    plays: Recent<Play>,
    memberships: Recent<MembershipChange>,
    impressions: Recent<Impression>,
    clicks: Recent<Click>,
}

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
                let known = self.memberships.get(event.time, &event.id);
                match known.filter(|change| change.level != *level) {
                    Some(change) => {
                        Err(Misfit::MembershipConflict { level: change.level, time: change.time })
                    }
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Applies an event that [`Profile::check`] has passed; keeps at most `max_plays` plays.
    pub fn apply(&mut self, event: Event, max_plays: usize) -> Applied {
        let Event { id: event_id, time, kind, .. } = event;
        match kind {
            EventKind::Play { track, mobile } => {
                let play = Play { time, event_id, track, mobile };
                self.plays.insert(play, max_plays)
            }
            EventKind::Click { ad } => {
                let click = Click { time, event_id, ad };
                self.clicks.insert(click, AD_HISTORY_LIMIT)
            }
            EventKind::Membership(level) => {
                let change = MembershipChange { time, event_id, level };
                self.memberships.insert(change, MEMBERSHIP_HISTORY_LIMIT)
            }
            EventKind::Impression(ImpressionOf::Campaign(campaign)) => {
                let impression = Impression { time, event_id, campaign, decision: None, confirmed: true };
                self.impressions.insert(impression, AD_HISTORY_LIMIT)
            }
            EventKind::Impression(ImpressionOf::Decision(decision)) => self.confirm(decision),
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
        self.impressions.insert(impression, AD_HISTORY_LIMIT);
    }

    fn confirm(&mut self, decision: DecisionId) -> Applied {
        let impression = self.impressions.iter_mut().find(|impression| impression.decision == Some(decision));
        match impression {
            Some(impression) if !impression.confirmed => {
                impression.confirmed = true;
                Applied::Accepted
            }
            _ => Applied::Duplicate,
        }
    }

    /// All plays kept, oldest first, whether or not they are still in the window.
    #[must_use]
    pub fn plays(&self) -> &[Play] {
        self.plays.as_slice()
    }

    /// The plays in the window at `now_ms` (Unix milliseconds), oldest first.
    #[must_use]
    pub fn plays_in(&self, window: &Window, now_ms: i64) -> &[Play] {
        window.of(self.plays.as_slice(), now_ms)
    }

    /// The latest membership and since when; `None` if none was ever told.
    #[must_use]
    pub fn membership(&self) -> Option<&MembershipChange> {
        self.memberships.as_slice().last()
    }

    /// The last impressions, oldest first.
    #[must_use]
    pub fn impressions(&self) -> &[Impression] {
        self.impressions.as_slice()
    }

    /// The last clicks, oldest first.
    #[must_use]
    pub fn clicks(&self) -> &[Click] {
        self.clicks.as_slice()
    }

    /// How many of a campaign's impressions are later than `after_ms` (Unix milliseconds).
    #[must_use]
    pub fn impressions_after(&self, campaign: &Id, after_ms: i64) -> usize {
        let recent = self.impressions.as_slice().iter().rev();
        recent
            .take_while(|impression| impression.time.unix_ms > after_ms)
            .filter(|impression| impression.campaign == *campaign)
            .count()
    }
}

#[cfg(test)]
mod tests;
