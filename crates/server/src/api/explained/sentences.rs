//! What a rule found and what a coin did, in a sentence for whoever runs campaigns: money in the document's currency, times by the
//! clocks of the campaign.

use upbeat_core::campaign::{Money, Planned, Threshold};
use upbeat_core::decision::policy::{Coin, CoinTrace, Finding, Rule, RuleTrace};

use super::length;

/// The sentence of a rule.
pub(super) fn of_rule(trace: &RuleTrace, planned: &Planned, currency: Option<&str>) -> String {
    let words = Words { planned, currency };
    let input =
        |absent: &str| trace.input.as_ref().map_or_else(|| absent.to_owned(), |found| words.finding(found));
    let limit = trace.limit.as_ref().map_or_else(String::new, |found| words.finding(found));
    let period = trace.period_ms.map(length).unwrap_or_default();
    let found = match trace.rule {
        Rule::Paused if trace.passed => "the campaign is not paused".to_owned(),
        Rule::Paused => "the campaign is paused, until somebody resumes it".to_owned(),
        Rule::Schedule if trace.passed => format!("the campaign runs at this time ({limit})"),
        Rule::Schedule if trace.until_ms.is_none() => format!("the campaign is over ({limit})"),
        Rule::Schedule => format!("the campaign does not run at this time ({limit})"),
        Rule::Audience => format!("the listener is {}, and the campaign is for {limit}", input("free")),
        Rule::SignedUp => match &trace.input {
            Some(days) => {
                format!("the listener signed up {} days ago, and {limit} are asked for", words.finding(days))
            }
            None => "no customer file has told when the listener signed up".to_owned(),
        },
        Rule::Model => format!("the model is {}", input("not loaded")),
        Rule::History => format!("{} plays are in the window, and {limit} are needed", input("0")),
        Rule::Cap => format!("this ad was heard {} of {limit} times within {period}", input("0")),
        Rule::CapOverAll => {
            format!("ads of all campaigns were heard {} of {limit} times within {period}", input("0"))
        }
        Rule::CooldownAfterImpression => cooldown("this ad was heard", &trace.input, &words, &limit),
        Rule::CooldownAfterClick => cooldown("this ad was clicked", &trace.input, &words, &limit),
        Rule::CooldownAfterUpgrade => cooldown("the membership rose", &trace.input, &words, &limit),
        Rule::Budget => format!("{} of the budget is left, and a show costs {limit}", input("nothing")),
        Rule::Score => words.threshold(trace),
    };
    match trace.until_ms {
        Some(until_ms) => format!("{found}: not before {}", words.time(until_ms)),
        None => found,
    }
}

/// The sentence of a coin.
pub(super) fn of_coin(trace: &CoinTrace) -> String {
    let CoinTrace { coin, probability, fell } = *trace;
    let share = percent(probability);
    let whether = |yes, no| if fell { yes } else { no };
    match coin {
        Coin::Pacing if probability >= 1.0 => "pacing lets every show pass".to_owned(),
        Coin::Pacing => {
            let passes = whether("passes", "does not");
            format!("pacing lets {share} of shows pass, so that the budget lasts: this one {passes}")
        }
        Coin::Exploration => {
            let does = whether("does", "does not");
            format!("one unlikely listener in a day of {share} hears it, to learn from: this one {does}")
        }
        Coin::Holdout => {
            let is = whether("is", "is not");
            format!(
                "{share} of listeners never hear this campaign, to compare with: this one {is} among them"
            )
        }
        Coin::HoldoutOverAll => {
            let is = whether("is", "is not");
            format!("{share} of listeners hear no campaign, to compare with: this one {is} among them")
        }
    }
}

fn cooldown(what: &str, last: &Option<Finding>, words: &Words<'_>, limit: &str) -> String {
    match last {
        Some(last) => format!("{what} last at {}, and it rests {limit} after that", words.finding(last)),
        None => format!("{what} never; it would rest {limit} after that"),
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What the words depend on.
struct Words<'a> {
    planned: &'a Planned,
    currency: Option<&'a str>,
}

impl Words<'_> {
    fn finding(&self, finding: &Finding) -> String {
        match finding {
            Finding::Flag(flag) => flag.to_string(),
            Finding::Count(count) => count.to_string(),
            Finding::Number(number) => number.to_string(),
            Finding::MoneyMicro(micro) => self.money(Money::from_micro(*micro)),
            Finding::TimeMs(unix_ms) => self.time(*unix_ms),
            Finding::LengthMs(length_ms) => length(*length_ms),
            Finding::Text(text) => text.clone(),
        }
    }

    fn money(&self, money: Money) -> String {
        match self.currency {
            Some(currency) => format!("{money} {currency}"),
            None => money.to_string(),
        }
    }

    /// By the campaign's clocks, to the second that has begun by then at the latest.
    fn time(&self, unix_ms: i64) -> String {
        let seconds = unix_ms.div_euclid(1000) + i64::from(unix_ms.rem_euclid(1000) > 0);
        let zone = &self.planned.zone;
        let Ok(instant) = jiff::Timestamp::from_second(seconds) else {
            return "a time out of range".to_owned();
        };
        let local = zone.time_zone().to_datetime(instant);
        format!("{} {} {}", local.date(), local.time(), zone.name())
    }

    fn threshold(&self, trace: &RuleTrace) -> String {
        let is_above = if trace.passed { "above" } else { "not above" };
        let Some(Finding::Number(found)) = trace.input else {
            return "there is no score to compare with the threshold".to_owned();
        };
        match self.planned.threshold {
            Threshold::Score(limit) => format!("the score is {found:.4}, {is_above} the threshold {limit}"),
            Threshold::Probability(limit) => {
                format!(
                    "a click is {} likely, {is_above} the threshold of {}",
                    percent(found),
                    percent(limit)
                )
            }
            Threshold::Profit => {
                // The worth is an average, of which six decimals say enough.
                let worth = Money::nearest(found / 1e6);
                let cost = Money::from_micro(self.planned.cost_micro);
                format!(
                    "a show is worth {} on average, {is_above} its cost of {}",
                    self.money(worth),
                    self.money(cost)
                )
            }
        }
    }
}
