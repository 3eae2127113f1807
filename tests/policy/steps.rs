//! Steps at random: many at times at which something just begins or ends.

use crate::chance::Dice;
use crate::documents;
use crate::model::Model;
use crate::world::{Act, DAY, Event, HOUR, Kind, Level, MINUTE, Ms, SECOND, Step};

/// Customers of a run, and how many of them are heard of at its beginning.
const CUSTOMERS: usize = 7;
const FIRST: usize = 5;

/// The first steps are plays of those, six of each, at one time; then campaigns come.
const HEARD_OF: usize = FIRST * 6;
pub const FIRST_CHANGE: usize = HEARD_OF + 1;

/// Events of one customer that a profile keeps of few: fewer levels than it forgets from.
const LEVELS: usize = 12;

pub struct Steps {
    dice: Dice,
    /// What the time is, whether events or the wall clock tell it.
    time: Ms,
    /// When the clocks of a zone change.
    change: Ms,
    by_events: bool,
    number: usize,
    events: u64,
}

impl Steps {
    pub fn new(seed: u64, by_events: bool) -> Self {
        let mut dice = Dice::new(seed);
        let change = documents::change_of_clocks(&mut dice);
        let time = change - dice.within(0, 12 * 24 * 3600) * SECOND;
        Self { dice, time, change, by_events, number: 0, events: 0 }
    }

    pub fn next(&mut self, model: &Model) -> Step {
        let act = match self.number {
            // No campaign yet.
            HEARD_OF => Act::Decide { customer: 0, dry_run: false, preview: None },
            FIRST_CHANGE => Act::Change(documents::document(&mut self.dice, self.change)),
            _ => {
                self.pass_time(model);
                self.act(model)
            }
        };
        self.number += 1;
        // Where events tell the time, the wall clock shows that it is long after them.
        let wall = if self.by_events { self.change + 400 * DAY } else { self.time };
        Step { number: self.number, wall, act }
    }

    fn pass_time(&mut self, model: &Model) {
        // First of all everybody is heard of, at one time.
        if self.number < HEARD_OF {
            return;
        }
        let dice = &mut self.dice;
        let step = match dice.below(200) {
            0..90 => dice.below(30) * SECOND,
            90..150 => dice.below(15) * MINUTE + dice.below(60) * SECOND,
            150..175 => dice.below(3 * 3600) * SECOND,
            175..178 => dice.below(40 * 3600) * SECOND,
            _ => match self.edge(model) {
                Some(edge) if edge >= self.time => edge - self.time,
                _ => 0,
            },
        };
        self.time += step;
    }

    /// A time at which something may begin or end, or a second before.
    fn edge(&mut self, model: &Model) -> Option<Ms> {
        let dice = &mut self.dice;
        let campaign = dice.of(&model.document.campaigns).clone();
        let edge = match dice.below(6) {
            // Half an hour and midnight of the zone.
            0 => self.time.div_euclid(30 * MINUTE) * 30 * MINUTE + 30 * MINUTE,
            1 => {
                let zone = jiff::tz::TimeZone::get(&campaign.zone).expect("a zone");
                let now =
                    jiff::Timestamp::from_millisecond(self.time).expect("a time").to_zoned_datetime(zone);
                let tomorrow = now.tomorrow().expect("a day").start_of_day().expect("a day");
                tomorrow.timestamp().as_millisecond()
            }
            2 => {
                let cost = &model.money.costs.last()?.1;
                cost.expires
            }
            3 => {
                let show = model.shows.last()?;
                show.time + campaign.after_impression_s.unwrap_or(3600) * SECOND
            }
            4 => {
                let from = model.shows.len().saturating_sub(3);
                if from == model.shows.len() {
                    return None;
                }
                let show = dice.of(&model.shows[from..]);
                show.time + campaign.caps.first().map_or(24, |cap| cap.hours) * HOUR
            }
            _ => self.change,
        };
        Some(edge - if dice.one_in(3) { SECOND } else { 0 })
    }

