//! What campaigns may have spent: every show that was heard of, and what was said of it.

use std::collections::{BTreeMap, HashMap};

use crate::account::Held;
use crate::campaigns::{Bill, CAMPAIGNS, Campaign};
use crate::trace::{Instant, now};

/// What a server says of a campaign, in micro-units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spending {
    pub budget: i64,
    pub reserved: i64,
    pub spent: i64,
    pub returned: i64,
    pub overrun: i64,
    pub lost: i64,
}

impl Spending {
    /// What its budget bounds.
    fn taken(&self) -> i64 {
        self.reserved + self.spent + self.lost
    }
}

/// Whether something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Known {
    #[default]
    No,
    Perhaps,
    Yes,
}

/// One show.
#[derive(Debug, Clone, Default)]
struct Show {
    customer: String,
    campaign: String,
    /// Between these it was decided.
    sent: Instant,
    answered: Instant,
    /// Whether it is kept whatever happens.
    is_certain: bool,
    is_voided: Known,
    is_confirmed: Known,
    /// The customer was deleted, or perhaps: what was spent on them is, and nothing tells what became of the show.
    is_erased: bool,
}

/// The least and the most that something may be.
#[derive(Debug, Clone, Copy, Default)]
struct Bounds {
    least: i64,
    most: i64,
}

impl Bounds {
    fn add(&mut self, least: i64, most: i64) {
        self.least += least;
        self.most += most;
    }

    fn contains(self, value: i64) -> bool {
        (self.least..=self.most).contains(&value)
    }
}

/// All shows by their decisions.
#[derive(Debug, Clone, Default)]
pub struct Purse {
    shows: BTreeMap<String, Show>,
    /// Decisions of each customer that were asked for and not heard of.
    unheard: BTreeMap<String, i64>,
    /// Those of customers who were deleted since.
    unseen: i64,
    /// Of each campaign, what was played and is not known of any more.
    gone: BTreeMap<String, i64>,
    /// The budget of each campaign since then: the next start may have raised it.
    budgets: BTreeMap<String, i64>,
    /// Of each campaign, what losses of power had cost before.
    lost: BTreeMap<String, i64>,
    /// Losses of power since then.
    losses: i64,
}

impl Purse {
    /// Notes a show that was heard of.
    pub fn show(
        &mut self,
        decision: &str,
        customer: &str,
        campaign: &str,
        sent: Instant,
        answered: Instant,
        is_certain: bool,
    ) {
        let (customer, campaign) = (customer.to_owned(), campaign.to_owned());
        let show = Show { customer, campaign, sent, answered, is_certain, ..Show::default() };
        self.shows.insert(decision.to_owned(), show);
    }

    /// Notes a decision that was asked for and not heard of.
    pub fn count_unheard(&mut self, customer: &str) {
        *self.unheard.entry(customer.to_owned()).or_default() += 1;
    }

    /// Notes that a customer was deleted, or perhaps.
    pub fn erase(&mut self, customer: &str) {
        self.unseen += self.unheard.remove(customer).unwrap_or(0);
        for show in self.shows.values_mut().filter(|show| show.customer == customer) {
            show.is_erased = true;
        }
    }

    /// Notes a void, or a confirmation, and whether it was acknowledged.
    pub fn report(&mut self, decision: &str, is_void: bool, is_acknowledged: bool) {
        let Some(show) = self.shows.get_mut(decision) else { return };
        let known = if is_void { &mut show.is_voided } else { &mut show.is_confirmed };
        if is_acknowledged {
            *known = Known::Yes;
            // What follows the show is durable.
            show.is_certain = true;
        } else if *known == Known::No {
            *known = Known::Perhaps;
        }
    }

    /// The power was lost, or what stands for it: the memory of the lanes.
    pub fn lose_power(&mut self) {
        self.losses += 1;
    }

    /// What is wrong with what a server says of its campaigns, where it holds that of customers.
    pub fn faults(
        &self,
        says: &BTreeMap<String, Spending>,
        held: &HashMap<String, Held>,
        is_looked_at: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut purse = self.clone();
        purse.learn(held, &is_looked_at);
        CAMPAIGNS.iter().flat_map(|campaign| purse.faults_of(campaign, &says[campaign.id])).collect()
    }

