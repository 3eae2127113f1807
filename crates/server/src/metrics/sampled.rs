//! The families whose values are kept elsewhere, most of them by the engine, and read when `/metrics` is asked.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use upbeat_core::campaign::Planned;
use upbeat_engine::Engine;

use super::LOG_LINES_DROPPED;
use super::campaigns::OF_CAMPAIGNS;

/// One family.
pub(super) struct Sampled {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) read: Read,
}

/// Where the values of a family come from.
pub(super) enum Read {
    /// The one value of a family without labels.
    Single(fn(&Engine) -> Value),
    /// Gives a value for every combination of labels, also for those that are 0.
    Labelled(fn(&Engine, Give<'_>)),
}

/// Takes a value with its labels.
pub(super) type Give<'a> = &'a mut dyn FnMut(&[(&str, &str)], Value);

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

pub(super) enum Value {
    Count(u64),
    Number(f64),
}

/// Every family that is read but those of campaigns, which follow them, in the order of `/metrics`.
const SAMPLED: &[Sampled] = &[
    Sampled {
        name: "erase_pending",
        help: "Deleted customers of whom the log may still hold records",
        kind: Kind::Gauge,
        read: Read::Single(|engine| {
            Value::Number(engine.pending_erasures().map_or(0.0, |pending| pending.count as f64))
        }),
    },
    Sampled {
        name: "erase_oldest_timestamp_seconds",
        help: "When the first of them was deleted, in seconds since 1970; 0 where there are none",
        kind: Kind::Gauge,
        read: Read::Single(|engine| {
            Value::Number(engine.pending_erasures().map_or(0.0, |pending| pending.oldest_ms as f64 / 1000.0))
        }),
    },
    Sampled {
        name: "decisions",
        help: "Decisions by reason",
        kind: Kind::Counter,
        read: Read::Labelled(|engine, give| {
            for (reason, count) in engine.counters().decisions() {
                give(&[("reason", reason.name())], Value::Count(count));
            }
        }),
    },
    Sampled {
        name: "events",
        help: "Events by kind and outcome",
        kind: Kind::Counter,
        read: Read::Labelled(|engine, give| {
            for (kind, outcome, count) in engine.counters().events() {
                give(&[("kind", kind.name()), ("outcome", outcome.name())], Value::Count(count));
            }
        }),
    },
    Sampled {
        name: "feedback",
        help: "Clicks, impressions and voids with something odd about them, by kind",
        kind: Kind::Counter,
        read: Read::Labelled(|engine, give| {
            for (event, kind, count) in engine.counters().feedback() {
                give(&[("event", event.name()), ("kind", kind.name())], Value::Count(count));
            }
        }),
    },
    Sampled {
        name: "rows_refused",
        help: "Refused rows of POST /events by the type of their problem, single events included",
        kind: Kind::Counter,
        read: Read::Labelled(|engine, give| {
            for (problem, count) in engine.counters().refused() {
                give(&[("type", problem.slug())], Value::Count(count));
            }
        }),
    },
    Sampled {
        name: "journal_refused",
        help: "Requests, events, deletions and ads refused on account of the journal, by cause",
        kind: Kind::Counter,
        read: Read::Labelled(|engine, give| {
            for (cause, count) in engine.log_refusals() {
                give(&[("cause", cause.name())], Value::Count(count));
            }
        }),
    },
    Sampled {
        name: "log_lines_dropped",
        help: "Lines of the log dropped because their reader was too slow",
        kind: Kind::Counter,
        read: Read::Single(|_| Value::Count(LOG_LINES_DROPPED.load(Ordering::Relaxed))),
    },
    Sampled {
        name: "dry_run_decisions",
        help: "Decisions asked for with dry_run",
        kind: Kind::Counter,
        read: Read::Single(|engine| Value::Count(engine.counters().dry_runs())),
    },
    Sampled {
        name: "customers_evicted",
        help: "Customers evicted because they were idle for longer than the window",
        kind: Kind::Counter,
        read: Read::Single(|engine| Value::Count(engine.counters().evicted())),
    },
    Sampled {
        name: "erasures",
        help: "Customers deleted, known or not",
        kind: Kind::Counter,
        read: Read::Single(|engine| Value::Count(engine.counters().erasures())),
    },
    Sampled {
        name: "event_clock_unconfirmed",
        help: "Events dated so far ahead that the event clock waits for another customer's to confirm the date",
        kind: Kind::Counter,
        read: Read::Single(|engine| Value::Count(engine.event_clock().unconfirmed)),
    },
    Sampled {
        name: "repeated_requests",
        help: "Retries that got their earlier answer",
        kind: Kind::Counter,
        read: Read::Single(|engine| Value::Count(engine.counters().retries())),
    },
    Sampled {
        name: "repeatable_requests_shed",
        help: "Requests with a request_id shed because limits.retry_bytes had no room for their answer",
        kind: Kind::Counter,
        read: Read::Single(|engine| Value::Count(engine.counters().requests_not_kept())),
    },
    Sampled {
        name: "decisions_unlogged",
        help: "Decisions that showed nothing, were answered, and are not in the log: it had no room for them",
        kind: Kind::Counter,
        read: Read::Single(|engine| Value::Count(engine.counters().unlogged())),
    },
    Sampled {
        name: "interests",
        help: "Interests found: customers who played one track three times within half an hour",
        kind: Kind::Counter,
        read: Read::Single(|engine| Value::Count(engine.interests_found())),
    },
    Sampled {
        name: "impression_cost_spent",
        help: "Cost of the impressions decided",
        kind: Kind::Counter,
        read: Read::Single(|engine| Value::Number(cost(engine, true))),
    },
    Sampled {
        name: "impression_cost_saved",
        help: "Cost of the slots asked about and not bought",
        kind: Kind::Counter,
        read: Read::Single(|engine| Value::Number(cost(engine, false))),
    },
    Sampled {
        name: "profiles",
        help: "Customers held",
        kind: Kind::Gauge,
        read: Read::Single(|engine| Value::Count(engine.customer_count() as u64)),
    },
    Sampled {
        name: "plays",
        help: "Plays kept in profiles",
        kind: Kind::Gauge,
        read: Read::Single(|engine| Value::Count(engine.counters().plays_kept() as u64)),
    },
    Sampled {
        name: "tracks",
        help: "Tracks of the catalogue",
        kind: Kind::Gauge,
        read: Read::Single(|engine| Value::Count(engine.track_count() as u64)),
    },
    Sampled {
        name: "tombstones",
        help: "Tombstones of customers who were deleted; limits.tombstones bounds them",
        kind: Kind::Gauge,
        read: Read::Single(|engine| Value::Count(engine.tombstone_count() as u64)),
    },
    Sampled {
        name: "profile_bytes",
        help: "Memory that profiles take, without allocator overhead; limits.profile_bytes bounds it",
        kind: Kind::Gauge,
        read: Read::Single(|engine| Value::Count(engine.profile_bytes() as u64)),
    },
    Sampled {
        name: "retry_bytes",
        help: "Memory of answers kept for retries, without allocator overhead; limits.retry_bytes bounds it",
        kind: Kind::Gauge,
        read: Read::Single(|engine| Value::Count(engine.retry_bytes() as u64)),
    },
    Sampled {
        name: "resident_bytes",
        help: "Resident memory of the process",
        kind: Kind::Gauge,
        read: Read::Single(|_| Value::Count(resident_bytes().unwrap_or(0))),
    },
    Sampled {
        name: "model",
        help: "The models that decide; without a model there is no sample",
        kind: Kind::Gauge,
        read: Read::Labelled(|engine, give| {
            let current = engine.campaigns();
            let ids: BTreeSet<&str> = current.plan.models.iter().map(|served| &*served.id).collect();
            for id in ids {
                give(&[("id", id), ("role", "champion")], Value::Count(1));
            }
        }),
    },
    Sampled {
        name: "build",
        help: "The version that runs",
        kind: Kind::Gauge,
        read: Read::Labelled(|_, give| give(&[("version", env!("CARGO_PKG_VERSION"))], Value::Count(1))),
    },
];

/// What the decisions that show cost, or what those that do not would have cost.
fn cost(engine: &Engine, shows: bool) -> f64 {
    let campaigns = engine.campaigns();
    if campaigns.document.campaign.len() > 1 {
        // Each has its own cost, and the ledger knows which was shown.
        let of = |campaign: &Planned| {
            let report = engine.report(&campaign.id, i32::MIN, i32::MAX).unwrap_or_default();
            let saved = report.not_shown.values().sum::<u64>() as f64 * campaign.cost_micro as f64;
            if shows { (report.spent + report.reserved + report.lost) as f64 } else { saved }
        };
        return campaigns.plan.campaigns.iter().map(of).sum::<f64>() / 1e6;
    }
    let decisions = engine.counters().decisions().filter(|(reason, _)| reason.shows() == shows);
    let cost = campaigns.document.campaign.first().map_or(0, |first| first.impression_cost.micro());
    decisions.map(|(_, count)| count).sum::<u64>() as f64 * (cost as f64 / 1e6)
}

/// Resident memory of the process in bytes, as reported by Linux; `None` elsewhere.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// Reads every family of [`SAMPLED`] and [`OF_CAMPAIGNS`].
pub(super) struct SampledCollector(pub(super) Arc<Engine>);

impl fmt::Debug for SampledCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SampledCollector")
    }
}

impl Collector for SampledCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for Sampled { name, help, kind, read } in SAMPLED.iter().chain(OF_CAMPAIGNS) {
            let metric_type = match kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            // The registry ends the help of its own families likewise.
            let help = format!("{help}.");
            let mut family = encoder.encode_descriptor(name, &help, None, metric_type)?;
            match read {
                Read::Single(read) => encode(family, *kind, read(&self.0))?,
                Read::Labelled(read) => {
                    let mut encoded = Ok(());
                    read(&self.0, &mut |labels, value| {
                        let sample = family.encode_family(&labels);
                        encoded = encoded.and(sample.and_then(|encoder| encode(encoder, *kind, value)));
                    });
                    encoded?;
                }
            }
        }
        Ok(())
    }
}

pub(super) fn encode(encoder: MetricEncoder<'_>, kind: Kind, value: Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Count(count)) => ConstCounter::new(count).encode(encoder),
        (Kind::Counter, Value::Number(number)) => ConstCounter::new(number).encode(encoder),
        (Kind::Gauge, Value::Count(count)) => {
            ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX)).encode(encoder)
        }
        (Kind::Gauge, Value::Number(number)) => ConstGauge::new(number).encode(encoder),
    }
}
