//! After a drift in a service where clicks come in plenty: the whole way from the first decision of the new habit to the promotion, with
//! the training that a server does.
//!
//! What is assumed of the service is written here, and nothing else:
//!
//! - 300 customers ask 33 times a day in the mean, before each track. A show costs 0.11, a click is worth 0.50: shows pay above a
//!   probability of 0.22.
//! - Customers like two things, each by a number from 0 to 1, of which one decides how likely they are to click, from 10 to 42 of 100 ads;
//!   the other says nothing of it. The drift exchanges the two at once. Models see shares of the last forty plays.
//! - At most 24 ads a customer and day; a tenth of the customers is held out. Whom the champion thinks likely is shown the ad with the
//!   pacing rate, 0.9. Whom it thinks unlikely gets one toss a customer and day, of 5 %.
//! - The log begins with 10,000 ads of the old habit, and the champion was trained on ads shown to everybody. Labels are known at once.
//! - Every 1,000 decisions, where there is no challenger, a candidate is trained on what the log has and held against the champion from
//!   then on. The gate is asked every 100 decisions; a challenger stays for at most 10,000.

use std::ops::Range;

use upbeat_core::event::{DecisionId, IdRef};
use upbeat_core::feature::{Counts, FEATURE_COUNT};
use upbeat_core::profile::Window;
use upbeat_simulate::Rng;
use upbeat_svm::{Model, Scorer};

use super::super::*;
use super::world::{SHOWN, seeds};
use crate::judging::Customers;
use crate::training::{Example, OFFERED, Plan, gain, train};

const COST_MICRO: i64 = 110_000;
const VALUE_MICRO: i64 = 500_000;
const BREAK_EVEN: f64 = COST_MICRO as f64 / VALUE_MICRO as f64;
const CUSTOMERS: u32 = 300;
const ASKED_A_DAY: i64 = 33;
const CAP_A_DAY: u32 = 24;
const PACE: f64 = 0.9;
const EXPLORATION: f64 = 0.05;
const OLD_ADS: u64 = 10_000;
const RETRAIN_EVERY: i64 = 1_000;
const ASK_EVERY: i64 = 100;
const MAX_AGE: i64 = 10_000;
/// Decisions within which a candidate is to be promoted, and those after which a run ends.
const WITHIN: i64 = 20_000;
const END: i64 = 60_000;

fn click_probability(liking: f64) -> f64 {
    0.1 + 0.32 * ((liking - 0.2) / 0.6).clamp(0.0, 1.0)
}

/// A decision of the log: what models see of the customer, and its row without what they say.
#[derive(Clone, Copy)]
struct Logged {
    customer: u32,
    counts: Counts,
    row: Row,
}

impl Logged {
    fn example(&self) -> Option<Example> {
        let Row { decided_ms, shown, clicked, propensity, .. } = self.row;
        shown.then(|| Example {
            time_ms: decided_ms,
            id: DecisionId(decided_ms.unsigned_abs()),
            counts: self.counts,
            clicked,
            weight: 1.0 / propensity,
        })
    }
}

struct Service {
    rng: Rng,
    likings: Vec<[f64; 2]>,
    deciding: usize,
    /// Decisions since the drift; the clock, which is below 0 before it.
    now: i64,
    /// By customer, the day of the newest show and how many there were on it, and the day of the newest toss.
    shows: Vec<(i64, u32)>,
    tossed: Vec<i64>,
}

