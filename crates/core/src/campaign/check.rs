//! What may be wrong with a document, found before anything is changed by it.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::times::Span;
use super::{Campaign, CapRule, Document, MAX_MONEY, Money, Pacing, Threshold};
use crate::event::{DAY_MS, Id, Zone};
use crate::excerpt::Excerpt;
use crate::profile::AD_HISTORY_LIMIT;

/// The most campaigns in a document.
pub const MAX_CAMPAIGNS: usize = 64;

/// The most caps of one campaign, and over all campaigns.
pub const MAX_CAPS: usize = 8;

/// The longest period of a cap or a cooldown, in days.
pub(super) const MAX_PERIOD_DAYS: i64 = 365;

/// The same in hours.
pub(super) const MAX_PERIOD_HOURS: i64 = MAX_PERIOD_DAYS * 24;

/// The most impressions that a cap allows: the history of a customer keeps no more.
pub(super) const MAX_IMPRESSIONS: i64 = AD_HISTORY_LIMIT as i64;

/// The highest priority; the lowest is as far below 0.
pub(super) const MAX_PRIORITY: i64 = 1_000_000;

/// The most plays that a campaign may ask for.
pub(super) const MAX_PLAYS: i64 = 65_535;

/// The most days since a customer signed up that a campaign may ask for.
pub(super) const MAX_SIGNED_UP_DAYS: i64 = 36_500;

/// The longest time for which a show may hold its cost.
const MAX_RESERVE: Span = Span::minutes(24 * 60);

/// Names among a machine's zone files that stand for no place.
const OF_MACHINES: [&str; 4] = ["localtime", "posixrules", "Factory", "Etc/Unknown"];

/// The most ranges of hours of one campaign.
const MAX_HOURS: usize = 24;

/// The longest text of a creative, in characters.
const MAX_TEXT: usize = 1_000;

/// The longest URL, in bytes.
const MAX_URL: usize = 2_048;

/// Where a document is wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Invalid {
    /// The key, as in `campaign[2].daily_budget`, counted from 0.
    pub path: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl Invalid {
    /// Says why the key at `path` is wrong.
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into() }
    }
}

impl Document {
    /// Checks every value, and how they fit together.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self) -> Result<(), Invalid> {
        if let Some(currency) = &self.currency
            && !(currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase()))
        {
            let reason = format!(
                "{} is not a currency; write three capital letters, as in USD",
                Excerpt::of(currency)
            );
            return Err(Invalid::new("currency", reason));
        }
        share("holdout_all", self.holdout_all)?;
        caps("cap", &self.cap)?;
        if self.campaign.len() > MAX_CAMPAIGNS {
            let reason =
                format!("there are {} campaigns; at most {MAX_CAMPAIGNS} are allowed", self.campaign.len());
            return Err(Invalid::new(format!("campaign[{MAX_CAMPAIGNS}]"), reason));
        }
        for (index, campaign) in self.campaign.iter().enumerate() {
            let at = |key: &str| format!("campaign[{index}].{key}");
            let earlier = self.campaign[..index].iter().position(|earlier| earlier.id == campaign.id);
            if let Some(earlier) = earlier {
                let reason =
                    format!("{} is also the id of campaign[{earlier}]; each needs its own", campaign.id);
                return Err(Invalid::new(at("id"), reason));
            }
            campaign.check(at)?;
        }
        self.check_explorations()
    }

    /// One toss is for all campaigns.
    fn check_explorations(&self) -> Result<(), Invalid> {
        let is_too_much = |explored: f64| explored > 1.0 + 1e-9;
        let explored: f64 = self.campaign.iter().map(|campaign| campaign.exploration).sum();
        if !is_too_much(explored) {
            return Ok(());
        }
        let mut sum = 0.0;
        let first = self.campaign.iter().position(|campaign| {
            sum += campaign.exploration;
            is_too_much(sum)
        });
        let reason =
            format!("the explorations of all campaigns are {explored} together; one toss has at most 1");
        Err(Invalid::new(format!("campaign[{}].exploration", first.unwrap_or(0)), reason))
    }
}

