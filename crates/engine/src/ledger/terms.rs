//! What a show costs, and what may be spent.

use upbeat_core::campaign::Bill;
use upbeat_core::encoding::{DecodeError, Decoder, put_varint, unzigzag, zigzag};
use upbeat_core::event::DAY_MS;

pub(super) const SECOND_MS: i64 = 1000;

/// The budgets of a campaign in micro-units; none where there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budgets {
    /// Of each local day.
    pub daily: Option<i64>,
    /// Of the flight.
    pub total: Option<i64>,
    /// The first local day of the flight: what was spent on days before does not count towards the total.
    pub from_day: Option<i32>,
}

impl Budgets {
    /// Whether anything is limited.
    pub fn any(&self) -> bool {
        self.daily.is_some() || self.total.is_some()
    }
}

/// What a show of a campaign costs, from an instant on. An account keeps those of former versions, so that the cost of a show is
/// known from its time alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Shows at this instant and later have these terms, in Unix milliseconds.
    pub from_ms: i64,
    /// The time zone of local days, by its IANA name.
    pub zone: Box<str>,
    /// What a show costs, in micro-units, not negative.
    pub cost: i64,
    /// Which shows cost.
    pub bill: Bill,
    /// How long the cost of a show is held for, in milliseconds, not negative.
    pub reserve_ms: i64,
    /// What a click is worth, in micro-units, not negative.
    pub click_value: i64,
}

/// The most instants within one reservation at which costs are booked: reservations that are longer than this many seconds
/// end up to a 2048th later.
const INSTANTS: i64 = 2048;

impl Terms {
    /// Whether shows under the other terms cost the same, whenever they began.
    pub fn same_costs(&self, other: &Self) -> bool {
        let Self { from_ms: _, zone, cost, bill, reserve_ms, click_value } = self;
        (zone, cost, bill, reserve_ms, click_value)
            == (&other.zone, &other.cost, &other.bill, &other.reserve_ms, &other.click_value)
    }

    /// What a show holds that was decided at `now_ms`, on the local `day` of that instant.
    pub fn charge(&self, now_ms: i64, day: i32) -> Charge {
        Charge { expires_s: self.expires_s(now_ms), day, bill: self.bill, cost: self.cost }
    }

    /// When the reservation of a show at `now_ms` ends, in whole seconds since 1970: no earlier than the terms say.
    fn expires_s(&self, now_ms: i64) -> i64 {
        let step = round_up(self.reserve_ms, INSTANTS * SECOND_MS) / INSTANTS;
        round_up(now_ms.saturating_add(self.reserve_ms), step.max(SECOND_MS)) / SECOND_MS
    }
}

/// The least multiple of `step` that is not below `number`.
fn round_up(number: i64, step: i64) -> i64 {
    number.div_euclid(step).saturating_add(i64::from(number.rem_euclid(step) > 0)).saturating_mul(step)
}

/// What a show holds of an account. Those that are equal are held together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Charge {
    /// From this instant on it is no longer held, in whole seconds since 1970.
    pub expires_s: i64,
    /// The local day that decided it, in days since 1970.
    pub day: i32,
    /// Whether it is spent then, or returned.
    pub bill: Bill,
    /// What it costs, in micro-units, not negative.
    pub cost: i64,
}

impl Charge {
    /// Appends the charge of a show at `time_ms`, which whoever reads it has to know: some 6 bytes.
    pub fn put(&self, time_ms: i64, into: &mut Vec<u8>) {
        put_varint(into, self.cost as u64);
        // A local day is that of UTC, the one before, or the one after.
        put_varint(into, zigzag(i64::from(self.day) - time_ms.div_euclid(DAY_MS)) << 1 | self.bill as u64);
        put_varint(into, zigzag(self.expires_s - time_ms.div_euclid(SECOND_MS)));
    }

    /// Reads what [`Charge::put`] wrote.
    ///
    /// # Errors
    /// The bytes are none that it writes.
    pub fn read(time_ms: i64, from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let cost = money(from, "the cost of a show")?;
        let (day, held_s) = (from.varint("the day of a show")?, from.varint("a reservation")?);
        let bill = if day & 1 == 0 { Bill::Show } else { Bill::Impression };
        let day = unzigzag(day >> 1).checked_add(time_ms.div_euclid(DAY_MS));
        let day = day.and_then(|day| i32::try_from(day).ok());
        let expires_s = unzigzag(held_s).checked_add(time_ms.div_euclid(SECOND_MS));
        let out_of_range = || DecodeError::bad("a reservation", "out of range");
        let (day, expires_s) = (day.ok_or_else(out_of_range)?, expires_s.ok_or_else(out_of_range)?);
        Ok(Self { expires_s, day, bill, cost })
    }
}

/// An amount as a number that is not negative.
pub(super) fn money(from: &mut Decoder<'_>, what: &'static str) -> Result<i64, DecodeError> {
    let number = from.varint(what)?;
    i64::try_from(number).map_err(|_| DecodeError::bad(what, number))
}
