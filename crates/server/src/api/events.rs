//! `POST /events`: plays, clicks, impressions and memberships, as JSON, CSV or CloudEvents.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use upbeat_core::event::{Row, Time, TimeError};
use upbeat_core::excerpt::Excerpt;
use upbeat_engine::{Progress, Report, RowProblem};
use upbeat_ingest::decode::encoding::{self, DecodeError, Encoding};
use upbeat_ingest::decode::{self, Context, Format, csv};

use super::content::{content_encoding, json, media_type, unsupported};
use super::extract::query;
use super::{Kind, Problem, body};
use crate::runtime::{App, Barrier};
use crate::wire::LoopsEnded;

/// Larger bodies, and compressed ones, are processed on the bulk pool; in bytes.
const LARGE_BODY: usize = 16 << 10;

/// So many rows of a large body are applied at a time, which takes a loop some 60 µs.
const ROWS_PER_SLICE: usize = 128;

/// So many decoded rows are handed over to the loops together: the way there and back may take a tenth of a millisecond.
const ROWS_HANDED_OVER: usize = 2048;

/// Most rows that a report lists, and the bytes that one usually takes there.
const MOST_LISTED_ROWS: usize = 10_000;
const USUAL_ROW_BYTES: usize = 256;

const ACCEPTED_TYPES: &str = "application/json, application/x-ndjson, text/csv, application/cloudevents+json, \
                              application/cloudevents-batch+json";

/// What became of the rows of a body: the report where they were applied one by one or all, an `Err` with it where none
/// was, because some would have been refused.
type Applied = Result<Report, Report>;

/// The rows of a body, as they are decoded.
type DecodedRows<'a> = Box<dyn Iterator<Item = Result<Row, String>> + 'a>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    kind: Option<csv::Kind>,
    #[serde(default)]
    atomic: bool,
    as_of: Option<String>,
    columns: Option<String>,
}

/// Applies a small JSON body, for the fast path. `wall_ms` in Unix milliseconds.
///
/// # Errors
/// The body as a whole is refused.
pub(crate) fn apply_json(app: &App, body: &[u8], wall_ms: i64) -> Result<Report, Problem> {
    let max_event_bytes = app.config.limits.event_bytes;
    let context = Context { zone: app.zone.clone(), as_of: None, columns: None, max_event_bytes };
    read_rows(app, body, Format::Json, &context, |rows| Ok(Ok(app.engine.apply_each(rows, wall_ms))))
}

/// What the answer to a body has to wait for: that what was applied of it is durable, and the first copies of what was a
/// repeat, and the erasures of what was erased. A row that was refused changed nothing.
pub(crate) fn barrier(app: &App, applied: &Result<Report, Problem>) -> Option<Barrier> {
    let report = applied.as_ref().map_or_else(Problem::report, Some)?;
    let waits = report.accepted + report.duplicates + report.too_old + report.erased > 0;
    waits.then(|| app.durability().barrier()).flatten()
}

/// The request, as far as its head says.
pub(super) struct Plan {
    format: Format,
    encoding: Encoding,
    as_of: Option<Time>,
    columns: Option<Arc<csv::Header>>,
    atomic: bool,
    /// The longest body, in bytes, before and after decompression.
    pub(super) body_limit: usize,
}

impl Plan {
    /// Reads the head of a request.
    ///
    /// # Errors
    /// The query, the content type or the encoding is not accepted.
    pub(super) fn of(app: &App, uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let query: Query = query(uri)?;
        let format = format(headers, &query)?;
        let as_of = as_of(app, format, query.as_of.as_deref())?;
        let columns = columns(format, query.columns.as_deref())?;
        let encoding = content_encoding(headers)?;
        let limits = &app.config.limits;
        let body_limit = if format == Format::CloudEvent { limits.event_bytes } else { limits.bulk_bytes };
        Ok(Self { format, encoding, as_of, columns, atomic: query.atomic, body_limit })
    }
}

