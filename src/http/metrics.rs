//! What is counted, in the words of Prometheus.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::engine::Engine;

/// Upper bounds of the latency buckets, in seconds.
const LATENCY_BUCKETS_S: [f64; 14] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5,
    2.5,
];

/// The route that matters most.
pub const DECISION_ROUTE: &str = "/should-show-ad/{customer}";

/// Labels of a request: which route it matched, and what it was answered. Routes are those of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The route's pattern, or `other`.
    pub route: String,
    /// The HTTP status.
    pub status: u16,
}

/// Label of a problem: its kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProblemLabels {
    /// The last part of the problem's type.
    pub r#type: &'static str,
}

/// Label of a listener: `data` or `admin`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ListenerLabels {
    /// Which listener.
    pub listener: &'static str,
}

/// Counters and histograms of the edge, and a registry that renders them with the engine's.
pub struct Metrics {
    registry: Registry,
    /// Requests by route and status.
    pub requests: Family<RequestLabels, Counter>,
    /// The one of `requests` for decisions that were answered; finding it by its labels costs as much as deciding.
    pub decisions_answered: Counter,
    /// Problems by type.
    pub problems: Family<ProblemLabels, Counter>,
    /// Open connections by listener.
    pub connections: Family<ListenerLabels, Gauge>,
    /// Connections refused because too many were open.
    pub connections_refused: Family<ListenerLabels, Counter>,
    /// Connections that ended because their bytes were not HTTP, or came too slowly.
    pub connection_errors: Family<ListenerLabels, Counter>,
    /// Bytes of request bodies.
    pub body_bytes: Counter,
    /// Seconds from a decision's request head to its answer.
    pub decision_seconds: Histogram,
}

impl Metrics {
    /// Metrics of the edge and of `engine`.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        let mut registry = Registry::with_prefix("upbeat");
        let requests = Family::<RequestLabels, Counter>::default();
        let answered = RequestLabels { route: DECISION_ROUTE.to_owned(), status: 200 };
        let metrics = Self {
            decisions_answered: requests.get_or_create_owned(&answered),
            requests,
            problems: Family::default(),
            connections: Family::default(),
            connections_refused: Family::default(),
            connection_errors: Family::default(),
            body_bytes: Counter::default(),
            decision_seconds: Histogram::new(LATENCY_BUCKETS_S),
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

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// Formatting failed, which a `String` never does.
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
            ("dry_run_decisions", "Decisions asked for with dry_run", counters.dry_runs() as f64),
            (
                "customers_forgotten",
                "Customers forgotten because they were silent for longer than the window",
                counters.forgotten() as f64,
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

/// Resident memory as Linux tells it; `None` elsewhere.
fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
