use std::sync::Arc;

use upbeat_core::campaign::Single;
use upbeat_core::event::{Event, EventKind, ImpressionOf, Time};
use upbeat_core::profile::{Applied, Window};
use upbeat_journal::Memory;
use upbeat_journal::disk::simulated::{Dice, SimulatedDisk};
use upbeat_svm::Model;

use super::*;
use crate::{Clock, Rejection, Settings, storage};

const WALL_MS: i64 = 1_700_000_000_000;

fn engine() -> Engine {
    let settings = Settings {
        window: Window::default(),
        clock: Clock::Wall,
        max_future_ms: 300_000,
        expected_customers: 0,
        max_customers: 100,
        max_profile_bytes: 1 << 20,
        max_retry_bytes: 1 << 20,
        max_tracks: 2,
        max_tombstones: 10,
        first_decision: 1,
        feedback: upbeat_core::feedback::FeedbackPeriods::default(),
    };
    let single = Single { min_plays: 1, threshold: -1e9, ..Single::default() };
    let engine = Engine::new(settings, single.document());
    let model = Model::read(include_bytes!("../../../../model/default.json")).expect("a model");
    engine.promote(model).expect("it fits");
    engine
}

/// A document of one campaign with this id, shown to everybody with a play.
fn toml(id: &str) -> String {
    format!("[[campaign]]\nid = \"{id}\"\nad = \"AN_AD\"\nmin_plays = 1\nthreshold = {{ score = -1e9 }}\n")
}

fn new(toml: &str, who: &str) -> NewCampaigns {
    let document = parse(toml).expect("a document");
    NewCampaigns { toml: toml.to_owned(), document, who: who.to_owned(), models: Vec::new() }
}

fn event(id: u64, kind: EventKind) -> Event {
    Event { customer: Id::Number(48), id: Id::Number(id), time: Time::from_unix_ms(WALL_MS), kind }
}

fn play() -> Event {
    event(1, EventKind::Play { track: Id::Number(7), mobile: true })
}

fn opened(engine: &Engine, disk: &SimulatedDisk) -> storage::Opened<SimulatedDisk> {
    let journal = upbeat_journal::Options { segment_bytes: 64 << 10, group_bytes: 16 << 10, sync: true };
    let mut dice = Dice::new(7);
    let lanes = vec![Memory::anonymous(4096 + (64 << 10))];
    let options = storage::Options { journal, threads: 2 };
    storage::open(engine, Arc::new(disk.clone()), lanes, options, Box::new(move || dice.draw()), &|_| {})
        .expect("it is opened")
}

/// An engine that goes on with a copy of the disk, or with a snapshot of that.
fn reopened(disk: &SimulatedDisk, has_snapshot: bool) -> (Engine, storage::Opened<SimulatedDisk>) {
    let disk = disk.copy(2);
    let second = engine();
    let mut log = opened(&second, &disk);
    if !has_snapshot {
        return (second, log);
    }
    let written = log.snapshotter.write(&second, &mut |_| log.writer.step().is_ok());
    assert!(matches!(written, Ok(Some(_))), "{written:?}");
    let third = engine();
    let log = opened(&third, &disk.copy(3));
    assert!(log.recovered.snapshot_bytes > 0);
    (third, log)
}

/// The id of a decision that shows the ad.
fn shown(engine: &Engine) -> (upbeat_core::event::DecisionId, Option<Id>) {
    let decision = engine.decide_once(&Id::Number(48), false, WALL_MS);
    assert!(decision.reason.shows(), "{decision:?}");
    (decision.id, decision.campaign.and_then(|slot| engine.running().campaign(slot).cloned()))
}

