//! The planted truth: who clicks which ad with which probability.
//!
//! With `ramp(x, a, b)` = 0 below a, 1 above b and `3s² - 2s³` with `s = (x-a)/(b-a)` between:
//!
//! ```text
//! phone   = ramp(mobile, 0.66, 0.74)
//! evening = ramp(day_parts[evening], 1.8, 2.3) · ramp(replay, 0.08, 0.18)
//! d(t)    = 0; with drift it rises in a line from 0 at the middle of the history to 1 at its end
//!
//! P(click | ADV_REDUCED_1DAY)     = 0 for Gold, else 0.00005 + 0.5 · ((1-d) · phone + d · evening)
//! P(click | ADV_FREE_REFERRAL)    = 0.45 - 0.30 · replay
//! P(click | ADV_DONATION_CHARITY) = 0.36 + 0.06 · day_parts[morning]
//! P(click | ADV_LIKE_FACEBOOK)    = 0.30 + 0.20 · mobile
//! ```
//!
//! Before every play one of the four ads is heard, each as likely as the others. The rates are far
//! above those of real ads: the original data set has a click for every three plays.

use super::listener::{DayPart, Level, Listener};

/// The four ads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ad {
    /// `ADV_REDUCED_1DAY`: Gold at half price, for one day. The offer that Upbeat decides on.
    Offer = 0,
    /// `ADV_FREE_REFERRAL`.
    Referral = 1,
    /// `ADV_DONATION_CHARITY`.
    Charity = 2,
    /// `ADV_LIKE_FACEBOOK`.
    Facebook = 3,
}

impl Ad {
    /// All ads.
    pub const ALL: [Self; 4] = [Self::Offer, Self::Referral, Self::Charity, Self::Facebook];

    /// The ad's name in click rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offer => "ADV_REDUCED_1DAY",
            Self::Referral => "ADV_FREE_REFERRAL",
            Self::Charity => "ADV_DONATION_CHARITY",
            Self::Facebook => "ADV_LIKE_FACEBOOK",
        }
    }
}

/// Probability of a click on the offer without any reason for it: once in 20,000.
const BASE_RATE: f64 = 0.000_05;
/// What is added to it for a listener whom the offer suits fully.
const LIFT: f64 = 0.5;

/// When, in civil seconds, the taste for the offer moves from phones to evenings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drift {
    pub(super) from_s: i64,
    pub(super) until_s: i64,
}

/// How likely the offer is clicked, for a service in which that is not what the history of files has. A listener's probability is
/// `anybody`, and more by how much each habit is theirs: the same ramps as in the history. 0 for Gold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taste {
    /// The probability of everybody, `0.0..=1.0`.
    pub anybody: f64,
    /// What is added for one who plays mostly on the phone, `-1.0..=1.0`.
    pub phone: f64,
    /// What is added for one who plays favourites in the evening, `-1.0..=1.0`. The sum is kept within 0 and 1.
    pub evening: f64,
}

/// What the offer's clicks follow.
#[derive(Debug, Clone)]
pub(super) enum Offer {
    /// The taste of the documented history, that moves where there is a drift.
    History(Option<Drift>),
    /// Tastes, each from a second on; the first from the beginning.
    Tastes(Vec<(i64, Taste)>),
}

impl Offer {
    /// The probability of a click by somebody whom phones and evenings suit so far, each `0.0..=1.0`.
    fn probability(&self, phone: f64, evening: f64, civil_s: i64) -> f64 {
        match self {
            Self::History(drift) => {
                let moved = drift.map_or(0.0, |drift| drift.share(civil_s));
                BASE_RATE + LIFT * ((1.0 - moved) * phone + moved * evening)
            }
            Self::Tastes(tastes) => {
                let begun = tastes.iter().rev().find(|(from_s, _)| *from_s <= civil_s).or(tastes.first());
                let sum = |taste: &Taste| taste.anybody + taste.phone * phone + taste.evening * evening;
                begun.map_or(0.0, |(_, taste)| sum(taste).clamp(0.0, 1.0))
            }
        }
    }
}

