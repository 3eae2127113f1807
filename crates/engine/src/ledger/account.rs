//! The account of one campaign, as threads share it.
//!
//! A change is worked out, published and applied while the account is locked: so an account is a function of its records in the
//! order of their positions. Decisions that show nothing read it without the lock.

use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use upbeat_core::campaign::schedule::{LocalDay, local_day};
use upbeat_core::decision::Reason;
use upbeat_core::event::Zone;

use super::days::{REASONS, place_of};
use super::leases::Leases;
use super::pacing::Pace;
use super::terms::SECOND_MS;
use super::{AccountState, Accounts, Change, Charge, NoMoney};
use crate::log::{Log, Payload, Use};
use crate::striped::Padded;

/// Threads count what was not shown in so many places.
const STRIPES: usize = 8;

/// An account among the others, and the log.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub log: Option<&'a Log>,
    pub slot: u16,
    pub accounts: &'a Accounts,
}

/// The account of one campaign.
pub(super) struct Account {
    hot: Padded<Hot>,
    not_shown: [Padded<[AtomicU64; REASONS]>; STRIPES],
    /// Decisions that named the campaign and are not in `not_shown`.
    others: AtomicU64,
    locked: Mutex<Locked>,
}

/// What decisions read without a lock. What they read is a hint: where it is outdated the account says so when it is to pay.
struct Hot {
    available: AtomicI64,
    /// `available`, and the day on which is counted what was not shown, hold from this instant on, in Unix milliseconds,
    from_ms: AtomicI64,
    /// and before this one.
    until_ms: AtomicI64,
    /// The share of shows that pacing lets pass, of 65,535.
    pass: AtomicU16,
}

impl Default for Account {
    fn default() -> Self {
        let hot = Hot {
            available: AtomicI64::new(0),
            from_ms: AtomicI64::new(i64::MAX),
            until_ms: AtomicI64::new(i64::MIN),
            pass: AtomicU16::new(u16::MAX),
        };
        let not_shown = std::array::from_fn(|_| Padded(std::array::from_fn(|_| AtomicU64::new(0))));
        Self { hot: Padded(hot), not_shown, others: AtomicU64::new(0), locked: Mutex::default() }
    }
}

/// What the lock guards.
#[derive(Default)]
pub(super) struct Locked {
    pub(super) state: AccountState,
    pub(super) leases: Leases,
    pub(super) pace: Pace,
    /// Records at lower positions are in the state already.
    pub(super) from: u64,
    /// The zone that was used last, by its name.
    zone: Option<(Box<str>, Zone)>,
    /// The local day that was used last, in that zone, and whose counts are in [`Account::not_shown`].
    today: Option<LocalDay>,
}

impl Account {
    pub(super) fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The share of shows that pacing lets pass, of 65,535.
    #[inline]
    pub(super) fn pass(&self) -> u16 {
        self.hot.0.pass.load(Ordering::Relaxed)
    }

    #[inline]
    fn is_current(&self, now_ms: i64) -> bool {
        let hot = &self.hot.0;
        hot.from_ms.load(Ordering::Acquire) <= now_ms && now_ms < hot.until_ms.load(Ordering::Acquire)
    }

    /// What is left for a show at this instant.
    #[inline]
    pub(super) fn available(&self, place: Place<'_>, now_ms: i64) -> i64 {
        if self.is_current(now_ms) {
            return self.hot.0.available.load(Ordering::Relaxed);
        }
        let mut locked = self.lock();
        // Without room for the record of what ends, it is held a little longer.
        let _ = self.bring_up(&mut locked, place, now_ms);
        self.hot.0.available.load(Ordering::Relaxed)
    }

    /// Counts a decision that named the campaign and showed nothing.
    #[inline]
    pub(super) fn count_not_shown(&self, now_ms: i64, reason: Reason) {
        if !self.is_current(now_ms) {
            let mut locked = self.lock();
            self.turn_to(&mut locked, now_ms);
            self.publish_hot(&locked, now_ms);
        }
        let stripe = crate::striped::own_stripe().unwrap_or(STRIPES - 1) % STRIPES;
        self.not_shown[stripe].0[place_of(reason)].fetch_add(1, Ordering::Relaxed);
    }

    /// What decisions read without the lock is to be read again.
    pub(super) fn outdate(&self, locked: &mut Locked) {
        self.collect_not_shown(locked);
        locked.today = None;
        self.hot.0.until_ms.store(i64::MIN, Ordering::Release);
    }

    /// Makes the local day of this instant the one that is counted on.
    pub(super) fn turn_to(&self, locked: &mut Locked, now_ms: i64) -> Option<LocalDay> {
        let Locked { state, zone, today, .. } = locked;
        let terms = state.terms_at(now_ms)?;
        let same_zone = zone.as_ref().is_some_and(|(name, _)| *name == terms.zone);
        if same_zone
            && let Some(today) = today.filter(|today| (today.start_ms..today.end_ms).contains(&now_ms))
        {
            return Some(today);
        }
        if !same_zone {
            // The name was good when the campaign was read. Of a machine whose zones have gone the days are those of UTC.
            let of_name = Zone::named(&terms.zone).unwrap_or_else(|_| Zone::utc());
            *zone = Some((terms.zone.clone(), of_name));
        }
        let day = zone.as_ref().map(|(_, zone)| local_day(zone, now_ms))?;
        self.collect_not_shown(locked);
        locked.today = Some(day);
        Some(day)
    }

    /// Moves what the threads have counted to the day on which they did.
    pub(super) fn collect_not_shown(&self, locked: &mut Locked) {
        let Some(today) = locked.today else { return };
        for stripe in &self.not_shown {
            for (place, count) in stripe.0.iter().enumerate() {
                if count.load(Ordering::Relaxed) > 0 {
                    let count = count.swap(0, Ordering::Relaxed);
                    locked.state.count_not_shown(today.day, place, count);
                    self.others.fetch_add(count, Ordering::Relaxed);
                }
            }
        }
    }

