//! The policy over all campaigns: a function of plain values. Time, coins and what is left of budgets are arguments.
//!
//! Each campaign is asked its [rules](Rule) in their order. Those that pass contest; coins of pacing choose among them in
//! the order of the contest; where none passes, a toss may explore; a holdout is asked last.

mod contest;
mod eligible;
mod explain;

pub use contest::{Propensities, bits, contest_order, propensities};
pub use explain::{CampaignTrace, Coin, CoinTrace, FeaturePart, Finding, RuleTrace, explain};

use crate::campaign::{Plan, Rate, Share, Slot};
use crate::event::Id;
use crate::feature::Counts;
use crate::profile::Profile;

use super::{Reason, Score};
use contest::Contest;
use eligible::Scores;

/// What is true of a campaign at this instant, and changes with time and with other customers' shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// Whether the schedule is open.
    pub open: bool,
    /// What is left of the budget, in micro-units; `i64::MAX` where there is none.
    pub available_micro: i64,
    /// The rate at which pacing lets shows pass.
    pub pass: Rate,
}

impl Live {
    /// Of a campaign that always runs, without a budget.
    pub const UNBOUNDED: Self = Self { open: true, available_micro: i64::MAX, pass: Rate::ALWAYS };
}

/// Keyed hashes, each uniform over 64 bits and independent of the others. None is asked for where it decides nothing.
pub trait Coins {
    /// The toss of exploration of this decision.
    fn toss(&self) -> u64;

    /// The pacing coin of a campaign in this decision.
    fn pass(&self, campaign: Slot) -> u64;

    /// The digest of the customer and a salt, the same in every decision.
    fn holdout(&self, salt: Salt<'_>) -> u64;
}

/// What a holdout's digest is salted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Salt<'a> {
    /// A campaign's own holdout.
    Campaign(&'a Id),
    /// The holdout over all campaigns.
    All,
}

/// What one decision is made of.
#[derive(Debug)]
pub struct Inputs<'a, C> {
    /// The campaigns.
    pub plan: &'a Plan,
    /// What is known of the customer; `None` if nothing is.
    pub profile: Option<&'a Profile>,
    /// Nothing that is asked of the customer's ad history is later, in Unix milliseconds: where all of it is older than every cap and
    /// cooldown it need not be read. [`i64::MAX`] where that is not known; see [`Profile::history_ms`].
    pub history_ms: i64,
    /// Counts of the plays in the window.
    pub counts: Counts,
    /// The instant, in Unix milliseconds.
    pub now_ms: i64,
    /// What is true of each campaign at this instant, in the order of [`Plan::campaigns`].
    pub live: &'a [Live],
    /// Whether the customer was tossed on this local day already.
    pub explored_today: bool,
    /// Coins.
    pub coins: &'a C,
}

/// One rule of the policy. Rules are asked in this order, and the first that refuses gives a campaign's reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// It does not rest.
    Paused,
    /// It runs at this time.
    Schedule,
    /// It is for the customer's membership.
    Audience,
    /// It is for those who signed up when the customer did.
    SignedUp,
    /// A model is loaded.
    Model,
    /// There are enough plays in the window.
    History,
    /// The ad was shown less often than the campaign's caps allow.
    Cap,
    /// All ads together were shown less often than the caps over all campaigns allow.
    CapOverAll,
    /// Its last impression is long enough ago.
    CooldownAfterImpression,
    /// The last click on its ad is long enough ago.
    CooldownAfterClick,
    /// The customer's last upgrade is long enough ago.
    CooldownAfterUpgrade,
    /// The budget pays an impression.
    Budget,
    /// The score is above the threshold.
    Score,
}

impl Rule {
    /// Every rule, in the order in which they are asked.
    pub const ALL: [Self; 13] = [
        Self::Paused,
        Self::Schedule,
        Self::Audience,
        Self::SignedUp,
        Self::Model,
        Self::History,
        Self::Cap,
        Self::CapOverAll,
        Self::CooldownAfterImpression,
        Self::CooldownAfterClick,
        Self::CooldownAfterUpgrade,
        Self::Budget,
        Self::Score,
    ];

    /// The rule in answers, as in `cooldown_after_click`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Schedule => "schedule",
            Self::Audience => "audience",
            Self::SignedUp => "signed_up_days",
            Self::Model => "model",
            Self::History => "min_plays",
            Self::Cap => "cap",
            Self::CapOverAll => "cap_over_all",
            Self::CooldownAfterImpression => "cooldown_after_impression",
            Self::CooldownAfterClick => "cooldown_after_click",
            Self::CooldownAfterUpgrade => "cooldown_after_upgrade",
            Self::Budget => "budget",
            Self::Score => "threshold",
        }
    }
}

