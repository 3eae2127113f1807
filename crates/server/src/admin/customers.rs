//! `/customers/{customer}` on the admin listener: everything that is held of one customer, an explanation of a decision for
//! them, and their deletion.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use upbeat_core::campaign::Money;
use upbeat_core::decision::policy::{CampaignTrace, Finding, Rule, RuleTrace};
use upbeat_core::event::{HOUR_MS, Id, Membership, Time};
use upbeat_core::feature::{self, FEATURE_NAMES, Heard};
use upbeat_core::profile::{ImpressionSource, PlayRef, RecentPlays};
use upbeat_engine::{Explanation, NotRemoved, Settings};

use crate::api::content::json;
use crate::api::explained::{CampaignView, campaigns};
use crate::api::extract::{CheckedQuery, CustomerId, NoQuery};
use crate::api::{Kind, Problem, answer};
use crate::runtime::{App, Fate};

#[derive(Serialize)]
struct CustomerView {
    customer: String,
    membership: Option<MembershipView>,
    plays: Vec<PlayView>,
    older_plays: Vec<PlayView>,
    impressions: Vec<ImpressionView>,
    clicks: Vec<ClickView>,
    features: Map<String, Value>,
    now: Time,
}

#[derive(Serialize)]
struct MembershipView {
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
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    voided: bool,
}

#[derive(Serialize)]
struct ClickView {
    event_id: Id,
    ad: String,
    time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_id: Option<String>,
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

pub(super) fn not_found(id: &Id) -> Problem {
    Problem::new(
        Kind::CustomerNotFound,
        format!("no event of customer {id} is known, or they were evicted or deleted"),
    )
}

/// Features by name; each is `null` if there is no play in the window.
fn features(plays: RecentPlays<'_>) -> Map<String, Value> {
    let vector = feature::vector(plays.iter().map(Heard::from));
    let share = |index: usize| vector.map_or(Value::Null, |vector| Value::from(vector[index]));
    FEATURE_NAMES.iter().enumerate().map(|(index, name)| ((*name).to_owned(), share(index))).collect()
}

/// `GET /customers/{customer}`: everything that is held of a customer.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    CustomerId(id): CustomerId,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    let profile = app.engine.profile(&id).ok_or_else(|| not_found(&id))?;
    let now_ms = app.engine.now_ms(app.wall_ms());
    let plays = profile.plays_in(&app.engine.settings().window, now_ms);
    let impressions = profile.held_impressions().map(|impression| ImpressionView {
        event_id: match &impression.source {
            ImpressionSource::Decided { decision, .. } => Id::Text(decision.to_string().into()),
            ImpressionSource::Reported { event_id, .. } => event_id.clone(),
        },
        campaign: impression.campaign.to_string(),
        time: impression.time,
        decision_id: impression.decision().map(|decision| decision.to_string()),
        confirmed: impression.is_confirmed(),
        voided: impression.is_voided(),
    });
    let clicks = profile.clicks().iter().map(|click| ClickView {
        event_id: click.event_id.clone(),
        ad: click.ad.to_string(),
        time: click.time,
        decision_id: click.decision.map(|decision| decision.to_string()),
    });
    Ok(json(&CustomerView {
        customer: id.to_string(),
        membership: profile
            .membership()
            .map(|change| MembershipView { level: change.level, since: change.time }),
        plays: plays.iter().map(PlayView::from).collect(),
        older_plays: profile.plays().iter().take(plays.older()).map(PlayView::from).collect(),
        impressions: impressions.collect(),
        clicks: clicks.collect(),
        features: features(plays),
        now: Time::from_unix_ms(now_ms),
    }))
}

/// `DELETE /customers/{customer}`: erases a customer. A tombstone stays, also of one who is not known, so that old events that are
/// sent again do not bring them back.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    CustomerId(id): CustomerId,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    let known = app.engine.remove(&id, app.wall_ms()).map_err(|refused| {
        let kind = match refused {
            NotRemoved::TombstonesFull(_) => Kind::StoreFull,
            NotRemoved::Claimed | NotRemoved::LogUnavailable => Kind::Overloaded,
        };
        Problem::new(kind, refused.to_string())
    })?;
    // Also where nothing is known: another request may have deleted the customer, and that be not durable yet.
    if let Some(barrier) = app.durability().barrier() {
        let timeout = app.config.ack_timeout;
        if app.durability().fate_within(barrier, timeout.get()).await != Fate::Durable {
            app.metrics.acks_unknown.inc();
            return Err(Problem::fate_unknown(timeout));
        }
    }
    if known {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(Problem::new(
        Kind::CustomerNotFound,
        format!(
            "no event of customer {id} is held, or they were evicted or deleted. What the log may hold of them is erased \
             all the same, and so are events of theirs up to now that are sent again"
        ),
    ))
}

#[derive(Serialize)]
struct ExplanationView {
    decision: Box<RawValue>,
    campaigns: Vec<CampaignView>,
    steps: Vec<Step>,
    features: Map<String, Value>,
    contributions: Option<Map<String, Value>>,
}

/// One check of the policy.
#[derive(Serialize)]
struct Step {
    question: &'static str,
    passed: bool,
    detail: String,
}

