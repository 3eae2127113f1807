use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const OURS: Id = Id::Number(0);
#[test]
fn impression_takes_no_more_than_ten_words() {
    assert!(size_of::<Impression>() <= 80, "{}", size_of::<Impression>());
}

const KNOWN: [Id; 2] = [OURS, Id::Number(1)];

fn minute(minute: i64) -> Time {
    Time::from_unix_ms(minute * 60_000)
}

fn report(history: &mut AdHistory, event_id: u64, at: i64, campaign: u64) -> Applied {
    history.insert_reported(minute(at), Id::Number(event_id), Id::Number(campaign), &KNOWN)
}

fn confirm(history: &mut AdHistory, decision: u64, event_id: u64, at: i64) -> Result<Applied, EventConflict> {
    let (decision, event_id) = (DecisionId(decision), Id::Number(event_id));
    history.check_confirmation(decision, minute(at), &event_id)?;
    Ok(history.confirm(decision, minute(at), event_id))
}

fn void(history: &mut AdHistory, decision: u64, event_id: u64, at: i64) -> Result<Applied, EventConflict> {
    let (decision, event_id) = (DecisionId(decision), Id::Number(event_id));
    history.check_void(decision, minute(at), &event_id)?;
    Ok(history.void(decision, minute(at), event_id))
}

fn count(history: &AdHistory, campaign: &Id) -> usize {
    history.counted().filter(|impression| impression.campaign == *campaign).count()
}

#[test]
fn impressions_of_other_campaigns_never_push_out_those_of_a_known_one() {
    let mut history = AdHistory::default();
    history.insert_decided(DecisionId(1), OURS, minute(0), &KNOWN);
    for event_id in 0..1000 {
        let (known, unknown) = (1, 100 + event_id);
        report(&mut history, event_id, 1 + event_id as i64, if event_id % 2 == 0 { known } else { unknown });
    }
    assert_eq!(count(&history, &OURS), 1);
    assert_eq!(count(&history, &KNOWN[1]), AD_HISTORY_LIMIT);
    assert_eq!(history.as_slice().len(), 1 + 2 * AD_HISTORY_LIMIT, "all unknown campaigns share one history");
}

#[test]
fn campaign_that_becomes_known_finds_its_impressions() {
    let mut history = AdHistory::default();
    report(&mut history, 1, 1, 7);
    report(&mut history, 2, 2, 0);
    assert_eq!(count(&history, &Id::Number(7)), 1);
}

#[test]
fn confirmation_and_report_of_one_event_count_once_in_any_order() {
    for report_first in [false, true] {
        let mut history = AdHistory::default();
        history.insert_decided(DecisionId(1), OURS, minute(0), &KNOWN);
        let mut outcomes = [Applied::TooOld; 2];
        for step in [report_first, !report_first].into_iter().enumerate() {
            outcomes[step.0] = match step.1 {
                true => report(&mut history, 7, 5, 0),
                false => confirm(&mut history, 1, 7, 5).expect("no conflict"),
            };
        }
        assert_eq!(outcomes, [Applied::Accepted, Applied::Replaced], "report first: {report_first}");
        assert_eq!(count(&history, &OURS), 1, "report first: {report_first}");
        assert!(history.counted().all(Impression::is_confirmed), "report first: {report_first}");
    }
}

#[test]
fn event_confirms_one_decision_only() {
    for (first, second) in [(1, 2), (2, 1)] {
        let mut history = AdHistory::default();
        for decision in [1, 2] {
            history.insert_decided(DecisionId(decision), OURS, minute(decision as i64), &KNOWN);
        }
        assert_eq!(confirm(&mut history, first, 7, 5), Ok(Applied::Accepted));
        let conflict = confirm(&mut history, second, 7, 5).expect_err("a conflict");
        assert!(conflict.to_string().contains("already confirmed"), "{conflict}");
        assert_eq!(confirm(&mut history, first, 7, 5), Ok(Applied::Duplicate));
        assert_eq!(confirm(&mut history, second, 8, 5), Ok(Applied::Accepted), "with an event of its own");
        assert_eq!(count(&history, &OURS), 2);
    }
}

#[test]
fn report_that_was_merged_with_a_confirmation_leaves_no_gap_in_a_full_history() {
    let mut history = AdHistory::default();
    history.insert_decided(DecisionId(1), OURS, minute(0), &KNOWN);
    for event_id in 0..AD_HISTORY_LIMIT as u64 {
        report(&mut history, event_id, 1 + event_id as i64, 0);
    }
    let last = AD_HISTORY_LIMIT as u64 - 1;
    let refused = confirm(&mut history, 1, last, 1 + last as i64);
    assert_eq!(refused, Err(EventConflict::UnknownDecision(DecisionId(1))), "64 are newer");
    assert_eq!(count(&history, &OURS), AD_HISTORY_LIMIT);

    history.insert_decided(DecisionId(2), OURS, minute(1000), &KNOWN);
    report(&mut history, 900, 1001, 0);
    assert_eq!(confirm(&mut history, 2, 900, 1001), Ok(Applied::Replaced));
    assert!(count(&history, &OURS) >= AD_HISTORY_LIMIT, "{}", count(&history, &OURS));
}

