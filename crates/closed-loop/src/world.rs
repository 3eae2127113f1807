//! A service whose listeners play, and in which every so many tracks there is room for one ad.

use std::collections::VecDeque;

use upbeat_core::event::{IdRef, Time};
use upbeat_core::feature::{self, FeatureVector, Heard};
use upbeat_core::profile::Window;
use upbeat_simulate::{Ad, Level, Listener, Rng, Settings, SettingsError, Simulation, Taste};

/// Monday, 2026-01-05T00:00:00: the first second in which there is room for an ad.
pub const START_S: i64 = 1_767_571_200;

const DAY_S: i64 = 86_400;

/// Days of plays before the first ad: as many as the window has.
const HISTORY_DAYS: i64 = 28;

/// The most distinct minutes that a click may come after its ad: within any attribution of half an hour.
const MOST_DELAY_S: u32 = 20 * 60;

/// What a world is made from: equal settings make equal plays, rooms and clicks, whatever a policy shows.
#[derive(Debug, Clone, PartialEq)]
pub struct WorldSettings {
    /// Listeners, 1 to 10,000,000.
    pub customers: u32,
    /// Seed of listeners, plays and clicks.
    pub seed: u64,
    /// Decisions in all, at least 1.
    pub decisions: u64,
    /// Decisions a listener and day on average, above 0.
    pub decisions_a_day: f64,
    /// There is room for an ad before one of so many tracks, at least 1.
    pub plays_a_decision: u32,
    /// What the clicks follow at first.
    pub before: Taste,
    /// From this decision on, at once, they follow the other taste.
    pub drift: Option<(u64, Taste)>,
}

impl WorldSettings {
    /// Plays in a day, of all listeners.
    fn plays_a_day(&self) -> f64 {
        (f64::from(self.customers) * self.decisions_a_day * f64::from(self.plays_a_decision)).max(1.0)
    }

    /// When play `index` starts; those of the history have negative numbers.
    fn second_of(&self, index: i64) -> i64 {
        START_S + (index as f64 * DAY_S as f64 / self.plays_a_day()).floor() as i64
    }
}

/// One track started, and the room before it.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Numbered from the history's first play on.
    pub event_id: u64,
    /// Who plays.
    pub customer: u32,
    /// Which track.
    pub track: u32,
    /// When, in seconds since 1970-01-01T00:00:00.
    pub civil_s: i64,
    /// Whether it is heard on a phone.
    pub mobile: bool,
    /// The ad that there is room for, if so.
    pub room: Option<Room>,
}

/// Room for one ad: what would become of it.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// The decision, numbered from 0.
    pub number: u64,
    /// The planted probability of a click.
    pub truth: f64,
    /// Whether it is clicked, if it is shown: the same coin for every policy.
    pub clicked: bool,
    /// How long after the ad, in seconds.
    pub delay_s: u32,
    /// An even draw in 0 to 1 that a policy may use as its coin.
    pub coin: f64,
}

/// The listeners, and what is known of their plays so far.
#[derive(Debug)]
pub struct World {
    settings: WorldSettings,
    simulation: Simulation,
    window: Window,
    next: i64,
    heard: Vec<VecDeque<Played>>,
    now_s: i64,
}

#[derive(Debug, Clone, Copy)]
struct Played {
    civil_s: i64,
    track: u32,
    mobile: bool,
}

impl World {
    /// A world before its history.
    ///
    /// # Errors
    /// A number of customers that cannot be simulated.
    pub fn new(settings: WorldSettings) -> Result<Self, SettingsError> {
        let simulated =
            Settings { customers: settings.customers, seed: settings.seed, ..Settings::default() };
        let mut tastes = vec![(0, settings.before)];
        if let Some((decision, taste)) = settings.drift {
            let play = decision.saturating_mul(settings.plays_a_decision.into());
            tastes.push((settings.second_of(i64::try_from(play).unwrap_or(i64::MAX)), taste));
        }
        let simulation = Simulation::new(simulated)?.with_tastes(tastes);
        let first = -(HISTORY_DAYS as f64 * settings.plays_a_day()) as i64;
        let heard = vec![VecDeque::new(); settings.customers as usize];
        Ok(Self { simulation, window: Window::default(), next: first, heard, now_s: 0, settings })
    }

    /// What it was made from.
    pub fn settings(&self) -> &WorldSettings {
        &self.settings
    }

    /// The listeners.
    pub fn listeners(&self) -> &[Listener] {
        self.simulation.listeners()
    }

    /// Seconds since 1970-01-01T00:00:00 of the first play of the history.
    pub fn first_s(&self) -> i64 {
        self.settings.second_of(-(HISTORY_DAYS as f64 * self.settings.plays_a_day()) as i64)
    }

    /// The next track; `None` after that of the last decision.
    pub fn next_start(&mut self) -> Option<Start> {
        let index = self.next;
        let per = i64::from(self.settings.plays_a_decision.max(1));
        let number = u64::try_from(index).ok().filter(|_| index % per == 0).map(|index| index / per as u64);
        if number.is_some_and(|number| number >= self.settings.decisions) {
            return None;
        }
        self.next += 1;
        let event_id =
            u64::try_from(index + (HISTORY_DAYS as f64 * self.settings.plays_a_day()) as i64).unwrap_or(0);
        let mut rng = Rng::new(self.settings.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(event_id));
        let civil_s = self.settings.second_of(index);
        let listener = *self.simulation.draw_listener(civil_s, &mut rng);
        let play = self.simulation.draw_play(&listener, event_id, civil_s, &mut rng);
        let room = number.map(|number| {
            let truth = self.simulation.click_probability(listener.customer, Ad::Offer, civil_s);
            let clicked = rng.chance(truth);
            Room { number, truth, clicked, delay_s: rng.below(MOST_DELAY_S), coin: rng.unit() }
        });
        Some(Start {
            event_id,
            customer: listener.customer,
            track: play.track,
            civil_s,
            mobile: play.mobile,
            room,
        })
    }

    /// Notes a play that the server was told of.
    pub fn note(&mut self, start: &Start) {
        self.now_s = self.now_s.max(start.civil_s);
        let Some(heard) = self.heard.get_mut(start.customer as usize) else { return };
        if heard.len() == self.window.plays as usize {
            heard.pop_front();
        }
        heard.push_back(Played { civil_s: start.civil_s, track: start.track, mobile: start.mobile });
    }

    /// How many plays of a listener count now, and their feature vector, as the server has them.
    pub fn features(&self, customer: u32) -> Option<(usize, FeatureVector)> {
        let first_ms = self.window.start_ms(self.now_s * 1000);
        let plays: Vec<Heard<'_>> = self
            .heard
            .get(customer as usize)?
            .iter()
            .filter(|played| played.civil_s * 1000 >= first_ms)
            .map(|played| Heard {
                hour: (played.civil_s.rem_euclid(DAY_S) / 3600) as u8,
                mobile: played.mobile,
                track: IdRef::Number(played.track.into()),
            })
            .collect();
        let count = plays.len();
        feature::vector(plays.into_iter()).map(|vector| (count, vector))
    }

    /// Whether a listener holds what the offer sells already.
    pub fn is_gold(&self, customer: u32) -> bool {
        self.listeners().get(customer as usize).is_some_and(|listener| listener.level == Level::Gold)
    }
}

/// A second as events have it.
pub fn written(civil_s: i64) -> String {
    Time::from_unix_ms(civil_s * 1000).to_string()
}