impl Campaign {
    fn check(&self, at: impl Fn(&str) -> String + Copy) -> Result<(), Invalid> {
        let wrong = |key: &str, reason: String| Err(Invalid::new(at(key), reason));
        within(&at("priority"), self.priority.into(), -MAX_PRIORITY..=MAX_PRIORITY)?;
        if self.audience.is_empty() {
            return wrong("audience", "it is empty; name at least one of free, silver, gold".to_owned());
        }
        self.check_times(at)?;
        within(&at("min_plays"), self.min_plays.into(), 1..=MAX_PLAYS)?;
        caps(&at("caps"), &self.caps)?;
        self.check_money(at)?;
        match self.threshold {
            Threshold::Profit => {}
            Threshold::Probability(p) => share(&at("threshold.probability"), p)?,
            Threshold::Score(score) => within(&at("threshold.score"), score, -1e9..=1e9)?,
        }
        if !is_model_name(&self.model) {
            let reason = format!(
                "{} is not the name of a model; write default, or the name of a file in models/ without .json: 1 to \
                 64 of A-Z a-z 0-9 . _ : -, not beginning with a point",
                Excerpt::of(&self.model)
            );
            return wrong("model", reason);
        }
        share(&at("holdout"), self.holdout)?;
        share(&at("exploration"), self.exploration)?;
        if self.holdout + self.exploration > 1.0 {
            let reason = format!(
                "holdout {} and exploration {} are above 1 together; nobody would be left",
                self.holdout, self.exploration
            );
            return wrong("exploration", reason);
        }
        self.check_creative(at)
    }

    fn check_times(&self, at: impl Fn(&str) -> String + Copy) -> Result<(), Invalid> {
        let wrong = |key: &str, reason: String| Err(Invalid::new(at(key), reason));
        if let Some(signed_up) = self.signed_up_days {
            for (key, days) in [("min", signed_up.min), ("max", signed_up.max)] {
                let days = i64::from(days.unwrap_or(0));
                within(&at(&format!("signed_up_days.{key}")), days, 0..=MAX_SIGNED_UP_DAYS)?;
            }
            match (signed_up.min, signed_up.max) {
                (None, None) => {
                    return wrong("signed_up_days", "it says nothing; give min, max or both".to_owned());
                }
                (Some(min), Some(max)) if min > max => {
                    return wrong("signed_up_days", format!("min {min} is above max {max}"));
                }
                _ => {}
            }
        }
        if OF_MACHINES.iter().any(|name| name.eq_ignore_ascii_case(&self.time_zone)) {
            let reason = format!(
                "{} is another zone on another machine, and the days of a budget must not be; use UTC or an IANA name such as \
                 Europe/Berlin",
                self.time_zone
            );
            return wrong("time_zone", reason);
        }
        if Zone::named(&self.time_zone).is_err() {
            let name = Excerpt::of(&self.time_zone);
            return wrong(
                "time_zone",
                format!("{name} is not known here; use UTC or an IANA name such as Europe/Berlin"),
            );
        }
        if let (Some(start), Some(end)) = (self.start, self.end)
            && end <= start
        {
            return wrong("end", format!("{end} is not after the start, {start}"));
        }
        if self.weekdays.is_empty() {
            return wrong("weekdays", "it is empty; leave the key out for every day".to_owned());
        }
        if self.hours.len() > MAX_HOURS {
            return wrong(
                "hours",
                format!("there are {} ranges; at most {MAX_HOURS} are allowed", self.hours.len()),
            );
        }
        let cooldowns = [
            ("cooldown_after_impression", self.cooldown_after_impression),
            ("cooldown_after_click", self.cooldown_after_click),
            ("cooldown_after_upgrade", self.cooldown_after_upgrade),
        ];
        for (key, cooldown) in cooldowns {
            if let Some(cooldown) = cooldown.filter(|cooldown| cooldown.ms() > MAX_PERIOD_DAYS * DAY_MS) {
                return wrong(key, format!("{cooldown} is longer than {MAX_PERIOD_DAYS}d, the longest"));
            }
        }
        if self.reserve < Span::seconds(1) || self.reserve > MAX_RESERVE {
            return wrong("reserve", format!("{} is out of range; it must be from 1s to 24h", self.reserve));
        }
        Ok(())
    }

