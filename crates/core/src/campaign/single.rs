//! The one campaign of `[campaign]` in `upbeat.toml`.

use std::ops::RangeInclusive;

use super::{Campaign, CapRule, Document, Money, Threshold};
use crate::event::{HOUR_MS, Id, Membership};
use crate::profile::AD_HISTORY_LIMIT;

/// The `[campaign]` table of `upbeat.toml`: one offer and the policy that guards it. It stands for the document that
/// [`Single::document`] gives.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Single {
    /// The campaign's id, which answers and impression events name.
    pub id: Id,
    /// The ad that click events name.
    pub ad: Id,
    /// Memberships that may hear the ad; at least one. A customer whose membership was never reported counts as free.
    pub audience: Vec<Membership>,
    /// Fewest plays in the window for which a score is used, `1..=65_535`.
    pub min_plays: u32,
    /// Customers with a score above this are shown the ad, `-1e9..=1e9`.
    pub threshold: f64,
    /// How often one customer may hear the ad.
    pub cap: Cap,
    /// What one impression costs, in any currency, `0..=1e9`.
    pub impression_cost: f64,
    /// What one click is worth, in the same currency, `0..=1e9`.
    pub click_value: f64,
}

/// The cap of a campaign: at most `impressions` for one customer in the last `hours`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cap {
    /// Impressions allowed, `1..=64`.
    pub impressions: u32,
    /// Length of the rolling period in hours, `1..=8_760`.
    pub hours: u32,
}

impl Default for Cap {
    fn default() -> Self {
        Self { impressions: 1, hours: 24 }
    }
}

impl Cap {
    /// Impressions later than this count towards the cap at `now_ms`; both in Unix milliseconds.
    #[must_use]
    pub fn start_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(i64::from(self.hours) * HOUR_MS)
    }
}

impl Default for Single {
    fn default() -> Self {
        Self {
            id: Id::Text("gold-one-day".into()),
            ad: Id::Text("ADV_REDUCED_1DAY".into()),
            audience: vec![Membership::Free, Membership::Silver],
            min_plays: 10,
            threshold: 0.0,
            cap: Cap::default(),
            impression_cost: 0.02,
            click_value: 0.5,
        }
    }
}

impl Single {
    /// Every key that is a number, by its path in a configuration, with its value and the values that it may have.
    #[must_use]
    pub fn ranges(&self) -> [(&'static str, f64, RangeInclusive<f64>); 6] {
        [
            ("campaign.cap.impressions", f64::from(self.cap.impressions), 1.0..=AD_HISTORY_LIMIT as f64),
            ("campaign.cap.hours", f64::from(self.cap.hours), 1.0..=8_760.0),
            ("campaign.min_plays", f64::from(self.min_plays), 1.0..=65_535.0),
            ("campaign.threshold", self.threshold, -1e9..=1e9),
            ("campaign.impression_cost", self.impression_cost, 0.0..=1e9),
            ("campaign.click_value", self.click_value, 0.0..=1e9),
        ]
    }

    /// The document of this one campaign, by which every decision comes out as by the table. Money is rounded to
    /// micro-units; no decision depends on it.
    #[must_use]
    pub fn document(&self) -> Document {
        let Cap { impressions, hours } = self.cap;
        let campaign = Campaign {
            audience: self.audience.clone(),
            min_plays: self.min_plays,
            threshold: Threshold::Score(self.threshold),
            caps: vec![CapRule { impressions, hours: Some(hours), days: None }],
            impression_cost: Money::nearest(self.impression_cost),
            click_value: Money::nearest(self.click_value),
            ..Campaign::new(self.id.clone(), self.ad.clone())
        };
        Document { campaign: vec![campaign], ..Document::default() }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// The first key that is out of range, and what it must be.
    pub fn validate(&self) -> Result<(), String> {
        if self.audience.is_empty() {
            return Err("campaign.audience is empty; name at least one of free, silver, gold".to_owned());
        }
        match self.ranges().into_iter().find(|(_, value, range)| !range.contains(value)) {
            Some((key, value, range)) => {
                Err(format!("{key} is {value}; it must be from {} to {}", range.start(), range.end()))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_out_of_range_is_named() {
        assert_eq!(Single::default().validate(), Ok(()));
        type Edit = fn(&mut Single);
        let cases: [(&str, Edit); 6] = [
            ("audience", |c| c.audience.clear()),
            ("threshold", |c| c.threshold = f64::NAN),
            ("cap.impressions", |c| c.cap.impressions = 65),
            ("cap.hours", |c| c.cap.hours = 0),
            ("min_plays", |c| c.min_plays = 0),
            ("impression_cost", |c| c.impression_cost = -1.0),
        ];
        for (key, edit) in cases {
            let mut campaign = Single::default();
            edit(&mut campaign);
            let message = campaign.validate().expect_err(key);
            assert!(message.contains(key), "{message}");
        }
    }
}
