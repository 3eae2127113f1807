//! What becomes of a training.

use upbeat_core::event::DAY_MS;
use upbeat_core::feature::Counts;

use super::left_out;
use crate::backtest::Judge;
use crate::job::{Ask, Training};
use crate::training::{self, Candidate, Example, Examples, OFFERED, Plan, Warm};
use crate::{Found, Terms};

/// A candidate, or why there is none.
pub(super) fn trained(
    ask: &Ask,
    found: &Found,
    examples: Option<Examples>,
    (last, champion): (Option<Warm>, Option<Judge>),
    jumped: u64,
) -> Training {
    let labels = examples.as_ref().map_or(0, |examples| examples.labels);
    let none = |why: String| Training::None {
        sentence: format!(
            "No model was trained, and the champion stays in force: {why}.{}",
            left_out(jumped)
        ),
        labels,
    };
    let Some(examples) = examples else {
        return none(format!("the log has no version of the campaigns that has {}", ask.campaign));
    };
    let Some(window) = found.window else {
        return none("the log does not say which window of plays its features are of".to_owned());
    };
    if let Some(why) = too_few(ask, &examples) {
        return none(why);
    }
    let plan = Plan { window, seed: ask.seed, last };
    let examples = examples.take();
    let trained = training::train(examples.clone(), &plan);
    if let (Ok(candidate), Some(champion)) = (&trained, &champion)
        && let Some(terms) = found.campaigns.newest_terms(&ask.campaign)
        && let Some(why) = no_gain(candidate, champion, &examples, terms)
    {
        return none(why);
    }
    match trained {
        Err(why) => none(why.to_string()),
        Ok(Candidate { model, trained_until_ms, newest_ms, rows, clicks, sentence, .. }) => {
            Training::Candidate {
                id: model.id().to_owned(),
                model: String::from_utf8_lossy(&model.to_bytes()).into_owned(),
                trained_until_ms,
                newest_ms: Some(newest_ms),
                rows,
                clicks,
                sentence: sentence + &left_out(jumped),
            }
        }
    }
}

/// Why a candidate is not worth a challenge, if so: on ads that it was not fitted to, it would not have earned clearly more than the
/// champion. A challenge keeps others away and spends of α.
fn no_gain(candidate: &Candidate, champion: &Judge, examples: &[Example], terms: &Terms) -> Option<String> {
    let judge = Judge::new(&candidate.model);
    let unseen: Vec<_> = examples.iter().filter(|of| of.time_ms >= candidate.unseen_from_ms).collect();
    let shows = |counts: &Counts| (judge.shows(counts, terms), champion.shows(counts, terms));
    let (gain, error) = training::gain(unseen.iter().copied(), (terms.cost_micro, terms.value_micro), shows);
    (gain <= OFFERED * error).then(|| {
        format!(
            "on the newest {} ads, which it was not fitted to, the best candidate {} would have earned {gain:.0} micro-units an ad more than the \
             champion, with a standard error of {error:.0}: one is offered where it is {OFFERED} times that",
            unseen.len(),
            judge.id
        )
    })
}

/// Why there are not enough labels to begin with, if so.
fn too_few(ask: &Ask, examples: &Examples) -> Option<String> {
    let Examples { shown, labels, forgotten, .. } = examples;
    if examples.is_empty() && *shown > 0 {
        let hours = ask.attribution_ms as f64 / 3_600_000.0;
        return Some(match forgotten {
            0 => format!(
                "none of {shown} ads that were shown has a label yet: one comes once {hours:.1} hours have passed ([learn] attribution), \
                 unless the ad is given back; wait"
            ),
            _ => format!(
                "{forgotten} ads were shown before the first event that the log still has, so that nobody knows which were clicked; keep \
                 events as long as decisions ([retention.events])"
            ),
        });
    }
    if examples.is_empty() {
        return Some("no ad of the campaign was shown".to_owned());
    }
    let days = |ms: i64| ms as f64 / DAY_MS as f64;
    (*labels < ask.min_labels).then(|| match ask.trained_since_ms() {
        None => format!("{labels} ads have a label, and {} are needed ([learn] min_labels); wait", ask.min_labels),
        Some(since_ms) => format!(
            "{labels} labels have come since the last training's newest, {:.1} days ago, and {} are needed ([learn] min_labels); wait",
            days(ask.now_ms.saturating_sub(since_ms)),
            ask.min_labels
        ),
    })
}
