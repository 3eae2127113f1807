//! What is true of each campaign at an instant.

use std::sync::atomic::{AtomicU64, Ordering};

use upbeat_core::campaign::schedule::local_day;
use upbeat_core::campaign::{Document, Plan, Rate};
use upbeat_core::decision::policy::Live;

use crate::Engine;
use crate::campaigns::Current;

/// Plans of so many campaigns need no memory of their own for a decision.
pub(super) const FEW: usize = 8;

/// What was found of a campaign's hours, or of the local day of tosses, and for how long it holds. It goes with the plan.
#[derive(Debug, Default)]
pub(crate) struct Hours {
    /// By the place of a campaign in the plan: `None` where asking the schedule takes no longer than looking here.
    open: Box<[Option<Held>]>,
    day: Held,
    /// Whether a campaign has a budget, and so an account that says how much is left.
    limited: Box<[bool]>,
}

impl Hours {
    /// Nothing is known yet of these campaigns.
    pub fn new(document: &Document, plan: &Plan) -> Self {
        let of = |place: usize| {
            let campaign = &document.campaign[place];
            (!campaign.hours.is_empty() || campaign.weekdays.len() < 7).then(Held::default)
        };
        let is_limited = |place: usize| {
            let campaign = &document.campaign[place];
            campaign.daily_budget.is_some() || campaign.total_budget.is_some()
        };
        Self {
            open: plan.campaigns.iter().map(|planned| of(planned.place)).collect(),
            day: Held::default(),
            limited: plan.campaigns.iter().map(|planned| is_limited(planned.place)).collect(),
        }
    }

    /// Whether a campaign's schedule is open.
    #[inline]
    fn is_open(&self, plan: &Plan, index: usize, now_ms: i64) -> bool {
        let schedule = &plan.campaigns[index].schedule;
        let Some(held) = &self.open[index] else { return schedule.is_open(now_ms) };
        let found = || {
            let until_ms = schedule.next_change_ms(now_ms).unwrap_or(now_ms.saturating_add(LONGEST_MS));
            (u64::from(schedule.is_open(now_ms)), now_ms, until_ms)
        };
        held.get(now_ms, found) != 0
    }

    /// The local day of a toss at this instant, in days since 1970; 0 where nothing explores. Days before 1970 and after 2149 are those
    /// at the ends.
    #[inline]
    pub fn toss_day(&self, plan: &Plan, now_ms: i64) -> u16 {
        let Some(first) = plan.first_explorer else { return 0 };
        let day = self.day.get(now_ms, || {
            let day = local_day(&plan.campaigns[first].zone, now_ms);
            (day.day.clamp(1, i32::from(u16::MAX)) as u64, day.start_ms, day.end_ms)
        });
        day as u16
    }
}

/// A state holds for a day at most, so that 17 bits of seconds tell how long.
const LONGEST_MS: i64 = 86_400_000;

/// 16 bits of a state, the seconds since 2000 from which on it holds in 31 bits, and for how many in 17.
#[derive(Debug, Default)]
struct Held(AtomicU64);

const EPOCH_S: i64 = 946_684_800;
const FROM_BITS: u32 = 31;
const LENGTH_BITS: u32 = 17;

impl Held {
    /// The state at an instant: the one that is held, or what is found, with the times from and until which it holds. All in Unix
    /// milliseconds.
    #[inline]
    fn get(&self, now_ms: i64, find: impl FnOnce() -> (u64, i64, i64)) -> u64 {
        let held = self.0.load(Ordering::Relaxed);
        let from_s = (held >> LENGTH_BITS & ((1 << FROM_BITS) - 1)) as i64 + EPOCH_S;
        let length_s = (held & ((1 << LENGTH_BITS) - 1)) as i64;
        if (from_s..from_s + length_s).contains(&now_ms.div_euclid(1000)) {
            return held >> (FROM_BITS + LENGTH_BITS);
        }
        self.find(find)
    }

