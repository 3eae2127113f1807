//! `/campaigns` on the admin listener: the document of campaigns, its versions, and what each campaign spent.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use upbeat_core::event::Id;
use upbeat_core::excerpt::Excerpt;
use upbeat_engine::campaigns::{CampaignVersion, Current, FILE, MAX_BYTES, RECOVERY};
use upbeat_ingest::decode::encoding::Encoding;

use crate::api::content::{content_encoding, json, media_type, unsupported};
use crate::api::extract::{CheckedQuery, NoQuery};
use crate::api::{Kind, Problem, collect_for_admin};
use crate::runtime::learning::{GATE, SCHEDULE};
use crate::runtime::{App, tag, utc};

/// The media type of a document of campaigns.
const TOML: &str = "application/toml";

/// Says who changes campaigns. Nobody checks it.
const USER: HeaderName = HeaderName::from_static("x-upbeat-user");

/// Who changes campaigns where nobody is named.
const NOBODY: &str = "admin";

/// The longest name of whoever changes campaigns, in characters.
const MAX_USER: usize = 64;

/// `GET /campaigns`: the document as it was written.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    let current = app.engine.campaigns();
    let headers = [(header::CONTENT_TYPE, TOML), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, [(header::ETAG, tag(&current))], current.toml.to_string()).into_response())
}

#[derive(Serialize)]
struct VersionView<'a> {
    version: u64,
    time: String,
    who: &'a str,
    changed: &'a [String],
}

impl<'a> From<&'a CampaignVersion> for VersionView<'a> {
    fn from(version: &'a CampaignVersion) -> Self {
        let CampaignVersion { version, time_ms, who, changed, .. } = version;
        Self { version: *version, time: utc(*time_ms), who, changed }
    }
}

/// `PUT /campaigns`: replaces the document.
pub(super) async fn put(
    State(app): State<Arc<App>>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    require_toml(&headers)?;
    let who = user(&headers)?;
    let condition = Condition::of(&headers);
    let body = collect_for_admin(&app, body, MAX_BYTES).await?;
    let toml = String::from_utf8(body.into()).map_err(|error| {
        let detail =
            format!("the body is not UTF-8: byte {} begins no character", error.utf8_error().valid_up_to());
        Problem::new(Kind::MalformedBody, detail)
    })?;
    let check = move |current: &Current| condition.check(current);
    // On a task of its own: a client that leaves changes nothing of what was begun.
    let put = tokio::spawn(Arc::clone(&app).put_campaigns(toml, who, check)).await;
    let current = put.map_err(|error| Problem::new(Kind::Internal, error.to_string()))??;
    version_view(&app, &current)
}

/// The answer that tells of a version.
///
/// # Errors
/// It is so old that nothing is known of it.
pub(super) fn version_view(app: &App, current: &Current) -> Result<Response, Problem> {
    let history = app.engine.campaign_history();
    let version = history.iter().rfind(|version| version.version == current.version);
    let version = version.ok_or_else(|| Problem::new(Kind::Internal, "the version is not in the history"))?;
    Ok(([(header::ETAG, tag(current))], json(&VersionView::from(version))).into_response())
}

/// # Errors
/// The body is something else than TOML, or compressed.
fn require_toml(headers: &HeaderMap) -> Result<(), Problem> {
    match media_type(headers) {
        Ok(essence) if essence == TOML => match content_encoding(headers)? {
            Encoding::Identity => Ok(()),
            _ => Err(Problem::new(
                Kind::UnsupportedEncoding,
                "compressed bodies are read by POST /events only",
            )),
        },
        Ok(essence) => {
            Err(unsupported(&format!("content type {} is not read here", Excerpt::of(&essence)), TOML))
        }
        Err(reason) => Err(unsupported(&reason, TOML)),
    }
}

/// Names that stand in the history for what changes by itself, and what that is. A file of another digest than the last of this name
/// would not be taken for a changed one at the next start, and the one that is there would.
const RESERVED: [(&str, &str); 4] = [
    (FILE, "the file of campaigns"),
    (GATE, "models that were promoted by themselves"),
    (SCHEDULE, "jobs that begin by themselves"),
    (RECOVERY, "starts after a loss of power"),
];

