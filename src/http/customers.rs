//! `/customers/{id}` on the admin listener: all that is held of one customer, why they are answered as they are,
//! and the way to forget them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use super::app::App;
use super::content::json;
use super::decisions::Answer;
use super::extract::{CheckedQuery, CustomerId, NoQuery};
use super::problem::{Kind, Problem};
use crate::decision::Reason;
use crate::engine::{Ask, Decision};
use crate::event::{Id, Membership, Time};
use crate::feature::{self, FEATURE_NAMES, Heard};
use crate::profile::{PlayRef, PlaysIn, Profile};
use crate::svm;

#[derive(Serialize)]
struct Held {
    customer: String,
    membership: Option<Since>,
    plays: Vec<PlayView>,
    older_plays: Vec<PlayView>,
    impressions: Vec<ImpressionView>,
    clicks: Vec<ClickView>,
    features: Map<String, Value>,
    now: Time,
}

#[derive(Serialize)]
struct Since {
    level: Membership,
    since: Time,
}

#[derive(Serialize)]
struct PlayView {
    event_id: Id,
    track_id: Id,
    time: Time,
    mobile: bool,
}

#[derive(Serialize)]
struct ImpressionView {
    event_id: Id,
    campaign: String,
    time: Time,
    decision_id: Option<String>,
    confirmed: bool,
}

#[derive(Serialize)]
struct ClickView {
    event_id: Id,
    ad: String,
    time: Time,
}

impl From<PlayRef<'_>> for PlayView {
    fn from(play: PlayRef<'_>) -> Self {
        Self {
            event_id: play.event_id.to_id(),
            track_id: play.track.to_id(),
            time: play.time,
            mobile: play.mobile,
        }
    }
}

fn not_found(id: &Id) -> Problem {
    Problem::new(
        Kind::CustomerNotFound,
        format!("no event of customer {id} was told, or they were forgotten"),
    )
}

/// Features by name; `null` each where there is no play in the window.
fn features(plays: PlaysIn<'_>) -> Map<String, Value> {
    let vector = feature::vector(plays.iter().map(Heard::from));
    let share = |index: usize| vector.map_or(Value::Null, |vector| Value::from(vector[index]));
    FEATURE_NAMES.iter().enumerate().map(|(index, name)| ((*name).to_owned(), share(index))).collect()
}

/// Everything that is held of a customer.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    CustomerId(id): CustomerId,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    let profile = app.engine.profile(&id).ok_or_else(|| not_found(&id))?;
    let now_ms = app.engine.now_ms(app.wall_ms());
    let plays = profile.plays_in(&app.engine.settings().window, now_ms);
    let impressions = profile.impressions().iter().map(|impression| ImpressionView {
        event_id: impression.event_id.clone(),
        campaign: impression.campaign.to_string(),
        time: impression.time,
        decision_id: impression.decision.map(|decision| decision.to_string()),
        confirmed: impression.confirmed,
    });
    let clicks = profile.clicks().iter().map(|click| ClickView {
        event_id: click.event_id.clone(),
        ad: click.ad.to_string(),
        time: click.time,
    });
    Ok(json(&Held {
        customer: id.to_string(),
        membership: profile.membership().map(|change| Since { level: change.level, since: change.time }),
        plays: plays.iter().map(PlayView::from).collect(),
        older_plays: profile.plays().iter().take(plays.older()).map(PlayView::from).collect(),
        impressions: impressions.collect(),
        clicks: clicks.collect(),
        features: features(plays),
        now: Time::from_unix_ms(now_ms),
    }))
}

/// Forgets a customer.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    CustomerId(id): CustomerId,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    if app.engine.forget(&id) { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(not_found(&id)) }
}

#[derive(Serialize)]
struct Explanation {
    decision: Answer,
    steps: Vec<Step>,
    features: Map<String, Value>,
    contributions: Option<Map<String, Value>>,
}

/// One question of the policy, in the order in which it asks.
#[derive(Serialize)]
struct Step {
    question: &'static str,
    passed: bool,
    detail: String,
}

/// Why a customer would be answered as they would be now.
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    CustomerId(id): CustomerId,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    let profile = app.engine.profile(&id).ok_or_else(|| not_found(&id))?;
    let wall_ms = app.wall_ms();
    let now_ms = app.engine.now_ms(wall_ms);
    let decision = app.engine.decide(&id, &Ask { dry_run: true, request_id: None }, wall_ms);
    let plays = profile.plays_in(&app.engine.settings().window, now_ms);
    Ok(json(&Explanation {
        steps: steps(&app, &profile, &decision, now_ms),
        features: features(plays),
        contributions: contributions(&app, &decision, plays),
        decision: Answer::new(&app, id, decision),
    }))
}

/// How far each feature moves the score, by name, from `base`, the average training row's score.
///
/// None where there is no score, or the model does not tell its average row; nor in the instant in which
/// another model took over.
fn contributions(app: &App, decision: &Decision, plays: PlaysIn<'_>) -> Option<Map<String, Value>> {
    decision.score?;
    let champion = app.engine.champion()?;
    if decision.model.as_ref() != Some(&champion.id) {
        return None;
    }
    let mean = svm::training_mean(champion.model.parts())?;
    let explanation = svm::explain(&champion.scorer, mean, &feature::vector(plays.iter().map(Heard::from))?)?;
    let parts = FEATURE_NAMES.iter().zip(explanation.contributions);
    let parts = [(&"base", explanation.base)].into_iter().chain(parts);
    Some(parts.map(|(name, part)| ((*name).to_owned(), Value::from(part))).collect())
}

/// The policy's questions up to the one that settled the matter.
fn steps(app: &App, profile: &Profile, decision: &Decision, now_ms: i64) -> Vec<Step> {
    let settings = app.engine.settings();
    let campaign = &settings.campaign;
    let level = profile.membership().map_or("free, as none was told", |change| change.level.name());
    let audience: Vec<_> = campaign.audience.iter().map(|level| level.name()).collect();
    let plays = profile.plays_in(&settings.window, now_ms).len();
    let heard = profile.impressions_after(&campaign.id, campaign.cap.start_ms(now_ms));
    let score = decision.score.map_or_else(|| "none".to_owned(), |score| score.value.to_string());
    let questions: [(&str, &[Reason], String); 5] = [
        (
            "membership is in the audience",
            &[Reason::AlreadyGold, Reason::NotInAudience],
            format!("membership {level}; audience {}", audience.join(", ")),
        ),
        (
            "a model is loaded",
            &[Reason::NoModel],
            decision.model.as_ref().map_or_else(|| "none".to_owned(), |id| format!("model {id}")),
        ),
        (
            "enough plays in the window",
            &[Reason::TooLittleHistory],
            format!(
                "{plays} plays in the last {} days, counting {} at most; {} needed",
                settings.window.days, settings.window.plays, campaign.min_plays
            ),
        ),
        (
            "heard less often than the cap",
            &[Reason::Capped],
            format!(
                "{heard} impressions in the last {} hours; cap {}",
                campaign.cap.hours, campaign.cap.impressions
            ),
        ),
        (
            "score above the threshold",
            &[Reason::UnlikelyToClick],
            format!("score {score}; threshold {}", campaign.threshold),
        ),
    ];
    let mut steps = Vec::new();
    for (question, failing, detail) in questions {
        let passed = !failing.contains(&decision.reason);
        steps.push(Step { question, passed, detail });
        if !passed {
            break;
        }
    }
    steps
}
