//! What bodies are: media types and encodings of requests, JSON of answers.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem::{Kind, Problem};
use crate::ingest::encoding::Encoding;

/// Room for the usual answer, so that its buffer does not grow twice while it is written.
const ANSWER_BYTES: usize = 512;

/// JSON that no cache may keep.
pub(super) fn json(value: &impl Serialize) -> Response {
    let mut body = Vec::with_capacity(ANSWER_BYTES);
    match serde_json::to_writer(&mut body, value) {
        Ok(()) => json_bytes(body),
        Err(error) => Problem::new(Kind::Internal, error.to_string()).into_response(),
    }
}

/// Likewise, for JSON that is written already.
pub(super) fn json_bytes(body: Vec<u8>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

/// The media type without its parameters, in lower case; a charset other than UTF-8 is refused.
pub(super) fn media_type(headers: &HeaderMap) -> Result<String, String> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Err("the Content-Type header is missing".to_owned());
    };
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

/// Says which types are read in place of this one.
pub(super) fn unsupported(reason: &str, accepted: &str) -> Problem {
    Problem::new(Kind::UnsupportedMediaType, format!("{reason}; send one of {accepted}"))
}

/// For paths that read plain JSON only.
pub(super) fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let accepted = "application/json";
    match media_type(headers) {
        Ok(essence) if essence == accepted => match content_encoding(headers)? {
            Encoding::Identity => Ok(()),
            _ => Err(Problem::new(
                Kind::UnsupportedEncoding,
                "compressed bodies are read by POST /events only",
            )),
        },
        Ok(essence) => Err(unsupported(&format!("content type {essence:?} is not read here"), accepted)),
        Err(reason) => Err(unsupported(&reason, accepted)),
    }
}

/// How the body is compressed.
pub(super) fn content_encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let value = headers.get(header::CONTENT_ENCODING).map_or(Ok(""), HeaderValue::to_str);
    value.ok().and_then(Encoding::parse).ok_or_else(|| {
        Problem::new(
            Kind::UnsupportedEncoding,
            "Content-Encoding is not read here; send gzip, zstd or identity",
        )
    })
}
