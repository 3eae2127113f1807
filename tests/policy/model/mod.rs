//! The whole policy once more, in a plain and slow way: lists of everything that happened, and every decision made from them
//! from the beginning.

mod answers;
mod customer;
mod groups;
mod money;
mod times;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use upbeat_svm::Scorer;

use crate::world::{Act, Campaign, Document, Event, Kind, Ms, SECOND, Setting, Step, Threshold};
pub use answers::{Answer, Expected, Logged, Outcome};
use customer::Known;
pub use groups::Groups;
pub use money::Sums;
use money::{Budgets, Cost, Money};

/// An ad that a decision of a step showed, or would have shown but for a holdout.
#[derive(Debug, Clone)]
pub struct Show {
    pub step: usize,
    pub customer: usize,
    pub campaign: String,
    pub time: Ms,
    pub is_ghost: bool,
    pub is_voided: bool,
    pub is_confirmed: bool,
}

pub struct Model {
    setting: Setting,
    scorers: BTreeMap<String, Arc<Scorer>>,
    pub document: Document,
    /// All that were accepted, in order of arrival.
    pub events: Vec<Event>,
    pub shows: Vec<Show>,
    tosses: Vec<(usize, Date)>,
    pub money: Money,
    pub groups: Groups,
}

/// How far a campaign came: the number of the check that refused it, and the reason.
struct Refusal {
    check: usize,
    reason: &'static str,
}

/// The limits of a campaign as it is set.
fn budgets(campaign: &Campaign) -> Budgets {
    let from = campaign.start.map(|start| times::day(&campaign.zone, times::instant(&campaign.zone, start)));
    Budgets { daily: campaign.daily, total: campaign.total, from }
}

/// The number of the last check, which exploration may pass over.
const SCORE: usize = 12;

impl Model {
    pub fn new(setting: Setting, scorers: BTreeMap<String, Arc<Scorer>>) -> Self {
        Self {
            setting,
            scorers,
            document: Document::default(),
            events: Vec::new(),
            shows: Vec::new(),
            tosses: Vec::new(),
            money: Money::default(),
            groups: Groups::default(),
        }
    }

    /// *Now*, when the wall clock says that.
    pub fn now(&self, wall: Ms) -> Ms {
        if self.setting.by_events { self.newest().unwrap_or(wall) } else { wall }
    }

    /// The newest event, but for one that is further ahead of those before it than a window.
    fn newest(&self) -> Option<Ms> {
        let window = self.setting.window_days * crate::world::DAY;
        self.events.iter().map(|event| event.time).fold(None, |newest, time| match newest {
            Some(newest) if time > newest + window => Some(newest),
            Some(newest) => Some(newest.max(time)),
            None => Some(time),
        })
    }

