//! `POST /events`: plays, clicks, impressions, memberships, and the two files of the seed.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::app::App;
use super::body;
use super::content::{content_encoding, json, media_type, unsupported};
use super::extract::CheckedQuery;
use super::problem::{Kind, Problem};
use crate::event::Time;
use crate::ingest::encoding::{self, DecodeError, Encoding};
use crate::ingest::{self, Cause, Context, Format, Report, csv};

/// Bodies over this are worked on beside the threads that answer decisions, in bytes.
const LARGE_BODY: usize = 16 << 10;

const ACCEPTED_TYPES: &str = "application/json, application/x-ndjson, text/csv, application/cloudevents+json, \
                              application/cloudevents-batch+json";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    kind: Option<csv::Kind>,
    #[serde(default)]
    atomic: bool,
    as_of: Option<String>,
}

/// Applies a body of JSON that is known to be small.
///
/// # Errors
/// The whole body is refused.
pub(super) fn apply_json(app: &App, body: &[u8], wall_ms: i64) -> Result<Report, Problem> {
    let max_event_bytes = app.config.limits.event_bytes;
    let context = Context { zone: app.zone.clone(), as_of: None, max_event_bytes };
    apply_rows(app, body, Format::Json, &context, false, wall_ms)
}

/// Applies the events of a body.
pub(super) async fn post(
    State(app): State<Arc<App>>,
    CheckedQuery(query): CheckedQuery<Query>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let format = format(&headers, &query)?;
    let as_of = as_of(&app, format, query.as_of.as_deref())?;
    let encoding = content_encoding(&headers)?;
    let limits = &app.config.limits;
    let limit = if format == Format::CloudEvent { limits.event_bytes } else { limits.bulk_bytes };
    let mut body = body::read(&app, &headers, body, limit).await?;
    let context = Context { zone: app.zone.clone(), as_of, max_event_bytes: limits.event_bytes };
    if body.bytes.len() <= LARGE_BODY && encoding == Encoding::Identity {
        return apply(&app, &body.bytes, format, encoding, &context, limit, query.atomic);
    }
    let worker = Arc::clone(&app);
    let bytes = std::mem::take(&mut body.bytes);
    app.beside(move || apply(&worker, &bytes, format, encoding, &context, limit, query.atomic)).await?
}

fn apply(
    app: &App,
    bytes: &[u8],
    format: Format,
    encoding: Encoding,
    context: &Context,
    limit: usize,
    atomic: bool,
) -> Result<Response, Problem> {
    let decoded = encoding::decode(encoding, bytes, limit).map_err(|error| match error {
        DecodeError::Broken(_) => Problem::new(Kind::MalformedBody, error.to_string()),
        DecodeError::TooLarge(_) => Problem::new(Kind::BodyTooLarge, error.to_string()),
    })?;
    apply_rows(app, &decoded, format, context, atomic, app.wall_ms()).map(|report| json(&report))
}

fn apply_rows(
    app: &App,
    body: &[u8],
    format: Format,
    context: &Context,
    atomic: bool,
    wall_ms: i64,
) -> Result<Report, Problem> {
    let malformed = |error: ingest::Malformed| Problem::new(Kind::MalformedBody, error.to_string());
    let rows = ingest::rows(format, body, context).map_err(malformed)?;
    let single = rows.single;
    if single && body.len() > context.max_event_bytes {
        let detail = format!("one event has at most {} bytes", context.max_event_bytes);
        return Err(Problem::new(Kind::BodyTooLarge, detail));
    }
    let report = if atomic {
        ingest::apply_all(&app.engine, rows, wall_ms).map_err(|report| refused(report, single))?
    } else {
        ingest::apply_each(&app.engine, rows, wall_ms)
    };
    if single && !report.rejected.is_empty() {
        return Err(refused(report, single));
    }
    Ok(report)
}

/// The problem of a body that was refused as a whole: one event, or an atomic list.
fn refused(report: Report, single: bool) -> Problem {
    let kind = match report.cause {
        Some(Cause::Room) => Kind::StoreFull,
        Some(Cause::State) => Kind::EventConflict,
        _ if single => Kind::InvalidEvent,
        _ => Kind::AtomicRejected,
    };
    let detail = match report.rejected.as_slice() {
        [row] if single => row.detail.clone(),
        rows => format!("{} rows are refused; nothing was applied", rows.len() + report.rejected_omitted),
    };
    Problem::new(kind, detail).with_report(report)
}

fn format(headers: &HeaderMap, query: &Query) -> Result<Format, Problem> {
    let essence = media_type(headers).map_err(|reason| unsupported(&reason, ACCEPTED_TYPES))?;
    Ok(match essence.as_str() {
        "application/json" => Format::Json,
        "application/x-ndjson" => Format::Ndjson,
        "text/csv" => Format::Csv(query.kind.unwrap_or_default()),
        "application/cloudevents+json" => Format::CloudEvent,
        "application/cloudevents-batch+json" => Format::CloudEventBatch,
        other => {
            return Err(unsupported(&format!("content type {other:?} is not read here"), ACCEPTED_TYPES));
        }
    })
}

/// Only customer files have an `as_of`; beside anything else it means nothing.
fn as_of(app: &App, format: Format, as_of: Option<&str>) -> Result<Option<Time>, Problem> {
    let time = as_of.map(|text| Time::parse(text, &app.zone)).transpose();
    let time = time.map_err(|error| Problem::new(Kind::InvalidQuery, format!("as_of: {error}")))?;
    Ok(time.filter(|_| format == Format::Csv(csv::Kind::Customers)))
}
