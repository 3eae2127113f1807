//! The one door of both listeners: whatever the event loops answer themselves, and whatever the router answers, was
//! admitted here by its head.
//!
//! The fast path and the router's dispatch ask for a [`Principal`], which only a gate makes, so neither can be reached
//! around it.

use std::time::Instant;

use axum::http::HeaderMap;

#[cfg(test)]
use super::api::Kind;
use super::api::Problem;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal(());

impl Principal {
    /// Anybody: nothing is known of the caller, and nothing asked.
    const ANYONE: Self = Self(());
}

/// A socket that the server listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Decisions, events, health.
    Data,
    /// Metrics, profiles, models.
    Admin,
}

impl Listener {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Data, Self::Admin];

    /// The metric label, and its name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Admin => "admin",
        }
    }
}

/// What a gate decides by: the head of a request, without its body.
#[derive(Debug, Clone, Copy)]
pub struct HeadFacts<'a> {
    /// The method, as in `GET`.
    pub method: &'a str,
    /// Path and query as sent.
    pub target: &'a str,
    /// The header fields.
    pub headers: Headers<'a>,
}

/// Header fields, in whichever form they were parsed.
#[derive(Debug, Clone, Copy)]
pub enum Headers<'a> {
    /// As they stand in the bytes that arrived.
    Parsed(&'a [httparse::Header<'a>]),
    /// In a map.
    Map(&'a HeaderMap),
}

impl<'a> Headers<'a> {
    /// The value of the first field of this name, which is given in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        match self {
            Self::Parsed(fields) => {
                fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
            }
            Self::Map(map) => map.get(name).map(axum::http::HeaderValue::as_bytes),
        }
    }
}

/// Admits a request, or says why not. It is called on the threads that answer decisions: it must not wait.
pub type Gate = fn(&HeadFacts<'_>) -> Result<Principal, Problem>;

/// The gate that admits everybody.
///
/// # Errors
/// None.
pub fn admit_everyone(_head: &HeadFacts<'_>) -> Result<Principal, Problem> {
    Ok(Principal::ANYONE)
}

/// A request that the gate let pass, or did not, on its way to the router.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    /// What the gate said.
    pub(super) admitted: Result<Principal, Problem>,
    /// When its head was read.
    pub(super) since: Instant,
}

/// Whether bytes are a request id that is taken over from the caller: 1–64 of `A-Z a-z 0-9 . _ : -`.
pub(super) fn is_request_id(bytes: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    (1..=64).contains(&bytes.len()) && bytes.iter().all(is_plain)
}

/// A gate for tests: refuses whoever sends `x-refuse`.
#[cfg(test)]
pub(super) fn refuse_marked(head: &HeadFacts<'_>) -> Result<Principal, Problem> {
    match head.headers.get("x-refuse") {
        Some(_) => Err(Problem::new(Kind::NotReady, "refused at the gate")),
        None => Ok(Principal::ANYONE),
    }
}
