//! `GET /should-show-ad/{customer}` and `POST /decisions`: the question before playback.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer;
use super::app::App;
use super::body;
use super::content::{json_bytes, require_json};
use super::extract::{CheckedQuery, CustomerId};
use super::problem::{Kind, Problem};
use crate::engine::{Ask, RequestId};
use crate::event::Id;

/// From so many customers on a batch is worked on beside the threads that answer single decisions.
const LARGE_BATCH: usize = 256;

/// Room made for each answer of a batch, in bytes.
const USUAL_ANSWER_BYTES: usize = 232;

/// Bytes of a batch's body: an id of 64 characters, its quotes and a comma for each customer.
const BYTES_PER_CUSTOMER: usize = 70;

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
    let mut body = Vec::with_capacity(answer::MAX_BYTES);
    answer::write(&mut body, &customer, &app.engine.settings().campaign.id, &decision);
    Ok(json_bytes(body))
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
    let answer_all = move || json_bytes(decide_all(&worker, &customers, &ask));
    if count < LARGE_BATCH {
        return Ok(answer_all());
    }
    app.beside(answer_all).await
}

/// The cache fetches the records of so many customers ahead: enough for their way from memory to be over by then.
const PREFETCHED: usize = 8;

fn decide_all(app: &App, customers: &[Id], ask: &Ask) -> Vec<u8> {
    let wall_ms = app.wall_ms();
    let campaign = &app.engine.settings().campaign.id;
    let mut body = Vec::with_capacity(32 + customers.len() * USUAL_ANSWER_BYTES);
    body.extend_from_slice(b"{\"decisions\":[");
    customers.iter().take(PREFETCHED).for_each(|customer| app.engine.prefetch(customer));
    for (index, customer) in customers.iter().enumerate() {
        if let Some(later) = customers.get(index + PREFETCHED) {
            app.engine.prefetch(later);
        }
        if index > 0 {
            body.push(b',');
        }
        answer::write(&mut body, customer, campaign, &app.engine.decide(customer, ask, wall_ms));
    }
    body.extend_from_slice(b"]}");
    body
}

/// The customers of a batch.
///
/// Bodies that are good, which are nearly all, are read in one pass; the others once more with care, to tell what is
/// wrong with them.
fn customers(body: &[u8], limit: usize) -> Result<Vec<Id>, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Good {
        customers: Vec<Id>,
    }
    match serde_json::from_slice::<Good>(body) {
        Ok(Good { customers }) if customers.len() <= limit && !is_list(body) => Ok(customers),
        _ => customers_one_by_one(body, limit),
    }
}

/// Left to itself, serde would also take an array of the fields' values.
fn is_list(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"[")
}

fn customers_one_by_one(body: &[u8], limit: usize) -> Result<Vec<Id>, Problem> {
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
    if is_list(body) {
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
