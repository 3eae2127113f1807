//! The families by campaign, read from the engine when `/metrics` is asked.

use upbeat_core::campaign::Planned;
use upbeat_core::decision::Reason;
use upbeat_core::event::Id;
use upbeat_engine::Engine;
use upbeat_engine::ledger::Report;

use super::sampled::{Give, Kind, Read, Sampled, Value};

/// Every family by campaign, in the order of `/metrics`.
pub(super) const OF_CAMPAIGNS: &[Sampled] = &[
    Sampled {
        name: "campaign_reserved",
        help: "Money that shows of a campaign hold, in units of its currency",
        kind: Kind::Gauge,
        read: Read::Labelled(|engine, give| of_reports(engine, give, |report| units(report.reserved))),
    },
    Sampled {
        name: "campaign_spent",
        help: "Money that a campaign has spent, in units of its currency",
        kind: Kind::Gauge,
        read: Read::Labelled(|engine, give| {
            of_reports(engine, give, |report| units(report.spent + report.lost))
        }),
    },
    Sampled {
        name: "campaign_budget",
        help: "The total budget of a campaign, in units of its currency; without one there is no sample",
        kind: Kind::Gauge,
        read: Read::Labelled(|engine, give| {
            of_plan(engine, give, |campaign| Some(units(campaign.total_budget?.micro())));
        }),
    },
    Sampled {
        name: "campaign_reserved_micro_units",
        help: "Money that shows of a campaign hold, in whole micro-units of its currency as in its report",
        kind: Kind::Gauge,
        read: Read::Labelled(|engine, give| of_reports(engine, give, |report| whole(report.reserved))),
    },
    Sampled {
        name: "campaign_spent_micro_units",
        help: "Money that a campaign has spent, in whole micro-units of its currency as in its report, what was lost included",
        kind: Kind::Gauge,
        read: Read::Labelled(|engine, give| {
            of_reports(engine, give, |report| whole(report.spent + report.lost));
        }),
    },
    Sampled {
        name: "campaign_budget_micro_units",
        help: "The total budget of a campaign, in whole micro-units of its currency; without one there is no sample",
        kind: Kind::Gauge,
        read: Read::Labelled(|engine, give| {
            of_plan(engine, give, |campaign| Some(whole(campaign.total_budget?.micro())));
        }),
    },
    Sampled {
        name: "campaign_shows",
        help: "Decisions that showed a campaign",
        kind: Kind::Counter,
        read: Read::Labelled(|engine, give| {
            of_plan(engine, give, |campaign| Some(Value::Count(engine.campaign_shows(campaign.slot))));
        }),
    },
    Sampled {
        name: "campaign_not_shown",
        help: "Decisions that named a campaign and did not show it, by reason",
        kind: Kind::Gauge,
        read: Read::Labelled(|engine, give| {
            for (id, report) in reports(engine) {
                for reason in Reason::ALL.iter().filter(|reason| !reason.shows()) {
                    let count = report.not_shown.get(reason.name()).copied().unwrap_or(0);
                    give(&[("campaign", &*id), ("reason", reason.name())], Value::Count(count));
                }
            }
        }),
    },
    Sampled {
        name: "campaign_clicks",
        help: "Clicks that belong to shows of a campaign",
        kind: Kind::Gauge,
        read: Read::Labelled(|engine, give| {
            of_reports(engine, give, |report| Value::Count(report.clicks));
        }),
    },
    Sampled {
        name: "campaign_upgrades",
        help: "Rises of the membership that belong to shows of a campaign",
        kind: Kind::Gauge,
        read: Read::Labelled(|engine, give| {
            of_reports(engine, give, |report| Value::Count(report.upgrades));
        }),
    },
    Sampled {
        name: "campaign_pacing_rate",
        help: "The share of shows that pacing lets pass, from 0 to 1",
        kind: Kind::Gauge,
        read: Read::Labelled(|engine, give| {
            of_plan(engine, give, |campaign| Some(Value::Number(engine.pacing_rate(campaign.slot))));
        }),
    },
    Sampled {
        name: "campaigns_version",
        help: "The version of the campaigns that runs",
        kind: Kind::Gauge,
        read: Read::Single(|engine| Value::Count(engine.running().version)),
    },
];

/// The reports of the campaigns that run, over all days: at most as many as a document may have.
fn reports(engine: &Engine) -> Vec<(String, Report)> {
    let current = engine.campaigns();
    let of = |id: &Id| engine.report(id, i32::MIN, i32::MAX).map(|report| (id.to_string(), report));
    current.plan.campaigns.iter().filter_map(|campaign| of(&campaign.id)).collect()
}

/// A value of each report.
fn of_reports(engine: &Engine, give: Give<'_>, value: fn(&Report) -> Value) {
    for (id, report) in reports(engine) {
        give(&[("campaign", &*id)], value(&report));
    }
}

/// A value of each campaign that has one.
fn of_plan(engine: &Engine, give: Give<'_>, value: impl Fn(&Planned) -> Option<Value>) {
    for campaign in &engine.campaigns().plan.campaigns {
        if let Some(value) = value(campaign) {
            give(&[("campaign", &*campaign.id.to_string())], value);
        }
    }
}

/// Micro-units, of which there are none below 0.
fn whole(micro: i64) -> Value {
    Value::Count(u64::try_from(micro).unwrap_or(0))
}

/// Micro-units in units of a currency.
fn units(micro: i64) -> Value {
    Value::Number(micro as f64 / 1e6)
}
