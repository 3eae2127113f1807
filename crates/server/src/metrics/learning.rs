//! What is counted of models and the jobs that learn.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::declare::Declare;
use super::labels::KnownLabels;
use super::sampled::{Give, Kind, Value, encode};
use crate::runtime::learning::{Learning, Outcome};
use upbeat_learn::job::Standing;
use upbeat_learn::registry::{OfCampaign, Registry};

/// The families `upbeat_learning…`, but for those of campaigns.
#[derive(Debug, Clone)]
pub struct LearningMetrics {
    jobs: Family<JobLabels, Counter>,
    job_seconds: Gauge<f64, AtomicU64>,
    promotions: Counter,
}

/// Label of what a job has come to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct JobLabels {
    outcome: &'static str,
}

impl From<Outcome> for JobLabels {
    fn from(outcome: Outcome) -> Self {
        Self { outcome: outcome.name() }
    }
}

impl KnownLabels for JobLabels {
    fn known() -> Vec<Self> {
        Outcome::ALL.map(Self::from).to_vec()
    }
}

impl LearningMetrics {
    pub(super) fn declare(declare: &mut Declare<'_>) -> Self {
        Self {
            jobs: declare.family("learning_jobs", "Jobs that judge or train models, by what they came to"),
            job_seconds: declare.single(
                "learning_job_seconds",
                "How long the last job took, from its beginning to its end, in seconds; 0 before the first",
            ),
            promotions: declare
                .single("learning_promotions", "Models that were promoted, by the gate or by people"),
        }
    }

    /// Counts a job that has ended.
    pub(crate) fn count_job(&self, outcome: Outcome, took: Duration) {
        self.jobs.get_or_create(&outcome.into()).inc();
        self.job_seconds.set(took.as_secs_f64());
    }

    /// Counts a promotion.
    pub(crate) fn count_promotion(&self) {
        self.promotions.inc();
    }
}

/// The standings of challengers in metrics: there is none, it was not judged yet, or as the last job found it.
const STANDINGS: [&str; 5] = ["none", "new", "stays", "promote", "not_computed"];

fn standing(of: &OfCampaign) -> &'static str {
    let Some(challenger) = &of.challenger else { return "none" };
    match of.known(&challenger.id).and_then(|known| known.standing) {
        Some(Standing::Promote) => "promote",
        Some(Standing::NotComputed) => "not_computed",
        Some(Standing::Stays | Standing::Futile | Standing::TooOld) => "stays",
        None => "new",
    }
}

/// A family of the campaigns that run and have a model: name, help, and how its values are read.
type OfRunning = (&'static str, &'static str, fn(&OfCampaign, Give<'_>));

const OF_RUNNING: &[OfRunning] = &[
    (
        "learning_challenger",
        "1 for how the challenger of a campaign stands, 0 for how else it might",
        |of, give| {
            let campaign = of.campaign.to_string();
            for name in STANDINGS {
                let labels = [("campaign", &*campaign), ("standing", name)];
                give(&labels, Value::Count(u64::from(name == standing(of))));
            }
        },
    ),
    (
        "learning_challenger_rows",
        "Decisions on which the challenger of a campaign was compared with its champion; 0 without one",
        |of, give| {
            let challenger = of.challenger.as_ref();
            let known = challenger.and_then(|challenger| of.known(&challenger.id));
            let rows = known.and_then(|known| known.rows).unwrap_or(0);
            give(&[("campaign", &*of.campaign.to_string())], Value::Count(rows));
        },
    ),
    (
        "learning_champion_timestamp_seconds",
        "Since when the champion of a campaign decides, in seconds since 1970",
        |of, give| {
            let since_s = of.since_ms.unwrap_or(0) as f64 / 1e3;
            give(&[("campaign", &*of.campaign.to_string())], Value::Number(since_s));
        },
    ),
];

/// Reads every family of [`OF_RUNNING`].
pub(super) struct LearningCollector(pub(super) Arc<Learning>);

impl fmt::Debug for LearningCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LearningCollector")
    }
}

impl Collector for LearningCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let registry: Registry = self.0.registry();
        for (name, help, read) in OF_RUNNING {
            let help = format!("{help}.");
            let mut family = encoder.encode_descriptor(name, &help, None, MetricType::Gauge)?;
            let mut encoded = Ok(());
            for of in registry.campaigns.iter().filter(|of| of.champion.is_some()) {
                read(of, &mut |labels, value| {
                    let sample = family.encode_family(&labels);
                    encoded = encoded.and(sample.and_then(|encoder| encode(encoder, Kind::Gauge, value)));
                });
            }
            encoded?;
        }
        Ok(())
    }
}
