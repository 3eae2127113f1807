//! Path and query, with our own problems in place of the framework's.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};
use crate::event::Id;

/// The one id in the path.
pub struct PathId(pub Id);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let problem = |detail: String| Problem::new(Kind::InvalidCustomerId, detail);
        let Path(text) = path.map_err(|_| problem("the id in the path is not UTF-8".to_owned()))?;
        Id::parse(&text).map(PathId).map_err(|error| problem(format!("the id in the path: {error}")))
    }
}

/// The query string as `T`, which refuses unknown parameters.
pub struct CheckedQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for CheckedQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = Query::try_from_uri(&parts.uri);
        query.map(|Query(value)| Self(value)).map_err(|rejection| {
            use std::error::Error;
            let reason = rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string);
            Problem::new(Kind::InvalidQuery, format!("query string: {reason}"))
        })
    }
}

/// For paths that take no parameters.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}
