//! Content of bodies: media types and encodings of requests, JSON of answers.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem::{Kind, Problem};
use upbeat_core::excerpt::Excerpt;
use upbeat_ingest::decode::encoding::Encoding;

/// The initial capacity of an answer, so that its buffer seldom grows while it is written.
const ANSWER_BYTES: usize = 512;

/// A JSON response that must not be cached.
pub(crate) fn json(value: &impl Serialize) -> Response {
    let mut body = Vec::with_capacity(ANSWER_BYTES);
    match serde_json::to_writer(&mut body, value) {
        Ok(()) => json_bytes(body),
        Err(error) => Problem::new(Kind::Internal, error.to_string()).into_response(),
    }
}

/// The same, for JSON that is already serialised.
pub(crate) fn json_bytes(body: Vec<u8>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

/// The media type of a request's body without its parameters, in lower case.
///
/// # Errors
/// It is missing, or has a charset other than UTF-8: which.
pub(crate) fn media_type(headers: &HeaderMap) -> Result<String, String> {
    let value = single(headers, &header::CONTENT_TYPE)
        .map_err(|Several| "there are several Content-Type headers".to_owned())?
        .ok_or_else(|| "the Content-Type header is missing".to_owned())?;
    let text =
        value.to_str().map_err(|_| "the Content-Type header is not text".to_owned())?.to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_owned();
    for parameter in parts {
        if let Some(charset) = parameter.strip_prefix("charset=")
            && !matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii")
        {
            return Err(format!("charset {charset} is not read here; send UTF-8"));
        }
    }
    Ok(essence)
}

/// The problem that says which media types are accepted instead.
pub(crate) fn unsupported(reason: &str, accepted: &str) -> Problem {
    Problem::new(Kind::UnsupportedMediaType, format!("{reason}; send one of {accepted}"))
}

/// Checks the headers of a route that reads uncompressed JSON only.
///
/// # Errors
/// The body has another media type, or is compressed.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let accepted = "application/json";
    match media_type(headers) {
        Ok(essence) if essence == accepted => match content_encoding(headers)? {
            Encoding::Identity => Ok(()),
            _ => Err(Problem::new(
                Kind::UnsupportedEncoding,
                "compressed bodies are read by POST /events only",
            )),
        },
        Ok(essence) => {
            Err(unsupported(&format!("content type {} is not read here", Excerpt::of(&essence)), accepted))
        }
        Err(reason) => Err(unsupported(&reason, accepted)),
    }
}

/// The encoding of a request's body.
///
/// # Errors
/// The encoding is not supported.
pub(crate) fn content_encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let refused = |detail| Problem::new(Kind::UnsupportedEncoding, detail);
    let value = single(headers, &header::CONTENT_ENCODING).map_err(|Several| {
        refused("there are several Content-Encoding headers; send one, with one of gzip, zstd and identity")
    })?;
    let text = value.map_or(Ok(""), HeaderValue::to_str).ok();
    text.and_then(Encoding::parse)
        .ok_or_else(|| refused("Content-Encoding is not read here; send gzip, zstd or identity"))
}

/// There are several lines of a header field that says one thing. To read the first of them would be to read the body
/// as something that the sender did not say.
struct Several;

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Several> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (value, None) => Ok(value),
        _ => Err(Several),
    }
}
