//! The whole story of a decision in JSON: every campaign with its rules, its score and its coins, each with a sentence for people.

mod sentences;

use serde::Serialize;
use serde_json::{Map, Value, json};
use upbeat_core::campaign::{Plan, Planned};
use upbeat_core::decision::policy::{CampaignTrace, CoinTrace, Finding, RuleTrace};

use crate::runtime::utc;

/// What one campaign made of a customer.
#[derive(Serialize)]
pub(crate) struct CampaignView {
    campaign: String,
    /// The reason of the first rule that refuses; `null` if all passed.
    refused: Option<&'static str>,
    rules: Vec<RuleView>,
    model: Option<String>,
    score: Option<f64>,
    probability: Option<f64>,
    /// In micro-units.
    expected_profit: Option<f64>,
    /// With it, the parts of the features add up to the score of a linear model.
    constant: Option<f64>,
    features: Map<String, Value>,
    place: Option<usize>,
    coins: Vec<CoinView>,
    propensity: f64,
}

/// One rule: what it found, and what that is compared with.
#[derive(Serialize)]
struct RuleView {
    rule: &'static str,
    passed: bool,
    input: Value,
    limit: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<String>,
    until: Option<String>,
    /// The same for people, in the campaign's time zone and currency.
    sentence: String,
}

/// One coin of a campaign.
#[derive(Serialize)]
struct CoinView {
    coin: &'static str,
    probability: f64,
    fell: bool,
    /// The same for people.
    sentence: String,
}

/// The view of every campaign, in the order of the plan that the traces are of.
pub(crate) fn campaigns(plan: &Plan, traces: &[CampaignTrace]) -> Vec<CampaignView> {
    let currency = plan.currency.as_deref();
    let of = |trace: &CampaignTrace| {
        let planned = plan.campaigns.iter().find(|planned| planned.slot == trace.slot)?;
        Some(CampaignView::of(trace, planned, currency))
    };
    traces.iter().filter_map(of).collect()
}

impl CampaignView {
    fn of(trace: &CampaignTrace, planned: &Planned, currency: Option<&str>) -> Self {
        let feature = |part: &upbeat_core::decision::policy::FeaturePart| {
            let view = json!({"count": part.count, "value": part.value, "part": part.part});
            (part.name.to_owned(), view)
        };
        Self {
            campaign: trace.campaign.to_string(),
            refused: trace.refused.map(|reason| reason.name()),
            rules: trace.rules.iter().map(|rule| RuleView::of(rule, planned, currency)).collect(),
            model: trace.model.clone(),
            score: trace.score.map(|score| score.value),
            probability: trace.score.and_then(|score| score.probability),
            expected_profit: trace.profit_micro,
            constant: trace.constant,
            features: trace.features.iter().map(feature).collect(),
            place: trace.place,
            coins: trace.coins.iter().map(CoinView::from).collect(),
            propensity: trace.propensity,
        }
    }
}

impl RuleView {
    fn of(trace: &RuleTrace, planned: &Planned, currency: Option<&str>) -> Self {
        Self {
            rule: trace.rule.name(),
            passed: trace.passed,
            input: finding(trace.input.as_ref()),
            limit: finding(trace.limit.as_ref()),
            period: trace.period_ms.map(length),
            until: trace.until_ms.map(utc),
            sentence: sentences::of_rule(trace, planned, currency),
        }
    }
}

impl From<&CoinTrace> for CoinView {
    fn from(trace: &CoinTrace) -> Self {
        let CoinTrace { coin, probability, fell } = *trace;
        Self { coin: coin.name(), probability, fell, sentence: sentences::of_coin(trace) }
    }
}

fn finding(found: Option<&Finding>) -> Value {
    match found {
        None => Value::Null,
        Some(Finding::Flag(flag)) => Value::from(*flag),
        Some(Finding::Count(count)) => Value::from(*count),
        Some(Finding::Number(number)) => Value::from(*number),
        Some(Finding::MoneyMicro(micro)) => Value::from(*micro),
        Some(Finding::TimeMs(unix_ms)) => Value::from(utc(*unix_ms)),
        Some(Finding::LengthMs(length_ms)) => Value::from(length(*length_ms)),
        Some(Finding::Text(text)) => Value::from(text.as_str()),
    }
}

/// A length of time as documents write it, in whole seconds.
fn length(length_ms: i64) -> String {
    let seconds = length_ms / 1000;
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
    let whole = units.into_iter().find(|(unit_s, _)| seconds > 0 && seconds % unit_s == 0);
    let (unit_s, unit) = whole.unwrap_or((1, 's'));
    format!("{}{unit}", seconds / unit_s)
}
