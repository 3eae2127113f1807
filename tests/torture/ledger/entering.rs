//! What clients did becomes what must be there.

use super::{Act, Book, Deed, Group, Many, Outcome, Retry, account};
use crate::account::{Account, Kind, Row};
use crate::trace::Instant;

/// Up to when what clients did counts, and for what.
struct Extent {
    /// Nothing that was sent later is there, but for the deletions below.
    until: Instant,
    /// Acknowledgements after this instant promise nothing.
    promised: Instant,
    /// Ads that were heard of before this instant are counted.
    counted: Instant,
    /// Deletions that were acknowledged up to this instant are done, whatever else is.
    erased: Instant,
}

impl Book {
    /// Enters what clients did up to an instant, each client's deeds in order.
    ///
    /// Where `lanes` outlived the process no impression may be missing that was heard of; else none that was heard before
    /// something was sent that is durable: its position is lower.
    pub fn enter(&mut self, clients: &[Vec<Deed>], until: Instant, lanes: bool) {
        self.enter_promised(clients, until, until, lanes);
    }

    /// The same where acknowledgements after `promised` promise nothing; returns how many those are.
    pub fn enter_promised(
        &mut self,
        clients: &[Vec<Deed>],
        until: Instant,
        promised: Instant,
        lanes: bool,
    ) -> usize {
        let is_durable = |deed: &&Deed| deed.answered.is_some_and(|at| at <= promised) && deed.is_promise();
        let durable = || clients.iter().flatten().filter(is_durable).map(|deed| deed.sent).max().unwrap_or(0);
        let counted = if lanes { Instant::MAX } else { durable() };
        if !lanes {
            self.purse.lose_power();
        }
        self.enter_until(clients, &Extent { until, promised, counted, erased: 0 })
    }

    /// Enters what a backup has that was taken from `begun` to `ended`: everything that was answered before, and any part of what
    /// came meanwhile. Where it is restored with a file of tombstones, those who were erased before that was asked for, at
    /// `tombstones`, are gone, too.
    pub fn enter_backup(
        &mut self,
        clients: &[Vec<Deed>],
        begun: Instant,
        ended: Instant,
        tombstones: Instant,
    ) {
        let extent = Extent { until: ended, promised: begun, counted: begun, erased: tombstones };
        self.purse.lose_power();
        self.enter_until(clients, &extent);
    }

    fn enter_until(&mut self, clients: &[Vec<Deed>], extent: &Extent) -> usize {
        let Extent { until, promised, counted, erased } = *extent;
        let mut early = 0;
        let mut outcome_of = |deed: &Deed, outcome: Outcome| match deed.answered.filter(|at| *at <= until) {
            Some(at) if at > promised && outcome == Outcome::Acknowledged => {
                early += 1;
                Outcome::Unknown
            }
            Some(_) => outcome,
            None => Outcome::Unknown,
        };
        for deed in clients.iter().flatten() {
            if let Act::Erase { customer, outcome: Outcome::Acknowledged } = &deed.act
                && deed.answered.is_some_and(|at| at <= erased)
            {
                self.enter_erasure(customer, Outcome::Acknowledged);
                continue;
            }
            if deed.sent > until {
                continue;
            }
            let answered = deed.answered.filter(|at| *at <= until);
            match &deed.act {
                Act::Post { rows, atomic, outcome } => {
                    let outcome = outcome_of(deed, *outcome);
                    self.enter_post(rows, *atomic, outcome);
                }
                Act::Erase { customer, outcome } => {
                    let outcome = outcome_of(deed, *outcome);
                    self.enter_erasure(customer, outcome);
                }
                Act::Decide { customer, request, shown } => match (answered, shown) {
                    (Some(at), Some(Some(shown))) => {
                        let epoch = self.enter_shown(customer, &shown.decision, at < counted);
                        let campaign = shown.answer["campaign"].as_str().expect("an id");
                        self.purse.show(&shown.decision, customer, campaign, deed.sent, at, at < counted);
                        self.retries.push(Retry {
                            customer: customer.clone(),
                            request: request.clone(),
                            answer: shown.answer.clone(),
                            at,
                            decision: shown.decision.clone(),
                            epoch,
                        });
                    }
                    (Some(_), Some(None)) => {}
                    _ => self.enter_unheard(customer),
                },
                Act::DecideMany { customers, shown } => match (answered, shown) {
                    (Some(at), Some(shown)) => {
                        for (customer, decision) in customers.iter().zip(shown) {
                            if let Some(Many { decision, campaign }) = decision {
                                self.enter_shown(customer, decision, at < counted);
                                self.purse.show(decision, customer, campaign, deed.sent, at, at < counted);
                            }
                        }
                    }
                    _ => customers.iter().for_each(|customer| self.enter_unheard(customer)),
                },
                Act::Tracks { tracks, outcome } => {
                    self.catalogue.enter(tracks, outcome_of(deed, *outcome));
                }
            }
        }
        early
    }

