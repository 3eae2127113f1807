//! The demo's past: simulated plays, clicks and memberships, straight into the engine.

use std::ops::ControlFlow;
use std::time::Duration;

use super::{MEMBERSHIP_LEAD_MS, id};
use upbeat_batch::in_order;
use upbeat_core::event::{Event, EventKind, Id, Membership, Time};
use upbeat_engine::{Engine, LogState, Rejection};
use upbeat_server::runtime::App;
use upbeat_simulate::{Click, Level, Play, Simulation};

/// How long to wait for room in the log.
const LOG_PAUSE: Duration = Duration::from_millis(1);

/// How much was loaded.
pub(super) struct Loaded {
    pub(super) plays: u64,
    pub(super) clicks: u64,
}

/// Applies the whole simulated history.
pub(super) fn load(engine: &Engine, simulation: &Simulation) -> Loaded {
    let wall_ms = simulation.settings().end_s * 1000;
    let mut loaded = Loaded { plays: 0, clicks: 0 };
    // The simulation's end is the wall clock's now, so nothing of it can be refused as too far ahead.
    let apply = |event: Event| loop {
        match engine.apply(event.clone(), wall_ms) {
            // The history comes faster than the log is written.
            Err(Rejection::LogUnavailable) if engine.log_state() == LogState::Accepting => {
                std::thread::sleep(LOG_PAUSE);
            }
            applied => return applied.is_ok(),
        }
    };
    for listener in simulation.listeners() {
        let level = match listener.level {
            Level::Free => Membership::Free,
            Level::Silver => Membership::Silver,
            Level::Gold => Membership::Gold,
        };
        apply(Event {
            customer: id(listener.customer),
            id: Id::Number(0),
            time: Time::from_unix_ms(simulation.start_s() * 1000 - MEMBERSHIP_LEAD_MS),
            kind: EventKind::Membership(level),
        });
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let pieces = simulate(simulation, threads);
    let mut groups = 0..GROUPS;
    in_order(
        threads,
        || (),
        |()| groups.next(),
        |(), group| {
            let mut of_group = Loaded { plays: 0, clicks: 0 };
            for piece in &pieces {
                for event in &piece.groups[group] {
                    of_group.plays += u64::from(apply(play(&event.play)));
                    if let Some(click) = event.click {
                        let event_id = piece.first_click + click.event_id;
                        of_group.clicks += u64::from(apply(self::click(&Click { event_id, ..click })));
                    }
                }
            }
            of_group
        },
        |of_group| {
            loaded.plays += of_group.plays;
            loaded.clicks += of_group.clicks;
            ControlFlow::Continue(())
        },
    );
    loaded
}

/// Customers are loaded group by group: each customer's events in their order, on one thread, and the profiles of a
/// group fit a core's own cache.
const GROUPS: usize = 64;

/// Plays simulated at a time.
const PIECE_PLAYS: usize = 1 << 15;

/// Some of the history, in time order within each group of customers.
struct Piece {
    groups: Vec<Vec<upbeat_simulate::Event>>,
    clicks: u64,
    /// The number of the first click.
    first_click: u64,
}

/// The whole history, piece by piece.
fn simulate(simulation: &Simulation, threads: usize) -> Vec<Piece> {
    let plays = simulation.settings().plays;
    let mut starts = (0..plays).step_by(PIECE_PLAYS);
    let (mut pieces, mut first_click) = (Vec::new(), 0);
    in_order(
        threads,
        || (),
        |()| starts.next(),
        |(), start| {
            let room = PIECE_PLAYS / GROUPS * 5 / 4;
            let mut groups: Vec<_> = (0..GROUPS).map(|_| Vec::with_capacity(room)).collect();
            let mut clicks = 0;
            for event in simulation.events_of(start..plays.min(start + PIECE_PLAYS as u64)) {
                clicks += u64::from(event.click.is_some());
                groups[event.play.customer as usize % GROUPS].push(event);
            }
            Piece { groups, clicks, first_click: 0 }
        },
        |mut piece| {
            piece.first_click = first_click;
            first_click += piece.clicks;
            pieces.push(piece);
            ControlFlow::Continue(())
        },
    );
    pieces
}

fn play(play: &Play) -> Event {
    Event {
        customer: id(play.customer),
        id: Id::Number(play.event_id),
        time: Time::from_unix_ms(play.civil_s * 1000),
        kind: EventKind::Play { track: Id::Number(play.track.into()), mobile: play.mobile },
    }
}

fn click(click: &Click) -> Event {
    Event {
        customer: id(click.customer),
        id: Id::Number(click.event_id),
        time: Time::from_unix_ms(click.civil_s * 1000),
        kind: EventKind::click(Id::Text(click.ad.name().into())),
    }
}

/// The first listener to whom the ad would be shown, for the request that the demo prints.
pub(super) fn likely_listener(app: &App, simulation: &Simulation) -> Option<u32> {
    let wall_ms = app.wall_ms();
    let shown = |customer: &u32| app.engine.decide_once(&id(*customer), true, wall_ms).reason.shows();
    simulation.listeners().iter().map(|listener| listener.customer).find(shown)
}