/// `GET /customers/{customer}/explain`: the decision that the customer would get now, with its checks and features, from one
/// snapshot taken under one lock.
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    CustomerId(id): CustomerId,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    let explained = app.engine.explain(&id, app.wall_ms()).ok_or_else(|| not_found(&id))?;
    let settings = app.engine.settings();
    let plays = explained.profile.plays_in(&settings.window, explained.now_ms);
    let decision = answer::raw(&id, &app.engine.running(), &explained.decision)
        .map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    Ok(json(&ExplanationView {
        decision,
        campaigns: campaigns(&explained.campaigns.plan, &explained.traces),
        steps: steps(settings, &explained),
        features: features(plays),
        contributions: contributions(&explained, plays),
    }))
}

/// The contribution of each feature to the score, by name; with `base`, the score of the average training row, they add
/// up to the score.
///
/// `None` if there is no score, or the model does not carry its average training row.
fn contributions(explained: &Explanation, plays: RecentPlays<'_>) -> Option<Map<String, Value>> {
    explained.decision.score?;
    let plan = &explained.campaigns.plan;
    let campaign =
        plan.campaigns.iter().find(|campaign| Some(campaign.slot) == explained.decision.campaign)?;
    let served = &plan.models[campaign.model?];
    let mean = upbeat_svm::training_mean(served.model.parts())?;
    let vector = feature::vector(plays.iter().map(Heard::from))?;
    let explanation = upbeat_svm::explain(&served.scorer, mean, &vector)?;
    let parts = FEATURE_NAMES.iter().zip(explanation.contributions);
    let parts = [(&"base", explanation.base)].into_iter().chain(parts);
    Some(parts.map(|(name, part)| ((*name).to_owned(), Value::from(part))).collect())
}

/// The rules that the campaign of the decision was asked; the last of them gave the reason.
fn steps(settings: &Settings, explained: &Explanation) -> Vec<Step> {
    let slot = explained.decision.campaign;
    let Some(trace) = explained.traces.iter().find(|trace| Some(trace.slot) == slot) else {
        return Vec::new();
    };
    let last = trace.rules.iter().position(|rule| !rule.passed);
    let asked = &trace.rules[..last.map_or(trace.rules.len(), |last| last + 1)];
    asked.iter().filter_map(|rule| step(rule, trace, settings, explained)).collect()
}

/// A rule's question, and its findings; `None` of one that a campaign of one offer does not have and that passed.
fn step(
    rule: &RuleTrace,
    trace: &CampaignTrace,
    settings: &Settings,
    explained: &Explanation,
) -> Option<Step> {
    let window = settings.window;
    let text = |finding: &Option<Finding>| finding.as_ref().map_or_else(|| "none".to_owned(), told);
    let (input, limit) = (text(&rule.input), text(&rule.limit));
    let (question, detail) = match rule.rule {
        Rule::Audience => {
            let level = explained.profile.level().map_or("free, as none was reported", Membership::name);
            ("membership is in the audience", format!("membership {level}; audience {limit}"))
        }
        Rule::Model => {
            let model = trace.model.as_ref().map_or("none".to_owned(), |id| format!("model {id}"));
            ("a model is loaded", model)
        }
        Rule::History => (
            "enough plays in the window",
            format!(
                "{} plays in the last {} days, counting {} at most; {limit} needed",
                explained.counts.plays, window.days, window.plays
            ),
        ),
        Rule::Cap => (
            "heard less often than the cap",
            format!(
                "{input} impressions in the last {} hours; cap {limit}",
                rule.period_ms.unwrap_or(0) / HOUR_MS
            ),
        ),
        Rule::Score => ("score above the threshold", format!("score {input}; threshold {limit}")),
        _ if rule.passed => return None,
        Rule::Paused => ("the campaign does not rest", "it is paused".to_owned()),
        Rule::Schedule => ("the campaign runs at this time", format!("it does not; open from {limit}")),
        Rule::SignedUp => ("signed up in time", format!("signed up {input} days ago; limit {limit}")),
        Rule::CapOverAll => (
            "heard all ads less often than the caps over all campaigns",
            format!(
                "{input} impressions in the last {} hours; cap {limit}",
                rule.period_ms.unwrap_or(0) / HOUR_MS
            ),
        ),
        Rule::CooldownAfterImpression => ("not cooling down after an impression", format!("last {input}")),
        Rule::CooldownAfterClick => ("not cooling down after a click", format!("last {input}")),
        Rule::CooldownAfterUpgrade => ("not cooling down after an upgrade", format!("last {input}")),
        Rule::Budget => ("the budget pays an impression", format!("{input} left; it costs {limit}")),
    };
    Some(Step { question, passed: rule.passed, detail })
}

/// A finding in words.
fn told(finding: &Finding) -> String {
    match finding {
        Finding::Flag(flag) => flag.to_string(),
        Finding::Count(count) => count.to_string(),
        Finding::Number(number) => number.to_string(),
        Finding::MoneyMicro(micro) => Money::from_micro(*micro).to_string(),
        Finding::TimeMs(unix_ms) => Time::from_unix_ms(*unix_ms).to_string(),
        Finding::LengthMs(length_ms) => format!("{} s", length_ms / 1000),
        Finding::Text(text) => text.clone(),
    }
}
