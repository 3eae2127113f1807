//! What is known of one customer: recent plays, membership, ad history.
//!
//! A profile is a function of the set of its events: neither the order of arrival nor repeats matter.

mod ads;
mod click;
mod conflict;
mod digest;
mod dropped;
mod encoded;
mod events;
mod impression;
mod impressions;
mod interest;
mod layout;
mod membership;
mod packed;
mod plays;
mod recent;
mod window;
mod words;

pub use click::Click;
pub use conflict::EventConflict;
pub use digest::{Digest, Mark};
pub use impression::{EventRef, Impression, ImpressionSource};
pub use interest::Run;
pub use plays::{Play, PlayRef, RecentPlays};
pub use recent::{Recent, RecentEntry, keep_distinct};
pub use window::Window;

use dropped::Dropped;
use impressions::AdHistory;
use membership::LatestMembership;
use packed::PackedPlays;
use plays::Plays;

use crate::event::{ClickOf, DecisionId, Event, EventKind, Id, ImpressionOf, Membership, Time};

/// How many impressions of each campaign, and how many clicks, a profile keeps; also the highest cap that a campaign may
/// set.
pub const AD_HISTORY_LIMIT: usize = 64;

/// What a profile keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds<'a> {
    /// At most this many plays, the most recent.
    pub plays: usize,
    /// The campaigns that are known; each keeps its own last impressions, the others share one history.
    pub campaigns: &'a [Id],
}

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

impl RecentEntry for MembershipChange {
    fn key(&self) -> (Time, &Id) {
        (self.time, &self.event_id)
    }

    /// Copies of one change name one level: see [`EventConflict::Membership`].
    fn precedes(&self, other: &Self) -> bool {
        self.time.cmp_as_written(&other.time).is_lt()
    }

    fn heap_bytes(&self) -> usize {
        self.event_id.heap_bytes()
    }
}

/// The result of applying an event to a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The event was new.
    Accepted,
    /// The event had been applied before and changed nothing.
    Duplicate,
    /// The event had been applied before, in another copy, and this one changed what is kept; it counts as a duplicate. Of
    /// two copies the smaller is kept, whichever comes first; of an impression, those of several campaigns are.
    Replaced,
    /// The event is older than all that is kept of its kind, and it cannot be told whether it was applied before. It
    /// changed nothing.
    TooOld,
    /// The event is of a time up to which its customer was erased. It changed nothing. No profile says so, since none is there
    /// then: whoever keeps the erasures does.
    Erased,
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

/// What most profiles do not have. A decision reads the digest, so that this comes first, in whole lines of the cache.
#[derive(Debug, Clone, Default)]
#[repr(C, align(64))]
struct Extras {
    digest: Digest,
    memberships: Recent<MembershipChange>,
    impressions: AdHistory,
    clicks: Recent<Click>,
    dropped_plays: Dropped,
}

