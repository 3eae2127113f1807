//! Coins: how often they fall, and who is held out.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::*;

fn hash(parts: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// The coins of one decision for one customer, by hashes that nobody can guess the outcome of.
struct Fair {
    decision: u64,
    customer: u64,
}

impl Coins for Fair {
    fn toss(&self) -> u64 {
        hash(("toss", self.decision))
    }
    fn pass(&self, campaign: Slot) -> u64 {
        hash(("pass", self.decision, campaign.0))
    }
    fn holdout(&self, salt: Salt<'_>) -> u64 {
        match salt {
            Salt::Campaign(campaign) => hash(("campaign", self.customer, campaign)),
            Salt::All => hash(("all", self.customer)),
        }
    }
}

/// Asserts that counts of actions are what probabilities say, by Pearson's chi-square test at 1 in 10,000 (critical values
/// for 1 to 4 degrees of freedom), and that what has the probability 0 never happened.
fn assert_frequencies(counted: &HashMap<Option<usize>, u64>, expected: &Propensities, campaigns: usize) {
    let total: u64 = counted.values().sum();
    let actions = (0..campaigns).map(Some).chain([None]);
    let (mut statistic, mut categories) = (0.0, 0);
    for action in actions {
        let probability = action.map_or(expected.none, |index| expected.shows[index]);
        let count = counted.get(&action).copied().unwrap_or(0) as f64;
        if probability < 1e-12 {
            assert_eq!(count, 0.0, "{action:?} was impossible");
            continue;
        }
        let mean = probability * total as f64;
        statistic += (count - mean).powi(2) / mean;
        categories += 1;
    }
    let critical = [1e-6_f64, 15.14, 18.42, 21.11, 23.51];
    assert!(statistic <= critical[categories - 1], "{statistic} in {categories} categories: {counted:?}");
}

fn sum(propensities: &Propensities) -> f64 {
    propensities.none + propensities.shows.iter().sum::<f64>()
}

#[test]
fn actions_come_as_often_as_their_propensities_say() {
    let likely = |name: &str| campaign(name);
    let unlikely =
        |name: &str, exploration| Campaign { exploration, model: "low".to_owned(), ..campaign(name) };
    let rates = |rates: [f64; 3]| rates.map(|rate| Live { pass: Rate::of(rate), ..Live::UNBOUNDED });
    for (campaigns, live) in [
        (vec![likely("a"), likely("b"), likely("c")], rates([0.3, 0.5, 0.2])),
        (vec![likely("a"), likely("b"), likely("c")], rates([0.9, 0.0, 0.001])),
        (vec![likely("a"), likely("b"), likely("c")], rates([0.4, 1.0, 0.5])),
        (vec![likely("a"), unlikely("b", 0.5), likely("c")], rates([0.4, 1.0, 0.25])),
        (vec![unlikely("a", 0.02), unlikely("b", 0.0), unlikely("c", 0.3)], rates([0.0, 0.0, 0.0])),
        (vec![unlikely("a", 0.5), unlikely("b", 0.25), unlikely("c", 0.25)], rates([1.0, 0.5, 0.5])),
    ] {
        let plan = plan(campaigns);
        let (mut counted, mut logged) = (HashMap::new(), None);
        for decision in 0..60_000 {
            let verdict = decide_with(&plan, &Profile::default(), &live, &Fair { decision, customer: 1 });
            assert!(verdict.eligible);
            let action = verdict.campaign.filter(|_| verdict.reason.shows());
            *counted.entry(action).or_insert(0) += 1;
            if logged.is_some() && decision % 64 != 0 {
                continue;
            }
            let told = propensities(&plan, &counts(10), |index| live[index].pass, &verdict);
            assert_eq!(*logged.get_or_insert(told), told, "they do not depend on how the coins fell");
        }
        let logged = logged.expect("decisions");
        assert!((sum(&logged) - 1.0).abs() < 1e-12);
        assert_frequencies(&counted, &logged, 3);
    }
}

#[test]
fn propensities_of_what_rules_refused_or_made_certain_are_one() {
    let both = plan(vec![campaign("a"), campaign("b")]);
    let verdict = decided(&both, &Profile::default());
    let certain = propensities(&both, &counts(10), |_| Rate::ALWAYS, &verdict);
    assert_eq!((certain.none, certain.shows[0], certain.shows[1]), (0.0, 1.0, 0.0));
    let refused = decided(&both, &member(&[(1, Membership::Gold)]));
    let nothing = propensities(&both, &counts(10), |_| Rate::ALWAYS, &refused);
    assert_eq!((nothing.none, nothing.shows), (1.0, [0.0; 64]));
}

/// Who of 100,000 customers is held out of a campaign.
fn held_out(plan: &Plan, name: &str) -> Vec<bool> {
    let only = plan.alone(plan.find(&id(name)).expect("a campaign"));
    let customers = 0..100_000;
    let verdict = |customer| {
        let coins = Fair { decision: customer * 31, customer };
        decide_with(&only, &Profile::default(), &[Live::UNBOUNDED], &coins)
    };
    customers.map(|customer| verdict(customer).held_out()).collect()
}

#[test]
fn two_holdouts_of_ten_percent_overlap_in_one_percent_and_stay_whatever_else_changes() {
    let with = |name: &str, holdout| Campaign { holdout, ..campaign(name) };
    let plan_before = plan(vec![with("a", 0.1), with("b", 0.1)]);
    let [a, b] = ["a", "b"].map(|name| held_out(&plan_before, name));
    let share = |held: &dyn Fn(usize) -> bool| (0..100_000).filter(|at| held(*at)).count() as f64 / 100_000.0;
    assert!((share(&|at| a[at]) - 0.1).abs() < 0.004, "{}", share(&|at| a[at]));
    assert!((share(&|at| b[at]) - 0.1).abs() < 0.004, "{}", share(&|at| b[at]));
    let overlap = share(&|at| a[at] && b[at]);
    assert!((overlap - 0.01).abs() <= 0.001, "{overlap}");
    // Other campaigns come, go and change their shares, and so does the campaign's priority.
    let mut more = with("a", 0.1);
    more.priority = 7;
    let plan_after = plan(vec![with("z", 0.5), more, with("b", 0.3), with("0", 0.0)]);
    assert_eq!(held_out(&plan_after, "a"), a);
    // Who is held out of a tenth is held out of more, too.
    let wider = held_out(&plan_after, "b");
    assert!((0..100_000).all(|at| wider[at] || !b[at]));
}

#[test]
fn holdout_over_all_is_its_own_group_and_holds_whatever_campaign_would_be_shown() {
    let with = |name: &str| Campaign { holdout: 0.1, ..campaign(name) };
    let mut document = of(vec![with("a"), campaign("b")]);
    document.holdout_all = 0.1;
    let plan = plan_of(&document);
    let live = [Live::UNBOUNDED; 2];
    let [mut held, mut of_all, mut both] = [0; 3];
    for customer in 0..100_000 {
        let coins = Fair { decision: customer, customer };
        let verdict = decide_with(&plan, &Profile::default(), &live, &coins);
        let in_all = plan.holdout_all.takes(coins.holdout(Salt::All));
        let in_own = plan.campaigns[0].holdout.takes(coins.holdout(Salt::Campaign(&plan.campaigns[0].id)));
        assert_eq!(verdict.held_out(), in_all || in_own);
        assert_eq!(
            (named(&plan, &verdict).as_str(), verdict.eligible),
            ("a", true),
            "the would-be show is named"
        );
        held += u32::from(verdict.held_out());
        of_all += u32::from(in_all);
        both += u32::from(in_all && in_own);
    }
    let own = held + both - of_all;
    assert!(of_all.abs_diff(10_000) < 400 && own.abs_diff(10_000) < 400, "{of_all} {own}");
    assert!(both.abs_diff(1_000) <= 100, "{both}");
}

#[test]
fn holdout_is_asked_after_all_coins_and_holds_exploring_shows_too() {
    let explorer = Campaign { holdout: 0.5, exploration: 0.5, model: "low".to_owned(), ..campaign("a") };
    let plan = plan(vec![explorer]);
    let (mut explored, mut held) = (0, 0);
    for customer in 0..10_000 {
        let coins = Fair { decision: customer, customer };
        let verdict = decide_with(&plan, &Profile::default(), &[Live::UNBOUNDED], &coins);
        explored += u32::from(verdict.reason == Reason::Exploring);
        held += u32::from(verdict.held_out());
        assert!(verdict.tossed() && verdict.eligible);
        let told = propensities(&plan, &counts(10), |_| Rate::ALWAYS, &verdict);
        assert_eq!((told.none, told.shows[0]), (0.5, 0.5), "propensities stay those of the coins");
    }
    assert!(explored.abs_diff(2_500) < 200 && held.abs_diff(2_500) < 200, "{explored} {held}");
    struct Unlikely;
    impl Coins for Unlikely {
        fn toss(&self) -> u64 {
            u64::MAX
        }
        fn pass(&self, _: Slot) -> u64 {
            unreachable!()
        }
        fn holdout(&self, _: Salt<'_>) -> u64 {
            panic!("nothing would have been shown")
        }
    }
    let verdict = decide_with(&plan, &Profile::default(), &[Live::UNBOUNDED], &Unlikely);
    assert_eq!(verdict.reason, Reason::UnlikelyToClick);
}
