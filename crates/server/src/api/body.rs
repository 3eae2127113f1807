//! Bodies of requests. On the data listener the event loop has collected a body before a handler runs.

use axum::body::{Body, Bytes};
use axum::http::Extensions;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{Kind, Problem};
use crate::runtime::App;
use crate::wire::{Arrived, Fault};

/// The body of a request. Its share of `limits.body_memory_bytes` is released when the last handle to the bytes is
/// dropped.
///
/// # Errors
/// The body did not arrive: it is larger than the route accepts, too slow, cut short or malformed, or all bodies
/// together would take too much memory.
pub(super) async fn collect(app: &App, extensions: &Extensions, body: Body) -> Result<Bytes, Problem> {
    match extensions.get::<Arrived>().and_then(Arrived::take) {
        Some(Ok(collected)) => Ok(collected.join()),
        Some(Err(fault)) => Err(problem(app, fault)),
        // No body, or a server that is not ours.
        None => match body.collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) => Err(broke_off(0, &error.to_string())),
        },
    }
}

/// The body of a request of the admin listener, of at most `limit` bytes. Its share of `limits.body_memory_bytes` is held while
/// it arrives.
///
/// # Errors
/// The body did not arrive: it is larger, too slow or cut short, or all bodies together would take too much memory.
pub(crate) async fn collect_for_admin(app: &App, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let permits = u32::try_from(limit).unwrap_or(u32::MAX);
    let Ok(_held) = app.body_memory().try_acquire_many_owned(permits) else {
        return Err(problem(app, Fault::NoMemory));
    };
    let collected =
        tokio::time::timeout(app.config.limits.body_timeout.get(), Limited::new(body, limit).collect());
    match collected.await {
        Err(_) => Err(problem(app, Fault::TimedOut)),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(problem(app, Fault::TooLarge { limit })),
        Ok(Err(error)) => Err(broke_off(0, &error.to_string())),
    }
}

fn problem(app: &App, fault: Fault) -> Problem {
    match fault {
        Fault::TooLarge { limit } => {
            let detail = format!("the body has more than {limit} bytes; send it in parts");
            Problem::new(Kind::BodyTooLarge, detail)
        }
        Fault::TimedOut => {
            let timeout = app.config.limits.body_timeout;
            let detail = format!("the body did not arrive within {timeout}; send it faster or in parts");
            Problem::new(Kind::RequestTimeout, detail)
        }
        Fault::Ended { bytes } => broke_off(bytes, "the connection ended before it was whole"),
        Fault::Malformed { bytes } => broke_off(bytes, "its chunks are not framed as RFC 9112 says"),
        Fault::NoMemory => {
            let detail = "too many bodies are arriving at once; send this one again in a second";
            Problem::new(Kind::Overloaded, detail)
        }
    }
}

fn broke_off(bytes: usize, reason: &str) -> Problem {
    Problem::new(Kind::MalformedBody, format!("the body broke off after {bytes} bytes: {reason}"))
}
