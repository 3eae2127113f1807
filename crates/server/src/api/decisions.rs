//! `GET /should-show-ad/{customer}` and `POST /decisions`: the question before playback.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use upbeat_core::event::Id;
use upbeat_engine::{Ask, PREFETCHED, RequestId};

use super::content::{json, json_bytes, require_json};
use super::explained::{self, CampaignView};
use super::extract::{CheckedQuery, CustomerId, query};
use super::{Kind, Problem, answer, body};
use crate::runtime::App;

/// So many decisions of a batch are made at a time, which takes some 50 µs. A larger batch is decided in slices on the
/// event loops.
const DECISIONS_PER_SLICE: usize = 128;

/// The capacity reserved for each answer of a batch, in bytes.
const USUAL_ANSWER_BYTES: usize = 232;

/// The longest element of a batch's body, in bytes: an id of 64 characters, its quotes, a comma and blanks.
const BYTES_PER_CUSTOMER: usize = 70;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneQuery {
    #[serde(default)]
    dry_run: bool,
    request_id: Option<String>,
    #[serde(default)]
    explain: bool,
    preview: Option<String>,
}

impl OneQuery {
    /// The campaign that is asked as if it alone ran.
    ///
    /// # Errors
    /// It is no id, or no campaign of this id runs.
    fn previewed(&self, app: &App) -> Result<Option<Id>, Problem> {
        let Some(text) = &self.preview else { return Ok(None) };
        let id =
            Id::parse(text).map_err(|error| Problem::new(Kind::InvalidQuery, format!("preview: {error}")))?;
        if app.engine.running().plan.find(&id).is_none() {
            let detail =
                format!("no campaign {id} runs; GET /campaigns on the admin listener has those that do");
            return Err(Problem::new(Kind::CampaignNotFound, detail));
        }
        Ok(Some(id))
    }
}

/// A decision with the whole story of it.
#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    decision: Map<String, Value>,
    campaigns: Vec<CampaignView>,
}

/// The decision that a customer would get, and every rule of every campaign that is asked. It never counts.
fn explained(app: &App, customer: &Id, preview: Option<Id>) -> Result<Response, Problem> {
    let wall_ms = app.wall_ms();
    let explanation = match &preview {
        Some(campaign) => app.engine.explain_preview(customer, campaign, wall_ms),
        None => app.engine.explain(customer, wall_ms),
    };
    let (decision, campaigns) = match explanation {
        Some(of) => (of.decision, explained::campaigns(&of.campaigns.plan, &of.traces)),
        None => {
            let ask = Ask { dry_run: true, preview, request_id: None };
            (app.engine.decide(customer, &ask, wall_ms)?, Vec::new())
        }
    };
    let mut body = Vec::with_capacity(answer::MAX_BYTES);
    answer::write(&mut body, customer, &app.engine.running(), &decision);
    let decision =
        serde_json::from_slice(&body).map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    Ok(json(&Explained { decision, campaigns }))
}

