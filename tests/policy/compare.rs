//! The engine and the model, step by step, and the smallest history in which they differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::documents;
use crate::engine::Subject;
use crate::frequencies::Frequencies;
use crate::model::{Answer, Expected, Logged, Model};
use crate::steps::{FIRST_CHANGE, Steps};
use crate::world::{Act, Document, Ms, Setting, Step};

/// Reports are compared after so many steps.
const STEPS_PER_REPORT: usize = 25;

/// Runs that are made to find a smaller history.
const TRIES: usize = 1500;

/// What a run has seen.
#[derive(Debug, Default)]
pub struct Tally {
    pub steps: usize,
    pub reasons: BTreeMap<String, usize>,
    /// Coins by the probabilities that the model gives, and by those that the log has.
    pub coins: Frequencies,
    pub logged_coins: Frequencies,
    pub logged: usize,
    pub kills: usize,
    pub refused_events: usize,
    pub reports: usize,
    pub returned: i64,
    pub overrun: i64,
    pub spent: i64,
}

/// Where they differ.
#[derive(Debug)]
pub struct Difference {
    /// How many steps it took.
    steps: usize,
    what: String,
    /// It was found in the log, behind all steps.
    is_in_log: bool,
    /// What the engine answered until then, by the numbers of the steps.
    answers: BTreeMap<usize, String>,
}

struct Run {
    model: Model,
    subject: Subject,
    answers: BTreeMap<usize, String>,
    /// By the numbers of their steps, those that are to be logged.
    decisions: BTreeMap<usize, Decided>,
}

/// A decision that was made.
#[derive(Debug)]
struct Decided {
    time: Ms,
    expected: Expected,
    answer: Answer,
}

/// What is wrong with what the log has of a decision.
fn compare_with_logged(decided: &Decided, logged: &Logged, tally: &mut Tally) -> Result<(), String> {
    let Decided { time, expected, answer } = decided;
    if (&logged.reason, &logged.campaign, logged.time) != (&answer.reason, &answer.campaign, *time) {
        return Err("it is another one".to_owned());
    }
    if Some(logged.eligible) != expected.eligible {
        return Err(format!("it must be eligible: {:?}", expected.eligible));
    }
    let sum: f64 = logged.propensities.values().sum();
    if (sum - 1.0).abs() > 1e-9 {
        return Err(format!("the propensities sum up to {sum}"));
    }
    let mut right = logged.propensities.clone();
    for outcome in &expected.outcomes {
        let action = outcome.campaign.clone().filter(|_| outcome.shows);
        let of = right.remove(&action).unwrap_or(0.0);
        if outcome.probability.is_some_and(|right| (right - of).abs() > 1e-9) {
            return Err(format!("the propensity of {action:?} is {of}, not {:?}", outcome.probability));
        }
        let hit = outcome.is_of(answer);
        if hit && of <= 0.0 {
            return Err(format!("{action:?} had no chance"));
        }
        tally.logged_coins.count(of, hit);
    }
    match right.into_iter().find(|(_, of)| *of > 0.0) {
        Some((action, of)) => Err(format!("the propensity of {action:?} is {of}, which is impossible")),
        None => Ok(()),
    }
}

impl Run {
    fn new(setting: &Setting) -> Self {
        let subject = Subject::new(setting);
        let model = Model::new(setting.clone(), subject.scorers());
        Self { model, subject, answers: BTreeMap::new(), decisions: BTreeMap::new() }
    }

    fn difference(&mut self, steps: usize, what: String, is_in_log: bool) -> Difference {
        Difference { steps, what, is_in_log, answers: std::mem::take(&mut self.answers) }
    }

