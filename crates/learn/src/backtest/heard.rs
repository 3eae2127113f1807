//! Ads that were heard, as files have them: nobody was asked who should hear them.

use upbeat_core::event::{Id, StableHash};
use upbeat_core::feature::FeatureVector;

use super::{GROUP_KEY, Judge, OfCampaign, Question};
use crate::Terms;
use crate::estimate::{Chance, Shown};

/// Estimates from ads that were heard, each shown for certain: by a policy that shows everybody the ad.
pub struct Heard {
    of: OfCampaign,
    challenger: Option<Judge>,
}

impl Heard {
    /// Of an ad with these terms, without a holdout. `champion` is the model that the others are compared with. There are no details of a
    /// page: files of ads have no memberships.
    #[must_use]
    pub fn new(ad: Id, terms: Terms, champion: Judge, question: Question) -> Self {
        let question = Question { in_detail: false, ..question };
        let of = OfCampaign::new(ad, 0, terms, Some(champion), &question);
        Self { of, challenger: question.challenger }
    }

    /// Takes an ad that a customer has heard, with the features of the plays before it.
    pub fn add(&mut self, customer: &Id, vector: &FeatureVector, is_clicked: bool) {
        let Self { of, challenger } = self;
        of.decisions += 1;
        of.eligible += 1;
        let shown = Shown { is_clicked, cost_micro: of.terms.cost_micro, value_micro: of.terms.value_micro };
        let customer = StableHash::with_key(GROUP_KEY).id(customer.as_ref()).finish();
        let chance = Chance { propensity: 1.0, shown: Some(shown), customer };
        of.take(&chance, Some(vector), challenger.as_ref(), (0, None));
    }

    /// What each policy would have earned.
    #[must_use]
    pub fn finish(self) -> OfCampaign {
        self.of
    }
}
