//! Campaigns: what is offered, to which members, how often, and what an impression costs.

use crate::event::{HOUR_MS, Id, Membership};
use crate::profile::AD_HISTORY_LIMIT;

/// A campaign: one offer and the policy that guards it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Campaign {
    /// The campaign's id, which answers and impression events name.
    pub id: Id,
    /// The ad that click events name.
    pub ad: Id,
    /// Memberships that may hear the ad; at least one. A customer whose membership was never reported counts as free.
    pub audience: Vec<Membership>,
    /// Fewest plays in the window for which a score is used, `1..=65_536`.
    pub min_plays: u32,
    /// Customers with a score above this are shown the ad; finite.
    pub threshold: f64,
    /// How often one customer may hear the ad.
    pub cap: Cap,
    /// What one impression costs, in any currency; finite and at least 0.
    pub impression_cost: f64,
    /// What one click is worth, in the same currency; finite and at least 0.
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
    /// The first key that is out of range, and what it must be.
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
    fn key_out_of_range_is_named() {
        assert_eq!(Campaign::default().validate(), Ok(()));
        type Edit = fn(&mut Campaign);
        let cases: [(&str, Edit); 6] = [
            ("audience", |c| c.audience.clear()),
            ("threshold", |c| c.threshold = f64::NAN),
            ("cap.impressions", |c| c.cap.impressions = 65),
            ("cap.hours", |c| c.cap.hours = 0),
            ("min_plays", |c| c.min_plays = 0),
            ("impression_cost", |c| c.impression_cost = -1.0),
        ];
        for (key, edit) in cases {
            let mut campaign = Campaign::default();
            edit(&mut campaign);
            let message = campaign.validate().expect_err(key);
            assert!(message.contains(key), "{message}");
        }
    }
}