    /// One step of both; what differs.
    fn step(&mut self, step: &Step, tally: &mut Tally) -> Result<(), String> {
        if step.act != Act::Kill {
            self.subject.pass_time(step.wall);
        }
        match &step.act {
            Act::Kill => {
                self.subject.restart(step.number);
                tally.kills += 1;
            }
            Act::Change(document) => {
                self.subject.change(&document.toml(), step.wall)?;
                self.model.document = document.clone();
            }
            Act::Event(event) => {
                let accepted = self.subject.event(event, step.wall);
                let expected = self.model.event(event, step.wall);
                tally.refused_events += usize::from(!accepted);
                if accepted != expected {
                    return Err(format!("it was {}", if accepted { "taken" } else { "refused" }));
                }
            }
            // In a history that was made smaller the campaign may be missing.
            Act::Decide { preview: Some(id), .. } if !self.model.document.has(id) => {}
            Act::Decide { customer, dry_run, preview } => {
                let expected = self.model.decide(*customer, preview.as_deref(), step.wall);
                let answer = self.subject.decide(step, *customer, *dry_run, preview.as_deref());
                let named = answer.campaign.as_deref().unwrap_or("no campaign");
                self.answers.insert(step.number, format!("{} by {named}", answer.reason));
                let both = format!("\n  the engine: {answer:?}\n  the model:  {expected:?}");
                self.compare(step, expected, answer, tally).map_err(|what| what + &both)?;
            }
        }
        if step.number.is_multiple_of(STEPS_PER_REPORT) {
            self.compare_reports(step, tally)?;
        }
        Ok(())
    }

    fn compare(
        &mut self,
        step: &Step,
        expected: Expected,
        answer: Answer,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let Act::Decide { customer, dry_run, preview } = &step.act else { return Ok(()) };
        *tally.reasons.entry(answer.reason.clone()).or_default() += 1;
        if let Some(named) = &answer.campaign
            && let Some(score) = answer.score
        {
            let right = self.model.score_of(named, *customer, step.wall);
            if right != Some(score) {
                return Err(format!("the score is {score}, not {right:?}"));
            }
        }
        for outcome in expected.outcomes.iter() {
            tally.coins.count(outcome.probability.unwrap_or(0.0), outcome.is_of(&answer));
        }
        self.model.decided(step, &expected, &answer)?;
        if expected.eligible.is_some() && !dry_run && preview.is_none() {
            let time = self.model.now(step.wall);
            self.decisions.insert(step.number, Decided { time, expected, answer });
        }
        Ok(())
    }

    /// Every decision is in the log once, as it was.
    fn compare_logged(&mut self, tally: &mut Tally) -> Result<(), String> {
        let Some(mut logged) = self.subject.logged() else { return Ok(()) };
        for (step, decided) in &self.decisions {
            let found =
                logged.remove(step).ok_or_else(|| format!("the decision of step {step} is not logged"))?;
            compare_with_logged(decided, &found, tally)
                .map_err(|what| format!("of step {step}, in the log: {what}\n  {found:?}\n  {decided:?}"))?;
            tally.logged += 1;
        }
        match logged.keys().next() {
            Some(step) => Err(format!("the decision of step {step} is logged")),
            None => Ok(()),
        }
    }

    fn compare_reports(&self, step: &Step, tally: &mut Tally) -> Result<(), String> {
        let now = self.model.now(step.wall);
        for campaign in &self.model.document.campaigns {
            let (says, right) =
                (self.subject.report(&campaign.id, step.wall), self.model.money.sums(&campaign.id, now));
            tally.reports += 1;
            if says != right {
                return Err(format!("the report of {} is {says:?}, not {right:?}", campaign.id));
            }
        }
        Ok(())
    }

    fn finish(&self, tally: &mut Tally, wall: i64) {
        let now = self.model.now(wall);
        for campaign in &self.model.document.campaigns {
            let sums = self.model.money.sums(&campaign.id, now);
            tally.returned += sums.returned;
            tally.overrun += sums.overrun;
            tally.spent += sums.spent;
        }
    }
}

/// Plays steps on both, and looks into the log behind them or not.
fn replay(setting: &Setting, steps: &[Step], with_log: bool) -> Option<Difference> {
    let (mut run, mut tally) = (Run::new(setting), Tally::default());
    let mut differs = |(place, step): (usize, &Step)| {
        let what = run.step(step, &mut tally).err()?;
        Some(run.difference(place + 1, what, false))
    };
    let found = steps.iter().enumerate().find_map(&mut differs);
    found.or_else(|| {
        let what = run.compare_logged(&mut Tally::default()).err().filter(|_| with_log)?;
        Some(run.difference(steps.len(), what, true))
    })
}

