//! Who is held out: it is learnt at the first observation, and must stay.

use std::collections::BTreeMap;

/// What is known of somebody's place between 0 and 1: held out are those who are below the share.
#[derive(Debug, Clone, Copy)]
struct Place {
    least: f64,
    below: f64,
}

impl Default for Place {
    fn default() -> Self {
        Self { least: 0.0, below: f64::INFINITY }
    }
}

/// By customer and campaign; no campaign is the holdout over all.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    places: BTreeMap<(usize, Option<String>), Place>,
}

impl Groups {
    /// Takes what was observed of a show that was due: whether the customer was held out of it.
    pub fn observe(
        &mut self,
        customer: usize,
        campaign: &str,
        of_all: f64,
        of_campaign: f64,
        held_out: bool,
    ) -> Result<(), String> {
        let keys = [((customer, None), of_all), ((customer, Some(campaign.to_owned())), of_campaign)];
        let place = |key: &(usize, Option<String>)| self.places.get(key).copied().unwrap_or_default();
        let may = keys.iter().filter(|(key, share)| place(key).least < *share).collect::<Vec<_>>();
        let must = keys.iter().any(|(key, share)| place(key).below <= *share && *share > 0.0);
        match (held_out, &may[..]) {
            (true, []) => return Err(format!("customer {customer} was not held out of {campaign} before")),
            (true, [(key, share)]) => {
                let mut place = place(key);
                place.below = place.below.min(*share);
                self.places.insert(key.clone(), place);
            }
            // One of both, or both.
            (true, _) => {}
            (false, _) if must => {
                return Err(format!("customer {customer} was held out of {campaign} before"));
            }
            (false, _) => {
                for (key, share) in keys {
                    let place = self.places.entry(key).or_default();
                    place.least = place.least.max(share);
                }
            }
        }
        Ok(())
    }
}

#[test]
fn membership_of_a_group_is_learnt_and_must_stay() {
    let mut groups = Groups::default();
    groups.observe(1, "a", 0.0, 0.2, true).expect("the first time");
    groups.observe(1, "a", 0.0, 0.3, true).expect("a larger share");
    groups.observe(1, "a", 0.0, 0.2, false).expect_err("it was held out");
    groups.observe(1, "a", 0.0, 0.1, false).expect("a smaller share");
    groups.observe(1, "a", 0.0, 0.05, true).expect_err("it was shown at a larger one");
    groups.observe(1, "b", 0.0, 0.5, false).expect("another campaign");
    groups.observe(2, "a", 0.1, 0.1, true).expect("either of both");
    groups.observe(2, "b", 0.1, 0.0, false).expect("so it is the campaign's");
    groups.observe(2, "a", 0.1, 0.0, true).expect_err("it is not over all");
}