    fn act(&mut self, model: &Model) -> Act {
        let customer = self.dice.below(CUSTOMERS as i64) as usize;
        if self.number < HEARD_OF {
            let kind = self.play();
            return self.event(self.number % FIRST, kind, 0);
        }
        let dice = &mut self.dice;
        let decides = |dry_run, preview| Act::Decide { customer, dry_run, preview };
        match dice.below(100) {
            0..52 => decides(false, None),
            52..54 => decides(true, None),
            54..56 => {
                let preview = dice.of(&model.document.campaigns).id.clone();
                decides(dice.one_in(2), Some(preview))
            }
            56..62 => Act::Change(documents::changed(dice, &model.document, self.change)),
            62 => Act::Kill,
            63 if !model.events.is_empty() => Act::Event(dice.of(&model.events).clone()),
            64..76 => self.of_show(model),
            76..79 => {
                let ad = format!("AD_{}", dice.of(&model.document.campaigns).id);
                let back = dice.below(3 * 3600) * SECOND;
                self.event(customer, Kind::ClickOn { ad }, back)
            }
            79..81 => {
                let ids: Vec<_> = model.document.campaigns.iter().map(|each| each.id.clone()).collect();
                let unknown = "nobody-knows".to_owned();
                let campaign = if dice.one_in(3) { unknown } else { dice.of(&ids).clone() };
                let back = dice.below(40 * 3600) * SECOND;
                self.event(customer, Kind::ImpressionOn { campaign }, back)
            }
            81..84 => {
                let is_level = |kind: &Kind| matches!(kind, Kind::Level(_) | Kind::SignedUp(_));
                let events = model.events.iter().filter(|event| event.customer == customer);
                if events.filter(|event| is_level(&event.kind)).count() >= LEVELS {
                    return decides(false, None);
                }
                let level = *dice.of(&Level::ALL);
                if dice.one_in(3) {
                    let back = dice.below(40) * DAY + dice.below(3600) * SECOND;
                    return self.event(customer, Kind::SignedUp(level), back);
                }
                let level = if dice.one_in(2) { Level::Silver } else { level };
                let back = dice.below(5 * 24) * HOUR;
                self.event(customer, Kind::Level(level), back)
            }
            _ => {
                let kind = self.play();
                let back = match self.dice.below(12) {
                    // A wrong date of one customer, which does not move the clock of events.
                    10 if self.by_events => return self.event(0, kind, -370 * DAY),
                    10 | 11 if !self.by_events => -self.dice.below(4) * MINUTE,
                    0 => self.dice.below(40 * 24) * HOUR,
                    1 => self.dice.below(3600) * SECOND,
                    _ => 0,
                };
                self.event(customer, kind, back)
            }
        }
    }

    fn play(&mut self) -> Kind {
        Kind::Play { track: self.dice.below(12) as u64, mobile: self.dice.one_in(2) }
    }

    /// Of one of the last shows, or of a decision that showed nothing, by its customer or another.
    fn of_show(&mut self, model: &Model) -> Act {
        let dice = &mut self.dice;
        let Some(last) = model.shows.len().checked_sub(1) else {
            return Act::Decide { customer: 0, dry_run: false, preview: None };
        };
        let show = &model.shows[last - dice.below(last.min(8) as i64 + 1) as usize];
        let step = show.step;
        let customer = if dice.one_in(20) { (show.customer + 1) % CUSTOMERS } else { show.customer };
        let kind = match dice.below(5) {
            0 => Kind::ClickOf { step },
            1 | 2 => Kind::VoidOf { step },
            _ => Kind::ImpressionOf { step },
        };
        let back = if dice.one_in(5) { dice.below(7200) * SECOND } else { 0 };
        self.event(customer, kind, back)
    }

    fn event(&mut self, customer: usize, kind: Kind, back: Ms) -> Act {
        self.events += 1;
        let time = self.time - back;
        Act::Event(Event { customer, number: self.events, time, kind })
    }
}
