//! The engine under test, in the words of the model.

use std::collections::BTreeMap;
use std::sync::Arc;

use upbeat_core::campaign::{Document, Label, Served, Slot};
use upbeat_core::event::{self, ClickOf, DecisionId, EventKind, Id, ImpressionOf, Membership, Time};
use upbeat_core::feedback::FeedbackPeriods;
use upbeat_core::profile::Window;
use upbeat_engine::campaigns::{NewCampaigns, parse};
use upbeat_engine::storage::{self, Opened, Options};
use upbeat_engine::{Ask, Clock, Engine, Entry, Facts, Settings};
use upbeat_journal::Memory;
use upbeat_journal::disk::simulated::{Dice, SimulatedDisk};
use upbeat_svm::{Model as Svm, Scorer};

use crate::documents::MODELS;
use crate::model::{Answer, Logged, Sums};
use crate::world::{Event, Kind, Level, MINUTE, Ms, Setting, Step};

/// Linear models over the six shares, calibrated; scores are above and below 0 about equally often.
fn svm(name: &str) -> Svm {
    let (weights, bias) = match name {
        "default" => ([0.0, 0.0, 0.0, 0.0, 6.0, 0.0], -3.0),
        "of-mornings" => ([4.0, -1.0, 2.0, -3.0, 0.5, 0.0], -0.4),
        _ => ([0.0, 0.0, 0.0, 0.0, -1.0, 5.0], -2.0),
    };
    let mut file: serde_json::Value =
        serde_json::from_str(include_str!("../../model/default.json")).expect("a model");
    file["weights"] = serde_json::json!(weights);
    file["bias"] = serde_json::json!(bias);
    file["scaling"] = serde_json::json!({"mean": vec![0.0; 6], "scale": vec![1.0; 6]});
    file["calibration"] = serde_json::json!({"a": -1.5, "b": 0.3});
    Svm::read(file.to_string().as_bytes()).expect("a model")
}

/// The models that campaigns name.
pub fn models() -> Vec<Served> {
    let served = |name: &&str| {
        let model = svm(name);
        let id = model.id().to_owned();
        Served::new(*name, id, Label::Impression, Arc::new(model))
    };
    MODELS.iter().map(served).collect()
}

/// Settings of a small engine.
pub fn settings(setting: &Setting) -> Settings {
    Settings {
        window: Window { plays: setting.window_plays as u32, days: setting.window_days as u32 },
        clock: if setting.by_events { Clock::Event } else { Clock::Wall },
        feedback: FeedbackPeriods::default(),
        max_future_ms: 5 * MINUTE,
        expected_customers: 0,
        max_customers: 1 << 20,
        max_profile_bytes: 1 << 30,
        max_retry_bytes: 1 << 20,
        max_tracks: 1,
        max_tombstones: 1,
        first_decision: 1,
    }
}

pub fn text(text: &str) -> Id {
    Id::parse(text).expect("an id")
}

/// What an entry of the log says of a decision.
fn facts_of(entry: Entry) -> Option<Facts<'static>> {
    match entry {
        Entry::Decided { facts, .. } | Entry::ShownInPlan { facts, .. } => Some(*facts),
        _ => None,
    }
}

pub struct Subject {
    setting: Setting,
    engine: Engine,
    /// In a run that keeps something.
    kept: Option<Kept>,
    models: Vec<Served>,
    decisions: BTreeMap<usize, DecisionId>,
}

/// The log of an engine, and what of it outlives the process.
struct Kept {
    disk: SimulatedDisk,
    lanes: Vec<Memory>,
    log: Opened<SimulatedDisk>,
}

impl Kept {
    /// Everything that was published is durable.
    fn flush(&mut self, engine: &Engine) {
        while engine.durable() < engine.barrier() {
            self.log.writer.step().expect("the disk is good");
        }
    }
}

const LANE_BYTES: usize = 256 << 10;

/// A new process on a directory.
fn opened(engine: &Engine, disk: &SimulatedDisk, lanes: &[Memory], seed: u64) -> Opened<SimulatedDisk> {
    let journal = upbeat_journal::Options { segment_bytes: 1 << 20, group_bytes: 64 << 10, sync: true };
    let mut dice = Dice::new(seed);
    let random = Box::new(move || dice.draw());
    let options = Options { journal, threads: 1 };
    storage::open(engine, Arc::new(disk.clone()), lanes.to_vec(), options, random, &|_| {}).expect("it opens")
}

impl Subject {
    pub fn new(setting: &Setting) -> Self {
        let (engine, models) = (Engine::new(settings(setting), Document::default()), models());
        let kept = setting.seed_of_log.map(|seed| {
            let (disk, lanes) =
                (SimulatedDisk::new(seed, 1 << 30), vec![Memory::anonymous(4096 + LANE_BYTES)]);
            let log = opened(&engine, &disk, &lanes, seed);
            Kept { disk, lanes, log }
        });
        engine.serve_models(&models).expect("the models serve");
        Self { setting: setting.clone(), engine, kept, models, decisions: BTreeMap::new() }
    }

    /// The process is killed, and another one begins with what is on the disk and in the memory of the lanes.
    pub fn restart(&mut self, number: usize) {
        let Some(kept) = &mut self.kept else { return };
        kept.disk.kill();
        let engine = Engine::new(settings(&self.setting), Document::default());
        kept.log = opened(&engine, &kept.disk, &kept.lanes, number as u64);
        engine.serve_models(&self.models).expect("the models serve");
        self.engine = engine;
    }

