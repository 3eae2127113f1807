//! The contest between campaigns that passed every rule, the toss between those that were unlikely, and the propensity of
//! every action.

use crate::campaign::{Plan, Rate, Share};
use crate::feature::Counts;

use super::Verdict;
use super::eligible::Scores;

/// The campaigns that passed, in the order in which they are asked.
pub(super) struct Contest<const N: usize> {
    order: [u8; N],
    count: usize,
}

impl<const N: usize> Contest<N> {
    /// The campaigns of the bits `passed`, at least one: by priority, then by expected profit, then by id.
    pub(super) fn new(plan: &Plan, passed: u64, scores: &mut Scores<'_, N>) -> Self {
        let (mut order, mut profits, mut count) = ([0; N], [0.0; N], 0);
        let alone = passed.is_power_of_two();
        for index in bits(passed) {
            // Alone it needs no profit, and that would cost an exponential.
            let profit = if alone { 0.0 } else { scores.profit_micro(index) };
            let priority = plan.campaigns[index].priority;
            // Campaigns come by priority and id: one moves ahead of those of its priority that earn less.
            let mut place = count;
            while place > 0
                && plan.campaigns[usize::from(order[place - 1])].priority == priority
                && profits[place - 1] < profit
            {
                (order[place], profits[place]) = (order[place - 1], profits[place - 1]);
                place -= 1;
            }
            (order[place], profits[place]) = (index as u8, profit);
            count += 1;
        }
        Self { order, count }
    }

    pub(super) fn order(&self) -> impl Iterator<Item = usize> {
        self.order[..self.count].iter().copied().map(usize::from)
    }

    pub(super) fn first(&self) -> usize {
        usize::from(self.order[0])
    }
}

/// The places of the set bits, ascending: of campaigns in [`Plan::campaigns`] where these are of [`Verdict::passed`].
#[inline]
pub fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (set != 0).then(|| set.trailing_zeros() as usize);
        set &= set.wrapping_sub(1);
        lowest
    })
}

/// Those of the campaigns of the bits `unlikely` that explore.
pub(super) fn explorers(plan: &Plan, unlikely: u64) -> u64 {
    // Mostly none does.
    if plan.first_explorer.is_none() {
        return 0;
    }
    bits(unlikely)
        .filter(|index| plan.campaigns[*index].exploration > Share::NONE)
        .map(|index| 1 << index)
        .sum()
}

/// The campaign that a toss chooses: each with the probability of its share.
pub(super) fn toss(plan: &Plan, explorers: u64, hash: u64) -> Option<usize> {
    let mut below = 0_u64;
    bits(explorers).find(|index| {
        let share = plan.campaigns[*index].exploration;
        below = below.saturating_add(share.count());
        hash < below || share == Share::ALL
    })
}

/// The campaigns that passed every rule, by their places in [`Plan::campaigns`], in the order in which their coins are
/// thrown.
pub fn contest_order(plan: &Plan, counts: &Counts, verdict: &Verdict) -> impl Iterator<Item = usize> + use<> {
    let contest = (verdict.passed != 0)
        .then(|| Contest::<64>::new(plan, verdict.passed, &mut Scores::new(plan, counts)));
    let count = contest.as_ref().map_or(0, |contest| contest.count);
    (0..count).filter_map(move |place| Some(usize::from(contest.as_ref()?.order[place])))
}

/// How probable each action was, every coin in it; together 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Propensities {
    /// That nothing is shown.
    pub none: f64,
    /// That a campaign is shown, or would be but for a holdout, by its place in [`Plan::campaigns`].
    pub shows: [f64; 64],
}

/// The propensities of a decision, by the bits and the counts that it was made of. `pass` gives the pacing rate of a
/// campaign at the decision, by its place in [`Plan::campaigns`]; it is asked of those that passed.
///
/// Of a decision that is not eligible, what happened had the probability 1.
#[must_use]
pub fn propensities(
    plan: &Plan,
    counts: &Counts,
    pass: impl Fn(usize) -> Rate,
    verdict: &Verdict,
) -> Propensities {
    let mut shows = [0.0; 64];
    let mut none = 1.0;
    if verdict.passed != 0 {
        let contest = Contest::<64>::new(plan, verdict.passed, &mut Scores::new(plan, counts));
        for index in contest.order() {
            let rate = pass(index).value();
            shows[index] = none * rate;
            none *= 1.0 - rate;
        }
    }
    for index in bits(verdict.explored) {
        shows[index] = plan.campaigns[index].exploration.value();
        none -= shows[index];
    }
    Propensities { none: none.max(0.0), shows }
}
