//! What becomes of an account, one step at a time, as the log keeps it.

use upbeat_core::campaign::Bill;
use upbeat_core::encoding::{DecodeError, Decoder, put_varint, unzigzag, zigzag};

use super::terms::money;
use super::{Budgets, Charge, Terms};

/// A change of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A show was decided. The record of the show itself tells of it.
    Shown {
        /// What it holds.
        charge: Charge,
        /// When it was decided, in Unix milliseconds.
        time_ms: i64,
    },
    /// All reservations that end up to this instant have ended, in whole seconds since 1970.
    Expired {
        /// The instant.
        through_s: i64,
    },
    /// A show was confirmed.
    Confirmed(Charge, Confirmed),
    /// A show was voided.
    Voided(Charge, Voided),
    /// A click belongs to a show of this day.
    Clicked {
        /// The local day that decided the show.
        day: i32,
        /// What it was worth, in micro-units.
        value: i64,
    },
    /// An upgrade belongs to a show of this day.
    Upgraded {
        /// The local day that decided the show.
        day: i32,
    },
    /// Costs or budgets were set.
    Configured(Box<Terms>, Budgets),
    /// Shows of the day may cost up to so much in all. It is a record of its own kind.
    Leased {
        /// The local day.
        day: i32,
        /// The sum, in micro-units.
        until: i64,
    },
    /// A loss of power forfeited the rest of the day's lease.
    Lost {
        /// The local day.
        day: i32,
        /// What counts towards the budgets, in micro-units.
        amount: i64,
    },
}

/// Whence a confirmation has its cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// It was held.
    Held,
    /// It was no longer held, and something was left of the day's budget.
    Late,
    /// Nothing was left: nobody is billed.
    Overrun,
    /// A loss of power had forfeited it.
    Found,
}

/// Whence a void gives a cost back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voided {
    /// It was held.
    Held,
    /// It was spent.
    Spent,
}

/// The first byte of a record.
mod form {
    pub(super) const EXPIRED: u8 = 0;
    pub(super) const CONFIRMED: u8 = 1;
    pub(super) const VOIDED: u8 = 5;
    pub(super) const CLICKED: u8 = 7;
    pub(super) const UPGRADED: u8 = 8;
    pub(super) const CONFIGURED: u8 = 9;
    pub(super) const LEASED: u8 = 10;
    pub(super) const LOST: u8 = 11;
    /// The log has it in the record of the show, which says more.
    pub(super) const SHOWN: u8 = 12;
}

const CONFIRMED: [Confirmed; 4] = [Confirmed::Held, Confirmed::Late, Confirmed::Overrun, Confirmed::Found];
const VOIDED: [Voided; 2] = [Voided::Held, Voided::Spent];

impl Change {
    /// Appends it to the bytes of a record.
    pub fn put(&self, into: &mut Vec<u8>) {
        match self {
            Self::Expired { through_s } => {
                into.push(form::EXPIRED);
                put_varint(into, zigzag(*through_s));
            }
            Self::Confirmed(charge, how) => {
                into.push(form::CONFIRMED + *how as u8);
                charge.put(0, into);
            }
            Self::Voided(charge, how) => {
                into.push(form::VOIDED + *how as u8);
                charge.put(0, into);
            }
            Self::Clicked { day, value } => put_day(form::CLICKED, *day, Some(*value), into),
            Self::Upgraded { day } => put_day(form::UPGRADED, *day, None, into),
            Self::Leased { day, until } => put_day(form::LEASED, *day, Some(*until), into),
            Self::Lost { day, amount } => put_day(form::LOST, *day, Some(*amount), into),
            Self::Configured(terms, budgets) => {
                into.push(form::CONFIGURED);
                terms.put(into);
                budgets.put(into);
            }
            Self::Shown { charge, time_ms } => {
                into.push(form::SHOWN);
                put_varint(into, zigzag(*time_ms));
                charge.put(*time_ms, into);
            }
        }
    }

