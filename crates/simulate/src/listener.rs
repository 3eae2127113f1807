//! Listeners and their habits.

use super::rng::{Rng, Stream};

/// What a customer pays for; the number is `Level` in `customers.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Pays nothing and hears every ad.
    Free = 0,
    /// Pays a little.
    Silver = 1,
    /// Has already what the offer sells.
    Gold = 2,
}

/// The habit a listener was made with. It is written to no file: the model must find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Plays mostly on the phone, seldom the same track twice.
    Phone,
    /// Plays in the evening, mostly on the desktop, the same favourites again and again.
    Evening,
    /// Neither.
    Plain,
}

/// Parts of the day, in the order of the feature vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayPart {
    /// 05:00 to 11:59.
    Morning = 0,
    /// 12:00 to 16:59.
    Afternoon = 1,
    /// 17:00 to 21:59.
    Evening = 2,
    /// 22:00 to 04:59.
    Night = 3,
}

impl DayPart {
    /// The part of the day that `civil_s` (seconds since 1970-01-01T00:00:00 as written) falls in.
    #[inline]
    pub fn of(civil_s: i64) -> Self {
        match civil_s.rem_euclid(86_400) / 3_600 {
            5..=11 => Self::Morning,
            12..=16 => Self::Afternoon,
            17..=21 => Self::Evening,
            _ => Self::Night,
        }
    }
}

/// Shares of all customers that are [`Kind::Phone`] and [`Kind::Evening`].
pub(super) const PHONE_SHARE: f64 = 0.15;
pub(super) const EVENING_SHARE: f64 = 0.12;

/// Shares of [`Level::Gold`] by kind. Few of those whom the offer tempts hold Gold already; over
/// all kinds it comes to 10.6 %, as in the original data.
const GOLD_SHARE_TEMPTED: f64 = 0.02;
const GOLD_SHARE_PLAIN: f64 = 0.138;
/// Share of [`Level::Free`] among those without Gold.
const FREE_SHARE: f64 = 0.633;

/// Plays are spread evenly over the hours, so what evening listeners take of the evening is missing
/// for others. Phone listeners are lifted by this to keep an average evening, so that only the phone
/// share distinguishes them.
const PHONE_EVENING_LIFT: f32 = 1.29;

/// The largest entry that [`Listener::day_parts`] can have.
pub(super) const DAY_PART_MAX: f64 = 2.8;

/// How many favourites a listener has.
pub(super) const FAVOURITES: u32 = 12;

/// One customer and the habits that play for them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Listener {
    /// Customer id, `0..customers`.
    pub customer: u32,
    /// The habit behind the numbers below.
    pub kind: Kind,
    /// Membership at the end of the history.
    pub level: Level,
    /// Five-digit zip, `10_000..=99_949`; all plays come from there.
    pub zip: u32,
    /// Plays in proportion to this, `0.35..2.3`, mean 1. Skewed: half the listeners stay below 0.84.
    pub activity: f32,
    /// Probability that a play comes from the phone, `0.0..=1.0`.
    pub mobile: f32,
    /// Probability that a play is one of the listener's own 12 favourites, `0.0..=1.0`.
    pub replay: f32,
    /// How much likelier than others this listener plays in each [`DayPart`], `0.0..=2.8`.
    pub day_parts: [f32; 4],
}

impl Listener {
    /// The listener that `seed` makes of customer id `customer`.
    pub(super) fn new(seed: u64, customer: u32) -> Self {
        let mut rng = Rng::of(seed, Stream::Listener, u64::from(customer));
        let kind = kind(&mut rng);
        let level = level(kind, &mut rng);
        let zip = 10_000 + rng.below(89_950);
        let skew = rng.unit();
        let (mobile, replay) = match kind {
            Kind::Phone => (rng.bell(0.74, 0.89), rng.bell(0.0, 0.01)),
            Kind::Evening => (rng.bell(0.40, 0.60), rng.bell(0.22, 0.40)),
            Kind::Plain => (rng.bell(0.48, 0.68), rng.bell(0.0, 0.04)),
        };
        Self {
            customer,
            kind,
            level,
            zip,
            activity: (0.35 + 1.95 * skew * skew) as f32,
            mobile: mobile as f32,
            replay: replay as f32,
            day_parts: day_parts(kind, &mut rng),
        }
    }
}

fn kind(rng: &mut Rng) -> Kind {
    match rng.unit() {
        draw if draw < PHONE_SHARE => Kind::Phone,
        draw if draw < PHONE_SHARE + EVENING_SHARE => Kind::Evening,
        _ => Kind::Plain,
    }
}

fn level(kind: Kind, rng: &mut Rng) -> Level {
    let gold_share = match kind {
        Kind::Phone | Kind::Evening => GOLD_SHARE_TEMPTED,
        Kind::Plain => GOLD_SHARE_PLAIN,
    };
    if rng.chance(gold_share) {
        Level::Gold
    } else if rng.chance(FREE_SHARE) {
        Level::Free
    } else {
        Level::Silver
    }
}

fn day_parts(kind: Kind, rng: &mut Rng) -> [f32; 4] {
    let mut parts = [0.0; 4];
    for part in &mut parts {
        *part = match kind {
            Kind::Evening => rng.bell(0.4, 0.8) as f32,
            Kind::Phone | Kind::Plain => rng.bell(0.6, 1.4) as f32,
        };
    }
    let evening = &mut parts[DayPart::Evening as usize];
    *evening = match kind {
        Kind::Evening => rng.bell(2.3, DAY_PART_MAX) as f32,
        Kind::Phone => *evening * PHONE_EVENING_LIFT,
        Kind::Plain => *evening,
    };
    parts
}
