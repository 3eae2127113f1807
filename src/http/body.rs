//! Request bodies: bounded in size, in time and in the memory of all of them together.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::sync::SemaphorePermit;

use super::app::App;
use super::problem::{Kind, Problem};

/// A body that has arrived; the memory it takes is given back when it is dropped.
pub struct ReadBody<'a> {
    /// The bytes as sent, perhaps compressed.
    pub bytes: Vec<u8>,
    _memory: Option<SemaphorePermit<'a>>,
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// It is larger, comes too slowly, breaks off, or all bodies together would take too much memory.
pub async fn read<'a>(
    app: &'a App,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<ReadBody<'a>, Problem> {
    let too_large = || {
        let detail = format!("the body has more than {limit} bytes; send it in parts");
        Problem::new(Kind::BodyTooLarge, detail)
    };
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let timeout = app.config.limits.body_timeout;
    let arriving = collect(app, body, limit, too_large);
    tokio::time::timeout(timeout.get(), arriving).await.unwrap_or_else(|_| {
        let detail = format!("the body did not arrive within {timeout}; send it faster or in parts");
        Err(Problem::new(Kind::RequestTimeout, detail))
    })
}

async fn collect<'a>(
    app: &'a App,
    mut body: Body,
    limit: usize,
    too_large: impl Fn() -> Problem,
) -> Result<ReadBody<'a>, Problem> {
    let mut bytes = Vec::new();
    let mut memory: Option<SemaphorePermit<'a>> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::new(
                Kind::MalformedBody,
                format!("the body broke off after {} bytes: {error}", bytes.len()),
            )
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(too_large());
        }
        let held =
            u32::try_from(data.len()).ok().and_then(|length| app.body_memory.try_acquire_many(length).ok());
        let held = held.ok_or_else(|| {
            Problem::new(
                Kind::Overloaded,
                "too many bodies are arriving at once; send this one again in a second",
            )
        })?;
        match &mut memory {
            Some(memory) => memory.merge(held),
            None => memory = Some(held),
        }
        bytes.extend_from_slice(&data);
    }
    app.metrics.body_bytes.inc_by(bytes.len() as u64);
    Ok(ReadBody { bytes, _memory: memory })
}