/// `GET /should-show-ad/{customer}`: one decision. `HEAD` gives the same headers, but counts no impression, because its
/// answer has no body from which an ad could be played.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    method: Method,
    CustomerId(customer): CustomerId,
    CheckedQuery(query): CheckedQuery<OneQuery>,
) -> Result<Response, Problem> {
    let request_id = query.request_id.as_deref().map(RequestId::parse).transpose();
    let request_id =
        request_id.map_err(|error| Problem::new(Kind::InvalidQuery, format!("request_id: {error}")))?;
    let preview = query.previewed(&app)?;
    if query.explain {
        return explained(&app, &customer, preview);
    }
    let dry_run = query.dry_run || method == Method::HEAD;
    let ask = Ask { dry_run, preview, request_id };
    let decision = app.engine.decide(&customer, &ask, app.wall_ms())?;
    let mut body = Vec::with_capacity(answer::MAX_BYTES);
    answer::write(&mut body, &customer, &app.engine.running(), &decision);
    Ok(json_bytes(body))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchQuery {
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    customers: Vec<&'a RawValue>,
}

/// The request for a batch, as far as its head says.
pub(super) struct BatchPlan {
    /// The longest body, in bytes.
    pub(super) body_limit: usize,
    dry_run: bool,
}

impl BatchPlan {
    /// Reads the head of a request.
    ///
    /// # Errors
    /// The query or the content type is not accepted.
    pub(super) fn of(app: &App, uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let BatchQuery { dry_run } = query(uri)?;
        require_json(headers)?;
        let body_limit = 1024 + app.config.limits.decisions * BYTES_PER_CUSTOMER;
        Ok(Self { body_limit, dry_run })
    }
}

/// `POST /decisions`: decisions for many customers, in their order.
pub(super) async fn batch(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let BatchPlan { dry_run, .. } = BatchPlan::of(&app, &parts.uri, &parts.headers)?;
    let body = body::collect(&app, &parts.extensions, body).await?;
    let customers = customers(&body, app.config.limits.decisions)?;
    drop(body);
    // Held until the whole answer is there, and asked for before anything is counted.
    let _room = app.room_for_answer(customers.len() * USUAL_ANSWER_BYTES)?;
    let wall_ms = app.wall_ms();
    let mut batch = BatchAnswer::new(customers.len());
    if customers.len() <= DECISIONS_PER_SLICE {
        batch.decide(&app, &customers, dry_run, wall_ms);
        return Ok(json_bytes(batch.end()));
    }
    let (worker, mut first) = (Arc::clone(&app), 0);
    let slice = move || {
        let last = customers.len().min(first + DECISIONS_PER_SLICE);
        batch.decide(&worker, &customers[first..last], dry_run, wall_ms);
        first = last;
        (last == customers.len()).then(|| std::mem::take(&mut batch).end())
    };
    Ok(json_bytes(app.slices().run_all_async(slice).await?))
}

/// The answer to a batch, as far as it is made.
#[derive(Default)]
struct BatchAnswer(Vec<u8>);

impl BatchAnswer {
    fn new(customers: usize) -> Self {
        let mut body = Vec::with_capacity(32 + customers * USUAL_ANSWER_BYTES);
        body.extend_from_slice(b"{\"decisions\":[");
        Self(body)
    }

    /// Decides for the next customers.
    fn decide(&mut self, app: &App, customers: &[Id], dry_run: bool, wall_ms: i64) {
        // Before decisions for as many others, so that the records have arrived from memory when they are used.
        let prefetch = |from: usize| {
            let ahead = customers.len().min(from + PREFETCHED);
            app.engine.prefetch(&customers[from.min(ahead)..ahead]);
        };
        prefetch(0);
        for (index, customer) in customers.iter().enumerate() {
            if index % PREFETCHED == 0 {
                prefetch(index + PREFETCHED);
            }
            if self.0.last() == Some(&b'}') {
                self.0.push(b',');
            }
            let decision = app.engine.decide_once(customer, dry_run, wall_ms);
            answer::write(&mut self.0, customer, &app.engine.running(), &decision);
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"]}");
        self.0
    }
}

/// The customers of a batch.
///
/// A valid body is read in one pass; an invalid one is read a second time, element by element, to say what is wrong
/// with it.
///
/// # Errors
/// The body is not of the form, has too many customers, or an invalid id.
fn customers(body: &[u8], limit: usize) -> Result<Vec<Id>, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ValidBatch {
        customers: Vec<Id>,
    }
    match serde_json::from_slice::<ValidBatch>(body) {
        Ok(ValidBatch { customers }) if customers.len() <= limit && !is_list(body) => Ok(customers),
        _ => customers_one_by_one(body, limit),
    }
}

/// Whether a JSON body is an array. Serde would also read a struct from an array of its fields' values.
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

/// A message of serde without its line and column, which count within the element and would mislead.
fn without_position(message: &str) -> &str {
    message.split(" at line ").next().unwrap_or(message)
}
