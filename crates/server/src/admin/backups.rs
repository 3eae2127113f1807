//! `/backups` on the admin listener: a consistent copy of what is kept, read in parts.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::api::content::json;
use crate::api::extract::{CheckedQuery, NoQuery};
use crate::api::{Kind, Problem};
use crate::runtime::{App, Part, ReadPart};

/// The query of [`begin`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begin {
    #[serde(default = "yes")]
    history: bool,
}

fn yes() -> bool {
    true
}

/// `POST /backups`: begins a backup.
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    CheckedQuery(Begin { history }): CheckedQuery<Begin>,
) -> Result<Response, Problem> {
    // On a task of its own: a client that leaves must not leave half of one behind.
    let begin = async move { app.backups().begin(&app, history).await };
    let begun =
        tokio::spawn(begin).await.map_err(|error| Problem::new(Kind::Internal, error.to_string()))??;
    let location = [(header::LOCATION, format!("/backups/{}", begun.id()))];
    Ok((StatusCode::CREATED, location, json(&begun)).into_response())
}

/// `GET /backups/{backup}`: what a backup holds.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<Response, Problem> {
    let id = named(path)?;
    Ok(json(&app.backups().view(&app, &id)?))
}

/// `DELETE /backups/{backup}`: its files are not needed any longer.
pub(super) async fn end(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    CheckedQuery(NoQuery {}): CheckedQuery<NoQuery>,
) -> Result<StatusCode, Problem> {
    let id = named(path)?;
    app.backups().end(&app, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the path names.
fn named<T>(path: Result<Path<T>, PathRejection>) -> Result<T, Problem> {
    let not_text = |_| Problem::new(Kind::BackupNotFound, "the name in the path is not UTF-8");
    path.map(|Path(named)| named).map_err(not_text)
}

/// The query of [`read`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    #[serde(default)]
    digest: bool,
}

#[derive(Serialize)]
struct DigestView<'a> {
    first: u64,
    last: u64,
    of: u64,
    sha256: &'a str,
}

/// `GET /backups/{backup}/{file}`: part of a file, or its digest.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, PathRejection>,
    CheckedQuery(Read { digest }): CheckedQuery<Read>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (id, name) = named(path)?;
    let part = part(&headers);
    let ReadPart { first, last, of, content } = app.backups().read((&id, &name), part, digest).await?;
    if digest {
        let sha256 = std::str::from_utf8(&content).unwrap_or_default();
        return Ok(json(&DigestView { first, last, of, sha256 }));
    }
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_RANGE, format!("bytes {first}-{last}/{of}")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((StatusCode::PARTIAL_CONTENT, headers, content).into_response())
}

/// The part that `Range` names (RFC 9110, section 14.1.2), which has to: a file may be larger than any answer.
fn part(headers: &HeaderMap) -> Result<Part, Problem> {
    let refused = || {
        let detail = "name the part in the header Range, as in `Range: bytes=0-1048575`; one at a time, by its first byte, of 4 MiB \
                      at most";
        Problem::new(Kind::InvalidRange, detail)
    };
    let mut lines = headers.get_all(header::RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Err(refused()) };
    let text = line.to_str().ok().and_then(|text| text.strip_prefix("bytes="));
    let (first, last) = text.and_then(|text| text.split_once('-')).ok_or_else(refused)?;
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten().ok_or_else(refused)
    };
    let first = number(first)?;
    let last = if last.is_empty() { None } else { Some(number(last)?) };
    Ok(Part { first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part_of(range: &str) -> Option<Part> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().expect("a header"));
        part(&headers).ok()
    }

    #[test]
    fn part_is_named_by_its_first_byte_and_its_last() {
        assert_eq!(part_of("bytes=0-9"), Some(Part { first: 0, last: Some(9) }));
        assert_eq!(part_of("bytes=7-"), Some(Part { first: 7, last: None }));
        for range in [
            "",
            "bytes=",
            "bytes=-5",
            "bytes=a-b",
            "bytes=0-9,20-29",
            "lines=0-9",
            "bytes=+1-2",
            "bytes=1--2",
        ] {
            assert_eq!(part_of(range), None, "{range}");
        }
        assert!(part(&HeaderMap::new()).is_err(), "a whole file is not asked for");
    }
}
