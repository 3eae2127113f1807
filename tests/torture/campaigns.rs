//! The campaigns of these tests: one that bills shows, one that bills confirmed ones, and one that costs nothing.

use std::fmt::Write as _;

use crate::process::CAP;
use crate::trace::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bill {
    Show,
    Impression,
}

#[derive(Debug)]
pub struct Campaign {
    pub id: &'static str,
    pub bill: Bill,
    /// Micro-units.
    pub cost: i64,
    pub reserve_ns: Instant,
    /// How often it may be shown to a customer.
    pub cap: usize,
}

/// In the order of their priorities. What the second one reserves is released while a test runs.
pub const CAMPAIGNS: [Campaign; 3] = [
    Campaign { id: "by-show", bill: Bill::Show, cost: 20_000, reserve_ns: 3_600_000_000_000, cap: 1 },
    Campaign { id: "by-impression", bill: Bill::Impression, cost: 30_000, reserve_ns: 2_000_000_000, cap: 2 },
    Campaign { id: "for-nothing", bill: Bill::Show, cost: 0, reserve_ns: 3_600_000_000_000, cap: CAP },
];

fn money(micro: i64) -> String {
    format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

/// The document, with budgets for so many shows and a little more, which is not enough for another one.
pub fn toml(shows: i64) -> String {
    let mut text = format!("[[cap]]\nimpressions = {CAP}\nhours = 24\n");
    for (place, campaign) in CAMPAIGNS.iter().enumerate() {
        let Campaign { id, cost, cap, reserve_ns, bill } = campaign;
        let bill = if *bill == Bill::Show { "show" } else { "impression" };
        let _ = write!(
            text,
            "\n[[campaign]]\nid = \"{id}\"\nad = \"ADV_REDUCED_1DAY\"\npriority = {}\nmin_plays = 1\nmodel = \"gold-one-day\"\n\
             threshold = {{ score = -1e9 }}\nbill = \"{bill}\"\nreserve = \"{}s\"\nimpression_cost = {}\n\
             caps = [{{ impressions = {cap}, hours = 24 }}]\n",
            -(place as i64),
            reserve_ns / 1_000_000_000,
            money(*cost)
        );
        if *cost > 0 {
            let _ = writeln!(text, "total_budget = {}", money(shows * cost + 19_999));
        }
    }
    text
}