/// So many steps that follow from a seed.
///
/// # Panics
/// The engine and the model differ; the message is a history in which they do.
pub fn run(seed: u64, count: usize, setting: &Setting, tally: &mut Tally) {
    let (mut run, mut all) = (Run::new(setting), Vec::new());
    let mut steps = Steps::new(seed, setting.by_events);
    for _ in 0..count {
        let step = steps.next(&run.model);
        let compared = run.step(&step, tally);
        all.push(step);
        if let Err(what) = compared {
            let found = run.difference(all.len(), what, false);
            panic!("seed {seed}, {setting:?}: {}", told(setting, all, found));
        }
    }
    if let Err(what) = run.compare_logged(tally) {
        let found = run.difference(all.len(), what, true);
        panic!("seed {seed}, {setting:?}: {}", told(setting, all, found));
    }
    tally.steps += count;
    run.finish(tally, all.last().map_or(0, |step| step.wall));
}

/// Changes that leave a document with less in it.
const SIMPLER: [fn(&mut Document, usize); 18] = [
    |document, at| drop(document.campaigns.remove(at)),
    |document, _| document.caps.clear(),
    |document, _| document.holdout_all = 0.0,
    |document, at| document.campaigns[at].caps.clear(),
    |document, at| document.campaigns[at].hours.clear(),
    |document, at| document.campaigns[at].weekdays = (0..7).collect(),
    |document, at| document.campaigns[at].start = None,
    |document, at| document.campaigns[at].end = None,
    |document, at| document.campaigns[at].signed_up = None,
    |document, at| document.campaigns[at].after_impression_s = None,
    |document, at| document.campaigns[at].after_click_s = None,
    |document, at| document.campaigns[at].after_upgrade_s = None,
    |document, at| document.campaigns[at].daily = None,
    |document, at| document.campaigns[at].total = None,
    |document, at| document.campaigns[at].holdout = 0.0,
    |document, at| document.campaigns[at].exploration = 0.0,
    |document, at| document.campaigns[at].pacing = "none",
    |document, at| document.campaigns[at].bills_impressions = false,
];

/// The smallest history that is found in which they still differ. Coins fall otherwise each time, so that a smaller one may
/// be missed.
fn told(setting: &Setting, mut steps: Vec<Step>, mut found: Difference) -> String {
    eprintln!("they differ after {} steps: {}; looking for a smaller history", found.steps, found.what);
    let with_log = found.is_in_log;
    steps.truncate(found.steps);
    let (mut tries, mut chunk) = (0, steps.len() / 2);
    while chunk > 0 && tries < TRIES {
        // The clock of events depends on who is heard of first.
        let mut from = if setting.by_events { FIRST_CHANGE } else { 0 };
        while from < steps.len() && tries < TRIES {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + chunk).min(steps.len()));
            tries += 1;
            match replay(setting, &fewer, with_log) {
                Some(difference) => {
                    fewer.truncate(difference.steps);
                    (steps, found) = (fewer, difference);
                }
                None => from += chunk,
            }
        }
        chunk /= 2;
    }
    // The same with fewer campaigns, and with keys left out.
    for place in 0..steps.len() {
        let Act::Change(document) = &steps[place].act else { continue };
        let mut document = document.clone();
        for simpler in SIMPLER {
            for campaign in 0..document.campaigns.len() {
                let mut less = document.clone();
                if campaign >= less.campaigns.len() {
                    break;
                }
                simpler(&mut less, campaign);
                documents::put_right(&mut less);
                let mut fewer = steps.clone();
                fewer[place].act = Act::Change(less.clone());
                if let Some(difference) = replay(setting, &fewer, with_log) {
                    (document, steps, found) = (less, fewer, difference);
                }
            }
        }
    }
    steps.truncate(found.steps);
    let mut text = format!("they differ after {} steps: {}\n", steps.len(), found.what);
    for step in &steps {
        let answer = found.answers.get(&step.number).map_or("", String::as_str);
        let _ = writeln!(text, "{step}  {answer}");
    }
    text
}