#[test]
fn late_report_sent_again_is_accepted_at_most_once() {
    let mut history = AdHistory::default();
    for event_id in 0..1000 {
        assert_eq!(report(&mut history, event_id, event_id as i64, 0), Applied::Accepted);
    }
    for event_id in 0..1000 {
        assert_ne!(report(&mut history, event_id, event_id as i64, 0), Applied::Accepted, "{event_id}");
    }
    assert_eq!(report(&mut history, 5000, -1, 0), Applied::TooOld);
}

#[test]
fn void_gives_an_impression_back_once_and_a_confirmation_takes_it_again_in_any_order() {
    type Say = fn(&mut AdHistory, u64, u64, i64) -> Result<Applied, EventConflict>;
    let (confirm, void): (Say, Say) = (confirm, void);
    for (order, counts) in
        [(&[void][..], 0), (&[void, void], 0), (&[void, confirm], 1), (&[confirm, void], 1)]
    {
        let mut history = AdHistory::default();
        history.insert_decided(DecisionId(1), OURS, minute(0), &KNOWN);
        for (nth, say) in order.iter().enumerate() {
            let again = nth > 0 && order[0] as usize == *say as usize;
            let expected = if again { Applied::Duplicate } else { Applied::Accepted };
            assert_eq!(say(&mut history, 1, 7, 5), Ok(expected));
            assert_eq!(say(&mut history, 1, 7, 5), Ok(Applied::Duplicate), "the same event");
        }
        assert_eq!(count(&history, &OURS), counts);
        assert_eq!(history.count_after(-1, |_| true), counts);
    }
}

#[test]
fn void_of_a_decision_that_showed_nothing_or_is_not_known_is_refused() {
    let ghost = 1 << 63 | 5;
    let mut history = AdHistory::default();
    history.insert_decided(DecisionId(ghost), OURS, minute(0), &KNOWN);
    for decision in [ghost, 6] {
        let unknown = EventConflict::UnknownDecision(DecisionId(decision));
        assert_eq!(void(&mut history, decision, 7, 5), Err(unknown.clone()));
        assert_eq!(confirm(&mut history, decision, 7, 5), Err(unknown));
    }
    assert_eq!(count(&history, &OURS), 1, "a place that was taken without showing anything stays taken");
}

#[test]
fn event_voids_one_decision_only() {
    let mut history = AdHistory::default();
    for decision in [1, 2] {
        history.insert_decided(DecisionId(decision), OURS, minute(decision as i64), &KNOWN);
    }
    assert_eq!(void(&mut history, 1, 7, 5), Ok(Applied::Accepted));
    let conflict = void(&mut history, 2, 7, 5).expect_err("a conflict");
    assert!(conflict.to_string().contains("already voided"), "{conflict}");
    assert_eq!(void(&mut history, 2, 8, 5), Ok(Applied::Accepted), "with an event of its own");
    assert_eq!(
        confirm(&mut history, 2, 7, 5),
        Ok(Applied::Accepted),
        "a void and a confirmation are two events"
    );
}

/// A player that gives back every ad pushes one that was heard out of the history.
#[test]
fn cap_holds_although_ads_that_were_given_back_have_pushed_out_one_that_counts() {
    let mut history = AdHistory::default();
    history.insert_decided(DecisionId(0), OURS, minute(0), &KNOWN);
    for decision in 1..=AD_HISTORY_LIMIT as u64 {
        let at = decision as i64;
        history.insert_decided(DecisionId(decision), OURS, minute(at), &KNOWN);
        assert_eq!(void(&mut history, decision, decision, at), Ok(Applied::Accepted));
        assert!(history.count_after(-1, |_| true) >= 1, "{decision}");
    }
    assert_eq!(count(&history, &OURS), 0, "it is not kept");
    assert_eq!(history.count_after(minute(1).unix_ms, |_| true), 0, "nothing of this time is missing");
}

/// What an event says: that an ad of a campaign was played, or whether that of a decision was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    Reports(u64),
    Confirms,
    Voids,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    event_id: u64,
    at: i64,
    says: Says,
}