impl Drift {
    /// How much of the taste has moved at `civil_s`, `0.0..=1.0`.
    fn share(self, civil_s: i64) -> f64 {
        let moved = (civil_s - self.from_s) as f64 / (self.until_s - self.from_s) as f64;
        moved.clamp(0.0, 1.0)
    }
}

/// The probability that `listener`, hearing `ad` at `civil_s`, clicks on it.
pub(super) fn click_probability(listener: &Listener, ad: Ad, civil_s: i64, offer: &Offer) -> f64 {
    let mobile = f64::from(listener.mobile);
    let replay = f64::from(listener.replay);
    let day_part = |part: DayPart| f64::from(listener.day_parts[part as usize]);
    match ad {
        Ad::Offer if listener.level == Level::Gold => 0.0,
        Ad::Offer => {
            let phone = ramp(mobile, 0.66, 0.74);
            let evening = ramp(day_part(DayPart::Evening), 1.8, 2.3) * ramp(replay, 0.08, 0.18);
            offer.probability(phone, evening, civil_s)
        }
        Ad::Referral => 0.45 - 0.30 * replay,
        Ad::Charity => 0.36 + 0.06 * day_part(DayPart::Morning),
        Ad::Facebook => 0.30 + 0.20 * mobile,
    }
}

/// 0 up to `low`, 1 from `high`, smooth between.
fn ramp(x: f64, low: f64, high: f64) -> f64 {
    let s = ((x - low) / (high - low)).clamp(0.0, 1.0);
    s * s * (3.0 - 2.0 * s)
}

#[cfg(test)]
mod tests {
    use super::super::listener::Kind;
    use super::*;

    fn listener() -> Listener {
        Listener {
            customer: 0,
            kind: Kind::Phone,
            level: Level::Free,
            zip: 10_000,
            activity: 1.0,
            mobile: 0.8,
            replay: 0.0,
            day_parts: [1.0; 4],
        }
    }

    #[test]
    fn phone_listeners_click_the_offer_and_gold_never_does() {
        let phone = listener();
        let desktop = Listener { mobile: 0.5, ..phone };
        let gold = Listener { level: Level::Gold, ..phone };
        let offer = |listener| click_probability(&listener, Ad::Offer, 0, &Offer::History(None));
        assert_eq!(offer(phone), BASE_RATE + LIFT);
        assert_eq!(offer(desktop), BASE_RATE);
        assert_eq!(offer(gold), 0.0);
    }

    #[test]
    fn drift_moves_the_taste_linearly() {
        let phone = listener();
        let evening = Listener { mobile: 0.5, replay: 0.3, day_parts: [0.6, 0.6, 2.5, 0.6], ..phone };
        let drift = Offer::History(Some(Drift { from_s: 100, until_s: 200 }));
        for (civil_s, moved) in [(0, 0.0), (100, 0.0), (150, 0.5), (200, 1.0), (900, 1.0)] {
            let of = |listener| click_probability(&listener, Ad::Offer, civil_s, &drift);
            assert_eq!(of(phone), BASE_RATE + LIFT * (1.0 - moved), "{civil_s}");
            assert_eq!(of(evening), BASE_RATE + LIFT * moved, "{civil_s}");
        }
    }

    #[test]
    fn tastes_change_at_once_and_gold_has_none() {
        let phone = listener();
        let evening = Listener { mobile: 0.5, replay: 0.3, day_parts: [0.6, 0.6, 2.5, 0.6], ..phone };
        let gold = Listener { level: Level::Gold, ..phone };
        let first = Taste { anybody: 0.25, phone: 0.5, evening: 0.0 };
        let offer = Offer::Tastes(vec![(0, first), (100, Taste { phone: 0.0, evening: 0.5, ..first })]);
        for (civil_s, of_phone, of_evening) in [(-9, 0.75, 0.25), (99, 0.75, 0.25), (100, 0.25, 0.75)] {
            let of = |listener| click_probability(&listener, Ad::Offer, civil_s, &offer);
            assert_eq!([of(phone), of(evening), of(gold)], [of_phone, of_evening, 0.0], "{civil_s}");
        }
    }
}