    /// Decisions of this process that named the campaign.
    pub(super) fn decisions(&self) -> u64 {
        let not_shown = self.not_shown.iter().flat_map(|stripe| &stripe.0);
        not_shown.chain([&self.others]).map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Turns to the day of this instant, ends the reservations that are due, and adjusts the pace where a slice has ended.
    pub(super) fn bring_up(&self, locked: &mut Locked, place: Place<'_>, now_ms: i64) -> Result<(), NoMoney> {
        let today = self.turn_to(locked, now_ms);
        let ended = match locked.state.expiry(now_ms) {
            Some(change) => locked.make(place, &change).map(drop),
            None => Ok(()),
        };
        if let Some(today) = today {
            locked.pace.adjust(&locked.state, today, now_ms, || place.accounts.decisions());
        }
        self.publish_hot(locked, now_ms);
        ended
    }

    /// Lets decisions read what the state is.
    pub(super) fn publish_hot(&self, locked: &Locked, now_ms: i64) {
        let (Some(today), Some(terms)) = (locked.today, locked.state.terms_at(now_ms)) else { return };
        let next_ms = locked.state.next_terms_ms(now_ms);
        let ends_ms = locked.state.next_expiry_s().saturating_mul(SECOND_MS);
        let from_ms =
            if locked.state.is_first(terms) { today.start_ms } else { today.start_ms.max(terms.from_ms) };
        let hot = &self.hot.0;
        hot.available.store(locked.state.available(today.day), Ordering::Relaxed);
        hot.pass.store(locked.pace.rate(&locked.state).0, Ordering::Relaxed);
        let slice_ms = locked.pace.slice_end_ms(&locked.state);
        hot.until_ms.store(today.end_ms.min(next_ms).min(ends_ms).min(slice_ms), Ordering::Release);
        hot.from_ms.store(from_ms, Ordering::Release);
    }

    /// What a show of this campaign at this instant would hold, or has held.
    pub(super) fn charge_at(&self, locked: &mut Locked, time_ms: i64) -> Option<Charge> {
        let Locked { state, zone, today, .. } = locked;
        let terms = state.terms_at(time_ms)?;
        let of_zone = zone.as_ref().filter(|(name, _)| *name == terms.zone);
        let is_today = |today: &LocalDay| (today.start_ms..today.end_ms).contains(&time_ms);
        if let (Some(_), Some(today)) = (of_zone, today.filter(is_today)) {
            return Some(terms.charge(time_ms, today.day));
        }
        let zone = of_zone.map(|(_, zone)| zone.clone());
        let zone = zone.or_else(|| Zone::named(&terms.zone).ok()).unwrap_or_else(Zone::utc);
        Some(terms.charge(time_ms, local_day(&zone, time_ms).day))
    }

    /// Holds the cost of a show, if there is money and `publish` has published its record.
    pub(super) fn reserve(
        &self,
        place: Place<'_>,
        now_ms: i64,
        publish: impl FnOnce(&Charge) -> bool,
    ) -> Result<Charge, NoMoney> {
        let mut guard = self.lock();
        let locked = &mut *guard;
        self.bring_up(locked, place, now_ms)?;
        let charge = self.charge_at(locked, now_ms).ok_or(NoMoney::Budget)?;
        locked.state.check(&charge)?;
        if let Some(log) = place.log.filter(|_| charge.cost > 0 && locked.state.budgets().any()) {
            let covered = locked.leases.covers(&locked.state, charge.day, charge.cost, log);
            // Before the show where it has to wait, so that it waits once.
            locked.extend_lease(place, charge.day);
            if !covered {
                log.want_durable();
                // Without room for records the lease does not come.
                return Err(if log.takes(Use::Show) { NoMoney::Lease } else { NoMoney::Log });
            }
        }
        if !publish(&charge) {
            return Err(NoMoney::Log);
        }
        locked.apply(place, &Change::Shown { charge, time_ms: now_ms });
        locked.pace.count_show();
        self.others.fetch_add(1, Ordering::Relaxed);
        self.publish_hot(locked, now_ms);
        Ok(charge)
    }
}

impl Locked {
    /// Publishes a change and makes it; the position of its record, 0 without a log.
    ///
    /// # Errors
    /// The log has no room.
    pub(super) fn make(&mut self, place: Place<'_>, change: &Change) -> Result<u64, NoMoney> {
        let position = match place.log {
            None => 0,
            Some(log) => {
                let payload = Payload::of_money(place.slot, change);
                let room = log.room(Use::Show, 1, payload.bytes().len());
                room.ok_or(NoMoney::Log)?.publish(&payload, 0)
            }
        };
        self.apply(place, change);
        Ok(position)
    }

    /// Makes a change whose record is published.
    pub(super) fn apply(&mut self, place: Place<'_>, change: &Change) {
        self.state.apply(change);
        self.note(place.log);
    }

    /// Notes what the account has come to, after the records of it.
    pub(super) fn note(&mut self, log: Option<&Log>) {
        if let Some(log) = log {
            self.leases.note(&self.state, log);
        }
    }

    /// Extends the lease of a day where that is due.
    pub(super) fn extend_lease(&mut self, place: Place<'_>, day: i32) {
        let Some(log) = place.log else { return };
        let extension = self.leases.extension(&self.state, day, log);
        if let Some(change @ Change::Leased { until, .. }) = extension
            && let Ok(position) = self.make(place, &change)
        {
            self.leases.extended(position, day, until);
        }
    }
}