/// `POST /events`: applies the events of a body, and reports on its rows.
pub(super) async fn post(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let plan = Plan::of(&app, &parts.uri, &parts.headers)?;
    let bytes = body::collect(&app, &parts.extensions, body).await?;
    // An atomic body may have to wait for another one, which no thread of an async runtime may.
    if bytes.len() <= LARGE_BODY && plan.encoding == Encoding::Identity && !plan.atomic {
        return apply(&app, &bytes, &plan, |rows, wall_ms| Ok(app.engine.apply_each(rows, wall_ms)));
    }
    let worker = Arc::clone(&app);
    // The body's memory is released when the work is done, even if the client has gone.
    app.on_bulk_pool(move || {
        apply(&worker, &bytes, &plan, |rows, wall_ms| apply_in_slices(&worker, rows, wall_ms))
    })
    .await?
}

/// Applies a body. `each` applies the rows of one that is not atomic.
fn apply(
    app: &Arc<App>,
    bytes: &[u8],
    plan: &Plan,
    each: impl FnOnce(DecodedRows<'_>, i64) -> Result<Report, Problem>,
) -> Result<Response, Problem> {
    let decoded = encoding::decode(plan.encoding, bytes, plan.body_limit).map_err(|error| match error {
        DecodeError::Broken(_) => Problem::new(Kind::MalformedBody, error.to_string()),
        DecodeError::TooLarge(_) => Problem::new(Kind::BodyTooLarge, error.to_string()),
    })?;
    // A row has two bytes at least, with what ends it.
    let most_rows = (decoded.len() / 2 + 1).min(MOST_LISTED_ROWS);
    let _room = app.room_for_answer(most_rows * USUAL_ROW_BYTES)?;
    let max_event_bytes = app.config.limits.event_bytes;
    let columns = plan.columns.clone();
    let context = Context { zone: app.zone.clone(), as_of: plan.as_of, columns, max_event_bytes };
    let wall_ms = app.wall_ms();
    let report = read_rows(app, &decoded, plan.format, &context, |rows| match plan.atomic {
        true => Ok(apply_atomic(app, rows, wall_ms)),
        false => each(rows, wall_ms).map(Ok),
    });
    let barrier = barrier(app, &report);
    let mut response = report.map_or_else(Problem::into_response, |report| json(&report));
    if let Some(barrier) = barrier {
        response.extensions_mut().insert(barrier);
    }
    Ok(response)
}

/// Applies rows one by one, in slices on the event loops. While loops apply some rows the next ones are decoded here.
fn apply_in_slices(app: &Arc<App>, mut rows: DecodedRows<'_>, wall_ms: i64) -> Result<Report, Problem> {
    let mut next = || rows.by_ref().take(ROWS_HANDED_OVER).collect::<Vec<_>>();
    let (mut report, mut decoded) = (Report::default(), next());
    let runtime = tokio::runtime::Handle::current();
    while !decoded.is_empty() {
        runtime.block_on(app.durability().room_for_bulk(app.config.ack_timeout.get()));
        let (engine, mut rows) = (Arc::clone(&app.engine), decoded.into_iter());
        let slice = move || {
            let slice = rows.by_ref().take(ROWS_PER_SLICE);
            report = engine.apply_more(std::mem::take(&mut report), slice, wall_ms);
            (rows.len() == 0).then(|| std::mem::take(&mut report))
        };
        let applied = app.slices().begin(slice)?;
        decoded = next();
        report = applied.wait()?;
    }
    Ok(report)
}

/// Applies all rows or none, checked and applied in slices on the event loops.
///
/// # Errors
/// The report on the rows that are refused; nothing was applied.
fn apply_atomic(app: &Arc<App>, rows: DecodedRows<'_>, wall_ms: i64) -> Result<Report, Report> {
    let body = Arc::new(Mutex::new(Some(app.engine.begin_atomic(rows, wall_ms))));
    let engine = Arc::clone(&app.engine);
    let advance = move || {
        let mut body = body.lock().unwrap_or_else(PoisonError::into_inner);
        match engine.advance(body.take()?, ROWS_PER_SLICE) {
            Progress::UnderWay(rest) => {
                *body = Some(rest);
                None
            }
            Progress::Applied(report, remains) => Some((Ok(report), remains)),
            Progress::Refused(report, remains) => Some((Err(report), remains)),
        }
    };
    let done = app.slices().run_all(advance.clone()).unwrap_or_else(|LoopsEnded| {
        // It goes on here: a body of which rows are applied must not be left so.
        loop {
            if let Some(done) = advance() {
                return done;
            }
        }
    });
    let (result, remains) = done;
    // Here and not on the loop that did the last slice: it takes milliseconds.
    drop(remains);
    result
}

/// Reads the rows of a body, which `apply` applies; the report on them, which is also noted for the operator.
///
/// # Errors
/// The body cannot be read, it was refused as a whole, or a row of it was refused for a time only.
fn read_rows(
    app: &App,
    body: &[u8],
    format: Format,
    context: &Context,
    apply: impl FnOnce(DecodedRows<'_>) -> Result<Applied, Problem>,
) -> Result<Report, Problem> {
    let malformed = |error: decode::Malformed| Problem::new(Kind::MalformedBody, error.to_string());
    let rows = decode::rows(format, body, context).map_err(malformed)?;
    let single = rows.single;
    if single && body.len() > context.max_event_bytes {
        let detail = format!("one event has at most {} bytes", context.max_event_bytes);
        return Err(Problem::new(Kind::BodyTooLarge, detail));
    }
    let applied = apply(rows.rows)?;
    app.refused_rows.note(applied.as_ref().unwrap_or_else(|report| report));
    match applied {
        // Rows that are refused for a time would be lost behind a 200, which senders take as "all is stored".
        Ok(report) if report.refused_for_now > 0 || single && report.refused() > 0 => {
            let applied = report.accepted + report.duplicates;
            Err(refused(report, single, &format!("the other {applied} were applied")))
        }
        Ok(report) => Ok(report),
        Err(report) => Err(refused(report, single, "nothing was applied")),
    }
}

/// The problem for a body that was refused as a whole, a single event or an atomic list, and for a list of which rows
/// found no room. `others` says what became of the rows that were not refused.
fn refused(report: Report, single: bool, others: &str) -> Problem {
    let kind = match report.worst {
        Some(RowProblem::CustomerClaimed) => Kind::Overloaded,
        Some(problem) if problem.is_temporary() => Kind::StoreFull,
        Some(RowProblem::TooFarAhead | RowProblem::EventConflict) => Kind::EventConflict,
        _ if single => Kind::InvalidEvent,
        _ => Kind::AtomicRejected,
    };
    let detail = match report.rejected.as_slice() {
        [row] if single => row.detail.clone(),
        _ if report.refused_for_now > 0 => format!(
            "{} rows are refused, {} of them for a time only; {others}; send the body again after Retry-After \
             seconds: rows that were applied are then counted as duplicates",
            report.refused(),
            report.refused_for_now
        ),
        _ => format!("{} rows are refused; {others}", report.refused()),
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
            return Err(unsupported(
                &format!("content type {} is not read here", Excerpt::of(other)),
                ACCEPTED_TYPES,
            ));
        }
    })
}

/// The `as_of` of a customer file; for other formats it must be valid, but is ignored.
fn as_of(app: &App, format: Format, as_of: Option<&str>) -> Result<Option<Time>, Problem> {
    let time = as_of.map(|text| Time::parse(text, &app.zone)).transpose();
    let time = time.map_err(|error| {
        // An offset's sign that was not encoded arrives as a blank.
        let cure = if matches!(error, TimeError::Form(_)) { "; in a query, + is written %2B" } else { "" };
        Problem::new(Kind::InvalidQuery, format!("as_of: {error}{cure}"))
    })?;
    Ok(time.filter(|_| format == Format::Csv(csv::Kind::Customers)))
}

/// The columns of a CSV body, where its sender names them; ignored with other formats.
fn columns(format: Format, columns: Option<&str>) -> Result<Option<Arc<csv::Header>>, Problem> {
    let (Format::Csv(kind), Some(names)) = (format, columns) else { return Ok(None) };
    match csv::Header::parse(kind, names) {
        Ok(header) => Ok(Some(Arc::new(header))),
        Err(reason) => Err(Problem::new(Kind::InvalidQuery, format!("columns: {reason}"))),
    }
}