impl Step {
    /// The decision that it confirms or voids: a function of the event, as senders without faults write it.
    fn decision(self, decisions: u64) -> u64 {
        (self.event_id * 31 + self.at as u64) % decisions
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let says = prop_oneof![
        2 => (0u64..4).prop_map(Says::Reports),
        1 => Just(Says::Confirms),
        1 => Just(Says::Voids),
    ];
    (0u64..6, 0i64..60, says).prop_map(|(event_id, at, says)| Step { event_id, at, says })
}

/// All that a history holds.
fn all_of(history: &AdHistory) -> (Vec<Impression>, Vec<u32>) {
    (history.as_slice().to_vec(), history.dropped().fingerprints().collect())
}

fn history_of_steps(decisions: u64, steps: &[Step]) -> AdHistory {
    let mut history = AdHistory::default();
    for decision in 0..decisions {
        let campaign = KNOWN[decision as usize % 2].clone();
        history.insert_decided(DecisionId(decision), campaign, minute(decision as i64 * 7 % 60), &KNOWN);
    }
    for step in steps {
        let decision = step.decision(decisions);
        let grows = match step.says {
            Says::Reports(campaign) => {
                history.would_grow(minute(step.at), &Id::Number(step.event_id), &Id::Number(campaign), &KNOWN)
            }
            Says::Confirms => false,
            Says::Voids => history.void_would_grow(DecisionId(decision)),
        };
        let (before, kept_before) = (history.heap_bytes(), all_of(&history));
        let applied = match step.says {
            Says::Reports(campaign) => Ok(report(&mut history, step.event_id, step.at, campaign)),
            Says::Confirms => confirm(&mut history, decision, step.event_id, step.at),
            Says::Voids => void(&mut history, decision, step.event_id, step.at),
        };
        assert!(grows || history.heap_bytes() <= before, "{step:?}");
        // What changes nothing is in no log, and the other way round.
        let changes = matches!(applied, Ok(Applied::Accepted | Applied::Replaced));
        assert_eq!(changes, all_of(&history) != kept_before, "{step:?}: {applied:?}");
        let sum: usize = history.as_slice().iter().map(Impression::heap_bytes).sum();
        assert_eq!(history.entry_bytes, sum);
    }
    history
}

/// What should be counted, from all events ever sent: by campaign, the minutes of its impressions.
fn model(decisions: u64, steps: &[Step]) -> BTreeMap<u64, Vec<i64>> {
    let mut confirmations = BTreeMap::new();
    for step in steps.iter().filter(|step| step.says == Says::Confirms) {
        let event = (step.at, step.event_id);
        let first: &mut (i64, u64) = confirmations.entry(step.decision(decisions)).or_insert(event);
        *first = event.min(*first);
    }
    let voided: BTreeSet<u64> =
        steps.iter().filter(|step| step.says == Says::Voids).map(|step| step.decision(decisions)).collect();
    let mut counted: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    for decision in (0..decisions).filter(|of| confirmations.contains_key(of) || !voided.contains(of)) {
        counted.entry(decision % 2).or_default().push(decision as i64 * 7 % 60);
    }
    for step in steps.iter().collect::<BTreeSet<_>>() {
        let Says::Reports(campaign) = step.says else { continue };
        let event = (step.at, step.event_id);
        let merged =
            confirmations.iter().any(|(decision, first)| decision % 2 == campaign && *first == event);
        if !merged {
            counted.entry(campaign).or_default().push(step.at);
        }
    }
    counted
}

proptest! {
    // Each case has hundreds of steps.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn history_is_a_function_of_the_set_of_its_events(
        decisions in 1u64..200,
        steps in prop::collection::vec(any_step(), 0..400),
        shuffled in any::<u64>(),
    ) {
        let mut other = steps.clone();
        other.sort_by_key(|step| {
            let bits = step.event_id << 32 | (step.at as u64) << 8 | match step.says {
                Says::Reports(campaign) => campaign,
                Says::Confirms => 9,
                Says::Voids => 10,
            };
            (bits ^ shuffled).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        other.extend(steps.iter().rev().take(50));
        let (one, other) = (history_of_steps(decisions, &steps), history_of_steps(decisions, &other));
        prop_assert_eq!(one.as_slice(), other.as_slice());
    }

    /// Whatever is dropped, up to the highest cap no impression is missing.
    #[test]
    fn cap_counts_at_least_what_was_sent(
        decisions in 1u64..200,
        steps in prop::collection::vec(any_step(), 0..400),
        after in -1i64..60,
    ) {
        let history = history_of_steps(decisions, &steps);
        let model = model(decisions, &steps);
        for campaign in [0, 1] {
            let expected = model.get(&campaign).map_or(0, |minutes| minutes.iter().filter(|at| **at > after).count());
            let found = history.count_after(minute(after).unix_ms, |of| of.campaign == Id::Number(campaign));
            let all = model.get(&campaign).map_or(0, Vec::len).max(decisions as usize / 2);
            prop_assert!(found.min(AD_HISTORY_LIMIT) >= expected.min(AD_HISTORY_LIMIT), "{} of {}", found, expected);
            // Below the limit nothing is dropped, so nothing is counted twice either.
            prop_assert!(all >= AD_HISTORY_LIMIT || found == expected, "{} of {}", found, expected);
        }
    }
}
