//! Extractors of path and query, with problem documents instead of the framework's rejections.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::Uri;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use upbeat_core::event::Id;

use super::problem::{Kind, Problem};

/// The customer id in the path.
pub struct CustomerId(pub Id);

/// The track id in the path.
pub struct TrackId(pub Id);

impl<S: Send + Sync> FromRequestParts<S> for CustomerId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path_id(parts, state).await.map(Self).map_err(|detail| Problem::new(Kind::InvalidCustomerId, detail))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TrackId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path_id(parts, state).await.map(Self).map_err(|detail| Problem::new(Kind::InvalidTrackId, detail))
    }
}

async fn path_id<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Id, String> {
    let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
    let Path(text) = path.map_err(|_| "the id in the path is not UTF-8".to_owned())?;
    Id::parse(&text).map_err(|error| format!("the id in the path: {error}"))
}

/// The query string as `T`, which should refuse unknown parameters.
pub struct CheckedQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for CheckedQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        query(&parts.uri).map(Self)
    }
}

/// Reads the query string as `T`, which should refuse unknown parameters.
///
/// # Errors
/// A parameter is unknown, repeated, or of the wrong form.
pub fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    Query::try_from_uri(uri).map(|Query(value)| value).map_err(|rejection| {
        use std::error::Error;
        let reason = rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string);
        Problem::new(Kind::InvalidQuery, format!("query string: {reason}"))
    })
}

/// The query of a route without parameters.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}
