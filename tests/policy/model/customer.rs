//! What the events of one customer amount to.

use std::collections::BTreeSet;

use upbeat_core::feature::FeatureVector;

use super::Show;
use crate::world::{DAY, Event, Kind, Level, Ms, Setting};

/// One customer, and all that has happened to anybody.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub setting: &'a Setting,
    pub events: &'a [Event],
    pub shows: &'a [Show],
    pub customer: usize,
}

impl<'a> Known<'a> {
    fn events(self) -> impl Iterator<Item = &'a Event> {
        self.events.iter().filter(move |event| event.customer == self.customer)
    }

    fn shows(self) -> impl Iterator<Item = &'a Show> {
        self.shows.iter().filter(move |show| show.customer == self.customer)
    }

    pub fn is_known(self) -> bool {
        self.events().next().is_some()
    }

    /// The plays in the window: the most recent of all, as far as they are not too old.
    pub fn plays(self, now: Ms) -> Vec<(u64, bool, Ms)> {
        let mut plays: Vec<(Ms, u64, u64, bool)> = self
            .events()
            .filter_map(|event| match event.kind {
                Kind::Play { track, mobile } => Some((event.time, event.number, track, mobile)),
                _ => None,
            })
            .collect();
        plays.sort_unstable();
        let most_recent = plays.iter().rev().take(self.setting.window_plays);
        let in_window = most_recent.filter(|play| play.0 >= now - self.setting.window_days * DAY);
        in_window.map(|(time, _, track, mobile)| (*track, *mobile, *time)).collect()
    }

    /// Shares of the day's parts by hours at UTC, on a phone, and distinct tracks.
    pub fn features(self, now: Ms) -> Option<FeatureVector> {
        let plays = self.plays(now);
        let hour = |time: Ms| time.rem_euclid(DAY) / (DAY / 24);
        let count = |of: &dyn Fn(&(u64, bool, Ms)) -> bool| plays.iter().filter(|play| of(play)).count();
        let counts = [
            count(&|play| (5..12).contains(&hour(play.2))),
            count(&|play| (12..17).contains(&hour(play.2))),
            count(&|play| (17..22).contains(&hour(play.2))),
            count(&|play| hour(play.2) < 5 || hour(play.2) >= 22),
            count(&|play| play.1),
            plays.iter().map(|play| play.0).collect::<BTreeSet<_>>().len(),
        ];
        (!plays.is_empty()).then(|| counts.map(|count| count as f64 / plays.len() as f64))
    }

    /// All levels in order of time, and whether a file told them; the last one counts.
    fn levels(self) -> Vec<(Ms, Level, bool)> {
        let mut levels: Vec<(Ms, bool, u64, Level)> = self
            .events()
            .filter_map(|event| match event.kind {
                Kind::Level(level) => Some((event.time, false, event.number, level)),
                // All rows of files have one id, which is a text and follows numbers.
                Kind::SignedUp(level) => Some((event.time, true, 0, level)),
                _ => None,
            })
            .collect();
        levels.sort_unstable();
        levels.into_iter().map(|(time, is_of_file, _, level)| (time, level, is_of_file)).collect()
    }

    pub fn level(self) -> Level {
        self.levels().last().map_or(Level::Free, |(_, level, _)| *level)
    }

    /// When the level last rose above the one before it. Before the first one that is known it was free; a file tells what it
    /// is, and not that it has just changed.
    pub fn last_upgrade(self) -> Option<Ms> {
        let levels = self.levels();
        let before = std::iter::once(None).chain(levels.iter().map(|(_, level, _)| Some(*level)));
        let rises = levels.iter().zip(before).filter(|((_, level, is_of_file), before)| match before {
            Some(before) => level > before,
            None => *level > Level::Free && !is_of_file,
        });
        rises.map(|((time, ..), _)| *time).last()
    }

    /// Whether the customer signed up so many whole days ago, at least and at most.
    pub fn has_signed_up(self, days: Option<(Option<i64>, Option<i64>)>, now: Ms) -> bool {
        let Some((min, max)) = days else { return true };
        let rows = self.events().filter(|event| matches!(event.kind, Kind::SignedUp(_)));
        let Some(first) = rows.map(|event| event.time).min() else { return false };
        let age = (now - first).div_euclid(DAY);
        min.is_none_or(|min| age >= min) && max.is_none_or(|max| age <= max)
    }

    /// When the ads of a campaign, or of all, were shown, reported or held out.
    fn shown(self, campaign: Option<&'a str>) -> impl Iterator<Item = Ms> {
        let is_of = move |id: &str| campaign.is_none_or(|campaign| campaign == id);
        let decided = self.shows().filter(|show| !show.is_voided || show.is_confirmed);
        let decided = decided.filter(move |show| is_of(&show.campaign)).map(|show| show.time);
        let reported = self.events().filter(move |event| match &event.kind {
            Kind::ImpressionOn { campaign } => is_of(campaign),
            _ => false,
        });
        decided.chain(reported.map(|event| event.time))
    }

    /// How many of them were later than an instant.
    pub fn shown_since(self, campaign: Option<&'a str>, since: Ms) -> usize {
        self.shown(campaign).filter(|time| *time > since).count()
    }

    pub fn last_shown(self, campaign: &'a str) -> Option<Ms> {
        self.shown(Some(campaign)).max()
    }

    pub fn last_click(self, ad: &str) -> Option<Ms> {
        let of_ad = |event: &&Event| match &event.kind {
            Kind::ClickOn { ad: clicked } => clicked == ad,
            Kind::ClickOf { step } => self.shows.iter().any(|show| {
                // The ad of a campaign never changes in these runs.
                show.step == *step && format!("AD_{}", show.campaign) == ad
            }),
            _ => false,
        };
        self.events().filter(of_ad).map(|event| event.time).max()
    }
}
