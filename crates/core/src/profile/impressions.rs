//! The ads that a customer was played: as decided here, and as reported.
//!
//! What bounds this history must never weaken a cap. So each known campaign has a history of its own, long enough for
//! the highest cap that a campaign may set, and the campaigns that nobody defined share one beside them.

use super::dropped::Dropped;
use super::{AD_HISTORY_LIMIT, Applied, EventConflict};
use crate::event::{DecisionId, Id, Time};

/// One ad played, as decided here or as reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impression {
    /// When the ad was played, or decided.
    pub time: Time,
    /// The campaign whose ad was played.
    pub campaign: Id,
    /// Whence it is known.
    pub source: ImpressionSource,
}

/// Whence an impression is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImpressionSource {
    /// A decision said *show*.
    Decided {
        /// The decision.
        decision: DecisionId,
        /// The event that confirmed it, the first by (time, event id) if there were several; `None` before that.
        confirmation: Option<Confirmation>,
    },
    /// An impression event named the campaign.
    Reported {
        /// The event's id.
        event_id: Id,
        /// Whether the same event has also confirmed a decision of the campaign, which then counts in its place.
        confirms: bool,
    },
}

/// The event that confirmed a decided impression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// When the ad was played, by the event.
    pub time: Time,
    /// The event's id.
    pub event_id: Id,
}

impl Confirmation {
    fn key(&self) -> (Time, &Id) {
        (self.time, &self.event_id)
    }
}

/// The order of impressions; those of one instant are ordered by their source.
type Key<'a> = (Time, SourceKey<'a>, &'a Id);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SourceKey<'a> {
    Decided(DecisionId),
    Reported(&'a Id),
}

impl Impression {
    fn key(&self) -> Key<'_> {
        let source = match &self.source {
            ImpressionSource::Decided { decision, .. } => SourceKey::Decided(*decision),
            ImpressionSource::Reported { event_id, .. } => SourceKey::Reported(event_id),
        };
        (self.time, source, &self.campaign)
    }

    /// The decision that said *show*, if one did.
    #[must_use]
    pub fn decision(&self) -> Option<DecisionId> {
        match &self.source {
            ImpressionSource::Decided { decision, .. } => Some(*decision),
            ImpressionSource::Reported { .. } => None,
        }
    }

    /// Whether an impression event says that the ad was played.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.confirmation().is_some() || self.decision().is_none()
    }

    /// When it was, or when the event that confirms it says that it was: the later of both, in Unix milliseconds.
    pub(super) fn newest_ms(&self) -> i64 {
        let confirmed_ms = self.confirmation().map(|confirmation| confirmation.time.unix_ms);
        self.time.unix_ms.max(confirmed_ms.unwrap_or(i64::MIN))
    }

    fn confirmation(&self) -> Option<&Confirmation> {
        match &self.source {
            ImpressionSource::Decided { confirmation, .. } => confirmation.as_ref(),
            ImpressionSource::Reported { .. } => None,
        }
    }

    /// Whether it counts: all do but a report that is the same event as a confirmation.
    fn counts(&self) -> bool {
        !matches!(self.source, ImpressionSource::Reported { confirms: true, .. })
    }

    /// Whether this is the report of this event.
    fn is_report_of(&self, event: (Time, &Id)) -> bool {
        match &self.source {
            ImpressionSource::Decided { .. } => false,
            ImpressionSource::Reported { event_id, .. } => (self.time, event_id) == event,
        }
    }

    fn heap_bytes(&self) -> usize {
        let event_id = match &self.source {
            ImpressionSource::Decided { confirmation, .. } => confirmation.as_ref().map(|c| &c.event_id),
            ImpressionSource::Reported { event_id, .. } => Some(event_id),
        };
        self.campaign.heap_bytes() + event_id.map_or(0, Id::heap_bytes)
    }
}

/// The last impressions of each known campaign, and the last of all others together; a function of the set of what was
/// inserted.
///
/// Of each of these histories the fewest are kept that have [`AD_HISTORY_LIMIT`] reports or [`AD_HISTORY_LIMIT`]
/// decisions among them, and so at least that many that count: a confirmation makes one of a report and a decision,
/// and each decision takes one report at most. If a history were cut by what counts at the moment, a confirmation that
/// comes after its report would leave a gap that the cap falls through.
#[derive(Debug, Clone, Default)]
pub(super) struct AdHistory {
    /// Ascending by [`Impression::key`].
    kept: Vec<Impression>,
    /// The sum of the entries' own bytes on the heap, kept up to date because adding it up takes long.
    entry_bytes: usize,
    dropped: Dropped,
}

/// Which history an impression belongs to: a known campaign's by its place among them, or that of all others.
type History = Option<usize>;

fn history_of(campaign: &Id, known: &[Id]) -> History {
    known.iter().position(|known| known == campaign)
}

impl AdHistory {
    /// A history of what was kept and dropped; `None` if `kept` does not ascend by time and source.
    pub(super) fn from_parts(kept: Vec<Impression>, dropped: Dropped) -> Option<Self> {
        let ascend = kept.windows(2).all(|pair| pair[0].key() < pair[1].key());
        let entry_bytes = kept.iter().map(Impression::heap_bytes).sum();
        ascend.then_some(Self { kept, entry_bytes, dropped })
    }