/// The result of the policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The reason; [`Reason::shows`] says whether to show.
    pub reason: Reason,
    /// The campaign that the decision is about, by its place in [`Plan::campaigns`]: the one that is shown or would have
    /// been, else the one that came farthest. `None` if there is no campaign.
    pub campaign: Option<usize>,
    /// Its score; `None` where it did not come to [`Rule::History`], or the window is empty.
    pub score: Option<Score>,
    /// A bit for each campaign that passed every rule, by its place in [`Plan::campaigns`].
    pub passed: u64,
    /// A bit for each campaign that the toss was between; 0 where there was none.
    pub explored: u64,
    /// Whether coins alone made the difference between the campaigns that no rule had refused, so that estimates may use
    /// the decision. Where a rule had refused all, nothing else could have happened.
    pub eligible: bool,
}

impl Verdict {
    /// Whether the customer's toss of the local day was made.
    #[must_use]
    pub fn tossed(&self) -> bool {
        self.explored != 0
    }

    /// Whether something would have been shown, but for a holdout.
    #[must_use]
    pub fn held_out(&self) -> bool {
        self.reason == Reason::HeldOut
    }
}

/// Decides. Nothing is allocated.
///
/// # Panics
/// [`Inputs::live`] has fewer entries than there are campaigns.
#[must_use]
pub fn decide<C: Coins>(inputs: &Inputs<'_, C>) -> Verdict {
    // Most have few campaigns, and need not clear room for many.
    if inputs.plan.campaigns.len() <= 8 {
        decide_among::<C, 8>(inputs)
    } else {
        decide_among::<C, 64>(inputs)
    }
}

fn decide_among<C: Coins, const N: usize>(inputs: &Inputs<'_, C>) -> Verdict {
    let plan = inputs.plan;
    let first = (!plan.campaigns.is_empty()).then_some(0);
    let refused =
        |reason| Verdict { reason, campaign: first, score: None, passed: 0, explored: 0, eligible: false };
    let Some(profile) = inputs.profile else { return refused(Reason::UnknownCustomer) };
    if first.is_none() {
        return refused(Reason::NoCampaign);
    }
    let mut scores = Scores::<N>::new(plan, &inputs.counts);
    let mut customer = eligible::Customer::new(inputs, profile);
    if customer.has_history() {
        scores.ahead();
    }
    let (mut passed, mut unlikely) = (0_u64, 0_u64);
    let (mut farthest, mut reason, mut named) = (None, Reason::NoCampaign, 0);
    for index in 0..plan.campaigns.len() {
        match customer.refusal(index, &mut scores) {
            None => passed |= 1 << index,
            Some((rule, why)) => {
                unlikely |= u64::from(rule == Rule::Score) << index;
                if farthest < Some(rule) {
                    (farthest, reason, named) = (Some(rule), why, index);
                }
            }
        }
    }
    let verdict = |reason, named: usize, explored, eligible, scores: &mut Scores<'_, N>| {
        let came_to_history = farthest >= Some(Rule::History) || passed != 0;
        let score = if came_to_history { scores.of(named) } else { None };
        Verdict { reason, campaign: Some(named), score, passed, explored, eligible }
    };
    if passed != 0 {
        let contest = Contest::<N>::new(plan, passed, &mut scores);
        let shown = contest
            .order()
            .find(|index| inputs.live[*index].pass.falls(|| inputs.coins.pass(plan.campaigns[*index].slot)));
        let (reason, named) = match shown {
            Some(index) => (unless_held_out(inputs, index, Reason::LikelyToClick), index),
            None => (Reason::Paced, contest.first()),
        };
        return verdict(reason, named, 0, true, &mut scores);
    }
    let explorers = contest::explorers(plan, unlikely);
    if explorers == 0 || inputs.explored_today {
        return verdict(reason, named, 0, false, &mut scores);
    }
    let (reason, named) = match contest::toss(plan, explorers, inputs.coins.toss()) {
        Some(index) => (unless_held_out(inputs, index, Reason::Exploring), index),
        None => (reason, named),
    };
    verdict(reason, named, explorers, true, &mut scores)
}

/// What becomes of a would-be show.
fn unless_held_out<C: Coins>(inputs: &Inputs<'_, C>, index: usize, shown: Reason) -> Reason {
    let campaign = &inputs.plan.campaigns[index];
    let is_in = |share: Share, salt| share > Share::NONE && share.takes(inputs.coins.holdout(salt));
    let held_out =
        is_in(inputs.plan.holdout_all, Salt::All) || is_in(campaign.holdout, Salt::Campaign(&campaign.id));
    if held_out { Reason::HeldOut } else { shown }
}

#[cfg(test)]
mod tests;
