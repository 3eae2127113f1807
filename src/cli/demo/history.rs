//! The demo's past: simulated plays, clicks and memberships, straight into the engine.

use super::{MEMBERSHIP_LEAD_MS, id};
use crate::engine::{Ask, Engine};
use crate::event::{Event, EventKind, Id, Membership, Time};
use crate::http::App;
use crate::simulate::{Click, Level, Play, Simulation};

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
    let apply = |event| engine.apply(event, wall_ms).is_ok();
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
    let events: Vec<_> = simulation.events().collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // Each thread takes the customers of its own, so that each customer's events come in their order.
    let share = &|thread: usize| {
        let mut part = Loaded { plays: 0, clicks: 0 };
        for event in events.iter().filter(|event| event.play.customer as usize % threads == thread) {
            part.plays += u64::from(apply(play(&event.play)));
            if let Some(click) = &event.click {
                part.clicks += u64::from(apply(self::click(click)));
            }
        }
        part
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads).map(|thread| scope.spawn(move || share(thread))).collect();
        for part in parts {
            let part = part.join().expect("loading does not panic");
            loaded.plays += part.plays;
            loaded.clicks += part.clicks;
        }
    });
    loaded
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
        kind: EventKind::Click { ad: Id::Text(click.ad.name().into()) },
    }
}

/// The first listener who would be shown the ad: one to try the curl line on.
pub(super) fn likely_listener(app: &App, simulation: &Simulation) -> Option<u32> {
    let ask = Ask { dry_run: true, request_id: None };
    let wall_ms = app.wall_ms();
    let shown = |customer: &u32| app.engine.decide(&id(*customer), &ask, wall_ms).reason.shows();
    simulation.listeners().iter().map(|listener| listener.customer).find(shown)
}