#[test]
fn version_has_its_time_who_made_it_and_what_it_changed() {
    let engine = engine();
    assert_eq!((engine.campaigns().version, engine.campaign_file_digest()), (1, None));
    assert_eq!(engine.set_campaigns(new(&toml("b"), FILE), WALL_MS), Ok(2));
    assert_eq!(engine.campaign_file_digest(), Some(digest(&toml("b"))));
    let paused = toml("b") + "paused = true\n";
    assert_eq!(engine.set_campaigns(new(&paused, "anna"), WALL_MS + 1), Ok(3));
    // The file has not changed: whoever starts the server again does not undo what anna did.
    assert_eq!(engine.campaign_file_digest(), Some(digest(&toml("b"))));
    let last = engine.campaign_history().pop().expect("a version");
    let changed = vec!["b: paused false → true".to_owned()];
    let expected = CampaignVersion {
        version: 3,
        time_ms: WALL_MS + 1,
        who: "anna".into(),
        changed,
        digest: digest(&paused),
    };
    assert_eq!(last, expected);
    assert_eq!(engine.campaign_history()[1].changed, ["b added", "gold-one-day removed"]);
    assert_eq!(engine.set_campaigns(new(&paused, "anna"), WALL_MS + 2), Ok(3), "nothing is changed");
    assert_eq!(engine.campaign_history().len(), 3);
}

/// A model that ships, served under this name, with its id as decisions carry it.
fn served(name: &str, bytes: &[u8]) -> (Served, ModelId) {
    let model = Model::read(bytes).expect("a model");
    let (id, label) = (model.id().to_owned(), upbeat_core::model::label(&model));
    (Served::new(name, id.clone(), label, Arc::new(model)), ModelId::new(&id))
}

const ONE: &[u8] = include_bytes!("../../../../model/default.json");
const OTHER: &[u8] = include_bytes!("../../../../model/impression/gold-one-day.json");
const BETTER: &[u8] = include_bytes!("../../../../model/impression/facebook-like.json");

#[test]
fn model_that_changed_under_its_name_is_a_version_that_names_both_ids() {
    let engine = engine();
    let ((one, one_id), (other, other_id)) = (served(DEFAULT_MODEL, ONE), served(DEFAULT_MODEL, OTHER));
    assert_eq!(engine.set_models(std::slice::from_ref(&one), FILE, WALL_MS), Ok(1), "it is the present one");
    assert_eq!(engine.set_campaigns(new(&toml("b"), "anna"), WALL_MS), Ok(2));
    let before = engine.campaigns();
    assert_eq!(engine.set_models(std::slice::from_ref(&other), FILE, WALL_MS + 1), Ok(3));
    let last = engine.campaign_history().pop().expect("a version");
    let changed = vec![format!("model default: {one_id} → {other_id}")];
    let digest = before.digest;
    assert_eq!(last, CampaignVersion { version: 3, time_ms: WALL_MS + 1, who: FILE.into(), changed, digest });
    assert_eq!(engine.champion().expect("a model").id, other_id);
    // What a text changes stands behind the models that changed with it.
    let paused = toml("b") + "paused = true\n";
    let with_model = NewCampaigns { models: vec![one], ..new(&paused, "anna") };
    assert_eq!(engine.set_campaigns(with_model, WALL_MS + 2), Ok(4));
    let last = engine.campaign_history().pop().expect("a version");
    let expected = [format!("model default: {other_id} → {one_id}"), "b: paused false → true".into()];
    assert_eq!(last.changed, expected);
    // A model that no campaign names is none of theirs.
    let (unused, _) = served("unused", OTHER);
    assert_eq!(engine.set_models(&[unused], FILE, WALL_MS + 3), Ok(4));
}

