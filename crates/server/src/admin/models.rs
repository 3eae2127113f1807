//! `/models` on the admin listener: which models are known, what each campaign is served by, and who challenges it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use upbeat_core::campaign::Label;
use upbeat_core::event::Id;
use upbeat_core::excerpt::Excerpt;
use upbeat_core::feature::FEATURE_NAMES;
use upbeat_core::profile::Window;
use upbeat_ingest::decode::encoding::Encoding;
use upbeat_learn::job::{Standing, Verdict};
use upbeat_learn::registry::{Known, Listed, OfCampaign, Properties, Role, Source};

use super::campaigns::{user, version_view};
use crate::api::content::{content_encoding, json, media_type, unsupported};
use crate::api::extract::{CheckedQuery, NoQuery};
use crate::api::{Kind, Problem, collect_for_admin};
use crate::runtime::learning::{MAX_MODEL_BYTES, Uploaded, is_id};
use crate::runtime::{App, utc};

/// The media type of models.
const JSON: &str = "application/json";

/// A model with its part in one campaign.
#[derive(Serialize)]
struct ModelView<'a> {
    id: &'a str,
    campaign: Option<&'a Id>,
    label: Label,
    role: Role,
    /// Whether it was promoted over what the campaign's document names.
    promoted: bool,
    source: Source,
    registered: String,
    trained_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<ChallengeView>,
    standing: Option<Standing>,
    sentence: Option<&'a str>,
    rows: Option<u64>,
    agreement: Option<f64>,
    would_have_profit: Option<f64>,
    gate: &'a [Verdict],
    #[serde(skip_serializing_if = "Option::is_none")]
    learning: Option<LearningView<'a>>,
    kernel: &'a str,
    support_vectors: usize,
    window: Window,
    features: [&'static str; FEATURE_NAMES.len()],
    calibrated: bool,
    constant: bool,
    converged: Option<bool>,
}

/// Of a challenger: since when it is compared, and at which cost and value.
#[derive(Serialize)]
struct ChallengeView {
    number: u32,
    fixed: String,
    cost: i64,
    value: i64,
}

/// Of a champion: what the learning of its campaign comes to.
#[derive(Serialize)]
struct LearningView<'a> {
    since: Option<String>,
    last_job: Option<SaidView<'a>>,
    promotions: Vec<PromotionView<'a>>,
}

#[derive(Serialize)]
struct SaidView<'a> {
    time: String,
    sentence: &'a str,
}

#[derive(Serialize)]
struct PromotionView<'a> {
    time: String,
    who: &'a str,
    from: Option<&'a str>,
    to: &'a str,
}

impl<'a> ModelView<'a> {
    fn of(of: Option<&'a OfCampaign>, role: Role, known: &'a Known) -> Self {
        let Properties { kernel, support_vectors, window, calibrated, constant, converged } =
            &known.properties;
        let challenger = of.filter(|_| role == Role::Challenger).and_then(|of| of.challenger.as_ref());
        let challenge = challenger.map(|challenger| ChallengeView {
            number: challenger.number,
            fixed: utc(challenger.fixed_ms),
            cost: challenger.cost_micro,
            value: challenger.value_micro,
        });
        let promoted = of.and_then(|of| of.promoted.as_ref());
        Self {
            id: &known.id,
            campaign: of.map(|of| &of.campaign),
            label: known.label,
            role,
            promoted: role == Role::Champion && promoted.is_some_and(|promoted| promoted.id == known.id),
            source: known.source,
            registered: utc(known.registered_ms),
            trained_until: known.trained_until_ms.map(utc),
            challenge,
            standing: known.standing,
            sentence: known.sentence.as_deref(),
            rows: known.rows,
            agreement: known.agreement,
            would_have_profit: known.would_have_profit_micro,
            gate: &known.gate,
            learning: of.filter(|_| role == Role::Champion).map(LearningView::of),
            kernel,
            support_vectors: *support_vectors,
            window: *window,
            features: FEATURE_NAMES,
            calibrated: *calibrated,
            constant: *constant,
            converged: *converged,
        }
    }
}

