//! What came of the decisions, by how many there were.

use serde::Serialize;

/// Decisions that are counted together.
pub const BUCKET: u64 = 1_000;

/// What an ad costs and what a click on it is worth, in micro-units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Money {
    /// Of a show.
    pub cost_micro: f64,
    /// Of a click.
    pub value_micro: f64,
}

impl Money {
    /// The probability of a click from which on a show pays.
    pub fn break_even(self) -> f64 {
        self.cost_micro / self.value_micro
    }
}

/// What came of some decisions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Counts {
    /// How many they were.
    pub decisions: u64,
    /// Ads that were played.
    pub shown: u64,
    /// Those of them that were shown to learn from.
    pub explored: u64,
    /// Decisions that waited for a lease of the budget: where they are many, time has passed too fast for the server.
    pub paced: u64,
    /// Clicks on those that were played.
    pub clicks: u64,
    /// What they earned, by the planted probabilities, in micro-units.
    pub expected_micro: f64,
    /// What they earned, by the clicks, in micro-units.
    pub earned_micro: f64,
    /// What would have been earned if the ad had been played wherever coins alone were against it, by the planted probabilities, in
    /// micro-units.
    pub all_micro: f64,
}

impl Counts {
    /// Those that came after others.
    #[must_use]
    pub fn less(&self, before: &Self) -> Self {
        Self {
            decisions: self.decisions - before.decisions,
            shown: self.shown - before.shown,
            explored: self.explored - before.explored,
            paced: self.paced - before.paced,
            clicks: self.clicks - before.clicks,
            expected_micro: self.expected_micro - before.expected_micro,
            earned_micro: self.earned_micro - before.earned_micro,
            all_micro: self.all_micro - before.all_micro,
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.decisions += other.decisions;
        self.shown += other.shown;
        self.explored += other.explored;
        self.paced += other.paced;
        self.clicks += other.clicks;
        self.expected_micro += other.expected_micro;
        self.earned_micro += other.earned_micro;
        self.all_micro += other.all_micro;
    }
}

/// Counts of every thousand decisions.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    money: Money,
    buckets: Vec<Counts>,
}

/// One decision, as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Decided {
    /// Its number.
    pub number: u64,
    /// Whether coins alone kept the ad from being played, or it was.
    pub allowed: bool,
    /// Whether the ad was played.
    pub shown: bool,
    /// Whether to learn from it.
    pub explored: bool,
    /// Whether it waited for a lease of the budget.
    pub paced: bool,
    /// The planted probability of a click.
    pub truth: f64,
    /// Whether it is clicked, if shown.
    pub clicked: bool,
}

impl Tally {
    /// Nothing yet.
    pub fn new(money: Money) -> Self {
        Self { money, buckets: Vec::new() }
    }

    /// Counts one.
    pub fn count(&mut self, decided: &Decided) {
        let Decided { number, allowed, shown, explored, paced, truth, clicked } = *decided;
        let index = (number / BUCKET) as usize;
        if self.buckets.len() <= index {
            self.buckets.resize(index + 1, Counts::default());
        }
        let Money { cost_micro, value_micro } = self.money;
        let (expected, clicked) = (truth * value_micro - cost_micro, shown && clicked);
        self.buckets[index].add(&Counts {
            decisions: 1,
            shown: shown.into(),
            explored: (shown && explored).into(),
            paced: paced.into(),
            clicks: clicked.into(),
            expected_micro: if shown { expected } else { 0.0 },
            earned_micro: if shown { f64::from(u8::from(clicked)) * value_micro - cost_micro } else { 0.0 },
            all_micro: if allowed { expected } else { 0.0 },
        });
    }

    /// The counts, a thousand decisions each.
    pub fn buckets(&self) -> &[Counts] {
        &self.buckets
    }

    /// All of them.
    pub fn total(&self) -> Counts {
        let mut sum = Counts::default();
        self.buckets.iter().for_each(|counts| sum.add(counts));
        sum
    }
}