#[test]
fn promoted_model_serves_its_campaign_alone_as_long_as_it_is_given_and_its_name_stays() {
    let engine = engine();
    let two = toml("a") + &toml("b");
    let two = two.replace("threshold = { score = -1e9 }\n", "threshold = \"profit\"\n");
    let ((named, named_id), (better, better_id)) = (served("other", OTHER), served("other", BETTER));
    let two = two.replace("threshold", "model = \"other\"\nthreshold");
    let with = |models: Vec<Served>, toml: &str| NewCampaigns { models, ..new(toml, "anna") };
    engine.set_campaigns(with(vec![named.clone()], &two), WALL_MS).expect("two campaigns");
    let model_of = |campaign: &str| {
        let current = engine.campaigns();
        let index = current.plan.find(&Id::Text(campaign.into())).expect("it runs");
        current.plan.campaigns[index].model.map(|model| current.models[model])
    };
    let promoted = better.only_for(Id::Text("b".into()));
    engine.try_model(&promoted).expect("it judges profit");
    assert_eq!(model_of("b"), Some(named_id), "that was a trial");
    assert!(!engine.has_recorded(std::slice::from_ref(&promoted)));
    assert_eq!(engine.set_models(std::slice::from_ref(&promoted), "gate", WALL_MS), Ok(3));
    assert!(engine.has_recorded(std::slice::from_ref(&promoted)));
    assert_eq!((model_of("a"), model_of("b")), (Some(named_id), Some(better_id)));
    let last = engine.campaign_history().pop().expect("a version");
    assert_eq!((last.changed, last.who), (vec![format!("b: model {named_id} → {better_id}")], "gate".into()));
    // The name's own model is read again: it is that of all others.
    engine.serve_models(std::slice::from_ref(&named)).expect("it fits");
    assert_eq!(engine.set_models(&[named.clone(), promoted.clone()], FILE, WALL_MS), Ok(3));
    assert_eq!(model_of("b"), Some(better_id));
    // Another campaign changes, and the promoted one keeps its model.
    let resting = two.clone() + "paused = true\n";
    assert_eq!(engine.set_campaigns(with(vec![promoted.clone()], &resting), WALL_MS), Ok(4));
    assert_eq!(model_of("b"), Some(better_id));
    // Where all that give a name have one, the name has none of its own, which is no change of it.
    let alone = toml("b").replace("threshold", "model = \"other\"\nthreshold");
    assert_eq!(engine.set_campaigns(with(vec![promoted.clone()], &alone), WALL_MS), Ok(5));
    let last = engine.campaign_history().pop().expect("a version");
    assert!(last.changed.iter().all(|change| !change.contains("model")), "{:?}", last.changed);
    let (customers, customers_id) = served(DEFAULT_MODEL, ONE);
    // Another name is another model.
    assert_eq!(engine.set_campaigns(with(vec![customers, promoted], &toml("b")), WALL_MS), Ok(6));
    assert_eq!(model_of("b"), Some(customers_id));
    let last = engine.campaign_history().pop().expect("a version");
    let changed =
        [format!("b: model {better_id} → {customers_id}"), "b: model \"other\" → \"default\"".into()];
    assert_eq!(last.changed, changed);
    // Without what was promoted the name means what it did.
    assert_eq!(engine.set_campaigns(with(vec![named], &alone), WALL_MS), Ok(7));
    assert_eq!(model_of("b"), Some(named_id));
}

#[test]
fn model_that_cannot_judge_what_a_campaign_asks_changes_nothing() {
    let engine = engine();
    let (other, _) = served("other", OTHER);
    let toml = toml("b") + "threshold = \"profit\"\nmodel = \"other\"\n";
    let toml = toml.replace("threshold = { score = -1e9 }\n", "");
    let with_model = NewCampaigns { models: vec![other], ..new(&toml, FILE) };
    assert_eq!(engine.set_campaigns(with_model, WALL_MS), Ok(2));
    let before = engine.campaigns();
    let (one, _) = served("other", ONE);
    let refused = engine.set_models(&[one], FILE, WALL_MS + 1).expect_err("it is of customers");
    let NotSet::Invalid(Invalid { path, line, .. }) = &refused else { panic!("{refused}") };
    assert_eq!((path.as_str(), *line), ("campaign[0].threshold", Some(5)), "{refused}");
    assert!(Arc::ptr_eq(&before, &engine.campaigns()));
    assert_eq!(engine.campaign_history().len(), 2);
}