    /// Reads what [`Change::put`] wrote.
    ///
    /// # Errors
    /// The bytes are none that it writes.
    pub fn read(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let what = "a change of an account";
        let of_day = |from: &mut Decoder<'_>| {
            let day = unzigzag(from.varint(what)?);
            i32::try_from(day).map_err(|_| DecodeError::bad("a local day", day))
        };
        Ok(match from.byte(what)? {
            form::EXPIRED => Self::Expired { through_s: unzigzag(from.varint(what)?) },
            form @ form::CONFIRMED..form::VOIDED => {
                Self::Confirmed(Charge::read(0, from)?, CONFIRMED[usize::from(form - form::CONFIRMED)])
            }
            form @ form::VOIDED..form::CLICKED => {
                Self::Voided(Charge::read(0, from)?, VOIDED[usize::from(form - form::VOIDED)])
            }
            form::CLICKED => Self::Clicked { day: of_day(from)?, value: money(from, what)? },
            form::UPGRADED => Self::Upgraded { day: of_day(from)? },
            form::CONFIGURED => Self::Configured(Box::new(Terms::read(from)?), Budgets::read(from)?),
            form::LEASED => Self::Leased { day: of_day(from)?, until: money(from, what)? },
            form::LOST => Self::Lost { day: of_day(from)?, amount: money(from, what)? },
            form::SHOWN => {
                let time_ms = unzigzag(from.varint(what)?);
                Self::Shown { charge: Charge::read(time_ms, from)?, time_ms }
            }
            form => return Err(DecodeError::bad(what, format_args!("of form {form}"))),
        })
    }
}

fn put_day(form: u8, day: i32, amount: Option<i64>, into: &mut Vec<u8>) {
    into.push(form);
    put_varint(into, zigzag(day.into()));
    if let Some(amount) = amount {
        put_varint(into, amount as u64);
    }
}

impl Terms {
    /// Appends them.
    pub(super) fn put(&self, into: &mut Vec<u8>) {
        put_varint(into, zigzag(self.from_ms));
        put_varint(into, self.zone.len() as u64);
        into.extend_from_slice(self.zone.as_bytes());
        into.push(self.bill as u8);
        for amount in [self.cost, self.reserve_ms, self.click_value] {
            put_varint(into, amount as u64);
        }
    }

    /// Reads what [`Terms::put`] wrote.
    pub(super) fn read(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let what = "the costs of a campaign";
        let from_ms = unzigzag(from.varint(what)?);
        let length = from.count(MOST_ZONE, "a time zone")?;
        let zone = str::from_utf8(from.bytes(length, "a time zone")?);
        let zone = zone.map_err(|error| DecodeError::bad("a time zone", error))?.into();
        let bill = if from.flag(what)? { Bill::Impression } else { Bill::Show };
        let (cost, reserve_ms, click_value) = (money(from, what)?, money(from, what)?, money(from, what)?);
        Ok(Self { from_ms, zone, cost, bill, reserve_ms, click_value })
    }
}

/// The longest name of a time zone, in bytes.
const MOST_ZONE: usize = 64;

impl Budgets {
    /// Appends them.
    pub(super) fn put(&self, into: &mut Vec<u8>) {
        let Self { daily, total, from_day } = self;
        let has = [daily.is_some(), total.is_some(), from_day.is_some()];
        into.push((0..).zip(has).map(|(bit, has)| u8::from(has) << bit).sum());
        [daily, total].into_iter().flatten().for_each(|amount| put_varint(into, *amount as u64));
        from_day.iter().for_each(|day| put_varint(into, zigzag((*day).into())));
    }

    /// Reads what [`Budgets::put`] wrote.
    pub(super) fn read(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let what = "the budgets of a campaign";
        let has = from.byte(what)?;
        if has > 7 {
            return Err(DecodeError::bad(what, has));
        }
        let mut amount = |bit: u8| (has & bit != 0).then(|| money(from, what)).transpose();
        let (daily, total) = (amount(1)?, amount(2)?);
        let day = (has & 4 != 0).then(|| from.varint(what)).transpose()?.map(unzigzag);
        let from_day = day.map(i32::try_from).transpose();
        Ok(Self { daily, total, from_day: from_day.map_err(|_| DecodeError::bad(what, "a day"))? })
    }
}
