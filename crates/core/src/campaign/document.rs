//! A document of campaigns, as somebody wrote it. Every key that is absent costs nothing and changes nothing.

use serde::{Deserialize, Serialize};

use super::check::{
    MAX_IMPRESSIONS, MAX_PERIOD_DAYS, MAX_PERIOD_HOURS, MAX_PLAYS, MAX_PRIORITY, MAX_SIGNED_UP_DAYS,
};
use super::numbers::{some_whole, whole};
use super::{HourRange, LocalTime, Money, Span, Weekday};
use crate::event::{DAY_MS, HOUR_MS, Id, Membership};

/// All campaigns, and what holds over all of them.
///
/// Deserialising checks the form of each value, [`Document::check`](Self::check) their ranges and how they fit together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    /// The currency of all money in the document, three capital letters; for people to read.
    pub currency: Option<String>,
    /// The share of customers who see no campaign at all, `0.0..=1.0`.
    pub holdout_all: f64,
    /// Caps over all campaigns together: what was shown, reported or held out under any id counts.
    pub cap: Vec<CapRule>,
    /// The campaigns, at most [`MAX_CAMPAIGNS`](super::MAX_CAMPAIGNS).
    pub campaign: Vec<Campaign>,
}

/// One campaign: an offer, the policy that guards it, and what it may cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a campaign under [[campaign]]")]
pub struct Campaign {
    /// The campaign's id, which answers and impression events name.
    pub id: Id,
    /// The label that click events carry.
    pub ad: Id,
    /// Whether it rests.
    #[serde(default)]
    pub paused: bool,
    /// Of the campaigns that may be shown, those of the highest priority come first.
    #[serde(default, deserialize_with = "whole::<_, _, { -MAX_PRIORITY }, MAX_PRIORITY>")]
    pub priority: i32,
    /// Memberships that may hear the ad; at least one. A customer whose membership was never reported counts as free.
    #[serde(default = "free_and_silver")]
    pub audience: Vec<Membership>,
    /// How long ago the customer signed up, by customer files; one of whom no file told it is refused.
    #[serde(default)]
    pub signed_up_days: Option<SignedUp>,
    /// When it starts, by the clocks of `time_zone`.
    #[serde(default)]
    pub start: Option<LocalTime>,
    /// When it has ended, by the clocks of `time_zone`.
    #[serde(default)]
    pub end: Option<LocalTime>,
    /// The zone of its schedule and of the days of its budget, by its IANA name.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// On which days it runs.
    #[serde(default = "every_day")]
    pub weekdays: Vec<Weekday>,
    /// At which hours it runs; all, where none are named.
    #[serde(default)]
    pub hours: Vec<HourRange>,
    /// Fewest plays in the window for which a score is used, `1..=65_535`.
    #[serde(default = "ten", deserialize_with = "whole::<_, _, 1, MAX_PLAYS>")]
    pub min_plays: u32,
    /// How often one customer may hear the ad; all of them must allow it.
    #[serde(default)]
    pub caps: Vec<CapRule>,
    /// How long the ad is not repeated after the campaign's last impression.
    #[serde(default)]
    pub cooldown_after_impression: Option<Span>,
    /// How long the ad is not repeated after the last click on it.
    #[serde(default)]
    pub cooldown_after_click: Option<Span>,
    /// How long the ad is not shown after the customer's level last rose.
    #[serde(default)]
    pub cooldown_after_upgrade: Option<Span>,
    /// What one impression costs.
    #[serde(default)]
    pub impression_cost: Money,
    /// What one click is worth.
    #[serde(default)]
    pub click_value: Money,
    /// The most that a local day may cost.
    #[serde(default)]
    pub daily_budget: Option<Money>,
    /// The most that the campaign may cost.
    #[serde(default)]
    pub total_budget: Option<Money>,
    /// How the budget is spread over time.
    #[serde(default)]
    pub pacing: Pacing,
    /// What costs.
    #[serde(default)]
    pub bill: Bill,
    /// How long a show that is not confirmed holds its cost.
    #[serde(default = "thirty_minutes")]
    pub reserve: Span,
    /// From which score on it is shown.
    #[serde(default)]
    pub threshold: Threshold,
    /// The model that scores for it: `default` is the one that `serve` was started with.
    #[serde(default = "default_model")]
    pub model: String,
    /// Who changes the model.
    #[serde(default)]
    pub mode: Mode,
    /// The share of customers who do not see this campaign, `0.0..=1.0`.
    #[serde(default)]
    pub holdout: f64,
    /// The share of tosses that show the ad to an unlikely customer, `0.0..=1.0`; a customer is tossed once a local day.
    #[serde(default)]
    pub exploration: f64,
    /// What the player shows and plays.
    #[serde(default)]
    pub creative: Creative,
}

fn free_and_silver() -> Vec<Membership> {
    vec![Membership::Free, Membership::Silver]
}

fn utc() -> String {
    "UTC".to_owned()
}