    /// What is known of a customer.
    pub fn known(&self, customer: usize) -> Known<'_> {
        Known { setting: &self.setting, events: &self.events, shows: &self.shows, customer }
    }

    fn budgets(&self, campaign: &str) -> Budgets {
        let campaign = self.document.campaigns.iter().find(|each| each.id == campaign).expect("a campaign");
        budgets(campaign)
    }

    /// Whether an event is taken, and what it changes.
    pub fn event(&mut self, event: &Event, wall: Ms) -> bool {
        let of = match &event.kind {
            Kind::ClickOf { step } | Kind::ImpressionOf { step } | Kind::VoidOf { step } => Some(*step),
            _ => None,
        };
        let show = self.shows.iter().position(|show| Some(show.step) == of);
        let is_own = show
            .is_some_and(|show| self.shows[show].customer == event.customer && !self.shows[show].is_ghost);
        if of.is_some() && !is_own {
            return false;
        }
        if let Kind::SignedUp(level) = event.kind {
            // Rows of files are one event where customer and time agree.
            let same = self.events.iter().find(|other| {
                (other.customer, other.time) == (event.customer, event.time)
                    && matches!(other.kind, Kind::SignedUp(_))
            });
            if let Some(same) = same {
                return same.kind == Kind::SignedUp(level);
            }
        }
        // An event is applied before it moves the clock.
        let now = self.now(wall);
        // What is said of a show once more is a repeat, which changes nothing, and not the clock either.
        let is_repeat = show.is_some_and(|show| match &event.kind {
            Kind::ImpressionOf { .. } => self.shows[show].is_confirmed,
            Kind::VoidOf { .. } => self.shows[show].is_voided,
            _ => false,
        });
        if !is_repeat && !self.events.contains(event) {
            self.events.push(event.clone());
        }
        if let (Some(show), Some(step)) = (show, of) {
            match &event.kind {
                Kind::ImpressionOf { .. } => {
                    let budgets = self.budgets(&self.shows[show].campaign);
                    self.money.confirm(step, budgets, now);
                    self.shows[show].is_confirmed = true;
                }
                Kind::VoidOf { .. } => {
                    self.money.void(step, now);
                    self.shows[show].is_voided = true;
                }
                _ => {}
            }
        }
        true
    }

    /// What a step that decides may come to.
    pub fn decide(&self, customer: usize, preview: Option<&str>, wall: Ms) -> Expected {
        let document = preview.map_or_else(|| self.document.clone(), |id| self.document.alone(id));
        let (now, known) = (self.now(wall), self.known(customer));
        let certainly = |reason, campaign: Option<&Campaign>, eligible| Expected {
            outcomes: vec![Outcome {
                probability: Some(1.0),
                reason,
                campaign: campaign.map(|each| each.id.clone()),
                shows: false,
            }],
            eligible,
            tossed: false,
        };
        let mut order: Vec<&Campaign> = document.campaigns.iter().collect();
        order.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.id.cmp(&b.id)));
        if !known.is_known() {
            return certainly("unknown_customer", order.first().copied(), None);
        }
        if order.is_empty() {
            return certainly("no_campaign", None, Some(false));
        }
        let refusals: Vec<Option<Refusal>> =
            order.iter().map(|campaign| self.refusal(campaign, &document, &known, now)).collect();
        let mut passed: Vec<&Campaign> = order
            .iter()
            .zip(&refusals)
            .filter(|(_, refusal)| refusal.is_none())
            .map(|(each, _)| *each)
            .collect();
        if !passed.is_empty() {
            let profit = |campaign: &Campaign| self.profit(campaign, &known, now);
            passed.sort_by(|a, b| {
                let by_priority = b.priority.cmp(&a.priority);
                by_priority.then_with(|| profit(b).total_cmp(&profit(a))).then_with(|| a.id.cmp(&b.id))
            });
            return Self::contest(&passed);
        }
        let farthest = refusals.iter().flatten().map(|refusal| refusal.check).max().expect("refusals");
        let first = refusals.iter().position(|each| each.as_ref().is_some_and(|each| each.check == farthest));
        let first = first.expect("the one that came farthest");
        let reason = refusals[first].as_ref().expect("a refusal").reason;
        let unlikely = order.iter().zip(&refusals).filter(|(campaign, refusal)| {
            refusal.as_ref().is_some_and(|each| each.check == SCORE) && campaign.exploration > 0.0
        });
        let exploring: Vec<&Campaign> = unlikely.map(|(campaign, _)| *campaign).collect();
        let today = self.toss_day(&document, now);
        let last = self.tosses.iter().rev().find(|(of, _)| *of == customer).map(|(_, day)| *day);
        if exploring.is_empty() || last == today {
            return certainly(reason, Some(order[first]), Some(false));
        }
        let mut outcomes: Vec<Outcome> = exploring
            .iter()
            .map(|campaign| Outcome {
                probability: Some(campaign.exploration),
                reason: "exploring",
                campaign: Some(campaign.id.clone()),
                shows: true,
            })
            .collect();
        let rest = 1.0 - outcomes.iter().map(|outcome| outcome.probability.expect("a share")).sum::<f64>();
        outcomes.push(Outcome {
            probability: Some(rest.max(0.0)),
            reason,
            campaign: Some(order[first].id.clone()),
            shows: false,
        });
        Expected { outcomes, eligible: Some(true), tossed: true }
    }

    /// The first in the order of the contest whose coin falls is shown.
    fn contest(passed: &[&Campaign]) -> Expected {
        let is_sure = |campaign: &Campaign| campaign.pacing == "none";
        let sure = passed.iter().position(|campaign| is_sure(campaign));
        let probability = |of_sure| if sure == Some(0) { Some(of_sure) } else { None };
        let contestants = &passed[..sure.map_or(passed.len(), |sure| sure + 1)];
        let show = |campaign: &&Campaign| Outcome {
            probability: probability(1.0),
            reason: "likely_to_click",
            campaign: Some(campaign.id.clone()),
            shows: true,
        };
        let mut outcomes: Vec<Outcome> = contestants.iter().map(show).collect();
        if sure.is_none() {
            let campaign = Some(passed[0].id.clone());
            outcomes.push(Outcome { probability: None, reason: "paced", campaign, shows: false });
        }
        Expected { outcomes, eligible: Some(true), tossed: false }
    }

    /// The local day of tosses: that of the first campaign in the document that explores.
    fn toss_day(&self, document: &Document, now: Ms) -> Option<Date> {
        let exploring = document.campaigns.iter().find(|campaign| campaign.exploration > 0.0);
        exploring.map(|campaign| times::day(&campaign.zone, now))
    }

    fn probability(&self, campaign: &Campaign, score: f64) -> f64 {
        self.scorers[&campaign.model].probability(score).expect("a calibrated model")
    }

    fn score(&self, campaign: &Campaign, known: &Known<'_>, now: Ms) -> f64 {
        self.scorers[&campaign.model].score(&known.features(now).expect("plays"))
    }

    /// The score that the answer must have where it names this campaign.
    pub fn score_of(&self, campaign: &str, customer: usize, wall: Ms) -> Option<f64> {
        let campaign = self.document.campaigns.iter().find(|each| each.id == campaign)?;
        let (known, now) = (self.known(customer), self.now(wall));
        known.features(now).map(|_| self.score(campaign, &known, now))
    }

    fn profit(&self, campaign: &Campaign, known: &Known<'_>, now: Ms) -> f64 {
        let probability = self.probability(campaign, self.score(campaign, known, now));
        probability * campaign.value as f64 - campaign.cost as f64
    }

    /// Why a campaign may not be shown; `None` if it may.
    fn refusal(
        &self,
        campaign: &Campaign,
        document: &Document,
        known: &Known<'_>,
        now: Ms,
    ) -> Option<Refusal> {
        let level = known.level();
        let in_audience = campaign.audience.contains(&level);
        let of_level = if level == crate::world::Level::Gold { "already_gold" } else { "not_in_audience" };
        let own = |cap: &crate::world::Cap| {
            known.shown_since(Some(&campaign.id), now - cap.hours * crate::world::HOUR) < cap.impressions
        };
        let over_all = |cap: &crate::world::Cap| {
            known.shown_since(None, now - cap.hours * crate::world::HOUR) < cap.impressions
        };
        let has_cooled = |last: Option<Ms>, seconds: Option<i64>| match (last, seconds) {
            (Some(last), Some(seconds)) => now >= last + seconds * SECOND,
            _ => true,
        };
        let day = times::day(&campaign.zone, now);
        let budgets = budgets(campaign);
        let is_likely = || {
            let score = self.score(campaign, known, now);
            match campaign.threshold {
                Threshold::Score(least) => score > least,
                Threshold::Probability(least) => self.probability(campaign, score) > least,
                Threshold::Profit => self.profit(campaign, known, now) > 0.0,
            }
        };
        // In this order; each is only looked at where those before it passed.
        let checks: [(&'static str, &dyn Fn() -> bool); SCORE + 1] = [
            ("paused", &|| !campaign.paused),
            ("not_scheduled", &|| times::is_open(campaign, now)),
            (of_level, &|| in_audience),
            ("not_in_audience", &|| known.has_signed_up(campaign.signed_up, now)),
            ("no_model", &|| self.scorers.contains_key(&campaign.model)),
            ("too_little_history", &|| known.plays(now).len() >= campaign.min_plays),
            ("capped", &|| campaign.caps.iter().all(own)),
            ("capped", &|| document.caps.iter().all(over_all)),
            ("cooling_down", &|| has_cooled(known.last_shown(&campaign.id), campaign.after_impression_s)),
            ("cooling_down", &|| has_cooled(known.last_click(&campaign.ad), campaign.after_click_s)),
            ("cooling_down", &|| has_cooled(known.last_upgrade(), campaign.after_upgrade_s)),
            ("over_budget", &|| self.money.left(&campaign.id, day, budgets, now) >= campaign.cost),
            ("unlikely_to_click", &is_likely),
        ];
        let refused = checks.iter().position(|(_, passes)| !passes());
        refused.map(|check| Refusal { check, reason: checks[check].0 })
    }

    /// Takes what the engine answered, which may be: the coins have fallen so. What is wrong with it otherwise.
    pub fn decided(&mut self, step: &Step, expected: &Expected, answer: &Answer) -> Result<(), String> {
        let Act::Decide { customer, dry_run, preview } = &step.act else { panic!("a step that decides") };
        let (held_out, counts) = (answer.reason == "held_out", !dry_run && preview.is_none());
        let mut possible = expected.outcomes.iter().filter(|outcome| outcome.probability != Some(0.0));
        let Some(outcome) = possible.find(|outcome| outcome.is_of(answer)) else {
            return Err("no such outcome is possible".to_owned());
        };
        let now = self.now(step.wall);
        if expected.tossed && counts {
            let day = self.toss_day(&self.document, now).expect("a day");
            self.tosses.push((*customer, day));
        }
        let (true, Some(id)) = (outcome.shows, &outcome.campaign) else { return Ok(()) };
        let campaign =
            self.document.campaigns.iter().find(|each| each.id == *id).expect("a campaign").clone();
        let of_all = if preview.is_some() { 0.0 } else { self.document.holdout_all };
        self.groups.observe(*customer, id, of_all, campaign.holdout, held_out)?;
        if !counts {
            return Ok(());
        }
        self.shows.push(Show {
            step: step.number,
            customer: *customer,
            campaign: id.clone(),
            time: now,
            is_ghost: held_out,
            is_voided: false,
            is_confirmed: false,
        });
        if !held_out {
            let cost = Cost {
                campaign: id.clone(),
                day: times::day(&campaign.zone, now),
                amount: campaign.cost,
                bills_impressions: campaign.bills_impressions,
                expires: money::expires(now, campaign.reserve_s),
                is_paid: false,
                is_overrun: false,
                is_confirmed: false,
                is_voided: false,
                is_returned: false,
            };
            self.money.costs.push((step.number, cost));
        }
        Ok(())
    }
}
