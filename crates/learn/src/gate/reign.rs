//! How much of α each challenger of a champion may spend.

use serde::{Deserialize, Serialize};

use super::Standing;

/// The challengers that one champion has met: the k-th spends α / (k(k+1)), which sums to α over all that may ever come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reign {
    number: u32,
}

impl Default for Reign {
    fn default() -> Self {
        Self { number: 1 }
    }
}

impl Reign {
    /// Which challenger is the present or the next one: 1 for the first of a reign.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number
    }

    /// What a challenger's end comes to: a promotion begins another reign; futile and too old ones have spent their share.
    #[must_use]
    pub fn after(self, standing: Standing) -> Self {
        match standing {
            Standing::Stays => self,
            Standing::Promote => Self::default(),
            Standing::Futile | Standing::TooOld => Self { number: self.number.saturating_add(1) },
        }
    }
}

/// The share of `alpha` of the challenger with this number, from 1.
#[must_use]
pub fn alpha_of(alpha: f64, number: u32) -> f64 {
    let number = f64::from(number);
    alpha / (number * (number + 1.0))
}