#[test]
fn models_of_a_version_are_compared_with_those_of_the_next_start() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let first = engine();
    let mut log = opened(&first, &disk);
    let ((one, one_id), (other, other_id)) = (served(DEFAULT_MODEL, ONE), served(DEFAULT_MODEL, OTHER));
    assert_eq!(first.set_models(&[other], FILE, WALL_MS), Ok(2));
    while first.durable() < first.barrier() {
        log.writer.step().expect("the disk works");
    }
    for has_snapshot in [false, true] {
        // It begins with the model of before.
        let (second, log) = reopened(&disk, has_snapshot);
        assert_eq!(second.campaign_history(), first.campaign_history());
        for _ in 0..2 {
            assert_eq!(second.set_models(std::slice::from_ref(&one), FILE, WALL_MS + 1), Ok(3));
        }
        let last = second.campaign_history().pop().expect("a version");
        assert_eq!(last.changed, [format!("model default: {other_id} → {one_id}")]);
        drop(log);
    }
}

#[test]
fn version_that_did_not_say_its_models_is_taken_to_have_had_those_that_are_found() {
    let engine = engine();
    let (kept, history) = engine.kept_campaigns();
    assert!(kept.models.is_some());
    engine.adopt_campaigns(Some(KeptCampaigns { models: None, ..kept }), &[], history).expect("a document");
    let (other, _) = served(DEFAULT_MODEL, OTHER);
    assert_eq!(engine.set_models(std::slice::from_ref(&other), FILE, WALL_MS), Ok(1));
    let (one, _) = served(DEFAULT_MODEL, ONE);
    assert_eq!(engine.set_models(&[one], FILE, WALL_MS), Ok(2), "from then on they are known");
}

#[test]
fn wrong_document_changes_nothing() {
    let engine = engine();
    let before = engine.campaigns();
    let mut wrong = new(&toml("b"), "anna");
    wrong.document.campaign[0].model = "missing".into();
    let Err(NotSet::Invalid(Invalid { path, line, .. })) = engine.set_campaigns(wrong, WALL_MS) else {
        panic!("there is no such model")
    };
    assert_eq!((path.as_str(), line), ("campaign[0].model", Some(1)));
    assert!(Arc::ptr_eq(&before, &engine.campaigns()));
    assert_eq!(engine.campaign_history().len(), 1);
}

#[test]
fn campaigns_outlive_a_kill_and_ids_of_a_former_one_are_known_again() {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let first = engine();
    let mut log = opened(&first, &disk);
    first.apply(play(), WALL_MS).expect("a play");
    let (former, campaign) = shown(&first);
    assert_eq!(campaign, Some(Id::Text("gold-one-day".into())));
    assert_eq!(first.set_campaigns(new(&toml("b"), "anna"), WALL_MS), Ok(2));
    let (later, campaign) = shown(&first);
    assert_eq!(campaign, Some(Id::Text("b".into())));
    while first.durable() < first.barrier() {
        log.writer.step().expect("the disk works");
    }
    for has_snapshot in [false, true] {
        let (second, _log) = reopened(&disk, has_snapshot);
        let (one, other) = (first.campaigns(), second.campaigns());
        assert_eq!(
            (one.version, &one.toml, one.slots.ids()),
            (other.version, &other.toml, other.slots.ids())
        );
        assert_eq!(first.campaign_history(), second.campaign_history());
        assert_eq!(second.profile(&Id::Number(48)), first.profile(&Id::Number(48)));
        assert_eq!(second.remove(&Id::Number(48), WALL_MS - 1), Ok(true));
        let id_of = |number: u64, decision| {
            let time = Time::from_unix_ms(WALL_MS + 1000);
            Event { time, ..event(number, EventKind::Impression(ImpressionOf::Decision(decision))) }
        };
        for (number, decision) in [(10, former), (11, later)] {
            assert_eq!(second.apply(id_of(number, decision), WALL_MS + 1000), Ok(Applied::Accepted));
        }
        let never = upbeat_core::event::DecisionId(former.0 ^ 1);
        assert!(matches!(second.apply(id_of(12, never), WALL_MS + 1000), Err(Rejection::Conflict(_))));
        let profile = second.profile(&Id::Number(48)).expect("it is known again");
        let campaigns: Vec<String> = profile.impressions().map(|of| of.campaign.to_string()).collect();
        assert_eq!(campaigns, ["gold-one-day", "b"]);
    }
}
