//! The pace at which an account spends, and the traffic that it learns from.
//!
//! The rate is adjusted once a slice, by the first decision after its end or by the clock, with the account locked: some
//! hundred nanoseconds. The forecasts take milliseconds for a long flight; they are made each local day, without the lock.

use std::sync::Arc;

use upbeat_core::campaign::schedule::{LocalDay, Schedule};
use upbeat_core::campaign::{self, Rate};
use upbeat_core::encoding::{DecodeError, Decoder, put_varint, unzigzag, zigzag};
use upbeat_core::event::Zone;
use upbeat_core::pacing::{Curve, DAY_SLOTS, Forecast, Limit, Pacer, SLICE_MS, SLOT_MS};

use super::AccountState;

/// Slices that are caught up with, at most, where none came for a while.
const MOST_SLICES: i64 = 15;

/// When a campaign runs, as far as its pace depends on it.
#[derive(Debug, Clone)]
pub(crate) struct Paced {
    /// How its budget is spread.
    pub mode: campaign::Pacing,
    /// When it runs.
    pub schedule: Schedule,
    /// By which clocks.
    pub zone: Zone,
}

/// What is expected of the present local day, and of the flight.
#[derive(Debug, Clone)]
pub(super) struct Forecasts {
    day: i32,
    of_day: Forecast,
    of_flight: Option<Forecast>,
}

/// What forecasts are made of.
pub(super) struct Expected {
    paced: Arc<Paced>,
    curve: Curve,
    today: LocalDay,
}

impl Expected {
    /// Takes milliseconds for a flight of months.
    pub fn forecasts(&self, now_ms: i64) -> Forecasts {
        let Self { paced, curve, today } = self;
        let curve = (paced.mode == campaign::Pacing::Traffic).then_some(curve);
        Forecasts {
            day: today.day,
            of_day: Forecast::of_day(&paced.schedule, *today, curve),
            of_flight: Forecast::of_flight(&paced.schedule, &paced.zone, now_ms, curve),
        }
    }
}

/// The pace of an account.
#[derive(Debug, Default)]
pub(super) struct Pace {
    paced: Option<Arc<Paced>>,
    forecasts: Option<Forecasts>,
    pacer: Pacer,
    /// When the present slice began, in Unix milliseconds, and the number of shows before.
    slice: Option<(i64, u64)>,
    /// Shows of this process.
    shows: u64,
    traffic: Traffic,
}

/// What is learned of the traffic of a day.
#[derive(Debug, Clone, PartialEq)]
struct Traffic {
    curve: Curve,
    /// Decisions in each quarter of an hour of `day` by the local clock.
    today: [u64; DAY_SLOTS],
    day: Option<i32>,
    /// Whether `today` has all of the day so far.
    whole: bool,
    /// All decisions that were counted so far.
    decisions: u64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { curve: Curve::default(), today: [0; DAY_SLOTS], day: None, whole: false, decisions: 0 }
    }
}

impl Pace {
    /// Paces as this campaign asks for.
    pub fn set(&mut self, paced: Paced) {
        (self.paced, self.forecasts) = (Some(Arc::new(paced)), None);
    }

    /// Shows of this process.
    pub fn shows(&self) -> u64 {
        self.shows
    }

    /// Counts a show.
    pub fn count_show(&mut self) {
        self.shows += 1;
    }

    /// Whether the rate is other than 1. Shows that cost nothing use up no budget, so that there is nothing to spread.
    fn is_paced(&self, state: &AccountState) -> bool {
        let costs = state.terms_at(i64::MAX).is_some_and(|terms| terms.cost > 0);
        let mode = self.paced.as_ref().map_or(campaign::Pacing::None, |paced| paced.mode);
        costs && state.budgets().any() && mode != campaign::Pacing::None
    }

    /// When the present slice ends, in Unix milliseconds.
    pub fn slice_end_ms(&self, state: &AccountState) -> i64 {
        match self.slice.filter(|_| self.is_paced(state)) {
            Some((from_ms, _)) => from_ms.saturating_add(SLICE_MS),
            None => i64::MAX,
        }
    }

    /// The rate in force.
    pub fn rate(&self, state: &AccountState) -> Rate {
        if self.is_paced(state) { self.pacer.rate() } else { Rate::ALWAYS }
    }

