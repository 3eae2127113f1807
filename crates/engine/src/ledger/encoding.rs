//! An account in a snapshot.

use std::collections::BTreeMap;

use upbeat_core::decision::Reason;
use upbeat_core::encoding::{DecodeError, Decoder, put_varint, unzigzag, zigzag};

use super::days::{Day, Days, place_of};
use super::state::Held;
use super::terms::money;
use super::{AccountState, Budgets, Charge, Terms};

/// The version of these bytes.
const VERSION: u8 = 1;

/// The most of anything in an account.
const MOST: usize = 1 << 14;

impl AccountState {
    /// Appends it: some kilobytes while shows hold their costs, else a hundred bytes a day.
    pub fn encode(&self, into: &mut Vec<u8>) {
        into.push(VERSION);
        self.budgets.put(into);
        put_varint(into, self.terms.len() as u64);
        self.terms.iter().for_each(|terms| terms.put(into));
        put_varint(into, self.held.len() as u64);
        for (charge, held) in &self.held {
            charge.put(0, into);
            put_varint(into, held.shows);
            put_varint(into, held.open);
        }
        let (before, days) = self.days.parts();
        into.push(before.is_some().into());
        put_varint(into, days.len() as u64);
        before.into_iter().chain(days).for_each(|day| put_day(day, into));
        put_varint(into, self.leases.len() as u64);
        for (day, until) in &self.leases {
            put_varint(into, zigzag((*day).into()));
            put_varint(into, *until as u64);
        }
        put_varint(into, self.flight as u64);
        put_varint(into, zigzag(self.newest_ms));
    }

    /// Reads what [`AccountState::encode`] wrote.
    ///
    /// # Errors
    /// The bytes are none that it writes.
    pub fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let what = "an account";
        let version = from.byte(what)?;
        if version != VERSION {
            let found = format_args!("version {version}: a newer program wrote it");
            return Err(DecodeError::bad(what, found));
        }
        let budgets = Budgets::read(from)?;
        let terms = (0..from.count(MOST, what)?).map(|_| Terms::read(from)).collect::<Result<Vec<_>, _>>()?;
        let mut held = BTreeMap::new();
        for _ in 0..from.count(MOST, what)? {
            let charge = Charge::read(0, from)?;
            let (shows, open) = (from.varint(what)?, from.varint(what)?);
            if shows == 0 || open > shows || held.insert(charge, Held { shows, open }).is_some() {
                return Err(DecodeError::bad("what an account holds", shows));
            }
        }
        let has_before = from.flag(what)?;
        let count = from.count(MOST, what)?;
        let before = has_before.then(|| day(from)).transpose()?;
        let days = (0..count).map(|_| day(from)).collect::<Result<Vec<_>, _>>()?;
        let days =
            Days::from_parts(before, days).ok_or_else(|| DecodeError::bad("the days", "not in order"))?;
        let lease = |from: &mut Decoder<'_>| Ok((day_number(from)?, money(from, what)?));
        let leases = (0..from.count(MOST, what)?).map(|_| lease(from)).collect::<Result<Vec<_>, _>>()?;
        let (flight, newest_ms) = (money(from, what)?, unzigzag(from.varint(what)?));
        Ok(Self { budgets, terms, held, days, leases, flight, newest_ms })
    }
}

fn put_day(day: &Day, into: &mut Vec<u8>) {
    put_varint(into, zigzag(day.day.into()));
    day.sums.amounts().into_iter().for_each(|amount| put_varint(into, amount as u64));
    day.sums.counts().into_iter().for_each(|count| put_varint(into, count));
    let counted = || Reason::ALL.iter().filter(|reason| day.not_shown[place_of(**reason)] > 0);
    put_varint(into, counted().count() as u64);
    // By name: reasons come between others as the policy grows.
    for reason in counted() {
        put_varint(into, reason.name().len() as u64);
        into.extend_from_slice(reason.name().as_bytes());
        put_varint(into, day.not_shown[place_of(*reason)]);
    }
}

fn day(from: &mut Decoder<'_>) -> Result<Day, DecodeError> {
    let what = "a day of an account";
    let mut day = Day::new(day_number(from)?);
    for amount in day.sums.amounts_mut() {
        *amount = money(from, what)?;
    }
    for count in day.sums.counts_mut() {
        *count = from.varint(what)?;
    }
    for _ in 0..from.count(256, what)? {
        let length = from.count(64, what)?;
        let name = from.bytes(length, what)?;
        let reason = Reason::ALL.iter().find(|reason| reason.name().as_bytes() == name);
        let reason = reason.ok_or_else(|| DecodeError::bad("a reason", String::from_utf8_lossy(name)))?;
        day.not_shown[place_of(*reason)] = from.varint(what)?;
    }
    Ok(day)
}

fn day_number(from: &mut Decoder<'_>) -> Result<i32, DecodeError> {
    let day = unzigzag(from.varint("a local day")?);
    i32::try_from(day).map_err(|_| DecodeError::bad("a local day", day))
}
