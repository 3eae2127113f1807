//! Errors as clients see them: problem documents, `application/problem+json` (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use upbeat_core::excerpt::bounded_message;
use upbeat_engine::{NotKept, Report};

use crate::config::Duration;
use crate::wire::LoopsEnded;

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// One problem document: its kind, what was wrong with this request, and how to fix it.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: Kind,
    detail: String,
    report: Option<Box<Report>>,
    place: Option<Box<Place>>,
}

/// Where in a document something is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// The key's path, as in `campaign[2].daily_budget`; empty where the document is not TOML.
    pub path: String,
    /// The line, from 1 on; `None` where what is wrong has no line, such as a key that is missing.
    pub line: Option<usize>,
}

macro_rules! kinds {
    ($($kind:ident, $status:ident, $slug:literal, $title:literal;)*) => {
        /// Every kind of problem that the server answers with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $(#[doc = $title] $kind,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status,)* }
            }

            /// The last part of the problem's type URI, and its metric label.
            #[must_use]
            pub fn slug(self) -> &'static str {
                match self { $(Self::$kind => $slug,)* }
            }

            /// The title, the same for every problem of this kind.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)* }
            }
        }
    };
}

kinds! {
    InvalidCustomerId, BAD_REQUEST, "invalid-customer-id", "The customer id is not valid";
    InvalidHeader, BAD_REQUEST, "invalid-header", "A header is not valid";
    InvalidQuery, BAD_REQUEST, "invalid-query", "The query string is not valid";
    MalformedBody, BAD_REQUEST, "malformed-body", "The body cannot be read";
    InvalidBody, UNPROCESSABLE_ENTITY, "invalid-body", "The body does not say what it should";
    InvalidCampaigns, UNPROCESSABLE_ENTITY, "invalid-campaigns", "The campaigns are refused";
    InvalidModel, UNPROCESSABLE_ENTITY, "invalid-model", "The model is refused";
    OtherModel, CONFLICT, "other-model", "The model is another than the path says";
    InvalidEvent, UNPROCESSABLE_ENTITY, "invalid-event", "The event is refused";
    EventConflict, CONFLICT, "event-conflict", "The event does not fit what the server knows";
    AtomicRejected, UNPROCESSABLE_ENTITY, "atomic-rejected", "Some rows are refused, so none was applied";
    InvalidHost, BAD_REQUEST, "invalid-host", "The Host header is missing, doubled or malformed";
    CrossSite, FORBIDDEN, "cross-site", "Pages of other sites may not ask";
    MisdirectedRequest, MISDIRECTED_REQUEST, "misdirected-request", "The listener is not known by this name";
    NotFound, NOT_FOUND, "not-found", "There is nothing at this path";
    CustomerNotFound, NOT_FOUND, "customer-not-found", "Nothing is known of this customer";
    InvalidTrackId, BAD_REQUEST, "invalid-track-id", "The track id is not valid";
    CampaignNotFound, NOT_FOUND, "campaign-not-found", "There is no such campaign";
    ModelNotFound, NOT_FOUND, "model-not-found", "There is no such model";
    JobNotFound, NOT_FOUND, "job-not-found", "There is no such job";
    TrackNotFound, NOT_FOUND, "track-not-found", "The catalogue does not hold this track";
    BackupNotFound, NOT_FOUND, "backup-not-found", "There is no such backup, or no such file in it";
    MethodNotAllowed, METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed here";
    RequestTimeout, REQUEST_TIMEOUT, "request-timeout", "The body did not arrive in time";
    NothingKept, CONFLICT, "nothing-kept", "The server keeps nothing on a disk";
    TooManyBackups, CONFLICT, "too-many-backups", "As many backups are under way as there may be";
    InvalidRange, RANGE_NOT_SATISFIABLE, "invalid-range", "The part that is asked for is not there";
    PreconditionFailed, PRECONDITION_FAILED, "precondition-failed", "The campaigns are another version by now";
    BodyTooLarge, PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large";
    UnsupportedMediaType, UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The content type is not read here";
    UnsupportedEncoding, UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", "The content encoding is not read here";
    Internal, INTERNAL_SERVER_ERROR, "internal", "The server failed at this request";
    BackupFailed, INTERNAL_SERVER_ERROR, "backup-failed", "The disk did not give what the backup needs";
    Overloaded, SERVICE_UNAVAILABLE, "overloaded", "The server is busy";
    StoreFull, SERVICE_UNAVAILABLE, "store-full", "The server holds as much as it may";
    LogUnavailable, SERVICE_UNAVAILABLE, "log-unavailable", "The log takes no records now";
    FateUnknown, SERVICE_UNAVAILABLE, "fate-unknown", "It is not known yet whether the events are kept";
    NotReady, SERVICE_UNAVAILABLE, "not-ready", "The server does not take requests now";
}

/// Seconds after which a shed request may be sent again.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    report: Option<&'a Report>,
    #[serde(flatten)]
    place: Option<&'a Place>,
}

impl Problem {
    /// A problem; `detail` says what was wrong, where, and how to fix it. It is [bounded](bounded_message): whatever a
    /// caller sent, no answer quotes more of it.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: bounded_message(detail.into()), report: None, place: None }
    }

    /// What stands in place of an answer that could not wait any longer for the log; `timeout` is how long one may.
    pub(crate) fn fate_unknown(timeout: Duration) -> Self {
        let detail = format!(
            "the log did not say within ack_timeout ({timeout}) that the events are kept; they may be or not, and \
             repeating the request is safe"
        );
        Self::new(Kind::FateUnknown, detail)
    }

    /// The report on the body's rows, if there is one.
    pub(crate) fn report(&self) -> Option<&Report> {
        self.report.as_deref()
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Adds the report on the body's rows.
    #[must_use]
    pub fn with_report(self, report: Report) -> Self {
        Self { report: Some(Box::new(report)), ..self }
    }

    /// Adds where in the document it is.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place: Some(Box::new(place)), ..self }
    }
}

impl From<NotKept> for Problem {
    fn from(not_kept: NotKept) -> Self {
        Self::new(Kind::Overloaded, not_kept.to_string())
    }
}

impl From<LoopsEnded> for Problem {
    fn from(ended: LoopsEnded) -> Self {
        Self::new(
            Kind::NotReady,
            format!("{ended}; send the request again, to another server or after its start"),
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let body = Body {
            r#type: format!("/problems/{}", self.kind.slug()),
            title: self.kind.title(),
            status: status.as_u16(),
            detail: &self.detail,
            report: self.report.as_deref(),
            place: self.place.as_deref(),
        };
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], json).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER_S);
        }
        if self.kind == Kind::UnsupportedEncoding {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd, identity"));
        }
        // The rest of the body is not read, so the connection cannot be reused.
        if matches!(self.kind, Kind::RequestTimeout | Kind::BodyTooLarge) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        // For the metrics.
        response.extensions_mut().insert(self.kind);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contract_names_every_problem() {
        for kind in Kind::ALL {
            let uri = format!("/problems/{}", kind.slug());
            assert!(crate::admin::OPENAPI_YAML.contains(&uri), "openapi.yaml lacks {uri}");
        }
    }

    #[test]
    fn contract_names_every_problem_of_a_row() {
        for problem in upbeat_engine::RowProblem::ALL {
            let row = format!("| `{}` | ", problem.uri());
            assert!(crate::admin::OPENAPI_YAML.contains(&row), "openapi.yaml lacks {row}");
        }
    }
}
