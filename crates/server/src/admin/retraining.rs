//! `/retrain` on the admin listener: jobs that judge the challenger of a campaign, or train one.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use upbeat_core::event::Id;
use upbeat_core::excerpt::Excerpt;

use super::campaigns::user;
use super::models::OfOne;
use crate::api::content::json;
use crate::api::extract::{CheckedQuery, NoQuery};
use crate::api::{Kind, Problem};
use crate::runtime::learning::{Job, JobState, Outcome};
use crate::runtime::{App, utc};

/// A job as whoever asks for it sees it.
#[derive(Serialize)]
struct JobView<'a> {
    job: &'a str,
    campaign: &'a Id,
    state: JobState,
    who: &'a str,
    outcome: Option<Outcome>,
    sentence: Option<&'a str>,
    queued: String,
    started: Option<String>,
    ended: Option<String>,
}

impl<'a> From<&'a Job> for JobView<'a> {
    fn from(job: &'a Job) -> Self {
        let Job { id, campaign, state, who, outcome, sentence, queued_ms, started_ms, ended_ms } = job;
        Self {
            job: id,
            campaign,
            state: *state,
            who,
            outcome: *outcome,
            sentence: sentence.as_deref(),
            queued: utc(*queued_ms),
            started: started_ms.map(utc),
            ended: ended_ms.map(utc),
        }
    }
}

/// `POST /retrain`: has a job run for a campaign, whatever its mode.
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    CheckedQuery(query): CheckedQuery<OfOne>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let who = user(&headers)?;
    let campaign = query.campaign(&app)?;
    if app.kept().is_none() {
        let detail = "this server keeps nothing on a disk (in_memory), so there are no decisions to learn from; start it with a data \
                      directory";
        return Err(Problem::new(Kind::NothingKept, detail));
    }
    let job = app.learning().queue().push(&campaign, &who, app.wall_ms());
    let location = [(header::LOCATION, format!("/retrain/{}", job.id))];
    Ok((StatusCode::ACCEPTED, location, json(&JobView::from(&job))).into_response())
}

/// `GET /retrain/{job}`: how far a job is, and what it has come to.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    let id = named(path)?;
    let job = app.learning().queue().get(&id).ok_or_else(|| unknown(&id))?;
    Ok(json(&JobView::from(&job)))
}

/// `DELETE /retrain/{job}`: cancels a job; one that has ended stays as it is.
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    let id = named(path)?;
    let job = app.learning().queue().cancel(&id, app.wall_ms()).ok_or_else(|| unknown(&id))?;
    Ok(json(&JobView::from(&job)))
}

fn named(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let not_text = |_| Problem::new(Kind::JobNotFound, "the name in the path is not UTF-8");
    path.map(|Path(named)| named).map_err(not_text)
}

fn unknown(id: &str) -> Problem {
    let detail = format!("there is no job {}; the last hundred of this process are told of", Excerpt::of(id));
    Problem::new(Kind::JobNotFound, detail)
}
