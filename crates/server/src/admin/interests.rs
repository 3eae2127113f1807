//! `GET /interests`: customers who played one track three times within half an hour.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use upbeat_core::event::{Id, Time};
use upbeat_core::profile::Run;
use upbeat_engine::Interest;

use crate::api::content::json;
use crate::api::extract::CheckedQuery;
use crate::api::{Kind, Problem};
use crate::runtime::App;

/// As many are told where the query does not say.
const DEFAULT_LIMIT: usize = 100;

/// The most that are told at once, some 150 bytes each.
const MOST: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    limit: Option<usize>,
    since: Option<String>,
}

#[derive(Serialize)]
struct InterestView {
    customer: String,
    track: Id,
    count: usize,
    from: Time,
    to: Time,
}

impl From<Interest> for InterestView {
    fn from(of: Interest) -> Self {
        let Interest { customer, track, run: Run { count, from, to } } = of;
        Self { customer: customer.to_string(), track, count, from, to }
    }
}

/// `GET /interests`: the newest first.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    CheckedQuery(Query { limit, since }): CheckedQuery<Query>,
) -> Result<Response, Problem> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MOST).contains(&limit) {
        let detail = format!("query string: limit: {limit} is not from 1 to {MOST}");
        return Err(Problem::new(Kind::InvalidQuery, detail));
    }
    let since_ms = match since.map(|text| Time::parse(&text, &app.zone)) {
        None => i64::MIN,
        Some(Ok(time)) => time.unix_ms,
        Some(Err(error)) => {
            return Err(Problem::new(Kind::InvalidQuery, format!("query string: since: {error}")));
        }
    };
    // Each is read under the lock of its customer, for a microsecond, and so on no thread of lower priority.
    let told = app.engine.interests(limit, since_ms);
    Ok(json(&told.into_iter().map(InterestView::from).collect::<Vec<_>>()))
}
