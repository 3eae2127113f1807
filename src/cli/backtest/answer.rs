//! What `upbeat backtest` says: tables for people, JSON for programs.

use std::fmt::Write;

use serde_json::{Value, json};
use upbeat_learn::backtest::{Estimated, OfCampaign};
use upbeat_learn::estimate::Estimate;
use upbeat_learn::lift::{Difference, Lift};

/// What was found.
pub(super) struct Answer<'a> {
    pub(super) campaigns: &'a [OfCampaign],
    pub(super) lift: &'a Lift,
    pub(super) currency: Option<&'a str>,
}

impl Answer<'_> {
    /// Money in whole micro-units; numbers that cannot be computed are null.
    pub(super) fn json(&self) -> Value {
        let policies: Vec<Value> = self
            .campaigns
            .iter()
            .flat_map(|of| of.estimates().into_iter().map(|estimated| policy(of, &estimated)))
            .collect();
        let campaigns: Vec<Value> = self.campaigns.iter().map(|of| self.campaign(of)).collect();
        json!({"policies": policies, "campaigns": campaigns, "currency": self.currency})
    }

    fn campaign(&self, of: &OfCampaign) -> Value {
        let difference = |of: Difference| {
            let Difference { outcome, treated, held_out, with, without, interval } = of;
            json!({
                "outcome": outcome.name(), "treated": treated, "held_out": held_out, "with": with, "without": without,
                "lift": with - without, "low": interval.0, "high": interval.1,
            })
        };
        let lift: Vec<Value> = self.lift.of(of.slot).into_iter().map(difference).collect();
        json!({
            "campaign": of.id, "decisions": of.decisions, "eligible": of.eligible, "young": of.young,
            "forgotten": of.forgotten, "estimated": of.mature(),
            "shown": of.shown, "clicked": of.clicked, "support": of.support(),
            "champion": of.champion.as_ref().map(|judge| &judge.id), "lift": lift,
        })
    }

    /// A table for each campaign.
    pub(super) fn text(&self) -> String {
        let tables: Vec<String> = self.campaigns.iter().map(|of| self.table(of)).collect();
        tables.join("\n")
    }

    /// What was looked at, and what it costs and is worth: two sentences without their stops.
    pub(super) fn summary(&self, of: &OfCampaign) -> (String, String) {
        let forgotten = match of.forgotten {
            0 => String::new(),
            forgotten => format!(" and {forgotten} older than the events that the log still has"),
        };
        let looked_at = format!(
            "{} decisions, {} eligible, {} of them too young{forgotten}; of the other {}, {} shown and {} clicked",
            of.decisions,
            of.eligible,
            of.young,
            of.mature(),
            of.shown,
            of.clicked
        );
        let currency = self.currency.map_or(String::new(), |currency| format!(" {currency}"));
        let [cost, value] = [of.terms.cost_micro, of.terms.value_micro].map(|micro| money(micro as f64));
        let model = of.champion.as_ref().map_or("not there", |judge| &judge.id);
        let terms =
            format!("an impression costs {cost}{currency}, a click is worth {value}; its model is {model}");
        (looked_at, terms)
    }

    fn table(&self, of: &OfCampaign) -> String {
        let (looked_at, terms) = self.summary(of);
        let mut text = format!("campaign {}: {looked_at}\n{terms}\n\n", of.id);
        text += &aligned(&rows(of));
        if let Some(support) = of.support() {
            let _ = writeln!(
                text,
                "\nads were shown {support:.3} times as often as their probabilities say (1 is as often)"
            );
        }
        for difference in self.lift.of(of.slot) {
            let Difference { outcome, treated, held_out, with, without, interval: (low, high) } = difference;
            let _ = writeln!(
                text,
                "lift in {} a customer: {:+.4} ({low:+.4} to {high:+.4}): {with:.4} of {treated} who were shown it, {without:.4} of \
                 {held_out} who were held out",
                outcome.name(),
                with - without
            );
        }
        text
    }
}

/// The names of the columns, and a row for each policy and estimator.
pub(super) fn rows(of: &OfCampaign) -> Vec<[String; 9]> {
    let names = [
        "policy",
        "estimator",
        "clicks",
        "cost",
        "profit",
        "95 % interval",
        "ESS",
        "largest weight",
        "unsupported",
    ];
    let mut rows = vec![names.map(str::to_owned)];
    rows.extend(of.estimates().iter().map(cells));
    rows
}

fn policy(of: &OfCampaign, estimated: &Estimated) -> Value {
    let Estimated { policy, estimator, estimate } = estimated;
    let Estimate { clicks, cost_micro, profit_micro, interval, ess, max_weight, unsupported } = estimate;
    json!({
        "campaign": of.id, "name": policy.name(), "estimator": estimator.name(), "clicks": clicks, "cost": whole(*cost_micro),
        "profit": whole(*profit_micro), "low": interval.map(|(low, _)| whole(low)), "high": interval.map(|(_, high)| whole(high)),
        "ess": ess, "max_weight": max_weight, "unsupported": unsupported,
    })
}

/// To the nearest whole number.
fn whole(number: f64) -> i64 {
    number.round() as i64
}

fn cells(estimated: &Estimated) -> [String; 9] {
    let Estimated { policy, estimator, estimate } = estimated;
    let interval = match estimate.interval {
        Some((low, high)) => format!("{} to {}", money(low), money(high)),
        None => "cannot be computed".to_owned(),
    };
    [
        policy.name(),
        estimator.name().to_owned(),
        format!("{:.1}", estimate.clicks),
        money(estimate.cost_micro),
        money(estimate.profit_micro),
        interval,
        format!("{:.0}", estimate.ess),
        format!("{:.1}", estimate.max_weight),
        format!("{:.1} %", 100.0 * estimate.unsupported),
    ]
}

/// Micro-units as money, in hundredths.
fn money(micro: f64) -> String {
    format!("{:.2}", micro / 1e6)
}

/// Columns under each other: the first two from the left, numbers from the right.
fn aligned(rows: &[[String; 9]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 9] = std::array::from_fn(width);
    let line = |row: &[String; 9]| {
        let cell = |(column, cell): (usize, &String)| match column {
            0 | 1 => format!("{cell:<width$}", width = widths[column]),
            _ => format!("{cell:>width$}", width = widths[column]),
        };
        let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
