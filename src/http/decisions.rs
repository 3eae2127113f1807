//! `GET /should-show-ad/{customer}` and `POST /decisions`: the question before playback.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::app::App;
use super::body;
use super::content::{json, require_json};
use super::extract::{CheckedQuery, CustomerId};
use super::problem::{Kind, Problem};
use crate::engine::{Ask, Decision, ModelId, RequestId};
use crate::event::Id;

/// From so many customers on a batch is worked on beside the threads that answer single decisions.
const LARGE_BATCH: usize = 256;

/// Bytes of a batch's body: an id of 64 characters, its quotes and a comma for each customer.
const BYTES_PER_CUSTOMER: usize = 70;

/// A decision in JSON.
#[derive(Serialize)]
pub(super) struct Answer {
    #[serde(serialize_with = "as_text")]
    customer: Id,
    show: bool,
    reason: &'static str,
    #[serde(serialize_with = "as_text")]
    campaign: Id,
    score: Option<f64>,
    probability: Option<f64>,
    model: Option<ModelId>,
    #[serde(serialize_with = "as_text")]
    decision_id: crate::event::DecisionId,
}

/// As a JSON string, whatever it is.
fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Answer {
    pub(super) fn new(app: &App, customer: Id, decision: Decision) -> Self {
        Self {
            customer,
            show: decision.reason.shows(),
            reason: decision.reason.name(),
            campaign: app.engine.settings().campaign.id.clone(),
            score: decision.score.map(|score| score.value),
            probability: decision.score.and_then(|score| score.probability),
            model: decision.model,
            decision_id: decision.id,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneQuery {
    #[serde(default)]
    dry_run: bool,
    request_id: Option<String>,
}

/// One decision. `HEAD` answers alike but counts nothing: nobody can play an ad from it.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    method: Method,
    CustomerId(customer): CustomerId,
    CheckedQuery(query): CheckedQuery<OneQuery>,
) -> Result<Response, Problem> {
    let request_id = query.request_id.as_deref().map(RequestId::parse).transpose();
    let request_id =
        request_id.map_err(|error| Problem::new(Kind::InvalidQuery, format!("request_id: {error}")))?;
    let ask = Ask { dry_run: query.dry_run || method == Method::HEAD, request_id };
    let decision = app.engine.decide(&customer, &ask, app.wall_ms());
    Ok(json(&Answer::new(&app, customer, decision)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchQuery {
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    customers: Vec<&'a RawValue>,
}

#[derive(Serialize)]
struct Answers {
    decisions: Vec<Answer>,
}

/// Decisions for many customers, in their order.
pub(super) async fn batch(
    State(app): State<Arc<App>>,
    CheckedQuery(query): CheckedQuery<BatchQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    require_json(&headers)?;
    let limit = app.config.limits.decisions;
    let body = body::read(&app, &headers, body, 1024 + limit * BYTES_PER_CUSTOMER).await?;
    let customers = customers(&body.bytes, limit)?;
    drop(body);
    let ask = Ask { dry_run: query.dry_run, request_id: None };
    let count = customers.len();
    let worker = Arc::clone(&app);
    let decide_all = move || {
        let wall_ms = worker.wall_ms();
        let decide = |customer: Id| {
            let decision = worker.engine.decide(&customer, &ask, wall_ms);
            Answer::new(&worker, customer, decision)
        };
        json(&Answers { decisions: customers.into_iter().map(decide).collect() })
    };
    if count < LARGE_BATCH {
        return Ok(decide_all());
    }
    app.beside(decide_all).await
}

fn customers(body: &[u8], limit: usize) -> Result<Vec<Id>, Problem> {
    let not_of_the_form = |kind, reason: &dyn fmt::Display| {
        Problem::new(
            kind,
            format!("the body is not of the form {{\"customers\":[\"48\",\"532\"]}}: {reason}"),
        )
    };
    let batch: Batch = serde_json::from_slice(body).map_err(|error| {
        let kind = if error.is_data() { Kind::InvalidBody } else { Kind::MalformedBody };
        not_of_the_form(kind, &error)
    })?;
    // Left to itself, serde would also take an array of the fields' values.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(not_of_the_form(Kind::InvalidBody, &"a list where an object is expected"));
    }
    if batch.customers.len() > limit {
        let detail =
            format!("{} customers; at most {limit} are allowed in one request", batch.customers.len());
        return Err(Problem::new(Kind::InvalidBody, detail));
    }
    let read = |(index, customer): (usize, &RawValue)| {
        serde_json::from_str(customer.get()).map_err(|error| {
            let detail = format!("customers[{index}]: {}", without_position(&error.to_string()));
            Problem::new(Kind::InvalidCustomerId, detail)
        })
    };
    batch.customers.into_iter().enumerate().map(read).collect()
}

/// Line and column are those of the element alone and would mislead.
fn without_position(message: &str) -> &str {
    message.split(" at line ").next().unwrap_or(message)
}
