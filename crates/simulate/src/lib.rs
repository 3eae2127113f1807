#![doc = include_str!("../README.md")]
//!
//! ## How a play comes about ([`Simulation::events`])
//! 1. Play *i* of *n* starts at a random second of the *i*-th of *n* equal slices of the history,
//!    so plays come in time order and evenly over the hours.
//! 2. Who plays: a customer drawn by [`Listener::activity`] and by how much likelier than others
//!    they play in that part of the day.
//! 3. What: with probability [`Listener::replay`] one of their own favourites, else a track of the
//!    catalogue by popularity. On the phone with probability [`Listener::mobile`].
//! 4. One of the four ads, each as likely, is heard just before; it is clicked with the probability
//!    that [`truth`] states. Impression and click carry the second in which the track starts.
//!
//! Any play can be made without the plays before it, so a history of any length streams through
//! constant memory: 45 bytes for each customer.

mod listener;
mod people;
mod rng;
mod settings;
mod shipping;
#[cfg(test)]
mod tests;
pub mod truth;
pub mod write;

pub use listener::{DayPart, Kind, Level, Listener};
pub use rng::Rng;
pub use settings::{Settings, SettingsError};
pub use truth::{Ad, Taste};

use std::ops::Range;

use listener::{DAY_PART_MAX, FAVOURITES};
use rng::{Stream, Weighted};
use truth::{Drift, Offer};

/// How many tracks the catalogue has; track ids are `0..TRACKS`, the most popular first.
pub const TRACKS: u32 = 1_750;

/// One track started by one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Play {
    /// `0..plays`, ascending with time.
    pub event_id: u64,
    /// `0..customers`.
    pub customer: u32,
    /// `0..TRACKS`.
    pub track: u32,
    /// Seconds since 1970-01-01T00:00:00 as written, without a time zone.
    pub civil_s: i64,
    /// True when it was played on the phone.
    pub mobile: bool,
    /// The customer's five-digit zip.
    pub zip: u32,
}

/// One ad clicked by one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Click {
    /// `0..`, ascending with time; clicks and plays are numbered apart.
    pub event_id: u64,
    /// `0..customers`.
    pub customer: u32,
    /// What was clicked.
    pub ad: Ad,
    /// Seconds since 1970-01-01T00:00:00 as written, without a time zone.
    pub civil_s: i64,
}

/// One ad heard by one customer, clicked or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Impression {
    /// That of the play which follows it: `0..plays`, ascending with time.
    pub event_id: u64,
    /// `0..customers`.
    pub customer: u32,
    /// What was heard.
    pub ad: Ad,
    /// Seconds since 1970-01-01T00:00:00 as written, without a time zone: the second in which the track starts.
    pub civil_s: i64,
    /// Whether it was clicked.
    pub clicked: bool,
}

/// A play with the ad heard before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The play.
    pub play: Play,
    /// The ad that was heard before it.
    pub ad: Ad,
    /// The click on that ad, when there was one.
    pub click: Option<Click>,
}

impl Event {
    /// The ad heard before the play, as an event of its own.
    pub fn impression(&self) -> Impression {
        let Play { event_id, customer, civil_s, .. } = self.play;
        Impression { event_id, customer, ad: self.ad, civil_s, clicked: self.click.is_some() }
    }
}

/// A simulated service: its listeners, its history and what they would do now.
#[derive(Debug, Clone)]
pub struct Simulation {
    settings: Settings,
    start_s: i64,
    offer: Offer,
    listeners: Vec<Listener>,
    by_activity: Weighted,
    by_popularity: Weighted,
}

