//! What jobs have found of campaigns as they run, read when `/metrics` is asked. What is not known has no sample.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use upbeat_learn::consistency::Agreement;
use upbeat_learn::watch::{Measured, State, Subject, Watched};

use super::sampled::{Give, Kind, Value, encode};
use crate::runtime::learning::{Last, Learning};

/// A family: name, help, and how its values are read.
type Family = (&'static str, &'static str, fn(&Last, Give<'_>));

const FAMILIES: &[Family] = &[
    (
        "campaign_calibration_ratio",
        "Clicks that the model of a campaign expects to clicks that came, of the last day's and week's shown ads",
        |last, give| of_times(last, give, |of| of.calibration.map(|[ratio, ..]| ratio)),
    ),
    (
        "campaign_click_rate",
        "Clicks a shown ad of a campaign, of the last day's and week's shown ads",
        |last, give| of_times(last, give, |of| of.click_rate.map(|[rate, ..]| rate)),
    ),
    (
        "campaign_held_out_ratio",
        "Customers whom the holdout of a campaign has kept from it to those whom its share says",
        |last, give| {
            of_campaigns(last, give, |of| {
                let ratio = of.split.filter(|split| split.expected > 0.0)?;
                Some(ratio.held_out as f64 / ratio.expected)
            });
        },
    ),
    (
        "campaign_sample_ratio_p",
        "The probability that the holdout's groups would ever have looked so wrong, looked at all the time; at 0.001 one loses customers",
        |last, give| of_campaigns(last, give, |of| Some(of.split.filter(|of| of.expected > 0.0)?.p())),
    ),
    (
        "campaign_watch_bad",
        "1 where what is watched of a campaign is bad, 0 where it is good; without a sample it cannot be told",
        |last, give| {
            for (campaign, of) in &last.campaigns {
                let campaign = campaign.to_string();
                for finding in of.findings.iter().filter(|of| of.state != State::Unknown) {
                    let labels = [("campaign", &*campaign), ("subject", name(finding.subject))];
                    give(&labels, Value::Count(u64::from(finding.state == State::Bad)));
                }
            }
        },
    ),
];

/// A family of one value, where it is known.
type Single = (&'static str, &'static str, fn(&Agreement) -> Option<Value>);

const OF_LOG: &[Single] = &[
    (
        "consistency_share",
        "The share of logged decisions whose counts are those of the events before them: it must be 1",
        |of| of.share().map(Value::Number),
    ),
    ("consistency_checked", "Logged decisions that the last job could check", |of| {
        Some(Value::Count(of.checked))
    }),
];

fn name(subject: Subject) -> &'static str {
    match subject {
        Subject::Calibration => "calibration",
        Subject::ClickRate => "click_rate",
        Subject::SampleRatio => "sample_ratio",
    }
}

fn of_campaigns(last: &Last, give: Give<'_>, read: impl Fn(&Watched) -> Option<f64>) {
    for (campaign, of) in &last.campaigns {
        if let Some(value) = read(of) {
            give(&[("campaign", &*campaign.to_string())], Value::Number(value));
        }
    }
}

fn of_times(last: &Last, give: Give<'_>, read: impl Fn(&Measured) -> Option<f64>) {
    for (campaign, of) in &last.campaigns {
        let campaign = campaign.to_string();
        for (time, of) in [("day", &of.day), ("week", &of.week)] {
            if let Some(value) = read(of) {
                give(&[("campaign", &*campaign), ("time", time)], Value::Number(value));
            }
        }
    }
}

/// Reads every family of [`FAMILIES`] and [`OF_LOG`].
pub(super) struct WatchingCollector(pub(super) Arc<Learning>);

impl fmt::Debug for WatchingCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatchingCollector")
    }
}

impl Collector for WatchingCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let last = self.0.watching().get();
        for (name, help, read) in FAMILIES {
            let help = format!("{help}.");
            let mut family = encoder.encode_descriptor(name, &help, None, MetricType::Gauge)?;
            let mut encoded = Ok(());
            read(&last, &mut |labels, value| {
                let sample = family.encode_family(&labels);
                encoded = encoded.and(sample.and_then(|encoder| encode(encoder, Kind::Gauge, value)));
            });
            encoded?;
        }
        for (name, help, read) in OF_LOG {
            // What is there to be told is said before the first job has told it.
            let help = format!("{help}.");
            let family = encoder.encode_descriptor(name, &help, None, MetricType::Gauge)?;
            if let Some(value) = last.consistency.as_ref().and_then(read) {
                encode(family, Kind::Gauge, value)?;
            }
        }
        Ok(())
    }
}