    /// What it has dropped so far.
    pub(super) fn dropped(&self) -> &Dropped {
        &self.dropped
    }

    /// All that are kept, oldest first.
    pub(super) fn as_slice(&self) -> &[Impression] {
        &self.kept
    }

    /// Those that count, oldest first.
    pub(super) fn counted(&self) -> impl DoubleEndedIterator<Item = &Impression> {
        self.kept.iter().filter(|impression| impression.counts())
    }

    /// Checks whether the event of this time and id may confirm `decision`.
    pub(super) fn check_confirmation(
        &self,
        decision: DecisionId,
        time: Time,
        event_id: &Id,
    ) -> Result<(), EventConflict> {
        let confirmed = |impression: &&Impression| {
            impression.confirmation().is_some_and(|known| known.key() == (time, event_id))
        };
        match self.kept.iter().find(confirmed).and_then(Impression::decision) {
            Some(earlier) if earlier != decision => {
                Err(EventConflict::OtherDecision { decision, earlier, event_id: event_id.clone(), time })
            }
            Some(_) => Ok(()),
            None if self.kept.iter().any(|known| known.decision() == Some(decision)) => Ok(()),
            None => Err(EventConflict::UnknownDecision(decision)),
        }
    }

    /// Checks whether an unknown decision may be taken for one that was shown when an event confirms it; else what becomes of
    /// the event, which then changes nothing.
    pub(super) fn check_lost(
        &self,
        decision: DecisionId,
        campaign: Id,
        time: Time,
        event_id: &Id,
        known: &[Id],
    ) -> Result<(), Applied> {
        // It has confirmed an impression that was dropped since.
        if self.dropped.contains(time, event_id.as_ref()) {
            return Err(Applied::Duplicate);
        }
        let source = ImpressionSource::Decided { decision, confirmation: None };
        let impression = Impression { time: Time::from_unix_ms(time.unix_ms), campaign, source };
        if self.is_too_old(&impression, known) { Err(Applied::TooOld) } else { Ok(()) }
    }

    /// Adds what a decision said.
    pub(super) fn insert_decided(&mut self, decision: DecisionId, campaign: Id, time: Time, known: &[Id]) {
        let source = ImpressionSource::Decided { decision, confirmation: None };
        let impression = Impression { time, campaign, source };
        if let Err(position) = self.position(impression.key())
            && !self.is_too_old(&impression, known)
        {
            self.insert(position, impression, known);
        }
    }

    /// Adds what an event reports of a campaign.
    ///
    /// Copies of one event that name several campaigns count for each of them: if only one were kept, the report of one
    /// campaign could take an impression from another's cap.
    pub(super) fn insert_reported(
        &mut self,
        time: Time,
        event_id: Id,
        campaign: Id,
        known: &[Id],
    ) -> Applied {
        // All customers share the text of a known campaign's id.
        let campaign = history_of(&campaign, known).map_or(campaign, |place| known[place].clone());
        let event = (time, &event_id);
        let confirms = self.kept.iter().any(|other| {
            other.campaign == campaign && other.confirmation().is_some_and(|c| c.key() == event)
        });
        let seen = self.knows(event);
        let impression =
            Impression { time, campaign, source: ImpressionSource::Reported { event_id, confirms } };
        let applied = match self.position(impression.key()) {
            Ok(position) => return keep_smaller(&mut self.kept[position].time, time),
            Err(_) if self.is_too_old(&impression, known) => {
                let ImpressionSource::Reported { event_id, .. } = &impression.source else {
                    return Applied::Duplicate;
                };
                self.dropped.record_late(time, event_id.as_ref())
            }
            Err(position) => {
                self.insert(position, impression, known);
                Applied::Accepted
            }
        };
        match applied {
            // The event counts once, and its copy of another campaign is kept.
            Applied::Accepted if seen => Applied::Replaced,
            Applied::TooOld if seen => Applied::Duplicate,
            applied => applied,
        }
    }

    /// Confirms a decided impression, as [`AdHistory::check_confirmation`] has allowed.
    pub(super) fn confirm(&mut self, decision: DecisionId, time: Time, event_id: Id) -> Applied {
        let seen = self.knows((time, &event_id));
        let Some(impression) = self.kept.iter_mut().find(|known| known.decision() == Some(decision)) else {
            return Applied::Duplicate;
        };
        let (campaign, before) = (impression.campaign.clone(), impression.heap_bytes());
        let ImpressionSource::Decided { confirmation, .. } = &mut impression.source else {
            return Applied::Duplicate;
        };
        let earlier = match confirmation {
            Some(known) if known.key() < (time, &event_id) => return Applied::Duplicate,
            Some(known) if known.key() == (time, &event_id) => return keep_smaller(&mut known.time, time),
            later_or_none => later_or_none.replace(Confirmation { time, event_id: event_id.clone() }),
        };
        self.entry_bytes += impression.heap_bytes();
        self.entry_bytes -= before;
        if let Some(earlier) = &earlier {
            self.mark_report(earlier.key(), &campaign, false);
        }
        self.mark_report((time, &event_id), &campaign, true);
        if seen || earlier.is_some() { Applied::Replaced } else { Applied::Accepted }
    }

