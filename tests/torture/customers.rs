//! The customers of one client: whose turn it is, which lives they have had, and who was erased.

use std::collections::BTreeSet;

use crate::account::{Kind, Row};
use crate::dice::Dice;

/// Plays and clicks of one customer at most, fewer than are kept; then another one takes the place.
const PLAYS: usize = 150;
const CLICKS: usize = 20;

/// Rows of a customer who was erased before: each is a second later than the one before, and none is far ahead of the clock.
const ROWS_OF_LATER_LIVES: i64 = 50;

/// Lives of one customer at most, each ended by an erasure.
const LIVES: usize = 3;

/// Acknowledged rows of one customer that are sent again after the erasure.
const REMEMBERED: usize = 8;

/// Makes the id of a client's customer.
pub type Naming = fn(client: u64, number: u64) -> String;

/// Short ids, which are texts.
pub fn short_id(client: u64, number: u64) -> String {
    format!("c{client}-{number}")
}

#[derive(Debug)]
pub struct Customer {
    pub id: String,
    plays: usize,
    clicks: usize,
    /// Of a customer who was erased before: a time that is not before that of anything that was erased, and the rows since.
    born: Option<(i64, i64)>,
    lives: usize,
    /// Some rows of this life that were acknowledged, and of earlier ones.
    known: Vec<Row>,
    erased: Vec<Row>,
}

impl Customer {
    fn new(id: String) -> Self {
        Self { id, plays: 0, clicks: 0, born: None, lives: 1, known: Vec::new(), erased: Vec::new() }
    }

    fn is_full(&self) -> bool {
        let is_late = self.born.is_some_and(|(_, rows)| rows >= ROWS_OF_LATER_LIVES);
        self.plays >= PLAYS || self.clicks >= CLICKS || is_late
    }

    /// Whether a row of this life was acknowledged, so that something is held of the customer.
    pub fn is_known(&self) -> bool {
        !self.known.is_empty()
    }

    /// The time of the next row, where `usual` is that of a row of a first life, or the instant of a confirmation.
    pub fn seconds(&mut self, usual: i64) -> i64 {
        self.born.as_mut().map_or(usual, |(born, rows)| {
            *rows += 1;
            usual.max(*born + *rows)
        })
    }
}

/// All customers of one client; no other client has them.
#[derive(Debug)]
pub struct Customers {
    client: u64,
    naming: Naming,
    named: u64,
    present: Vec<Customer>,
    /// To be deleted: those who are full, if they are, and those of whom it is not known whether they are.
    pub leaving: Vec<String>,
    is_tidy: bool,
    /// Those whose deletion was acknowledged and of whom nothing was sent since.
    gone: BTreeSet<String>,
}

impl Customers {
    /// So many at once. Where they are `tidy` those who are full are deleted, so that there are never more.
    pub fn new(client: u64, naming: Naming, count: usize, is_tidy: bool) -> Self {
        let mut customers = Self {
            client,
            naming,
            named: 0,
            present: Vec::new(),
            leaving: Vec::new(),
            is_tidy,
            gone: BTreeSet::new(),
        };
        for _ in 0..count {
            let customer = customers.another();
            customers.present.push(customer);
        }
        customers
    }

    fn another(&mut self) -> Customer {
        self.named += 1;
        Customer::new((self.naming)(self.client, self.named))
    }

    pub fn at(&mut self, place: usize) -> &mut Customer {
        &mut self.present[place]
    }

    /// The place of someone who is not full.
    pub fn someone(&mut self, dice: &mut Dice) -> usize {
        let place = self.anyone(dice);
        if self.present[place].is_full() {
            let full = self.replace(place);
            self.leaving.extend(self.is_tidy.then_some(full.id));
        }
        place
    }

    /// The place of anyone.
    pub fn anyone(&self, dice: &mut Dice) -> usize {
        dice.place(self.present.len())
    }

    fn replace(&mut self, place: usize) -> Customer {
        let another = self.another();
        std::mem::replace(&mut self.present[place], another)
    }

    /// Counts a row that is about to be made of someone.
    pub fn count(&mut self, place: usize, kind: &Kind) {
        let customer = &mut self.present[place];
        customer.plays += usize::from(*kind == Kind::Play);
        customer.clicks += usize::from(*kind == Kind::Click);
        self.gone.remove(&customer.id);
    }

    /// Notes rows that were acknowledged. A confirmation is later than the impression that it confirms, and may be newer than
    /// all that is erased.
    pub fn know(&mut self, rows: &[Row]) {
        for row in rows.iter().filter(|row| !matches!(row.kind, Kind::Impression(_) | Kind::Void(_))) {
            let of = self.present.iter_mut().find(|customer| customer.id == row.customer);
            if let Some(customer) = of.filter(|customer| customer.known.len() < REMEMBERED) {
                customer.known.push(row.clone());
            }
        }
    }

    /// Rows that were erased with their customers.
    pub fn erased_rows(&self) -> Vec<Row> {
        self.present.iter().flat_map(|customer| customer.erased.iter().cloned()).collect()
    }

    /// A deletion of someone is under way; nothing is sent of them before it is acknowledged.
    pub fn leave(&mut self, place: usize) -> Customer {
        self.replace(place)
    }

    /// A deletion was acknowledged, at an instant in seconds.
    pub fn forget(&mut self, id: &str) {
        self.gone.insert(id.to_owned());
    }

    /// Lets someone whose deletion was acknowledged take a place again: later events begin a new profile. `now` is in seconds.
    pub fn bring_back(&mut self, place: usize, customer: Customer, now: i64) {
        if customer.lives >= LIVES {
            return;
        }
        let newest = customer.born.map_or(now, |(born, rows)| now.max(born + rows));
        let erased = [customer.erased, customer.known].concat();
        let lives = customer.lives + 1;
        self.present[place] =
            Customer { born: Some((newest + 1, 0)), lives, erased, ..Customer::new(customer.id) };
    }

    /// Those whose deletion was acknowledged and of whom nothing was sent since.
    pub fn gone(&self) -> &BTreeSet<String> {
        &self.gone
    }
}