    fn enter_post(&mut self, rows: &[Row], atomic: bool, outcome: Outcome) {
        let mut fresh = Vec::new();
        for row in rows {
            if let Kind::Impression(decision) | Kind::Void(decision) = &row.kind
                && outcome != Outcome::Refused
            {
                let (is_void, is_acknowledged) =
                    (matches!(row.kind, Kind::Void(_)), outcome == Outcome::Acknowledged);
                self.purse.report(decision, is_void, is_acknowledged);
            }
            let account = account(&mut self.accounts, &mut self.resting, &row.customer);
            match outcome {
                Outcome::Acknowledged => {
                    account.may.remove(&row.event);
                    account.must.insert(row.event, row.clone());
                    if let Kind::Void(decision) = &row.kind {
                        // It follows the show, which is as durable as it is.
                        account.perhaps_shown.remove(decision);
                        account.shown.insert(decision.clone());
                        account.voided.insert(decision.clone());
                    }
                    if let Kind::Impression(decision) = &row.kind {
                        if !account.shown.contains(decision) {
                            account.late.insert(decision.clone());
                        }
                        account.perhaps_shown.remove(decision);
                        account.shown.insert(decision.clone());
                        account.confirmed.insert(decision.clone());
                    }
                }
                Outcome::Unknown if !account.must.contains_key(&row.event) => {
                    if let Kind::Void(decision) = &row.kind {
                        account.perhaps_voided.insert(decision.clone());
                    }
                    if let Kind::Impression(decision) = &row.kind
                        && !account.shown.contains(decision)
                    {
                        account.perhaps_shown.insert(decision.clone());
                        account.late.insert(decision.clone());
                    }
                    if account.may.insert(row.event, row.clone()).is_none() {
                        fresh.push((row.customer.clone(), account.epoch, row.event));
                    }
                }
                Outcome::Unknown | Outcome::Refused => {}
            }
        }
        if atomic && outcome == Outcome::Unknown {
            self.groups.push(Group { name: "atomic body", rows: fresh });
        }
    }

    fn enter_unheard(&mut self, customer: &str) {
        account(&mut self.accounts, &mut self.resting, customer).unheard += 1;
        self.purse.count_unheard(customer);
    }

    fn enter_erasure(&mut self, customer: &str, outcome: Outcome) {
        if outcome != Outcome::Refused {
            self.purse.erase(customer);
        }
        let account = account(&mut self.accounts, &mut self.resting, customer);
        match outcome {
            Outcome::Acknowledged => *account = Account { epoch: account.epoch + 1, ..Account::default() },
            Outcome::Unknown => {
                // Of what was whole before, the rows of this customer may now be gone.
                for group in &mut self.groups {
                    group.rows.retain(|(of, _, _)| of != customer);
                }
                let is_profile = |row: &&Row| matches!(row.kind, Kind::Play | Kind::Click);
                let rows = account.must.values().filter(is_profile);
                let rows = rows.map(|row| (customer.to_owned(), account.epoch, row.event)).collect();
                self.groups.push(Group { name: "erasure", rows });
                account.may.append(&mut account.must);
                account.perhaps_shown.append(&mut account.shown);
                account.confirmed.clear();
                account.perhaps_voided.append(&mut account.voided);
            }
            Outcome::Refused => {}
        }
    }

    /// Enters a decision that shows the ad, and returns the epoch of the customer's account.
    fn enter_shown(&mut self, customer: &str, decision: &str, certain: bool) -> u64 {
        let account = account(&mut self.accounts, &mut self.resting, customer);
        if !self.decisions.insert(decision.to_owned()) {
            self.faults.push(format!("decision id {decision} was given twice"));
        }
        let into = if certain { &mut account.shown } else { &mut account.perhaps_shown };
        into.insert(decision.to_owned());
        account.epoch
    }
}