/// Equal when the same events are kept, in any layout.
impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        self.plays().iter().eq(other.plays().iter())
            && self.membership() == other.membership()
            && self.memberships() == other.memberships()
            && self.kept_impressions() == other.kept_impressions()
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
        let history = self.extras.as_deref().map(|extras| &extras.impressions);
        match &event.kind {
            EventKind::Impression(ImpressionOf::Decision(decision)) => {
                let unknown = Err(EventConflict::UnknownDecision(*decision));
                history
                    .map_or(unknown, |history| history.check_confirmation(*decision, event.time, &event.id))
            }
            EventKind::Void { decision } => {
                let unknown = Err(EventConflict::UnknownDecision(*decision));
                history.map_or(unknown, |history| history.check_void(*decision, event.time, &event.id))
            }
            EventKind::Click { of: ClickOf::Decision { decision, .. } } => {
                match self.impression_of(*decision).filter(|_| decision.is_shown()) {
                    Some(_) => Ok(()),
                    None => Err(EventConflict::UnknownDecision(*decision)),
                }
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

    /// Applies an event that [`Profile::check`] has accepted.
    pub fn apply(&mut self, event: Event, bounds: &Bounds<'_>) -> Applied {
        let is_play = matches!(event.kind, EventKind::Play { .. });
        let applied = self.apply_kind(event, bounds);
        if !is_play {
            self.renew_digest();
        }
        applied
    }

    fn apply_kind(&mut self, event: Event, bounds: &Bounds<'_>) -> Applied {
        let Self { plays, membership, extras } = self;
        let Event { id: event_id, time, kind, .. } = event;
        match kind {
            EventKind::Play { track, mobile } => {
                // A full list asks for itself, and mostly nothing was dropped from one that is not full.
                let dropped = extras.as_deref().map(|extras| &extras.dropped_plays);
                let may_know = plays.dropped().or(dropped).is_some_and(|dropped| !dropped.grows());
                if may_know
                    && plays.len() < bounds.plays
                    && let Some(applied) = plays.dropped_before(time, &event_id, dropped)
                {
                    return applied;
                }
                plays.insert(time, event_id, track, mobile, bounds.plays, || {
                    &mut extras.get_or_insert_default().dropped_plays
                })
            }
            EventKind::Click { of } => {
                let extras = extras.get_or_insert_default();
                let (ad, decision) = match of {
                    ClickOf::Ad(ad) => (ad, None),
                    ClickOf::Decision { decision, ad } => {
                        let campaign =
                            || extras.impressions.of_decision(decision).map(|of| of.campaign.clone());
                        // Nobody has looked the ad up: the campaign's id stands for it.
                        (ad.or_else(campaign).unwrap_or(Id::Number(decision.0)), Some(decision))
                    }
                };
                extras.clicks.insert(Click { time, event_id, ad, decision }, AD_HISTORY_LIMIT)
            }
            EventKind::Membership(level) => {
                let change = MembershipChange { time, event_id, level };
                membership.insert(change, || &mut extras.get_or_insert_default().memberships)
            }
            EventKind::Impression(ImpressionOf::Campaign(campaign)) => {
                let history = &mut extras.get_or_insert_default().impressions;
                history.insert_reported(time, event_id, campaign, bounds.campaigns)
            }
            EventKind::Impression(ImpressionOf::Decision(decision)) => {
                let history = &mut extras.get_or_insert_default().impressions;
                history.confirm(decision, time, event_id)
            }
            EventKind::Void { decision } => match extras {
                Some(extras) => extras.impressions.void(decision, time, event_id),
                None => Applied::TooOld,
            },
        }
    }

    /// Checks whether an event that [`Profile::check`] has refused, since it confirms a `decision` that is unknown here, may make
    /// an impression of it: whoever calls this knows that the decision did say *show*, and that the record of it was lost.
    /// Then [`Profile::count_decided_impression`] at the event's time and [`Profile::apply`] follow.
    ///
    /// # Errors
    /// The event changes nothing, and what becomes of it: it was applied before, or enough later impressions are known.
    pub fn check_lost(
        &self,
        event: &Event,
        decision: DecisionId,
        campaign: &Id,
        bounds: &Bounds<'_>,
    ) -> Result<(), Applied> {
        let history = self.extras.as_deref().map(|extras| &extras.impressions);
        history.map_or(Ok(()), |history| {
            history.check_lost(decision, campaign.clone(), event.time, &event.id, bounds.campaigns)
        })
    }

    /// Whether applying `event` would take more memory.
    #[must_use]
    pub fn would_grow(&self, event: &Event, bounds: &Bounds<'_>) -> bool {
        let Event { id, time, kind, .. } = event;
        let extras = self.extras.as_deref();
        match kind {
            EventKind::Play { track, .. } => {
                let dropped = extras.map(|extras| &extras.dropped_plays);
                self.plays.would_grow(*time, id, track, bounds.plays, dropped)
            }
            EventKind::Click { .. } => {
                extras.is_none_or(|extras| extras.clicks.would_grow(*time, id, AD_HISTORY_LIMIT))
            }
            EventKind::Membership(level) => {
                let change = MembershipChange { time: *time, event_id: id.clone(), level: *level };
                self.membership.would_grow(self.listed_memberships(), &change)
            }
            EventKind::Impression(ImpressionOf::Campaign(campaign)) => extras
                .is_none_or(|extras| extras.impressions.would_grow(*time, id, campaign, bounds.campaigns)),
            EventKind::Impression(ImpressionOf::Decision(_)) => false,
            EventKind::Void { decision } => {
                extras.is_some_and(|extras| extras.impressions.void_would_grow(*decision))
            }
        }
    }

    /// Records that `decision` said *show* at `time`: an impression that counts towards the cap and is not yet
    /// confirmed.
    pub fn count_decided_impression(
        &mut self,
        decision: DecisionId,
        campaign: Id,
        time: Time,
        bounds: &Bounds<'_>,
    ) {
        let history = &mut self.extras.get_or_insert_default().impressions;
        history.insert_decided(decision, campaign, time, bounds.campaigns);
        self.renew_digest();
    }

    /// The profile without plays, impressions, clicks, and all memberships but the latest level; `None` if it is then that of
    /// an unknown customer (latest level Free or none).
    #[must_use]
    pub fn without_behaviour(&self) -> Option<Self> {
        let latest = self.membership().filter(|change| change.level != Membership::Free)?;
        Some(Self::of_member(latest))
    }

    /// A profile of which only a membership is known.
    #[must_use]
    pub fn of_member(change: MembershipChange) -> Self {
        let mut profile = Self::default();
        let Self { membership, extras, .. } = &mut profile;
        membership.insert(change, || &mut extras.get_or_insert_default().memberships);
        profile.renew_digest();
        profile
    }

    /// All plays kept, oldest first, whether or not they are still in the window.
    #[must_use]
    pub fn plays(&self) -> RecentPlays<'_> {
        self.plays.all()
    }

    /// Where the newest play is kept, where plays are in columns: what whoever adds a play to one of many profiles prefetches.
    #[must_use]
    pub fn newest_words(&self) -> [Option<&u32>; 3] {
        self.plays.packed().map_or([None; 3], PackedPlays::newest_words)
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

    /// The level just before an event of this time and id; `None` if none was reported of a time before it.
    #[must_use]
    pub fn level_before(&self, time: Time, event_id: &Id) -> Option<Membership> {
        let mut changes = self.membership.changes(self.listed_memberships()).into_iter();
        changes.rfind(|change| change.key() < (time, event_id)).map(|change| change.level)
    }

    /// Whether the membership change of this time and id is kept.
    #[must_use]
    pub fn has_membership(&self, time: Time, event_id: &Id) -> bool {
        self.membership.find(self.listed_memberships(), time, event_id).is_some()
    }

    fn listed_memberships(&self) -> Option<&Recent<MembershipChange>> {
        self.extras.as_deref().map(|extras| &extras.memberships)
    }

    /// The membership changes in the list, which has all of them or none.
    fn memberships(&self) -> &[MembershipChange] {
        self.listed_memberships().map_or(&[], Recent::as_slice)
    }

    fn kept_impressions(&self) -> &[Impression] {
        self.extras.as_deref().map_or(&[], |extras| extras.impressions.as_slice())
    }

    fn ad_history(&self) -> Option<&AdHistory> {
        self.extras.as_deref().map(|extras| &extras.impressions)
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
