//! A challenger and the champion over the rows of a log: what the [gate](crate::gate) is made of.

use std::collections::HashMap;

use upbeat_core::campaign::Rate;
use upbeat_core::decision::Reason;
use upbeat_core::event::{DecisionId, Id, IdRef, StableHash};
use upbeat_engine::{Coins, Facts};

use super::backtest::Judge;
use super::gate::{Challenge, Customer, Gate, Row as GateRow, Settings, SettingsError, Taken};
use super::{Found, Row};

/// The most customers of whom the seed's rule is told, some 50 bytes each. Of more, those with the lowest hashes are taken.
const MOST_CUSTOMERS: usize = 1 << 18;

/// Makes the hash of a customer another than those that coins, holdouts and groups go by.
const CUSTOMER_KEY: u64 = 0x6375_7374_6f6d_6572;

/// No log-odds are greater than these: those of a certainty are no number.
const MOST_LOG_ODDS: f64 = 1_000.0;

/// A challenger held against the champion.
pub(crate) struct Judging<'a> {
    found: &'a Found,
    campaign: Id,
    slot: u16,
    champion: Option<Judge>,
    candidate: Judge,
    trained_until_ms: i64,
    gate: Gate,
    pace: Pace,
    customers: Customers,
    /// Rows that count for profit; those on which both would do the same; and what the candidate would have earned beyond the
    /// champion, in micro-units.
    pub(crate) rows: u64,
    alike: u64,
    gained_micro: f64,
    /// Decisions whose events the log has no longer.
    pub(crate) forgotten: u64,
    /// Ads whose label is not known though their time has passed: more were shown than can be waited for.
    pub(crate) crowded: u64,
}

impl<'a> Judging<'a> {
    /// Nothing seen yet. `candidate` knows clicks; no champion shows nobody.
    ///
    /// # Errors
    /// Settings or a challenge that no evidence could be held against.
    pub(crate) fn new(
        found: &'a Found,
        (campaign, slot): (&Id, u16),
        (champion, candidate): (Option<Judge>, Judge),
        settings: Settings,
        challenge: Challenge,
    ) -> Result<Self, SettingsError> {
        Ok(Self {
            found,
            campaign: campaign.clone(),
            slot,
            champion,
            candidate,
            trained_until_ms: challenge.trained_until_ms,
            gate: Gate::new(settings, challenge)?,
            pace: Pace { newest: 1.0, waiting: HashMap::new() },
            customers: Customers::default(),
            rows: 0,
            alike: 0,
            gained_micro: 0.0,
            forgotten: 0,
            crowded: 0,
        })
    }

    /// Notes a decision when the log comes to it. The row of an ad comes later, when its label is known.
    pub(crate) fn note(&mut self, facts: &Facts) {
        self.pace.note(facts, self.slot);
    }

    /// Takes a row whose label is known, in whatever order; `matured_ms` is the newest time at which a decision has matured.
    pub(crate) fn row(&mut self, row: &Row, matured_ms: i64) {
        let Some(facts) = &row.facts else { return };
        let newest_rate = self.pace.of(row.id);
        let (Some(propensity), Some(counts)) = (row.chance(self.slot), row.counts()) else { return };
        // What the log could not keep was not shown, whatever the coins said.
        if row.time_ms <= self.trained_until_ms || facts.reason == Reason::LogUnavailable {
            return;
        }
        if !row.has_events {
            self.forgotten += 1;
            return;
        }
        self.crowded += u64::from(!row.is_mature && row.time_ms <= matured_ms);
        let Some(terms) = self.found.campaigns.terms(&self.campaign, facts.version) else { return };
        let Some((score, Some(probability))) = self.candidate.judge(counts) else { return };
        // A rate that pacing has shown to others is none of this decision's coins, so that it may be taken for both models.
        let rate = match facts.coins {
            Coins::Exploration(_) => newest_rate,
            _ => propensity,
        };
        let by = |shows: bool| if shows { rate } else { 0.0 };
        let candidate_shows =
            terms.threshold.is_passed(terms.cost_micro, terms.value_micro, score, || Some(probability));
        let champion_shows = self.champion.as_ref().is_some_and(|champion| champion.shows(counts, terms));
        let shown = row.shown(self.slot, terms);
        let is_its_own = facts.campaign == Some(self.slot);
        let row_of_gate = GateRow {
            decided_ms: row.time_ms,
            eligible: true,
            matured: row.is_mature,
            propensity,
            shown: shown.is_some(),
            held_out: facts.reason == Reason::HeldOut && is_its_own,
            voided: shown.is_some() && row.is_voided(),
            clicked: shown.is_some_and(|shown| shown.is_clicked),
            candidate_shows: by(candidate_shows),
            champion_shows: by(champion_shows),
            probability,
            cost_micro: terms.cost_micro,
            value_micro: terms.value_micro,
        };
        let taken = self.gate.observe(&row_of_gate);
        if matches!(taken, Taken::HeldOut | Taken::Counted) {
            self.customers.add(row.customer.as_ref(), &row_of_gate);
        }
        if taken == Taken::Counted {
            self.count(&row_of_gate);
        }
    }

