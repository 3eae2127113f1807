//! The server's metrics, for Prometheus.

mod backups;
mod campaigns;
mod declare;
mod format;
mod journal;
mod labels;
mod latency;
mod learning;
mod sampled;
mod watching;

#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use upbeat_engine::{Engine, Striped};

pub use backups::BackupMetrics;
pub use format::Format;
pub use journal::JournalMetrics;
pub use labels::{
    BackupLabels, BackupOutcome, CutCause, CutLabels, DECISION_ROUTE, EVENTS_ROUTE, KnownLabels,
    ListenerLabels, OTHER_ROUTE, ProblemLabels, ROUTES, RequestLabels, StateLabels,
};

pub use learning::{JobLabels, LearningMetrics};

use self::declare::Declare;
use self::latency::Latency;
use self::learning::LearningCollector;
use self::sampled::SampledCollector;
use self::watching::WatchingCollector;
use crate::gate::Listener;
use crate::runtime::learning::Learning;

/// Log lines that were dropped because their reader was too slow. It is global, as the log is.
pub static LOG_LINES_DROPPED: AtomicU64 = AtomicU64::new(0);

/// The metrics of the HTTP server, and a registry that renders them with the engine's counters.
///
/// A family of this crate is declared in `Metrics::new`, whose labels know all their combinations
/// ([`KnownLabels`]); one whose values are kept elsewhere is a row of the table in `sampled.rs`.
pub struct Metrics {
    registry: Registry,
    /// Requests by route and status.
    pub requests: Family<RequestLabels, Counter>,
    /// What every request of the data listener counts, by thread; added to `requests` and `body_bytes` when they are read.
    frequent: Striped<Frequent>,
    /// The counter of `requests` for decisions answered with 200.
    decisions_answered: Counter,
    /// The counter of `requests` for `POST /events` answered with 200.
    events_answered: Counter,
    /// Problems by type.
    pub problems: Family<ProblemLabels, Counter>,
    /// Open connections by listener.
    pub connections: Family<ListenerLabels, Gauge>,
    /// Connections refused because too many were open.
    pub connections_refused: Family<ListenerLabels, Counter>,
    /// Failures to accept a connection, for want of file descriptors as a rule.
    pub accept_errors: Family<ListenerLabels, Counter>,
    /// Connections that ended because their bytes were not HTTP, or arrived too slowly.
    pub connection_errors: Family<ListenerLabels, Counter>,
    /// Event loops that have failed.
    pub event_loops_failed: Counter,
    /// Connections cut because their clients did not take their answers.
    pub connections_cut: Family<CutLabels, Counter>,
    /// Bytes of answers that are held because their clients have not taken them.
    pub response_bytes: Gauge,
    /// Answers that were replaced by 503 because it did not become known in time whether the events are durable.
    pub acks_unknown: Counter,
    /// 1 while the wall clock is in doubt.
    pub clock_suspect: Gauge,
    /// Reloads of campaigns and models that were refused because something was not good.
    pub campaigns_refused: Counter,
    /// What the journal's thread counts.
    pub journal: JournalMetrics,
    /// What is counted of backups.
    pub backups: BackupMetrics,
    /// What is counted of models and the jobs that learn.
    pub learning: LearningMetrics,
    /// Bytes of request bodies, as sent.
    body_bytes: Counter,
    /// Seconds from when a decision's request could be read to its answer.
    pub decision_seconds: Latency,
}

/// Answers with 200 that wait for the log. They are counted when they are sent: where 503 is sent in their place, no 200 was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Withheld {
    /// Of `POST /events`.
    pub(crate) events: u64,
    /// Of decisions behind them.
    pub(crate) decisions: u64,
}

/// Counts of one stripe.
#[derive(Debug, Default)]
struct Frequent {
    decisions_answered: AtomicU64,
    events_answered: AtomicU64,
    body_bytes: AtomicU64,
}

