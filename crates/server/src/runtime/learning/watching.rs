//! What jobs have found of campaigns as they run: kept for metrics, and told in the log where it has become bad, or good again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use upbeat_core::event::Id;
use upbeat_learn::consistency::Agreement;
use upbeat_learn::watch::{Finding, State, Subject, Watched};

use super::super::app::App;

/// What the last jobs have found.
#[derive(Default)]
pub(crate) struct Watching(Mutex<Last>);

/// What the last job has found of each campaign that runs, and of the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Last {
    /// By campaign.
    pub(crate) campaigns: BTreeMap<Id, Watched>,
    /// Of decisions of all campaigns.
    pub(crate) consistency: Option<Agreement>,
}

/// A change that is told.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    Worse(String),
    Better(String),
}

impl Watching {
    fn last(&self) -> MutexGuard<'_, Last> {
        // Nothing that panics runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of what was found.
    pub(crate) fn get(&self) -> Last {
        self.last().clone()
    }

    /// Takes what a job has found; what is to be told of it. Of campaigns that do not run any more nothing is kept.
    fn take(
        &self,
        campaign: &Id,
        watched: Option<Watched>,
        consistency: Option<Agreement>,
        runs: impl Fn(&Id) -> bool,
    ) -> Vec<Change> {
        let mut last = self.last();
        let mut changes = Vec::new();
        if let Some(watched) = watched {
            let before = last.campaigns.get(campaign).map_or(&[][..], |before| &before.findings);
            changes
                .extend(watched.findings.iter().filter_map(|now| change(state_of(before, now.subject), now)));
            last.campaigns.insert(campaign.clone(), watched);
        }
        last.campaigns.retain(|id, _| runs(id));
        if let Some(now) = consistency {
            let is_bad = |of: &Agreement| of.agreed < of.checked;
            let was_bad = last.consistency.as_ref().is_some_and(is_bad);
            match (was_bad, is_bad(&now)) {
                (false, true) => changes.push(Change::Worse(disagreement(&now))),
                (true, false) if now.checked > 0 => changes.push(Change::Better(format!(
                    "consistency: all of {} logged decisions have the counts of the events before them again",
                    now.checked
                ))),
                _ => {}
            }
            // What could not be told does not make it good.
            if now.checked > 0 || !was_bad {
                last.consistency = Some(now);
            }
        }
        changes
    }
}

/// How a subject was.
fn state_of(findings: &[Finding], subject: Subject) -> State {
    findings.iter().find(|of| of.subject == subject).map_or(State::Unknown, |of| of.state)
}

fn change(before: State, now: &Finding) -> Option<Change> {
    match (before, now.state) {
        (State::Good | State::Unknown, State::Bad) => Some(Change::Worse(now.sentence.clone())),
        (State::Bad, State::Good) => Some(Change::Better(now.sentence.clone())),
        _ => None,
    }
}

fn disagreement(of: &Agreement) -> String {
    let first = of.disagreements.first().map_or(String::new(), |first| {
        format!("; the first is decision {} of customer {}", first.decision_id, first.customer)
    });
    format!(
        "consistency: {} of {} logged decisions have other counts than the events before them give{first}: no estimate and no model made of \
         them is to be believed; upbeat check-consistency lists them",
        of.checked - of.agreed,
        of.checked
    )
}

/// Findings that are bad, in a sentence.
pub(super) fn bad(watched: Option<&Watched>) -> Option<String> {
    let findings = watched.map_or(&[][..], |watched| &watched.findings);
    let bad: Vec<&str> =
        findings.iter().filter(|of| of.state == State::Bad).map(|of| of.sentence.as_str()).collect();
    (!bad.is_empty()).then(|| format!("Bad: {}.", bad.join("; ")))
}

/// What was found of a campaign that was only watched, in a sentence.
pub(super) fn said(watched: Option<&Watched>) -> String {
    let good = match watched {
        None => "Nothing is known of it in the log yet.",
        Some(_) => {
            "Calibration, click rate and sample ratio were looked at, and nothing is wrong with what could be computed."
        }
    };
    let found = bad(watched).unwrap_or_else(|| good.to_owned());
    format!("The campaign is frozen, and was only watched. {found}")
}

impl App {
    /// Takes what a job has found of a campaign as it runs, and tells what has changed.
    pub(super) fn take_watched(
        &self,
        campaign: &Id,
        watched: Option<Watched>,
        consistency: Option<Agreement>,
    ) {
        let current = self.engine.running();
        let runs = |id: &Id| current.plan.find(id).is_some();
        for change in self.learning().watching().take(campaign, watched, consistency, runs) {
            match change {
                Change::Worse(sentence) => tracing::warn!(%campaign, "{sentence}"),
                Change::Better(sentence) => tracing::info!(%campaign, "{sentence}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(state: State) -> Option<Watched> {
        let finding = |subject| Finding { subject, state, sentence: format!("{subject:?} is {state:?}") };
        Some(Watched {
            day: Default::default(),
            week: Default::default(),
            split: None,
            findings: vec![finding(Subject::Calibration), finding(Subject::SampleRatio)],
        })
    }

    #[test]
    fn what_turns_bad_or_good_again_is_told_once_and_what_stays_so_is_not() {
        let (watching, campaign) = (Watching::default(), Id::Number(1));
        let take = |state| watching.take(&campaign, watched(state), None, |_| true);
        let both = |change: fn(String) -> Change, state: &str| {
            ["Calibration", "SampleRatio"].map(|subject| change(format!("{subject} is {state}"))).to_vec()
        };
        for (state, expected) in [
            (State::Good, Vec::new()),
            (State::Bad, both(Change::Worse, "Bad")),
            (State::Bad, Vec::new()),
            (State::Good, both(Change::Better, "Good")),
            (State::Good, Vec::new()),
            (State::Unknown, Vec::new()),
            (State::Bad, both(Change::Worse, "Bad")),
        ] {
            assert_eq!(take(state), expected);
        }
        assert_eq!(watching.get().campaigns.len(), 1);
        watching.take(&Id::Number(2), watched(State::Good), None, |id| *id == Id::Number(2));
        assert!(
            watching.get().campaigns.keys().eq([Id::Number(2)].iter()),
            "the other does not run any more"
        );
    }

    #[test]
    fn decisions_that_disagree_are_told_once_with_the_first_of_them_and_nothing_checked_is_not_good() {
        let watching = Watching::default();
        let take = |checked, agreed| {
            let now = Agreement { checked, agreed, ..Agreement::default() };
            watching.take(&Id::Number(1), None, Some(now), |_| true)
        };
        assert!(take(10, 10).is_empty());
        assert!(matches!(&take(10, 9)[..], [Change::Worse(said)] if said.contains("1 of 10")));
        assert!(take(11, 9).is_empty() && take(0, 0).is_empty());
        assert!(matches!(&take(12, 12)[..], [Change::Better(said)] if said.contains("12")));
    }
}