    fn faults_of(&self, campaign: &Campaign, says: &Spending) -> Vec<String> {
        let [mut taken, mut truly, mut returned, mut overrun] = [Bounds::default(); 4];
        for show in self.shows.values().filter(|show| show.campaign == campaign.id) {
            let (least, most) = show.cost(campaign);
            taken.add(if show.is_certain { least } else { 0 }, most);
            // What was heard of is played, whatever the server knows of it.
            truly.add(least, most);
            let (least, most) = show.returned(campaign);
            returned.add(if show.is_certain { least } else { 0 }, most);
            overrun.add(0, if show.is_confirmed == Known::No { 0 } else { campaign.cost });
        }
        returned.add(0, self.unseen * campaign.cost);
        taken.add(0, self.unseen * campaign.cost);
        truly.least += self.gone.get(campaign.id).copied().unwrap_or(0);
        let mut faults = Vec::new();
        let name = campaign.id;
        let lost = says.lost - self.lost.get(name).copied().unwrap_or(0);
        // What a confirmation could not take is overrun.
        if !taken.contains(says.reserved + says.spent + says.overrun) {
            faults.push(format!("{name} has spent {says:?}, and not {} to {}", taken.least, taken.most));
        }
        if !returned.contains(says.returned) || !overrun.contains(says.overrun) {
            faults.push(format!("{name} gave back {says:?}, and not {returned:?}; overrun is {overrun:?}"));
        }
        let budget = self.budgets.get(name).copied().unwrap_or(says.budget);
        if says.taken() > budget {
            faults.push(format!("{name} is overspent: {says:?}"));
        }
        if truly.least - says.overrun > budget {
            faults.push(format!("{name} has shown ads for {}, which is too much: {says:?}", truly.least));
        }
        // One lease for each loss.
        let lease = (says.budget / 16).max(64 * campaign.cost);
        if !(0..=self.losses * lease).contains(&lost) {
            faults.push(format!("{name} has lost {lost} in {} losses of power: {says:?}", self.losses));
        }
        faults
    }

    /// Learns what can be told of the shows of customers who were looked at.
    fn learn(&mut self, held: &HashMap<String, Held>, is_looked_at: &impl Fn(&str) -> bool) {
        let mut found = BTreeMap::new();
        for (customer, held) in held {
            for impression in &held.impressions {
                found.insert(impression.decision.as_str(), (customer, impression));
            }
        }
        self.shows.retain(|decision, show| {
            let is_there = found.contains_key(decision.as_str());
            if show.is_certain || is_there || show.is_erased || !is_looked_at(&show.customer) {
                return true;
            }
            // The power took it, and what it cost; it was played all the same.
            let campaign =
                CAMPAIGNS.iter().find(|campaign| campaign.id == show.campaign).expect("a campaign");
            *self.gone.entry(show.campaign.clone()).or_default() += show.cost(campaign).0;
            false
        });
        self.unheard.retain(|customer, _| !is_looked_at(customer));
        for (decision, (customer, impression)) in found {
            let show = self.shows.entry(decision.to_owned()).or_insert_with(|| Show {
                customer: customer.clone(),
                campaign: impression.campaign.clone(),
                answered: now(),
                ..Show::default()
            });
            show.is_certain = true;
            let known = |is_so| if is_so { Known::Yes } else { Known::No };
            show.is_erased = false;
            // The event of one that was not acknowledged may be there without what it made of money.
            show.is_confirmed = match (impression.is_confirmed, show.is_confirmed) {
                (true, Known::Yes) => Known::Yes,
                (true, _) => Known::Perhaps,
                (false, _) => Known::No,
            };
            // Of one that is confirmed it cannot be told.
            if !impression.is_confirmed {
                show.is_voided = known(impression.is_voided);
            }
        }
    }

    /// Takes what a server holds, which was found right, for what is so from now on.
    pub fn take_over(
        &mut self,
        says: &BTreeMap<String, Spending>,
        held: &HashMap<String, Held>,
        is_looked_at: impl Fn(&str) -> bool,
    ) {
        self.learn(held, &is_looked_at);
        self.losses = 0;
        self.budgets = says.iter().map(|(campaign, says)| (campaign.clone(), says.budget)).collect();
        self.lost = says.iter().map(|(campaign, says)| (campaign.clone(), says.lost)).collect();
    }
}

impl Show {
    /// What it takes from the budget, at least and at most.
    fn cost(&self, campaign: &Campaign) -> (i64, i64) {
        let cost = campaign.cost;
        match (self.is_voided, self.is_confirmed, campaign.bill) {
            (Known::No, _, Bill::Show) => (cost, cost),
            (Known::No, Known::No, Bill::Impression) => {
                // It may have been decided when it was asked for, or just before the answer.
                let (sent, answered) = (self.sent + campaign.reserve_ns, self.answered + campaign.reserve_ns);
                let now = now();
                (if now < sent { cost } else { 0 }, if now > answered + SLACK_NS { 0 } else { cost })
            }
            (Known::Yes, Known::No, _) => (0, 0),
            // Where it is not to be had any more it is overrun.
            (_, Known::Yes, _) => (cost, cost),
            _ => (0, cost),
        }
    }
}

impl Show {
    /// What came back of it, at least and at most.
    fn returned(&self, campaign: &Campaign) -> (i64, i64) {
        let cost = campaign.cost;
        match (self.is_voided, self.is_confirmed, campaign.bill) {
            (Known::Yes, Known::No, Bill::Show) => (cost, cost),
            (Known::No, _, Bill::Show) => (0, 0),
            // It may have been released before it was confirmed.
            _ => (0, cost),
        }
    }
}

/// The end of a reservation is counted in whole seconds of the wall clock, and noticed once a second.
const SLACK_NS: Instant = 2_500_000_000;
