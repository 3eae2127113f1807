//! Versions of the campaigns that a loss of power took, where decisions that were made by them are kept.

use upbeat_core::campaign::Slot;
use upbeat_core::decision::Reason;
use upbeat_core::event::Id;
use upbeat_journal::disk::simulated::SimulatedDisk;

use super::{WALL_MS, memories, opened, play, settings, showing};
use crate::campaigns::{NewCampaigns, RECOVERY, parse};
use crate::log::{Entry, Facts};
use crate::storage::decisions;
use crate::striped::use_stripe;
use crate::{Clock, Engine};

const LANES: usize = 2;
const CUSTOMER: u64 = 48;

/// What a show of them costs, in micro-units.
const COST_MICRO: i64 = 10_000;

/// A campaign that shows to everybody, and before all others.
fn toml(id: &str) -> String {
    format!(
        "[[cap]]\nimpressions = 1\nhours = 24\n[[campaign]]\nid = \"{id}\"\nad = \"{id}\"\nmin_plays = 1\npriority = 9\n\
         threshold = {{ score = -1e9 }}\nimpression_cost = 0.01\n"
    )
}

fn set(engine: &Engine, id: &str) -> u64 {
    let toml = toml(id);
    let document = parse(&toml).expect("a document");
    let new = NewCampaigns { toml, document, who: "ada".to_owned(), models: Vec::new() };
    engine.set_campaigns(new, WALL_MS).expect("it is taken")
}

/// The decisions that a directory has.
fn kept(disk: &SimulatedDisk) -> Vec<Facts<'static>> {
    let mut kept = Vec::new();
    let mut visit = |_, entry| {
        if let Entry::ShownInPlan { facts, .. } | Entry::Decided { facts, .. } = entry {
            kept.push(*facts);
        }
        Ok(())
    };
    decisions(&std::sync::Arc::new(disk.clone()), true, &mut visit).expect("it is read");
    kept
}

/// A directory after a loss of power: of campaigns whose change was never durable there is a decision, though the change was published
/// first, in a lane that was full. `groups` come before.
fn decided_by_a_lost_version(groups: u64) -> Option<(SimulatedDisk, Facts<'static>)> {
    let disk = SimulatedDisk::new(groups, 1 << 30);
    let engine = showing(settings(Clock::Wall));
    let mut opened = opened(&engine, &disk, memories(LANES, 64 << 10), 1, groups);
    for number in 0..=groups {
        engine.apply(play(CUSTOMER, number, WALL_MS), WALL_MS).expect("it is taken");
        while engine.durable() < engine.barrier() {
            opened.writer.step().expect("the disk is sound");
        }
    }
    // More than a group has room for.
    for number in 0..400 {
        engine.apply(play(number % 7, number, WALL_MS), WALL_MS).expect("it is taken");
    }
    assert_eq!(set(&engine, "lost"), 2);
    use_stripe(Some(0));
    let decision = engine.decide_once(&Id::Number(CUSTOMER), false, WALL_MS);
    use_stripe(None);
    assert_eq!((decision.reason, decision.campaign), (Reason::LikelyToClick, Some(Slot(1))));
    opened.writer.step().expect("the disk is sound");
    disk.lose_power();
    let kept = kept(&disk).pop()?;
    assert_eq!((kept.id, kept.campaign, kept.version), (decision.id, Some(1), 2));
    Some((disk, kept))
}

fn reopened(disk: &SimulatedDisk, seed: u64) -> Engine {
    let engine = showing(settings(Clock::Wall));
    opened(&engine, disk, memories(LANES, 64 << 10), 1, seed);
    engine
}

/// What shows of a campaign have cost by its account.
fn spent(engine: &Engine, id: &str) -> i64 {
    let id = Id::parse(id).expect("an id");
    let Some(slot) = engine.campaigns().slots.ids().iter().position(|known| *known == id) else { return 0 };
    let account = engine.accounts.copy(slot as u16, engine.log());
    account.map_or(0, |account| account.state.days().iter().map(|day| day.sums.shown).sum())
}

#[test]
fn number_of_a_campaign_that_a_decision_names_is_never_given_to_another_though_its_version_was_lost() {
    let mut found = 0;
    for groups in 1..=LANES as u64 {
        // The lanes take turns: in one of them the decision's comes first.
        let Some((disk, facts)) = decided_by_a_lost_version(groups) else { continue };
        found += 1;
        let engine = reopened(&disk, 100 + groups);
        let lost = engine.campaigns().campaign(Slot(1)).cloned().expect("a name that stands for it");
        assert_eq!(spent(&engine, &lost.to_string()), COST_MICRO, "its show is paid");
        let told = engine.campaign_history().pop().expect("a version");
        assert_eq!((told.version, &*told.who, told.time_ms), (3, RECOVERY, WALL_MS));
        assert!(told.changed[0].contains("version after 1"), "{:?}", told.changed);
        assert_eq!(engine.campaigns().plan.campaigns.len(), 1, "those before the lost version run");

        // What was not lost is held: over all campaigns the customer has heard an ad.
        assert_eq!(set(&engine, "other"), 4);
        assert_eq!(engine.decide_once(&Id::Number(CUSTOMER), false, WALL_MS).reason, Reason::Capped);
        assert_eq!(spent(&engine, "other"), 0, "another campaign has not shown it");
        let slots = engine.campaigns().slots.ids().to_vec();
        assert_eq!((slots.len(), &slots[1]), (3, &lost));

        // Version 4 was never durable, and no decision names it; that of the recovery was.
        disk.lose_power();
        for again in 0..2 {
            let engine = reopened(&disk, 200 + again);
            let running = engine.campaigns();
            assert_eq!((running.version, running.slots.ids()), (3, &slots[..2]), "{facts:?}");
            assert_eq!(spent(&engine, &lost.to_string()), COST_MICRO);
            disk.lose_power();
        }
        // Nor does it come back with its own id.
        let engine = reopened(&disk, 300);
        assert_eq!((set(&engine, "lost"), spent(&engine, "lost")), (4, 0));
    }
    assert!(found > 0, "no decision outlived its version");
}