    /// Whether adding a report of this event would take memory.
    pub(super) fn would_grow(&self, time: Time, event_id: &Id, campaign: &Id, known: &[Id]) -> bool {
        let source = ImpressionSource::Reported { event_id: event_id.clone(), confirms: false };
        let impression = Impression { time, campaign: campaign.clone(), source };
        if self.position(impression.key()).is_ok() {
            return false;
        }
        let full = self.is_too_old(&impression, known) || self.replaced_by(&impression, known).is_some();
        !full || self.dropped.grows()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.entry_bytes + self.kept.capacity() * size_of::<Impression>() + self.dropped.heap_bytes()
    }

    fn position(&self, key: Key<'_>) -> Result<usize, usize> {
        if self.kept.last().is_none_or(|last| last.key() < key) {
            return Err(self.kept.len());
        }
        self.kept.binary_search_by(|impression| impression.key().cmp(&key))
    }

    /// Whether this event is the source of an impression of any campaign, or has confirmed one.
    fn knows(&self, event: (Time, &Id)) -> bool {
        self.kept
            .iter()
            .any(|known| known.is_report_of(event) || known.confirmation().is_some_and(|c| c.key() == event))
    }

    /// Whether the history of an impression is complete without it: enough of it are newer.
    fn is_too_old(&self, impression: &Impression, known: &[Id]) -> bool {
        if self.kept.len() < AD_HISTORY_LIMIT {
            return false;
        }
        let history = history_of(&impression.campaign, known);
        let newer = self.kept.iter().filter(|other| other.key() > impression.key());
        is_complete(newer.filter(|other| history_of(&other.campaign, known) == history))
    }

    /// The oldest of the history that `added` belongs to, if the history with `added` is complete without it.
    fn replaced_by(&self, added: &Impression, known: &[Id]) -> Option<usize> {
        if self.kept.len() < AD_HISTORY_LIMIT {
            return None;
        }
        let history = history_of(&added.campaign, known);
        let mut own = self
            .kept
            .iter()
            .enumerate()
            .filter(|(_, impression)| history_of(&impression.campaign, known) == history);
        let (position, oldest) = own.next()?;
        let rest = own.map(|(_, impression)| impression).chain([added]);
        (oldest.key() < added.key() && is_complete(rest)).then_some(position)
    }

    /// Inserts an impression that is neither kept nor too old, and drops what its history no longer needs.
    fn insert(&mut self, mut position: usize, impression: Impression, known: &[Id]) {
        while let Some(oldest) = self.replaced_by(&impression, known) {
            self.drop_at(oldest);
            position -= usize::from(oldest < position);
        }
        self.entry_bytes += impression.heap_bytes();
        if self.kept.len() == self.kept.capacity() {
            // Most customers have one impression or two; doubling from four would cost more than they do.
            self.kept.reserve_exact((self.kept.len() / 2).max(1));
        }
        self.kept.insert(position, impression);
    }

    fn drop_at(&mut self, position: usize) {
        let impression = self.kept.remove(position);
        self.entry_bytes -= impression.heap_bytes();
        match impression.source {
            ImpressionSource::Reported { event_id, .. } => {
                self.dropped.record(impression.time, event_id.as_ref());
            }
            ImpressionSource::Decided { confirmation: Some(confirmation), .. } => {
                self.mark_report(confirmation.key(), &impression.campaign, false);
                self.dropped.record(confirmation.time, confirmation.event_id.as_ref());
            }
            ImpressionSource::Decided { confirmation: None, .. } => {}
        }
    }

    /// Records at the report of an event, if there is one, whether it confirms a decision of the campaign.
    fn mark_report(&mut self, event: (Time, &Id), campaign: &Id, confirmed: bool) {
        let mut own = self.kept.iter_mut().filter(|impression| impression.campaign == *campaign);
        if let Some(Impression { source: ImpressionSource::Reported { confirms, .. }, .. }) =
            own.find(|impression| impression.is_report_of(event))
        {
            *confirms = confirmed;
        }
    }
}

/// Whether there are enough impressions for the highest cap, whatever will be confirmed.
fn is_complete<'a>(impressions: impl Iterator<Item = &'a Impression>) -> bool {
    let (mut decided, mut reported) = (0, 0);
    for impression in impressions {
        *(if impression.decision().is_some() { &mut decided } else { &mut reported }) += 1;
    }
    decided.max(reported) >= AD_HISTORY_LIMIT
}

/// Of two copies of one time keeps the one that is smaller as written.
fn keep_smaller(kept: &mut Time, copy: Time) -> Applied {
    if copy.cmp_as_written(kept).is_lt() {
        *kept = copy;
        return Applied::Replaced;
    }
    Applied::Duplicate
}

#[cfg(test)]
mod tests;
