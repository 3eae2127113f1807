//! The ads that a customer was played: as decided here, and as reported.
//!
//! What bounds this history must never weaken a cap. So each known campaign has a history of its own, long enough for
//! the highest cap that a campaign may set, and the campaigns that nobody defined share one beside them.

use super::dropped::Dropped;
use super::impression::{EventRef, Impression, ImpressionSource, Key};
use super::{AD_HISTORY_LIMIT, Applied, EventConflict};
use crate::event::{DecisionId, Id, Time};

/// The last impressions of each known campaign, and the last of all others together; a function of the set of what was
/// inserted.
///
/// Of each of these histories the fewest are kept that have [`AD_HISTORY_LIMIT`] reports or [`AD_HISTORY_LIMIT`]
/// decisions among them, and so at least that many that count: a confirmation makes one of a report and a decision,
/// and each decision takes one report at most. If a history were cut by what counts at the moment, a confirmation that
/// comes after its report would leave a gap that the cap falls through. What was given back is among the decisions, too, so
/// that a void changes nothing of what is kept: a history of which [`AD_HISTORY_LIMIT`] decisions are in a cap's period may
/// have dropped one that counts, and [`AdHistory::count_after`] takes all of them for counted then.
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

    /// How many of those later than `after_ms` (Unix milliseconds) that `is_of` takes count; all that were decided where the
    /// history may have dropped some of that time. `is_of` takes those of one campaign, or of all.
    pub(super) fn count_after(&self, after_ms: i64, is_of: impl Fn(&Impression) -> bool) -> usize {
        let (mut counted, mut decided) = (0, 0);
        for impression in self.kept.iter().rev().take_while(|impression| impression.time.unix_ms > after_ms) {
            if is_of(impression) {
                counted += usize::from(impression.counts());
                decided += usize::from(impression.decision().is_some());
            }
        }
        if decided >= AD_HISTORY_LIMIT { counted.max(decided) } else { counted }
    }

    /// The impression of a decision.
    pub(super) fn of_decision(&self, decision: DecisionId) -> Option<&Impression> {
        self.kept.iter().find(|known| known.decision() == Some(decision))
    }

    /// Checks whether the event of this time and id may confirm `decision`.
    pub(super) fn check_confirmation(
        &self,
        decision: DecisionId,
        time: Time,
        event_id: &Id,
    ) -> Result<(), EventConflict> {
        self.check_said(decision, (time, event_id), Impression::confirmation).map_err(|earlier| match earlier
        {
            Some(earlier) => {
                EventConflict::OtherDecision { decision, earlier, event_id: event_id.clone(), time }
            }
            None => EventConflict::UnknownDecision(decision),
        })
    }

    /// Checks whether the event of this time and id may void `decision`.
    pub(super) fn check_void(
        &self,
        decision: DecisionId,
        time: Time,
        event_id: &Id,
    ) -> Result<(), EventConflict> {
        self.check_said(decision, (time, event_id), Impression::void).map_err(|earlier| match earlier {
            Some(earlier) => {
                EventConflict::OtherVoided { decision, earlier, event_id: event_id.clone(), time }
            }
            None => EventConflict::UnknownDecision(decision),
        })
    }

    /// # Errors
    /// The decision of which this event has said the same, if it is another one; `None` if `decision` is of no impression that
    /// was shown.
    fn check_said(
        &self,
        decision: DecisionId,
        event: (Time, &Id),
        said: impl Fn(&Impression) -> Option<&EventRef>,
    ) -> Result<(), Option<DecisionId>> {
        let by_event = self.kept.iter().find(|known| said(known).is_some_and(|said| said.key() == event));
        match by_event.and_then(Impression::decision) {
            Some(earlier) if earlier != decision => Err(Some(earlier)),
            Some(_) => Ok(()),
            // A place that was taken without showing anything has an id of its own, too.
            None if decision.is_shown() && self.of_decision(decision).is_some() => Ok(()),
            None => Err(None),
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
        let source = ImpressionSource::decided(decision);
        let impression = Impression { time: Time::from_unix_ms(time.unix_ms), campaign, source };
        if self.is_too_old(&impression, known) { Err(Applied::TooOld) } else { Ok(()) }
    }

    /// Adds what a decision said.
    pub(super) fn insert_decided(&mut self, decision: DecisionId, campaign: Id, time: Time, known: &[Id]) {
        let source = ImpressionSource::decided(decision);
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
            later_or_none => later_or_none.replace(EventRef { time, event_id: event_id.clone() }),
        };
        self.entry_bytes += impression.heap_bytes();
        self.entry_bytes -= before;
        if let Some(earlier) = &earlier {
            self.mark_report(earlier.key(), &campaign, false);
        }
        self.mark_report((time, &event_id), &campaign, true);
        if seen || earlier.is_some() { Applied::Replaced } else { Applied::Accepted }
    }

    /// Notes that a decided impression was not played, as [`AdHistory::check_void`] has allowed. A decision that is not known any
    /// more has nothing to give back.
    pub(super) fn void(&mut self, decision: DecisionId, time: Time, event_id: Id) -> Applied {
        let mut kept = self.kept.iter_mut();
        let Some(impression) = kept.find(|known| known.decision() == Some(decision)) else {
            return Applied::TooOld;
        };
        let before = impression.heap_bytes();
        let ImpressionSource::Decided { void, .. } = &mut impression.source else {
            return Applied::TooOld;
        };
        let event = EventRef { time, event_id };
        let applied = match void.as_deref_mut() {
            Some(known) if known.key() < event.key() => return Applied::Duplicate,
            Some(known) if known.key() == event.key() => return keep_smaller(&mut known.time, time),
            Some(known) => {
                *known = event;
                Applied::Replaced
            }
            None => {
                *void = Some(Box::new(event));
                Applied::Accepted
            }
        };
        self.entry_bytes += impression.heap_bytes();
        self.entry_bytes -= before;
        applied
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

    /// Whether a void of this decision would take memory.
    pub(super) fn void_would_grow(&self, decision: DecisionId) -> bool {
        self.of_decision(decision).is_some_and(|impression| impression.void().is_none())
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
            // A void that comes again has nothing to give back, so nobody has to know it.
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