impl Simulation {
    /// Makes the listeners; plays are made when asked for.
    ///
    /// # Errors
    /// Settings that [`Settings::check`] refuses.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let start_s = settings.start_s();
        let listeners: Vec<Listener> =
            (0..settings.customers).map(|customer| Listener::new(settings.seed, customer)).collect();
        Ok(Self {
            start_s,
            offer: Offer::History(settings.drift.then_some(Drift {
                from_s: start_s + (settings.end_s - start_s) / 2,
                until_s: settings.end_s,
            })),
            by_activity: Weighted::new(listeners.iter().map(|one| f64::from(one.activity))),
            by_popularity: Weighted::new((0..TRACKS).map(popularity)),
            listeners,
            settings,
        })
    }

    /// The same listeners, whose clicks on the offer follow these tastes: each from a second on (seconds since 1970-01-01T00:00:00 as
    /// written), the first also before; in the order of the seconds.
    #[must_use]
    pub fn with_tastes(self, tastes: Vec<(i64, Taste)>) -> Self {
        Self { offer: Offer::Tastes(tastes), ..self }
    }

    /// What this simulation was made from.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The first second of the history, in civil seconds; the last is before `settings().end_s`.
    pub fn start_s(&self) -> i64 {
        self.start_s
    }

    /// All listeners; the customer id is the index.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The probability that customer `customer`, hearing `ad` at `civil_s`, clicks on it. 0 for
    /// someone who is not a customer.
    pub fn click_probability(&self, customer: u32, ad: Ad, civil_s: i64) -> f64 {
        self.listeners
            .get(customer as usize)
            .map_or(0.0, |listener| truth::click_probability(listener, ad, civil_s, &self.offer))
    }

    /// The whole history in time order.
    pub fn events(&self) -> impl Iterator<Item = Event> + '_ {
        self.events_of(0..self.settings.plays)
    }

    /// Part of the history in time order: `plays` by their event ids, clicks numbered from 0 on.
    pub fn events_of(&self, plays: Range<u64>) -> impl Iterator<Item = Event> + '_ {
        let mut clicks = 0;
        plays.map(move |event_id| {
            let (play, ad, clicked) = self.event(event_id);
            let click = clicked.then_some(Click {
                event_id: clicks,
                customer: play.customer,
                ad,
                civil_s: play.civil_s,
            });
            clicks += u64::from(clicked);
            Event { play, ad, click }
        })
    }

    /// Event `event_id` of the history: the play, the ad before it, and whether it was clicked.
    fn event(&self, event_id: u64) -> (Play, Ad, bool) {
        let mut rng = Rng::of(self.settings.seed, Stream::Play, event_id);
        let span_s = self.settings.span_s();
        let within = u64::from(rng.below(span_s as u32));
        // At most 10⁹ plays times 3.2·10⁸ seconds: the product stays below 2⁶³.
        let civil_s = self.start_s + ((event_id * span_s as u64 + within) / self.settings.plays) as i64;
        let listener = self.draw_listener(civil_s, &mut rng);
        let play = self.draw_play(listener, event_id, civil_s, &mut rng);
        let ad = Ad::ALL[rng.below(4) as usize];
        let clicked = rng.chance(self.click_probability(play.customer, ad, civil_s));
        (play, ad, clicked)
    }

    /// Draws the listener who starts a track at `civil_s` (seconds since 1970-01-01T00:00:00 as written), by
    /// activity and habit of the hour.
    pub fn draw_listener(&self, civil_s: i64, rng: &mut Rng) -> &Listener {
        let part = DayPart::of(civil_s);
        loop {
            let listener = &self.listeners[self.by_activity.pick(rng) as usize];
            let liking = f64::from(listener.day_parts[part as usize]) / DAY_PART_MAX;
            if rng.chance(liking) {
                return listener;
            }
        }
    }

    /// Draws what `listener` plays when they start a track at `civil_s`: the next play of a live service,
    /// by the same habits as the history. The caller numbers it.
    pub fn draw_play(&self, listener: &Listener, event_id: u64, civil_s: i64, rng: &mut Rng) -> Play {
        let track = if rng.chance(f64::from(listener.replay)) {
            self.favourite(listener.customer, rng.below(FAVOURITES))
        } else {
            self.by_popularity.pick(rng)
        };
        Play {
            event_id,
            customer: listener.customer,
            track,
            civil_s,
            mobile: rng.chance(f64::from(listener.mobile)),
            zip: listener.zip,
        }
    }

    /// Favourite `nth` of a customer: follows from the seed, so that it needs no memory.
    fn favourite(&self, customer: u32, nth: u32) -> u32 {
        let index = u64::from(customer) * u64::from(FAVOURITES) + u64::from(nth);
        self.by_popularity.pick(&mut Rng::of(self.settings.seed, Stream::Favourite, index))
    }
}

/// How often track `track` is played, relative to the others: 21 for the first, 1 for most.
fn popularity(track: u32) -> f64 {
    1.0 + 20.0 / (1.0 + f64::from(track) / 2.0)
}
