//! Engines on a simulated disk: what was acknowledged is there after the process was killed or the power lost.

mod accounts;
mod clocks;
mod decisions;
mod dumps;
mod erasures;
mod histories;
mod leases;
mod lost;
mod lost_versions;
mod midway;
mod model;
mod plans;
mod recoveries;
mod refusals;

use std::sync::Arc;

use upbeat_core::campaign::{Cap, Label, Served, Single};
use upbeat_core::event::{Event, EventKind, Id, MINUTE_MS, Time};
use upbeat_core::feedback::FeedbackPeriods;
use upbeat_core::profile::Window;
use upbeat_journal::disk::simulated::{Dice, SimulatedDisk};

use super::*;
use crate::campaigns::DEFAULT_MODEL;
use crate::{Clock, Settings};

const WALL_MS: i64 = 1_700_000_000_000;

fn settings(clock: Clock) -> Settings {
    Settings {
        window: Window { plays: 6, days: 28 },
        clock,
        max_future_ms: 5 * MINUTE_MS,
        expected_customers: 0,
        max_customers: 1000,
        max_profile_bytes: 1 << 24,
        max_retry_bytes: 1 << 20,
        max_tracks: 100,
        max_tombstones: 1000,
        // The wall clock does not help: numbers of decisions have to come from the log.
        first_decision: 1,
        feedback: FeedbackPeriods::default(),
    }
}

fn campaign() -> Single {
    let cap = Cap { impressions: 20, hours: 24 };
    let id = Single::default().id;
    Single { ad: id.clone(), id, cap, min_plays: 1, threshold: -1e9, ..Single::default() }
}

fn options(threads: usize) -> Options {
    let journal = upbeat_journal::Options { segment_bytes: 64 << 10, group_bytes: 8 << 10, sync: true };
    Options { journal, threads }
}

/// Lanes that hold so many bytes each.
fn memories(lanes: usize, bytes: usize) -> Vec<Memory> {
    (0..lanes).map(|_| Memory::anonymous(4096 + bytes)).collect()
}

fn random(seed: u64) -> Box<dyn FnMut() -> u64 + Send> {
    let mut dice = Dice::new(seed);
    Box::new(move || dice.draw())
}

/// An engine that shows the ad to everybody with a play, with the shipped model and any window.
fn showing(settings: Settings) -> Engine {
    showing_with(settings, &campaign())
}

/// The same with another campaign.
fn showing_with(settings: Settings, campaign: &Single) -> Engine {
    let engine = Engine::new(settings, campaign.document());
    let model = upbeat_svm::Model::read(include_bytes!("../../../../model/default.json").as_slice());
    let model = Arc::new(model.expect("a model"));
    // Of impressions, as several campaigns at once need it.
    let served = Served::new(DEFAULT_MODEL, model.id().to_owned(), Label::Impression, Arc::clone(&model));
    engine.serve_models(&[served]).expect("it is served");
    engine
}

fn opened(
    engine: &Engine,
    disk: &SimulatedDisk,
    lanes: Vec<Memory>,
    threads: usize,
    seed: u64,
) -> Opened<SimulatedDisk> {
    open(engine, Arc::new(disk.clone()), lanes, options(threads), random(seed), &|_| {})
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"))
}

fn play(customer: u64, event_id: u64, unix_ms: i64) -> Event {
    Event {
        customer: Id::Number(customer),
        id: Id::Number(event_id),
        time: Time::from_unix_ms(unix_ms),
        kind: EventKind::Play { track: Id::Number(event_id % 50), mobile: event_id.is_multiple_of(2) },
    }
}
