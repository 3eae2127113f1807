//! A plain and slow account: a list of all shows ever, each with all that happened to it. Every sum is made from scratch.

use std::collections::BTreeMap;

use upbeat_core::campaign::Bill;

use crate::ledger::days::Sums;
use crate::ledger::{Budgets, Charge};

/// What happened to a show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happened {
    Ended,
    Voided,
    /// And whether something was left to pay for it, where it was no longer held.
    Confirmed(bool),
}

#[derive(Debug)]
pub(super) struct Show {
    pub(super) charge: Charge,
    happened: Vec<Happened>,
    clicks: Vec<i64>,
    upgrades: u64,
}

impl Show {
    fn was(&self, what: impl Fn(&Happened) -> bool) -> bool {
        self.happened.iter().any(what)
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.was(|happened| matches!(happened, Happened::Confirmed(_)))
    }

    pub(super) fn is_voided(&self) -> bool {
        self.was(|happened| *happened == Happened::Voided)
    }

    /// What it comes to, told from its beginning.
    fn sums(&self) -> Sums {
        let cost = self.charge.cost;
        let mut sums = Sums { reserved: cost, shown: cost, ..Sums::default() };
        let (mut is_held, mut is_voided, mut is_confirmed) = (true, false, false);
        for happened in &self.happened {
            match (happened, self.charge.bill) {
                (Happened::Ended, _) if !is_held => {}
                (Happened::Ended, Bill::Show) => {
                    (sums.reserved, sums.spent, sums.impressions) = (0, cost, 1);
                    is_held = false;
                }
                (Happened::Ended, Bill::Impression) => {
                    (sums.reserved, sums.returned) = (0, cost);
                    is_held = false;
                }
                (Happened::Voided, _) if is_confirmed || is_voided => {}
                (Happened::Voided, bill) => {
                    if is_held || bill == Bill::Show {
                        (sums.reserved, sums.spent, sums.returned, sums.impressions) = (0, 0, cost, 0);
                    }
                    (is_held, is_voided) = (false, true);
                }
                (Happened::Confirmed(_), _) if is_confirmed => {}
                (Happened::Confirmed(paid), bill) => {
                    is_confirmed = true;
                    sums.impressions = 1;
                    match (is_voided || !is_held, bill) {
                        (true, Bill::Show) if !is_voided => {}
                        (true, _) if *paid => {
                            sums.spent += cost;
                            sums.late += cost;
                        }
                        (true, _) => sums.overrun = cost,
                        (false, Bill::Show) => {}
                        (false, Bill::Impression) => {
                            (sums.reserved, sums.spent, is_held) = (0, cost, false);
                        }
                    }
                }
            }
        }
        sums.clicks = self.clicks.len() as u64;
        sums.value = self.clicks.iter().sum();
        sums.upgrades = self.upgrades;
        sums
    }
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) shows: Vec<Show>,
    pub(super) budgets: Budgets,
}

impl Model {
    pub(super) fn days(&self) -> BTreeMap<i32, Sums> {
        let mut days: BTreeMap<i32, Sums> = BTreeMap::new();
        self.shows.iter().for_each(|show| days.entry(show.charge.day).or_default().add(&show.sums()));
        days
    }

    pub(super) fn committed_of_day(&self, day: i32) -> i64 {
        self.days().get(&day).map_or(0, Sums::committed)
    }

    pub(super) fn committed_of_flight(&self) -> i64 {
        let from = self.budgets.from_day.unwrap_or(i32::MIN);
        self.days().range(from..).map(|(_, sums)| sums.committed()).sum()
    }

    /// Whether so much more may be committed on the day.
    fn allows(&self, day: i32, cost: i64) -> bool {
        let Budgets { daily, total, from_day } = self.budgets;
        let in_flight = from_day.is_none_or(|from| from <= day);
        let fits_day = daily.is_none_or(|daily| self.committed_of_day(day) + cost <= daily);
        let fits_flight = total.is_none_or(|total| !in_flight || self.committed_of_flight() + cost <= total);
        cost == 0 || (fits_day && fits_flight)
    }

    pub(super) fn show(&mut self, charge: Charge) -> bool {
        let allowed = self.allows(charge.day, charge.cost);
        if allowed {
            self.shows.push(Show { charge, happened: Vec::new(), clicks: Vec::new(), upgrades: 0 });
        }
        allowed
    }

    pub(super) fn end(&mut self, now_ms: i64) {
        for show in &mut self.shows {
            if show.charge.expires_s <= now_ms.div_euclid(1000) && !show.happened.contains(&Happened::Ended) {
                show.happened.push(Happened::Ended);
            }
        }
    }

    pub(super) fn void(&mut self, show: usize) {
        self.shows[show].happened.push(Happened::Voided);
    }

    pub(super) fn confirm(&mut self, show: usize) {
        let Charge { day, cost, .. } = self.shows[show].charge;
        let paid = self.allows(day, cost);
        self.shows[show].happened.push(Happened::Confirmed(paid));
    }

    pub(super) fn click(&mut self, show: usize, value: i64) {
        self.shows[show].clicks.push(value);
    }

    pub(super) fn upgrade(&mut self, show: usize) {
        self.shows[show].upgrades += 1;
    }
}