    /// Adjusts the rate where a slice has ended. `decisions` tells how many decisions there were so far; it is asked once a slice.
    pub fn adjust(
        &mut self,
        state: &AccountState,
        today: LocalDay,
        now_ms: i64,
        decisions: impl Fn() -> u64,
    ) {
        if !self.is_paced(state) {
            self.slice = None;
            return;
        }
        let (from_ms, shows) = *self.slice.get_or_insert((now_ms, self.shows));
        let slices = now_ms.saturating_sub(from_ms) / SLICE_MS;
        // A clock that was set back begins a slice.
        if now_ms < from_ms {
            self.slice = Some((now_ms, self.shows));
        }
        if slices <= 0 {
            return;
        }
        self.traffic.count(self.paced.as_deref(), today, from_ms, decisions());
        self.slice = Some((from_ms + slices * SLICE_MS, self.shows));
        let Some(forecasts) = self.forecasts.as_ref().filter(|forecasts| forecasts.day == today.day) else {
            return;
        };
        let budgets = state.budgets();
        let of_day = budgets.daily.map(|budget_micro| Limit {
            budget_micro,
            committed_micro: state.days().sums(today.day).committed(),
            forecast: &forecasts.of_day,
        });
        let of_flight = budgets.total.zip(forecasts.of_flight.as_ref()).map(|(budget_micro, forecast)| {
            Limit { budget_micro, committed_micro: state.committed_of_flight(), forecast }
        });
        let limits: Vec<Limit<'_>> = of_day.into_iter().chain(of_flight).collect();
        let cost = state.terms_at(now_ms).map_or(0, |terms| terms.cost);
        let of_slice = u32::try_from((self.shows - shows) / slices as u64).unwrap_or(u32::MAX);
        for _ in 0..slices.min(MOST_SLICES) {
            self.pacer.adjust(now_ms, of_slice, cost, &limits);
        }
    }

    /// What the forecasts of this day have to be made of, if they are not made yet.
    pub fn expected(&self, state: &AccountState, today: LocalDay) -> Option<Expected> {
        let is_made = self.forecasts.as_ref().is_some_and(|forecasts| forecasts.day == today.day);
        let paced = self.paced.clone().filter(|_| self.is_paced(state) && !is_made)?;
        Some(Expected { paced, curve: self.traffic.curve.clone(), today })
    }

    /// Takes the forecasts that were made, unless the campaign was set anew meanwhile.
    pub fn take(&mut self, of: &Expected, forecasts: Forecasts) {
        if self.paced.as_ref().is_some_and(|paced| Arc::ptr_eq(paced, &of.paced)) {
            self.forecasts = Some(forecasts);
        }
    }

    /// Appends what was learned, and the rate.
    pub fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.pacer.rate().0.to_le_bytes());
        for share in self.traffic.curve.shares() {
            into.extend_from_slice(&share.to_bits().to_le_bytes());
        }
        into.push(u8::from(self.traffic.day.is_some()) | u8::from(self.traffic.whole) << 1);
        put_varint(into, zigzag(self.traffic.day.unwrap_or(0).into()));
        self.traffic.today.iter().for_each(|count| put_varint(into, *count));
    }

    /// Reads what [`Pace::encode`] wrote.
    pub fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let what = "the pace of an account";
        let rate = u16::from_le_bytes([from.byte(what)?, from.byte(what)?]);
        let mut shares = [0.0; DAY_SLOTS];
        for share in &mut shares {
            *share = f64::from_bits(from.u64(what)?);
        }
        let has = from.byte(what)?;
        if has > 3 {
            return Err(DecodeError::bad(what, has));
        }
        let day = unzigzag(from.varint(what)?);
        let day = i32::try_from(day).map_err(|_| DecodeError::bad(what, day))?;
        let mut today = [0; DAY_SLOTS];
        for count in &mut today {
            *count = from.varint(what)?;
        }
        let day = (has & 1 != 0).then_some(day);
        let traffic = Traffic { curve: Curve::of(shares), today, day, whole: has & 2 != 0, decisions: 0 };
        Ok(Self { pacer: Pacer::resumed(Rate(rate)), traffic, ..Self::default() })
    }
}

impl Traffic {
    /// Counts the decisions since the last time to the quarter of an hour of `at_ms`, and learns from a day that is over.
    fn count(&mut self, paced: Option<&Paced>, today: LocalDay, at_ms: i64, decisions: u64) {
        let count = decisions.saturating_sub(self.decisions);
        self.decisions = decisions;
        if self.day != Some(today.day) {
            if self.whole {
                self.curve.learn(&self.today);
            }
            // A day of which the beginning is missing would teach that nobody listens then.
            let follows = self.day.is_some_and(|day| day + 1 == today.day);
            self.whole = follows || at_ms < today.start_ms + SLOT_MS;
            (self.today, self.day) = ([0; DAY_SLOTS], Some(today.day));
        }
        if (today.start_ms..today.end_ms).contains(&at_ms)
            && let Some(paced) = paced
        {
            let slot = (paced.schedule.local_of_day_ms(at_ms) / SLOT_MS) as usize;
            self.today[slot.min(DAY_SLOTS - 1)] += count;
        }
    }
}