impl<'a> LearningView<'a> {
    fn of(of: &'a OfCampaign) -> Self {
        let said =
            of.said.as_ref().map(|said| SaidView { time: utc(said.time_ms), sentence: &said.sentence });
        let promotions = of.promotions.iter().map(|promotion| PromotionView {
            time: utc(promotion.time_ms),
            who: &promotion.who,
            from: promotion.from.as_deref(),
            to: &promotion.to,
        });
        Self { since: of.since_ms.map(utc), last_job: said, promotions: promotions.collect() }
    }
}

/// `GET /models`: every model that is known, with its part in each campaign.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Response {
    app.learning().with_registry(|registry| {
        let view = |Listed { campaign, role, model }| ModelView::of(campaign, role, model);
        json(&registry.listed().into_iter().map(view).collect::<Vec<_>>())
    })
}

/// `PUT /models/{model}`: takes a model.
pub(super) async fn upload(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    require_json(&headers)?;
    let id = model_id(path)?;
    let body = collect_for_admin(&app, body, MAX_MODEL_BYTES).await?;
    // On a task of its own: a client that leaves changes nothing of what was begun.
    let upload = tokio::spawn(Arc::clone(&app).upload_model(id, body.into())).await;
    let Uploaded { model, is_new } =
        upload.map_err(|error| Problem::new(Kind::Internal, error.to_string()))??;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let view = app.learning().with_registry(|registry| {
        let listed = registry.listed();
        let known = listed.into_iter().find(|listed| listed.model.id == model.id);
        // Others may have been sent since then.
        let known = known.unwrap_or(Listed { campaign: None, role: Role::Uploaded, model: &model });
        json(&ModelView::of(known.campaign, known.role, known.model))
    });
    Ok((status, view).into_response())
}

/// # Errors
/// The body is something else than JSON, or compressed.
fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    match media_type(headers) {
        Ok(essence) if essence == JSON => match content_encoding(headers)? {
            Encoding::Identity => Ok(()),
            _ => Err(Problem::new(
                Kind::UnsupportedEncoding,
                "compressed bodies are read by POST /events only",
            )),
        },
        Ok(essence) => {
            Err(unsupported(&format!("content type {} is not read here", Excerpt::of(&essence)), JSON))
        }
        Err(reason) => Err(unsupported(&reason, JSON)),
    }
}

/// The id of a model in the path.
fn model_id(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let unknown = |detail: String| Problem::new(Kind::ModelNotFound, detail);
    let Path(id) = path.map_err(|_| unknown("the id in the path is not UTF-8".to_owned()))?;
    if is_id(&id) {
        return Ok(id);
    }
    let detail = format!(
        "{} is not the id of a model: those are hexadecimal digits, as upbeat model show prints them",
        Excerpt::of(&id)
    );
    Err(unknown(detail))
}

/// The query of requests about one campaign.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfOne {
    campaign: Option<String>,
}

impl OfOne {
    /// The campaign; where there is one only, it need not be named.
    ///
    /// # Errors
    /// It is not named, is no id, or does not run.
    pub(super) fn campaign(&self, app: &App) -> Result<Id, Problem> {
        let current = app.engine.campaigns();
        let Some(text) = &self.campaign else {
            return match &*current.plan.campaigns {
                [only] => Ok(only.id.clone()),
                _ => {
                    let detail =
                        "query string: several campaigns run; say which one, as in ?campaign=gold-one-day";
                    Err(Problem::new(Kind::InvalidQuery, detail))
                }
            };
        };
        let unknown = |detail: String| Problem::new(Kind::CampaignNotFound, detail);
        let id = Id::parse(text).map_err(|error| unknown(format!("the id in the query string: {error}")))?;
        let runs = current.plan.find(&id).is_some();
        runs.then_some(id).ok_or_else(|| {
            unknown(format!("no campaign {} runs; GET /campaigns has those that do", Excerpt::of(text)))
        })
    }
}

/// `POST /models/{model}/promote`: has a model decide for a campaign from now on.
pub(super) async fn promote(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    CheckedQuery(query): CheckedQuery<OfOne>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = model_id(path)?;
    let who = user(&headers)?;
    let campaign = query.campaign(&app)?;
    // On a task of its own: a client that leaves changes nothing of what was begun.
    let promote = tokio::spawn(Arc::clone(&app).promote(campaign, id, who)).await;
    let current = promote.map_err(|error| Problem::new(Kind::Internal, error.to_string()))??;
    version_view(&app, &current)
}