impl Service {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let likings = (0..CUSTOMERS).map(|_| [rng.unit(), rng.unit()]).collect();
        let never = vec![-1; CUSTOMERS as usize];
        let shows = vec![(-1, 0); CUSTOMERS as usize];
        Self { rng, likings, deciding: 0, now: 0, shows, tossed: never }
    }

    /// Who asks, what models see of them, and how probable a click is.
    fn asking(&mut self) -> (u32, Counts, f64) {
        let customer = self.rng.below(CUSTOMERS);
        let likings = self.likings[customer as usize];
        let mut parts = [0; FEATURE_COUNT];
        for _ in 0..40 {
            parts[usize::from(!self.rng.chance(likings[0]))] += 1;
            parts[4] += u16::from(self.rng.chance(likings[1]));
            parts[5] += u16::from(self.rng.chance(0.8));
        }
        (customer, Counts { plays: 40, parts }, click_probability(likings[self.deciding]))
    }

    fn show(&mut self, customer: u32, counts: Counts, truth: f64, propensity: f64, shown: bool) -> Logged {
        let clicked = shown && self.rng.chance(truth);
        let (cost_micro, value_micro) = (COST_MICRO, VALUE_MICRO);
        let row = Row { decided_ms: self.now, propensity, shown, clicked, cost_micro, value_micro, ..SHOWN };
        Logged { customer, counts, row }
    }

    /// An ad that everybody is shown with the pacing rate.
    fn shown_to_anybody(&mut self) -> Logged {
        let (customer, counts, truth) = self.asking();
        self.show(customer, counts, truth, PACE, true)
    }

    /// The next decision, if it is eligible.
    fn decide(&mut self, champion: &Scorer) -> Option<Logged> {
        self.now += 1;
        let day = self.now / (ASKED_A_DAY * i64::from(CUSTOMERS));
        let (customer, counts, truth) = self.asking();
        let place = customer as usize;
        let shows = if self.shows[place].0 == day { self.shows[place].1 } else { 0 };
        if customer < CUSTOMERS / 10 || shows == CAP_A_DAY {
            return None;
        }
        let is_likely = probability(champion, &counts) > BREAK_EVEN;
        if !is_likely && std::mem::replace(&mut self.tossed[place], day) == day {
            return None;
        }
        let propensity = if is_likely { PACE } else { EXPLORATION };
        let shown = self.rng.chance(propensity);
        if shown {
            self.shows[place] = (day, shows + 1);
        }
        Some(self.show(customer, counts, truth, propensity, shown))
    }
}

fn probability(scorer: &Scorer, counts: &Counts) -> f64 {
    scorer.probability(scorer.score(&counts.vector().expect("plays"))).expect("a calibration")
}

/// A candidate that a job would offer, and its newest training row; of a champion, where there is one, it must be better on ads that it
/// has not seen.
fn trained(log: &[Logged], seed: u64, champion: Option<&Scorer>) -> Option<(Model, i64)> {
    let plan = Plan { window: Window { plays: 256, days: 28 }, seed, last: None };
    let examples: Vec<Example> = log.iter().filter_map(Logged::example).collect();
    let candidate = train(examples.clone(), &plan).ok()?;
    let scorer = Scorer::new(&candidate.model);
    let unseen = examples.iter().filter(|of| of.time_ms >= candidate.unseen_from_ms);
    let shows = |scorer: &Scorer, counts: &Counts| probability(scorer, counts) > BREAK_EVEN;
    let is_better = champion.is_none_or(|champion| {
        let (gain, error) = gain(unseen, (COST_MICRO, VALUE_MICRO), |counts| {
            (shows(&scorer, counts), shows(champion, counts))
        });
        gain > OFFERED * error
    });
    is_better.then_some((candidate.model, candidate.trained_until_ms))
}

/// A candidate that is held against the champion.
struct Challenger {
    scorer: Scorer,
    gate: Gate,
    customers: Customers,
    fixed: i64,
}

impl Challenger {
    fn new(number: u32, model: &Model, trained_until_ms: i64, fixed: i64) -> Self {
        let settings = Settings { max_weight: 1.0 / EXPLORATION, max_age_ms: MAX_AGE, ..Settings::default() };
        let (cost_micro, value_micro) = (COST_MICRO, VALUE_MICRO);
        let challenge = Challenge { number, trained_until_ms, fixed_ms: fixed, cost_micro, value_micro };
        let gate = Gate::new(settings, challenge).expect("sound settings");
        Self { scorer: Scorer::new(model), gate, customers: Customers::default(), fixed }
    }

    fn observe(&mut self, logged: &Logged, champion: &Scorer) {
        let rate = |scorer: &Scorer| {
            let of = probability(scorer, &logged.counts);
            (if of > BREAK_EVEN { PACE } else { 0.0 }, of)
        };
        let (candidate_shows, probability) = rate(&self.scorer);
        let (champion_shows, _) = rate(champion);
        let row = Row { candidate_shows, champion_shows, probability, ..logged.row };
        if matches!(self.gate.observe(&row), Taken::HeldOut | Taken::Counted) {
            self.customers.add(IdRef::Number(logged.customer.into()), &row);
        }
    }

    fn standing(&mut self, now: i64) -> Standing {
        self.gate.judge_customers(&self.customers.judged());
        self.gate.standing(now)
    }
}

/// What one run came to: decisions after the drift until a promotion, and after its candidate was fixed.
#[derive(Debug, Default)]
struct Found {
    promoted: Vec<(i64, i64)>,
    runs: u64,
    challengers: u64,
    /// Those promoted that earn less than the champion does under the new habit.
    worse: u64,
    failed: [u64; Check::ALL.len()],
}