    #[cold]
    fn find(&self, find: impl FnOnce() -> (u64, i64, i64)) -> u64 {
        let (state, from_ms, until_ms) = find();
        // Whole seconds within the time for which it holds.
        let from_s = from_ms.saturating_add(999).div_euclid(1000) - EPOCH_S;
        let length_s = until_ms.div_euclid(1000).saturating_sub(EPOCH_S).saturating_sub(from_s);
        let length_s = length_s.clamp(0, (1 << LENGTH_BITS) - 1) as u64;
        if (0..1 << FROM_BITS).contains(&from_s) {
            let packed = state << (FROM_BITS + LENGTH_BITS) | (from_s as u64) << LENGTH_BITS | length_s;
            self.0.store(packed, Ordering::Relaxed);
        }
        state
    }
}

impl Engine {
    /// What is true of each campaign at this instant, in the order of the plan, in `few` or in `many`.
    #[inline]
    pub(super) fn live<'a>(
        &self,
        campaigns: &Current,
        now_ms: i64,
        few: &'a mut [Live; FEW],
        many: &'a mut Vec<Live>,
    ) -> &'a mut [Live] {
        let count = campaigns.plan.campaigns.len();
        let live = if count <= FEW {
            &mut few[..count]
        } else {
            many.resize(count, Live::UNBOUNDED);
            many.as_mut_slice()
        };
        for (index, live) in live.iter_mut().enumerate() {
            // Each value by itself: a copy of the whole would wait for its parts.
            let Live { open, available_micro, pass } = self.live_of(campaigns, index, now_ms);
            (live.open, live.available_micro, live.pass) = (open, available_micro, pass);
        }
        live
    }

    /// What is true of the campaign at this place in the plan.
    #[inline(always)]
    pub(super) fn live_of(&self, campaigns: &Current, index: usize, now_ms: i64) -> Live {
        let Current { plan, hours, .. } = campaigns;
        let open = hours.is_open(plan, index, now_ms);
        if !hours.limited[index] {
            return Live { open, ..Live::UNBOUNDED };
        }
        let slot = plan.campaigns[index].slot.0;
        let log = self.log.get().map(|log| &**log);
        let available_micro = self.accounts.available(log, slot, now_ms);
        Live { open, available_micro, pass: Rate(self.accounts.pass(slot)) }
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;
    use crate::campaigns::parse;

    #[test]
    fn hours_that_are_held_are_those_of_the_schedule_at_every_instant() {
        let text = "[[campaign]]\nid = \"a\"\nad = \"A\"\ntime_zone = \"Europe/Berlin\"\nstart = \"2026-10-20T10:00:30\"\n\
                    end = \"2026-11-20T11:00:00\"\nhours = [\"07:00-09:30\", \"22:00-02:30\"]\n\
                    weekdays = [\"mon\", \"sat\", \"sun\"]\nexploration = 0.1\n";
        let document = parse(text).expect("a document");
        let id = (document.campaign[0].id.clone(), upbeat_core::campaign::Slot(0));
        let plan = Plan::new(&document, &[id], &[]).expect("a plan");
        let hours = Hours::new(&document, &plan);
        // Over the end of summer time, and back again.
        let start_ms = 1_792_300_000_000_i64;
        let mut seen = [0, 0];
        for step in 0..40_000_i64 {
            let now_ms = start_ms + (step % 30_000) * 97_001 - (step % 7) * 3_600_000;
            let open = plan.campaigns[0].schedule.is_open(now_ms);
            seen[usize::from(open)] += 1;
            assert_eq!(hours.is_open(&plan, 0, now_ms), open, "at {now_ms}");
            let day = local_day(&plan.campaigns[0].zone, now_ms).day;
            assert_eq!(i32::from(hours.toss_day(&plan, now_ms)), day, "at {now_ms}");
        }
        assert!(seen.iter().all(|count| *count > 500), "{seen:?}");
    }
}