/// Who sends a request, as they say.
///
/// # Errors
/// The header is not of the form that the contract states.
pub(super) fn user(headers: &HeaderMap) -> Result<String, Problem> {
    let refused = |reason: String| Err(Problem::new(Kind::InvalidHeader, format!("X-Upbeat-User {reason}")));
    let mut lines = headers.get_all(USER).iter();
    let Some(value) = lines.next() else { return Ok(NOBODY.to_owned()) };
    if lines.next().is_some() {
        return refused("is there twice; send one".to_owned());
    }
    let name = value.as_bytes();
    if name.len() > MAX_USER {
        return refused(format!("has {} characters; at most {MAX_USER} are allowed", name.len()));
    }
    let is_good =
        |(index, byte): (usize, &u8)| byte.is_ascii_alphanumeric() || (index > 0 && b" ._:@-".contains(byte));
    if name.is_empty() || !name.iter().enumerate().all(is_good) {
        return refused(
            "may have A-Z a-z 0-9, and behind the first character also . _ : @ - and blanks".to_owned(),
        );
    }
    if let Some((name, what)) = RESERVED.into_iter().find(|(reserved, _)| name == reserved.as_bytes()) {
        return refused(format!("is {name}, which stands for {what}; send another name"));
    }
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// What `If-Match` asks of the version that is to be replaced.
struct Condition(Vec<HeaderValue>);

impl Condition {
    fn of(headers: &HeaderMap) -> Self {
        Self(headers.get_all(header::IF_MATCH).iter().cloned().collect())
    }

    /// Compares strongly, as RFC 9110, section 13.1.1, asks: a weak tag is never the same.
    ///
    /// # Errors
    /// There is a condition, and it names other versions than this one.
    fn check(&self, current: &Current) -> Result<(), Problem> {
        let (tag, version) = (tag(current), current.version);
        let named = |value: &HeaderValue| {
            value
                .to_str()
                .is_ok_and(|text| text.split(',').map(str::trim).any(|named| named == "*" || named == tag))
        };
        if self.0.is_empty() || self.0.iter().any(named) {
            return Ok(());
        }
        let asked: Vec<_> = self.0.iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let detail = format!(
            "If-Match has {}, and version {version} is in force, whose ETag is {tag}: read the campaigns again, and change those",
            asked.join(", ")
        );
        Err(Problem::new(Kind::PreconditionFailed, detail))
    }
}

/// `GET /campaigns/history`: the versions, oldest first.
pub(super) async fn history(
    State(app): State<Arc<App>>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Response {
    let history = app.engine.campaign_history();
    json(&history.iter().map(VersionView::from).collect::<Vec<_>>())
}

/// The query of [`report`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Days {
    from: Option<String>,
    to: Option<String>,
}

/// `GET /campaigns/{campaign}/report`: what became of a campaign's money on some local days.
pub(super) async fn report(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    CheckedQuery(days): CheckedQuery<Days>,
) -> Result<Response, Problem> {
    let unknown = |detail: String| Problem::new(Kind::CampaignNotFound, detail);
    let Path(text) = path.map_err(|_| unknown("the id in the path is not UTF-8".to_owned()))?;
    let campaign = Id::parse(&text).map_err(|error| unknown(format!("the id in the path: {error}")))?;
    let from = days.from.as_deref().map(|text| day("from", text)).transpose()?;
    let to = days.to.as_deref().map(|text| day("to", text)).transpose()?;
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        return Err(Problem::new(Kind::InvalidQuery, "query string: to is before from"));
    }
    let report = app.engine.report(&campaign, from.unwrap_or(i32::MIN), to.unwrap_or(i32::MAX));
    let mut report = report.ok_or_else(|| {
        unknown(format!("no campaign {campaign} runs, and none ever has; GET /campaigns has those that do"))
    })?;
    if from.is_none() || to.is_none() {
        // So many days have no budget by the day.
        let current = app.engine.campaigns();
        let campaign = current.plan.find(&campaign).map(|index| &current.plan.campaigns[index]);
        report.budget = campaign.and_then(|campaign| campaign.total_budget).map(|budget| budget.micro());
    }
    Ok(json(&report))
}

/// A local date as a count of days since 1970.
fn day(name: &str, text: &str) -> Result<i32, Problem> {
    let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
    let days = date.and_then(|date| date.since(Date::constant(1970, 1, 1)).ok()).map(|span| span.get_days());
    days.ok_or_else(|| {
        let text = Excerpt::of(text);
        let detail = format!("query string: {name}: {text} is not a date; write it as 2026-11-01");
        Problem::new(Kind::InvalidQuery, detail)
    })
}