/// What a policy earns a decision, by the truth, in micro-units, with everybody asking alike.
fn value(service: &mut Service, scorer: &Scorer) -> f64 {
    let earned = (0..20_000).map(|_| {
        let (_, counts, truth) = service.asking();
        let shows = probability(scorer, &counts) > BREAK_EVEN;
        if shows { truth * VALUE_MICRO as f64 - COST_MICRO as f64 } else { 0.0 }
    });
    earned.sum::<f64>() / 20_000.0
}

fn run(seed: u64, end: i64, found: &mut Found) {
    let mut service = Service::new(seed);
    let mut log = Vec::new();
    for number in 0..OLD_ADS as i64 {
        service.now = number - OLD_ADS as i64;
        log.push(service.shown_to_anybody());
    }
    let (model, _) = trained(&log, seed, None).expect("clicks in plenty");
    let champion = Scorer::new(&model);
    (service.deciding, service.now) = (1, 0);
    let (mut number, mut challenger): (u32, Option<Challenger>) = (1, None);
    found.runs += 1;
    while service.now < end {
        if let Some(logged) = service.decide(&champion) {
            log.push(logged);
            challenger.iter_mut().for_each(|challenger| challenger.observe(&logged, &champion));
        }
        if challenger.is_none()
            && service.now % RETRAIN_EVERY == 0
            && let Some((model, trained_until_ms)) = trained(&log, seed, Some(&champion))
        {
            let mut new = Challenger::new(number, &model, trained_until_ms, service.now);
            log.iter().for_each(|logged| new.observe(logged, &champion));
            found.challengers += 1;
            challenger = Some(new);
        }
        if service.now % ASK_EVERY != 0 {
            continue;
        }
        let Some(of) = &mut challenger else { continue };
        match of.standing(service.now) {
            Standing::Stays => {}
            Standing::Futile | Standing::TooOld => {
                if seed == 1 {
                    of.gate.verdicts().iter().for_each(|of| eprintln!("  {:?}: {}", of.outcome, of.sentence));
                }
                (number, challenger) = (number + 1, None);
            }
            Standing::Promote => {
                found.promoted.push((service.now, service.now - of.fixed));
                let scorer = of.scorer.clone();
                let [new, old] = [&scorer, &champion].map(|scorer| value(&mut service, scorer));
                found.worse += u64::from(new <= old);
                return;
            }
        }
    }
    if let Some(of) = challenger {
        for (failed, verdict) in found.failed.iter_mut().zip(of.gate.verdicts()) {
            *failed += u64::from(verdict.outcome == Outcome::Failed);
        }
        if seed == 2 {
            of.gate.verdicts().iter().for_each(|of| eprintln!("  {:?}: {}", of.outcome, of.sentence));
        }
    }
}

fn runs(seeds: Range<u64>, end: i64) -> Found {
    let mut found = Found::default();
    seeds.for_each(|seed| run(seed, end, &mut found));
    found.promoted.sort_unstable();
    let median = found.promoted.get(found.promoted.len() / 2);
    let [of_drift, of_fixing] = found.soon();
    eprintln!(
        "gate, clicks in plenty: of {} runs {of_drift} promoted within {WITHIN} decisions of the drift, {} within {end}, {of_fixing} of them \
         within {WITHIN} decisions of the fixing; the median after {median:?} (of the drift, of the fixing); {} of them worse; {} challengers; \
         at the end of the others failed {:?}",
        found.runs,
        found.promoted.len(),
        found.worse,
        found.challengers,
        found.failed
    );
    found
}

impl Found {
    /// How many were promoted within 20,000 decisions of the drift, and within as many of the fixing.
    fn soon(&self) -> [usize; 2] {
        let is_soon =
            |of: fn(&(i64, i64)) -> i64| self.promoted.iter().filter(|run| of(run) <= WITHIN).count();
        [is_soon(|run| run.0), is_soon(|run| run.1)]
    }
}

/// One of those runs that are promoted early; the next test says how many are.
#[test]
fn candidate_trained_after_a_drift_is_promoted_and_is_better_where_clicks_come_in_plenty() {
    let found = runs(9..10, WITHIN);
    assert!(found.promoted.len() == 1 && found.worse == 0, "{found:?}");
}

#[test]
#[ignore = "`just gate`: two hundred drifts"]
fn candidates_are_promoted_where_clicks_come_in_plenty() {
    let found = runs(seeds(0..200), END);
    assert!(found.soon()[1] as u64 * 10 >= found.runs * 8 && found.worse == 0, "{found:?}");
}