    fn count(&mut self, row: &GateRow) {
        self.rows += 1;
        let difference = row.candidate_shows - row.champion_shows;
        self.alike += u64::from(difference == 0.0);
        if row.shown && !row.voided {
            let value = if row.clicked { row.value_micro } else { 0 };
            self.gained_micro += difference / row.propensity * (value - row.cost_micro) as f64;
        }
    }

    /// The gate, the share of rows that both decide alike, and what the candidate would have earned beyond the champion, in
    /// micro-units; both `None` without rows.
    pub(crate) fn finish(self) -> (Gate, Option<f64>, Option<f64>) {
        let Self { mut gate, customers, rows, alike, gained_micro, .. } = self;
        gate.judge_customers(&customers.judged());
        let with_rows = |of: f64| (rows > 0).then_some(of);
        (gate, with_rows(alike as f64 / rows as f64), with_rows(gained_micro))
    }
}

/// At which rate pacing lets shows of the campaign pass, as far as the log shows it.
///
/// A decision by exploration does not have it, so that the newest before it in the log is taken: 1 before the first.
struct Pace {
    newest: f64,
    /// For ads shown by exploration that wait for their label, the rate when the log came to them: at most as many as the joiner
    /// holds back.
    waiting: HashMap<DecisionId, f64>,
}

impl Pace {
    fn note(&mut self, facts: &Facts, slot: u16) {
        let is_its_own = facts.campaign == Some(slot);
        match &facts.coins {
            Coins::Pacing(of) => {
                let rate = of.iter().find(|(other, _)| *other == slot).map(|(_, rate)| Rate(*rate).value());
                self.newest = rate.unwrap_or(self.newest);
            }
            Coins::Exploration(_) if facts.reason.shows() && is_its_own => {
                self.waiting.insert(facts.id, self.newest);
            }
            Coins::None if is_its_own && facts.eligible => match facts.reason {
                Reason::LikelyToClick | Reason::HeldOut => self.newest = 1.0,
                Reason::Paced => self.newest = 0.0,
                _ => {}
            },
            _ => {}
        }
    }

    fn of(&mut self, id: DecisionId) -> f64 {
        self.waiting.remove(&id).unwrap_or(self.newest)
    }
}

/// What the seed's rule is told: customers by their hash, each with the newest of their decisions, the logarithm of the
/// probability that they click none of the ads that they were shown, and whether they clicked one.
pub(crate) struct Customers {
    /// Those with a hash below this are taken.
    below: u64,
    of: HashMap<u64, (i64, f64, bool)>,
}

impl Default for Customers {
    fn default() -> Self {
        Self { below: u64::MAX, of: HashMap::new() }
    }
}

impl Customers {
    pub(crate) fn add(&mut self, customer: IdRef<'_>, row: &GateRow) {
        let hash = StableHash::with_key(CUSTOMER_KEY).id(customer).finish();
        if hash >= self.below {
            return;
        }
        let (newest_ms, log_none, clicked) = self.of.entry(hash).or_insert((row.decided_ms, 0.0, false));
        *newest_ms = row.decided_ms.max(*newest_ms);
        if row.shown && !row.voided {
            *log_none += (-row.probability).ln_1p();
            *clicked |= row.clicked;
        }
        while self.of.len() > MOST_CUSTOMERS {
            self.below /= 2;
            let below = self.below;
            self.of.retain(|hash, _| *hash < below);
        }
    }

    pub(crate) fn judged(&self) -> Vec<Customer> {
        let judged = |(time_ms, log_none, clicked): &(i64, f64, bool)| {
            let log_odds = (-log_none.exp_m1()).ln() - log_none;
            let score = log_odds.clamp(-MOST_LOG_ODDS, MOST_LOG_ODDS);
            Customer { time_ms: *time_ms, score, clicked: *clicked }
        };
        self.of.values().map(judged).collect()
    }
}
