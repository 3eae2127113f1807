//! The server's metrics, for Prometheus.

mod latency;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use self::latency::Latency;
use upbeat_engine::Engine;

/// Log lines that were dropped because their reader was too slow. It is global, as the log is.
pub static LOG_LINES_DROPPED: AtomicU64 = AtomicU64::new(0);

/// The route of single decisions.
pub const DECISION_ROUTE: &str = "/should-show-ad/{customer}";

/// The route of events.
pub const EVENTS_ROUTE: &str = "/events";

/// Labels of a request: its route and the status of its answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The route's pattern as in the contract, or `other`.
    pub route: String,
    /// The HTTP status of the answer.
    pub status: u16,
}

/// Label of a problem: its type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProblemLabels {
    /// The last part of the problem's type URI.
    pub r#type: &'static str,
}

/// Label of a listener: `data` or `admin`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ListenerLabels {
    /// `data` or `admin`.
    pub listener: &'static str,
}

/// The metrics of the HTTP server, and a registry that renders them with the engine's counters.
pub struct Metrics {
    registry: Registry,
    /// Requests by route and status.
    pub requests: Family<RequestLabels, Counter>,
    /// The counter of `requests` for decisions answered with 200; looking it up by its labels takes as long as
    /// deciding.
    pub decisions_answered: Counter,
    /// The counter of `requests` for `POST /events` answered with 200.
    pub events_answered: Counter,
    /// Problems by type.
    pub problems: Family<ProblemLabels, Counter>,
    /// Open connections by listener.
    pub connections: Family<ListenerLabels, Gauge>,
    /// Connections refused because too many were open.
    pub connections_refused: Family<ListenerLabels, Counter>,
    /// Connections that ended because their bytes were not HTTP, or arrived too slowly.
    pub connection_errors: Family<ListenerLabels, Counter>,
    /// Bytes of request bodies, as sent.
    pub body_bytes: Counter,
    /// Seconds from a decision's request head to its answer.
    pub decision_seconds: Latency,
}

impl Metrics {
    /// Metrics of the server and of `engine`.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        let mut registry = Registry::with_prefix("upbeat");
        let requests = Family::<RequestLabels, Counter>::default();
        let answered = |route: &str| {
            requests.get_or_create_owned(&RequestLabels { route: route.to_owned(), status: 200 })
        };
        let metrics = Self {
            decisions_answered: answered(DECISION_ROUTE),
            events_answered: answered(EVENTS_ROUTE),
            requests,
            problems: Family::default(),
            connections: Family::default(),
            connections_refused: Family::default(),
            connection_errors: Family::default(),
            body_bytes: Counter::default(),
            decision_seconds: Latency::default(),
            registry: Registry::default(),
        };
        let m = &metrics;
        registry.register("http_requests", "Requests by route and status", m.requests.clone());
        registry.register("problems", "Problem documents answered, by type", m.problems.clone());
        registry.register("http_connections", "Open connections", m.connections.clone());
        let refused = "Connections refused because limits.connections were open";
        registry.register("http_connections_refused", refused, m.connections_refused.clone());
        let errors = "Connections ended because their bytes were not HTTP or came too slowly";
        registry.register("http_connection_errors", errors, m.connection_errors.clone());
        registry.register("request_body_bytes", "Bytes of request bodies, as sent", m.body_bytes.clone());
        let latency = "Seconds from the head of GET /should-show-ad to its answer";
        registry.register("decision_seconds", latency, m.decision_seconds.clone());
        registry.register_collector(Box::new(EngineCollector(engine)));
        Self { registry, ..metrics }
    }

    /// The gauge of a listener's open connections.
    pub(crate) fn open_connections(&self, listener: &'static str) -> Gauge {
        self.connections.get_or_create_owned(&ListenerLabels { listener })
    }

    /// Counts a connection that was refused because too many were open.
    pub(crate) fn count_connection_refused(&self, listener: &'static str) {
        self.connections_refused.get_or_create(&ListenerLabels { listener }).inc();
    }

    /// Counts a connection that failed, and logs the error at `debug`.
    pub(crate) fn count_connection_error(&self, listener: &'static str, error: &(dyn Error + 'static)) {
        tracing::debug!(error, listener, "connection failed");
        self.connection_errors.get_or_create(&ListenerLabels { listener }).inc();
    }

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// Formatting failed, which does not happen with a `String`.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

struct EngineCollector(Arc<Engine>);

impl fmt::Debug for EngineCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EngineCollector")
    }
}

impl Collector for EngineCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let engine = &self.0;
        let counters = engine.counters();
        let campaign = &engine.settings().campaign;

        let mut decisions =
            encoder.encode_descriptor("decisions", "Decisions by reason", None, MetricType::Counter)?;
        let (mut shown, mut not_shown) = (0, 0);
        for (reason, count) in counters.decisions() {
            *(if reason.shows() { &mut shown } else { &mut not_shown }) += count;
            ConstCounter::new(count).encode(decisions.encode_family(&[("reason", reason.name())])?)?;
        }
        let mut events =
            encoder.encode_descriptor("events", "Events by kind and outcome", None, MetricType::Counter)?;
        for (kind, outcome, count) in counters.events() {
            let labels = [("kind", kind.name()), ("outcome", outcome.name())];
            ConstCounter::new(count).encode(events.encode_family(&labels)?)?;
        }
        let counts = [
            (
                "log_lines_dropped",
                "Lines of the log dropped because their reader was too slow",
                LOG_LINES_DROPPED.load(Ordering::Relaxed) as f64,
            ),
            ("dry_run_decisions", "Decisions asked for with dry_run", counters.dry_runs() as f64),
            (
                "customers_evicted",
                "Customers evicted because they were idle for longer than the window",
                counters.evicted() as f64,
            ),
            ("repeated_requests", "Retries that got their earlier answer", counters.retries() as f64),
            (
                "impression_cost_spent",
                "Cost of the impressions decided",
                shown as f64 * campaign.impression_cost,
            ),
            (
                "impression_cost_saved",
                "Cost of the slots asked about and not bought",
                not_shown as f64 * campaign.impression_cost,
            ),
        ];
        for (name, help, count) in counts {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(count).encode(metric)?;
        }
        let gauges = [
            ("profiles", "Customers held", engine.customer_count()),
            ("plays", "Plays kept in profiles", counters.plays_kept()),
            ("tracks", "Tracks of the catalogue", engine.track_count()),
            (
                "profile_bytes",
                "Memory that profiles take, without allocator overhead; limits.profile_bytes bounds it",
                engine.profile_bytes(),
            ),
            ("resident_bytes", "Resident memory of the process", resident_bytes().unwrap_or(0)),
        ];
        for (name, help, value) in gauges {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(metric)?;
        }
        let mut model =
            encoder.encode_descriptor("model", "The model that scores", None, MetricType::Gauge)?;
        if let Some(champion) = engine.champion() {
            let labels = [("id", champion.id.as_str()), ("role", "champion")];
            ConstGauge::new(1i64).encode(model.encode_family(&labels)?)?;
        }
        let mut build = encoder.encode_descriptor("build", "What runs", None, MetricType::Gauge)?;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        ConstGauge::new(1i64).encode(build.encode_family(&version)?)
    }
}

/// Resident memory of the process in bytes, as reported by Linux; `None` elsewhere.
fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
