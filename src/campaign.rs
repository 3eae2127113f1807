//! What is offered, to whom, how often, and what it costs.

use crate::event::{HOUR_MS, Id, Membership};
use crate::profile::AD_HISTORY_LIMIT;

/// A campaign: one offer and the policy that guards it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Campaign {
    /// Its id, named in answers and impression events.
    pub id: Id,
    /// The ad that click events name.
    pub ad: Id,
    /// Memberships that may hear it. A customer whose membership nobody told is taken as free.
    pub audience: Vec<Membership>,
    /// Fewest plays in the window that say anything about a customer.
    pub min_plays: u32,
    /// Scores above this are shown the ad.
    pub threshold: f64,
    /// How often one customer may hear it.
    pub cap: Cap,
    /// What one impression costs, in the currency of your choice.
    pub impression_cost: f64,
    /// What one click is worth, in the same currency.
    pub click_value: f64,
}

/// At most so many impressions in so many hours, for one customer.
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

impl Default for Campaign {
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

impl Campaign {
    /// Checks every range.
    ///
    /// # Errors
    /// The first key that is out of range, what it is, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let cap_limit = AD_HISTORY_LIMIT as u32;
        let finite_cost = |value: f64| value.is_finite() && value >= 0.0;
        let checks = [
            (!self.audience.is_empty(), "audience is empty; name at least one of free, silver, gold"),
            (self.threshold.is_finite(), "threshold is not a finite number"),
            ((1..=cap_limit).contains(&self.cap.impressions), "cap.impressions must be from 1 to 64"),
            ((1..=8760).contains(&self.cap.hours), "cap.hours must be from 1 to 8760"),
            ((1..=65_536).contains(&self.min_plays), "min_plays must be from 1 to 65536"),
            (finite_cost(self.impression_cost), "impression_cost must be a number of at least 0"),
            (finite_cost(self.click_value), "click_value must be a number of at least 0"),
        ];
        match checks.iter().find(|(good, _)| !good) {
            Some((_, message)) => Err(format!("campaign.{message}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_out_of_range_is_named() {
        assert_eq!(Campaign::default().validate(), Ok(()));
        type Spoil = fn(&mut Campaign);
        let cases: [(&str, Spoil); 6] = [
            ("audience", |c| c.audience.clear()),
            ("threshold", |c| c.threshold = f64::NAN),
            ("cap.impressions", |c| c.cap.impressions = 65),
            ("cap.hours", |c| c.cap.hours = 0),
            ("min_plays", |c| c.min_plays = 0),
            ("impression_cost", |c| c.impression_cost = -1.0),
        ];
        for (key, spoil) in cases {
            let mut campaign = Campaign::default();
            spoil(&mut campaign);
            let message = campaign.validate().expect_err(key);
            assert!(message.contains(key), "{message}");
        }
    }
}