fn every_day() -> Vec<Weekday> {
    Weekday::ALL.to_vec()
}

fn ten() -> u32 {
    10
}

fn thirty_minutes() -> Span {
    Span::minutes(30)
}

fn default_model() -> String {
    "default".to_owned()
}

impl Campaign {
    /// A campaign of which nothing but its id and its ad is given.
    #[must_use]
    pub fn new(id: Id, ad: Id) -> Self {
        Self {
            id,
            ad,
            paused: false,
            priority: 0,
            audience: free_and_silver(),
            signed_up_days: None,
            start: None,
            end: None,
            time_zone: utc(),
            weekdays: every_day(),
            hours: Vec::new(),
            min_plays: ten(),
            caps: Vec::new(),
            cooldown_after_impression: None,
            cooldown_after_click: None,
            cooldown_after_upgrade: None,
            impression_cost: Money::ZERO,
            click_value: Money::ZERO,
            daily_budget: None,
            total_budget: None,
            pacing: Pacing::None,
            bill: Bill::Show,
            reserve: thirty_minutes(),
            threshold: Threshold::default(),
            model: default_model(),
            mode: Mode::Frozen,
            holdout: 0.0,
            exploration: 0.0,
            creative: Creative::default(),
        }
    }
}

/// At most `impressions` for one customer in the last hours or days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a cap, as in { impressions = 1, hours = 24 }")]
pub struct CapRule {
    /// Impressions allowed, `1..=64`.
    #[serde(deserialize_with = "whole::<_, _, 1, MAX_IMPRESSIONS>")]
    pub impressions: u32,
    /// Length of the rolling period in hours, `1..=8_760`; this or `days`.
    #[serde(default, deserialize_with = "some_whole::<_, _, 1, MAX_PERIOD_HOURS>")]
    pub hours: Option<u32>,
    /// Length of the rolling period in days of 24 hours, `1..=365`; this or `hours`.
    #[serde(default, deserialize_with = "some_whole::<_, _, 1, MAX_PERIOD_DAYS>")]
    pub days: Option<u32>,
}

impl CapRule {
    /// The length of the period in milliseconds.
    #[must_use]
    pub fn period_ms(&self) -> i64 {
        i64::from(self.hours.unwrap_or(0)) * HOUR_MS + i64::from(self.days.unwrap_or(0)) * DAY_MS
    }
}

/// How many days ago a customer signed up, each of 24 hours: at least `min` and at most `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "days, as in { min = 7 }")]
pub struct SignedUp {
    /// The fewest days.
    #[serde(default, deserialize_with = "some_whole::<_, _, 0, MAX_SIGNED_UP_DAYS>")]
    pub min: Option<u32>,
    /// The most days.
    #[serde(default, deserialize_with = "some_whole::<_, _, 0, MAX_SIGNED_UP_DAYS>")]
    pub max: Option<u32>,
}

/// From which score on a campaign is shown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// Where the expected value of a click is above the cost of an impression.
    Profit,
    /// Where the probability is above this, `0.0..=1.0`.
    Probability(f64),
    /// Where the score is above this, `-1e9..=1e9`.
    Score(f64),
}

impl Threshold {
    /// Whether a score is above it, with what an impression costs and a click is worth in micro-units; `probability` is asked for
    /// where it is needed. Money is compared in micro-units, whose products with a probability are exact enough: up to 10^15 they
    /// are whole numbers of 53 bits.
    #[inline]
    pub fn is_passed(
        self,
        cost_micro: i64,
        value_micro: i64,
        score: f64,
        probability: impl FnOnce() -> Option<f64>,
    ) -> bool {
        match self {
            Self::Score(limit) => score > limit,
            Self::Probability(limit) => probability().is_some_and(|probability| probability > limit),
            Self::Profit => {
                probability().is_some_and(|probability| probability * value_micro as f64 > cost_micro as f64)
            }
        }
    }
}

impl Default for Threshold {
    fn default() -> Self {
        Self::Score(0.0)
    }
}

/// How a budget is spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// First come, first served.
    #[default]
    None,
    /// Evenly over the scheduled time.
    Even,
    /// As traffic comes on other days.
    Traffic,
}

/// What costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bill {
    /// Every show that is not voided.
    #[default]
    Show,
    /// Every show that an impression event confirms.
    Impression,
}

/// Who changes a campaign's model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nobody.
    #[default]
    Frozen,
    /// Models are trained and proposed, people promote them.
    Apprentice,
    /// Models that pass the gate are promoted.
    Auto,
}

/// What the player shows and plays; passed on as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "texts, as in { title = \"…\", text = \"…\" }")]
pub struct Creative {
    /// A headline, at most 1,000 characters.
    pub title: Option<String>,
    /// The text, at most 1,000 characters.
    pub text: Option<String>,
    /// Where the recording or picture is, an `http` or `https` URL.
    pub media_url: Option<String>,
    /// Whereto a click leads, an `http` or `https` URL.
    pub click_url: Option<String>,
}