    /// What happens each second; what was published becomes durable, and with it the leases of budgets, which are extended by what is
    /// durable of the shows.
    pub fn pass_time(&mut self, wall: Ms) {
        let Self { engine, kept, .. } = self;
        kept.iter_mut().for_each(|kept| kept.flush(engine));
        engine.tick(wall);
        kept.iter_mut().for_each(|kept| kept.flush(engine));
    }

    pub fn scorers(&self) -> BTreeMap<String, Arc<Scorer>> {
        self.models.iter().map(|served| (served.name.clone(), Arc::clone(&served.scorer))).collect()
    }

    pub fn change(&mut self, toml: &str, wall: Ms) -> Result<(), String> {
        let document = parse(toml).map_err(|invalid| invalid.to_string())?;
        let models = self.models.clone();
        let new = NewCampaigns { toml: toml.to_owned(), document, who: "test".to_owned(), models };
        self.engine.set_campaigns(new, wall).map(drop).map_err(|error| error.to_string())
    }

    /// Whether an event is taken.
    pub fn event(&mut self, event: &Event, wall: Ms) -> bool {
        // One that nobody gave stands for those that were left out.
        let of = |step: &usize| self.decisions.get(step).copied().unwrap_or(DecisionId(77));
        let level = |level: Level| [Membership::Free, Membership::Silver, Membership::Gold][level as usize];
        let kind = match &event.kind {
            Kind::Play { track, mobile } => EventKind::Play { track: Id::Number(*track), mobile: *mobile },
            Kind::ClickOn { ad } => EventKind::Click { of: ClickOf::Ad(text(ad)) },
            Kind::ClickOf { step } => {
                EventKind::Click { of: ClickOf::Decision { decision: of(step), ad: None } }
            }
            Kind::ImpressionOn { campaign } => EventKind::Impression(ImpressionOf::Campaign(text(campaign))),
            Kind::ImpressionOf { step } => EventKind::Impression(ImpressionOf::Decision(of(step))),
            Kind::VoidOf { step } => EventKind::Void { decision: of(step) },
            Kind::Level(of) | Kind::SignedUp(of) => EventKind::Membership(level(*of)),
        };
        let is_of_file = matches!(event.kind, Kind::SignedUp(_));
        let id = if is_of_file { text(event::CUSTOMER_FILE_ID) } else { Id::Number(event.number) };
        let customer = Id::Number(event.customer as u64);
        let event = event::Event { customer, id, time: Time::from_unix_ms(event.time), kind };
        self.engine.apply(event, wall).is_ok()
    }

    pub fn decide(&mut self, step: &Step, customer: usize, dry_run: bool, preview: Option<&str>) -> Answer {
        let ask = Ask { dry_run, preview: preview.map(text), request_id: None };
        let decision = self.engine.decide(&Id::Number(customer as u64), &ask, step.wall).expect("an answer");
        if !dry_run && preview.is_none() {
            self.decisions.insert(step.number, decision.id);
        }
        let running = self.engine.running();
        let campaign = decision.campaign.and_then(|slot| running.campaign(slot));
        Answer {
            reason: decision.reason.name().to_owned(),
            campaign: campaign.map(Id::to_string),
            score: decision.score.map(|score| score.value),
        }
    }

    /// What the log has of decisions, by the numbers of their steps; `None` where there is no log.
    pub fn logged(&mut self) -> Option<BTreeMap<usize, Logged>> {
        // What shows nothing waits for more of its kind; at a start all of it is written.
        self.restart(0);
        let kept = self.kept.as_ref()?;
        let steps: BTreeMap<DecisionId, usize> =
            self.decisions.iter().map(|(step, decision)| (*decision, *step)).collect();
        let running = self.engine.running();
        let name = |slot: u16| running.campaign(Slot(slot)).expect("a campaign").to_string();
        let mut logged = BTreeMap::new();
        let visit = &mut |_, entry| {
            let Some(facts) = facts_of(entry) else { return Ok(()) };
            let (none, shows) = facts.propensities();
            let shows = shows.into_iter().map(|(slot, probability)| (Some(name(slot)), probability));
            let decision = Logged {
                reason: facts.reason.name().to_owned(),
                campaign: facts.campaign.map(name),
                time: facts.time_ms,
                eligible: facts.eligible,
                propensities: shows.chain([(None, none)]).collect(),
            };
            let step = steps.get(&facts.id).ok_or("a decision that nobody was answered")?;
            match logged.insert(*step, decision) {
                Some(_) => Err("a decision is there twice".to_owned()),
                None => Ok(()),
            }
        };
        storage::history(Arc::new(kept.disk.clone()), visit).unwrap_or_else(|error| panic!("{error}"));
        Some(logged)
    }

    /// What the report of a campaign says of all days.
    pub fn report(&self, campaign: &str, wall: Ms) -> Sums {
        // Reservations end when time is told, which is each second.
        self.engine.tick(wall);
        let report = self.engine.report(&text(campaign), i32::MIN, i32::MAX).expect("a report");
        Sums {
            reserved: report.reserved,
            spent: report.spent,
            returned: report.returned,
            overrun: report.overrun,
        }
    }
}