impl Metrics {
    /// Metrics of the server, of `engine`, and of what is learnt.
    #[must_use]
    pub(crate) fn new(engine: Arc<Engine>, learning: Arc<Learning>) -> Self {
        let mut registry = Registry::with_prefix("upbeat");
        let mut declare = Declare(&mut registry);
        let requests: Family<RequestLabels, Counter> =
            declare.family("http_requests", "Requests by route and status");
        let answered = |route: &str| {
            requests.get_or_create_owned(&RequestLabels { route: route.to_owned(), status: 200 })
        };
        let metrics = Self {
            frequent: Striped::default(),
            decisions_answered: answered(DECISION_ROUTE),
            events_answered: answered(EVENTS_ROUTE),
            requests,
            problems: declare.family("problems", "Problem documents answered, by type"),
            connections: declare.family("http_connections", "Open connections"),
            connections_refused: declare.family(
                "http_connections_refused",
                "Connections refused because as many were open as there is room for",
            ),
            accept_errors: declare.family(
                "http_accept_errors",
                "Failures to accept a connection, for want of file descriptors as a rule",
            ),
            connection_errors: declare.family(
                "http_connection_errors",
                "Connections ended because their bytes were not HTTP or came too slowly",
            ),
            event_loops_failed: declare
                .single("event_loops_failed", "Event loops that failed; the others took over what came after"),
            connections_cut: declare.family(
                "http_connections_cut",
                "Connections cut because their clients did not take their answers, by cause",
            ),
            response_bytes: declare.single(
                "response_bytes",
                "Bytes of answers held until their clients take them; limits.response_memory_bytes bounds them",
            ),
            acks_unknown: declare.single(
                "journal_acks_unknown",
                "Answers replaced by 503 because the log did not say within ack_timeout that the events are kept",
            ),
            clock_suspect: declare.single(
                "clock_suspect",
                "1 while the wall clock is in doubt, and nothing is deleted for its age",
            ),
            campaigns_refused: declare.single(
                "campaigns_refused",
                "Reloads of campaigns and models that were refused; the present ones stay in force",
            ),
            journal: JournalMetrics::declare(&mut declare),
            backups: BackupMetrics::declare(&mut declare),
            learning: LearningMetrics::declare(&mut declare),
            body_bytes: declare.single("request_body_bytes", "Bytes of request bodies, as sent"),
            decision_seconds: declare.single(
                "decision_seconds",
                "Seconds from when GET /should-show-ad could be read to its answer",
            ),
            registry: Registry::default(),
        };
        registry.register_collector(Box::new(SampledCollector(engine)));
        registry.register_collector(Box::new(LearningCollector(Arc::clone(&learning))));
        registry.register_collector(Box::new(WatchingCollector(learning)));
        Self { registry, ..metrics }
    }

    /// Counts a decision answered with 200. To look the counter up by its labels would take as long as to decide.
    pub(crate) fn count_decision_answered(&self) {
        self.frequent.own().decisions_answered.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a `POST /events` answered with 200.
    pub(crate) fn count_events_answered(&self) {
        self.frequent.own().events_answered.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts answers that waited for the log and are sent now.
    pub(crate) fn count_released(&self, withheld: Withheld) {
        let counts = self.frequent.own();
        counts.events_answered.fetch_add(withheld.events, Ordering::Relaxed);
        counts.decisions_answered.fetch_add(withheld.decisions, Ordering::Relaxed);
    }

    /// Counts the bytes of a request's body, as sent.
    pub(crate) fn count_body_bytes(&self, bytes: usize) {
        self.frequent.own().body_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The gauge of a listener's open connections.
    pub(crate) fn open_connections(&self, listener: Listener) -> Gauge {
        self.connections.get_or_create_owned(&listener.into())
    }

    /// Counts a connection that was refused because too many were open.
    pub(crate) fn count_connection_refused(&self, listener: Listener) {
        self.connections_refused.get_or_create(&listener.into()).inc();
    }

    /// Counts a failure to accept a connection.
    pub(crate) fn count_accept_error(&self, listener: Listener) {
        self.accept_errors.get_or_create(&listener.into()).inc();
    }

    /// Counts a connection that failed, and logs the error at `debug`.
    pub(crate) fn count_connection_error(&self, listener: Listener, error: &(dyn Error + 'static)) {
        tracing::debug!(error, listener = listener.name(), "connection failed");
        self.connection_errors.get_or_create(&listener.into()).inc();
    }

    /// Counts a connection that was cut because its client did not take its answers.
    pub(crate) fn count_connection_cut(&self, listener: Listener, cause: CutCause) {
        tracing::debug!(
            listener = listener.name(),
            cause = cause.name(),
            "a client did not take its answers"
        );
        self.connections_cut.get_or_create(&CutLabels::new(listener, cause)).inc();
    }

    /// Brings the registered counters up to what the threads have counted.
    fn sum_up_frequent(&self) {
        // The greater one, because another scrape may have summed up later and be ahead.
        let bring_up = |counter: &Counter, sum: u64| counter.inner().fetch_max(sum, Ordering::Relaxed);
        bring_up(&self.decisions_answered, self.frequent.sum(|counts| &counts.decisions_answered));
        bring_up(&self.events_answered, self.frequent.sum(|counts| &counts.events_answered));
        bring_up(&self.body_bytes, self.frequent.sum(|counts| &counts.body_bytes));
    }

    /// All metrics in a text format.
    ///
    /// # Errors
    /// Formatting failed, which does not happen with a `String`.
    pub fn render(&self, format: Format) -> Result<String, fmt::Error> {
        self.sum_up_frequent();
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Classic => format::classic(&text),
        })
    }
}