    fn check_money(&self, at: impl Fn(&str) -> String + Copy) -> Result<(), Invalid> {
        let amounts = [
            ("impression_cost", Some(self.impression_cost)),
            ("click_value", Some(self.click_value)),
            ("daily_budget", self.daily_budget),
            ("total_budget", self.total_budget),
        ];
        for (key, amount) in amounts {
            let Some(amount) = amount else { continue };
            if amount < Money::ZERO {
                return Err(Invalid::new(at(key), format!("{amount} is negative; money is 0 or more")));
            }
            if amount.micro() > MAX_MONEY * 1_000_000 {
                let reason = format!("{amount} is too large; at most {MAX_MONEY} is allowed");
                return Err(Invalid::new(at(key), reason));
            }
        }
        if self.pacing == Pacing::None {
            return Ok(());
        }
        let unpaceable = match (self.daily_budget, self.total_budget) {
            (None, None) => "there is no budget to spread; set daily_budget or total_budget",
            (None, Some(_)) if self.start.is_none() || self.end.is_none() => {
                "total_budget can be spread over a known time only; set start and end, or daily_budget"
            }
            _ => return Ok(()),
        };
        Err(Invalid::new(at("pacing"), unpaceable))
    }

    fn check_creative(&self, at: impl Fn(&str) -> String) -> Result<(), Invalid> {
        let creative = &self.creative;
        for (key, text) in [("title", &creative.title), ("text", &creative.text)] {
            let Some(text) = text else { continue };
            let characters = text.chars().count();
            if characters > MAX_TEXT {
                let reason = format!("it has {characters} characters; at most {MAX_TEXT} are allowed");
                return Err(Invalid::new(at(&format!("creative.{key}")), reason));
            }
        }
        for (key, url) in [("media_url", &creative.media_url), ("click_url", &creative.click_url)] {
            let Some(url) = url else { continue };
            if !is_web_url(url) {
                let reason = format!(
                    "{} is not a URL that a player can open; write one that begins with https:// or http:// and has \
                     at most {MAX_URL} bytes, without blanks",
                    Excerpt::of(url)
                );
                return Err(Invalid::new(at(&format!("creative.{key}")), reason));
            }
        }
        Ok(())
    }
}

fn is_model_name(name: &str) -> bool {
    Id::parse(name).is_ok() && !name.starts_with(['.', '-'])
}

fn is_web_url(url: &str) -> bool {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let has_host = host.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':', '@']));
    has_host && url.len() <= MAX_URL && !url.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn within<T: PartialOrd + Display>(path: &str, value: T, range: RangeInclusive<T>) -> Result<(), Invalid> {
    if range.contains(&value) {
        return Ok(());
    }
    let reason = format!("{value} is out of range; it must be from {} to {}", range.start(), range.end());
    Err(Invalid::new(path, reason))
}

fn share(path: &str, value: f64) -> Result<(), Invalid> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    let percent = if value > 1.0 && value <= 100.0 {
        format!("; for {value} % write {}", value / 100.0)
    } else {
        String::new()
    };
    Err(Invalid::new(path, format!("{value} is not a share; it must be from 0 to 1{percent}")))
}

/// The history of a customer keeps so many impressions of each campaign, and so long; a cap beyond would leak.
fn caps(path: &str, caps: &[CapRule]) -> Result<(), Invalid> {
    if caps.len() > MAX_CAPS {
        let reason = format!("there are {} caps; at most {MAX_CAPS} are allowed", caps.len());
        return Err(Invalid::new(format!("{path}[{MAX_CAPS}]"), reason));
    }
    for (index, cap) in caps.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if !(1..=MAX_IMPRESSIONS).contains(&cap.impressions.into()) {
            let reason = format!(
                "{} impressions are out of range; it must be from 1 to {MAX_IMPRESSIONS}, as many as are kept of a \
                 customer",
                cap.impressions
            );
            return Err(Invalid::new(format!("{path}.impressions"), reason));
        }
        match (cap.hours, cap.days) {
            (Some(hours), None) => within(&format!("{path}.hours"), hours.into(), 1..=MAX_PERIOD_HOURS)?,
            (None, Some(days)) => within(&format!("{path}.days"), days.into(), 1..=MAX_PERIOD_DAYS)?,
            _ => {
                let reason =
                    "give either hours or days: the length of the period in which impressions are counted";
                return Err(Invalid::new(path, reason));
            }
        }
    }
    Ok(())
}
