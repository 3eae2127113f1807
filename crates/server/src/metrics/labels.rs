//! The labels of the families that requests and connections count, with every combination that is known beforehand.

use prometheus_client::encoding::EncodeLabelSet;

use crate::api::Kind;
use crate::gate::Listener;

/// Labels whose combinations are known beforehand. A family has each of them at 0 from the start: a series that is born
/// with its first event makes `increase()` miss that event.
pub trait KnownLabels: Sized {
    /// Every known combination, each once.
    fn known() -> Vec<Self>;
}

/// The route of single decisions.
pub const DECISION_ROUTE: &str = "/should-show-ad/{customer}";

/// The route of events.
pub const EVENTS_ROUTE: &str = "/events";

/// The label of requests that no route has.
pub const OTHER_ROUTE: &str = "other";

/// Every route with the statuses that the contract lists for it, but for 431: a head that is too large never reaches a
/// route.
pub const ROUTES: &[(&str, &[u16])] = &[
    (DECISION_ROUTE, &[200, 400, 403, 404, 405, 500, 503]),
    ("/decisions", &[200, 400, 403, 405, 408, 413, 415, 422, 500, 503]),
    (EVENTS_ROUTE, &[200, 400, 403, 405, 408, 409, 413, 415, 422, 500, 503]),
    ("/healthz", &[200, 400, 403, 405, 421, 500]),
    ("/readyz", &[200, 400, 403, 405, 421, 500, 503]),
    ("/", &[200, 400, 403, 405, 421, 500]),
    ("/metrics", &[200, 400, 403, 405, 421, 500, 503]),
    ("/openapi.yaml", &[200, 400, 403, 405, 421, 500, 503]),
    ("/customers/{customer}", &[200, 204, 400, 403, 404, 405, 421, 500, 503]),
    ("/customers/{customer}/explain", &[200, 400, 403, 404, 405, 421, 500, 503]),
    ("/customers/{customer}/events", &[200, 400, 403, 404, 405, 421, 500, 503]),
    ("/tracks/{track}", &[200, 400, 403, 404, 405, 421, 500, 503]),
    ("/interests", &[200, 400, 403, 405, 421, 500, 503]),
    ("/tombstones", &[200, 400, 403, 405, 421, 500, 503]),
    ("/backups", &[201, 400, 403, 405, 409, 421, 500, 503]),
    ("/backups/{backup}", &[200, 204, 400, 403, 404, 405, 421, 500, 503]),
    ("/backups/{backup}/{file}", &[200, 206, 400, 403, 404, 405, 416, 421, 500, 503]),
    ("/models", &[200, 400, 403, 405, 421, 500, 503]),
    ("/models/{model}", &[200, 201, 400, 403, 404, 405, 408, 409, 413, 415, 421, 422, 500, 503]),
    ("/models/{model}/promote", &[200, 400, 403, 404, 405, 413, 421, 422, 500, 503]),
    ("/retrain", &[202, 400, 403, 404, 405, 409, 421, 500, 503]),
    ("/retrain/{job}", &[200, 400, 403, 404, 405, 421, 500, 503]),
    ("/campaigns", &[200, 400, 403, 405, 408, 412, 413, 415, 421, 422, 500, 503]),
    ("/campaigns/{campaign}/report", &[200, 400, 403, 404, 405, 421, 500, 503]),
    ("/campaigns/history", &[200, 400, 403, 405, 421, 500, 503]),
];

/// The statuses of requests that no route has.
const OTHER_STATUSES: &[u16] = &[400, 403, 404, 421, 500];

/// Labels of a request: its route and the status of its answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The route's pattern as in the contract, or `other`.
    pub route: String,
    /// The HTTP status of the answer.
    pub status: u16,
}

impl KnownLabels for RequestLabels {
    fn known() -> Vec<Self> {
        let routes = ROUTES.iter().chain(&[(OTHER_ROUTE, OTHER_STATUSES)]);
        let labels = routes.flat_map(|(route, statuses)| {
            statuses.iter().map(|status| Self { route: (*route).to_owned(), status: *status })
        });
        labels.collect()
    }
}

/// Label of a problem: its type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProblemLabels {
    /// The last part of the problem's type URI.
    r#type: &'static str,
}

impl From<Kind> for ProblemLabels {
    fn from(kind: Kind) -> Self {
        Self { r#type: kind.slug() }
    }
}

impl KnownLabels for ProblemLabels {
    fn known() -> Vec<Self> {
        Kind::ALL.iter().map(|kind| Self::from(*kind)).collect()
    }
}

/// Label of a listener: `data` or `admin`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ListenerLabels {
    listener: &'static str,
}

impl From<Listener> for ListenerLabels {
    fn from(listener: Listener) -> Self {
        Self { listener: listener.name() }
    }
}

impl KnownLabels for ListenerLabels {
    fn known() -> Vec<Self> {
        Listener::ALL.map(Self::from).to_vec()
    }
}

/// Label of what the journal does at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabels {
    state: &'static str,
}

impl StateLabels {
    /// Every state.
    pub const ALL: [&'static str; 6] = ["off", "recovering", "accepting", "reserve", "full", "failed"];

    pub(super) fn new(state: &'static str) -> Self {
        Self { state }
    }
}

impl KnownLabels for StateLabels {
    fn known() -> Vec<Self> {
        Self::ALL.map(Self::new).to_vec()
    }
}

/// What became of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupOutcome {
    /// All of it was read, and whoever read it said so.
    Finished,
    /// It was given back before all of it was read.
    GivenUp,
    /// Nobody read of it for `backup.expire`.
    Expired,
    /// The server stopped, or had to remove what it held.
    Dropped,
    /// It did not begin: too many were held, or the disk failed.
    Refused,
}

impl BackupOutcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Finished, Self::GivenUp, Self::Expired, Self::Dropped, Self::Refused];

    /// The name in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::GivenUp => "given_up",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
        }
    }
}

/// Label of what became of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BackupLabels {
    outcome: &'static str,
}

impl From<BackupOutcome> for BackupLabels {
    fn from(outcome: BackupOutcome) -> Self {
        Self { outcome: outcome.name() }
    }
}

impl KnownLabels for BackupLabels {
    fn known() -> Vec<Self> {
        BackupOutcome::ALL.map(Self::from).to_vec()
    }
}

/// Why a connection was cut whose client did not take its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutCause {
    /// It took no byte for `limits.write_timeout`.
    Stalled,
    /// It took bytes, but so few that an answer was not taken in time.
    Slow,
    /// What it did not take did not fit what was left of `limits.response_memory_bytes`.
    Memory,
}

impl CutCause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Stalled, Self::Slow, Self::Memory];

    /// The name in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::Slow => "slow",
            Self::Memory => "memory",
        }
    }
}

/// Labels of connections that were cut: the listener, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CutLabels {
    listener: &'static str,
    cause: &'static str,
}

impl CutLabels {
    pub(super) fn new(listener: Listener, cause: CutCause) -> Self {
        Self { listener: listener.name(), cause: cause.name() }
    }
}

impl KnownLabels for CutLabels {
    fn known() -> Vec<Self> {
        let of = |listener| CutCause::ALL.map(|cause| Self::new(listener, cause));
        Listener::ALL.into_iter().flat_map(of).collect()
    }
}
