//! A wait-free histogram of latencies.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use upbeat_engine::Striped;

/// Upper bounds of the buckets, in nanoseconds, inclusive; one more bucket counts what is slower.
const BOUNDS_NS: [u64; 14] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    100_000_000,
    500_000_000,
    2_500_000_000,
];

const NS_PER_S: f64 = 1e9;

/// Latencies by bucket, as a Prometheus histogram in seconds. Each thread counts by itself. Updates are relaxed, so a reader
/// may see the sum ahead of the counts.
#[derive(Debug, Clone, Default)]
pub struct Latency(Arc<Striped<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    by_bucket: [AtomicU64; BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
}

impl Latency {
    /// Counts one latency.
    pub fn observe(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.iter().position(|bound| ns <= *bound).unwrap_or(BOUNDS_NS.len());
        let counts = self.0.own();
        counts.by_bucket[bucket].fetch_add(1, Ordering::Relaxed);
        counts.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
        let bounds = BOUNDS_NS.iter().map(|ns| *ns as f64 / NS_PER_S).chain([f64::INFINITY]);
        let counts = (0..=BOUNDS_NS.len()).map(|bucket| self.0.sum(|counts| &counts.by_bucket[bucket]));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum_s = self.0.sum(|counts| &counts.sum_ns) as f64 / NS_PER_S;
        encoder.encode_histogram::<NoLabelSet>(sum_s, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn time_counts_in_the_first_bucket_that_holds_it_and_in_all_above() {
        let latency = Latency::default();
        for ns in [0, 10_000, 10_001, 2_500_000_000, 2_500_000_001] {
            latency.observe(Duration::from_nanos(ns));
        }
        let mut registry = Registry::default();
        registry.register("t", "Times", latency);
        let mut text = String::new();
        encode(&mut text, &registry).expect("text");
        for line in [
            "t_count 5",
            "t_bucket{le=\"0.00001\"} 2",
            "t_bucket{le=\"0.000025\"} 3",
            "t_bucket{le=\"2.5\"} 4",
            "t_bucket{le=\"+Inf\"} 5",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
    }
}
