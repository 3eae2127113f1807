//! What is known of each local day.

use upbeat_core::decision::Reason;

/// The reasons for which nothing was shown, each with a count of its own.
pub(crate) const REASONS: usize = Reason::ALL.len();

/// The place of a reason among [`Reason::ALL`].
pub(crate) fn place_of(reason: Reason) -> usize {
    Reason::ALL.iter().position(|other| *other == reason).unwrap_or(0)
}

/// The sums of a day, in micro-units and counts, none of them negative.
///
/// *shown + late = reserved + spent + returned*: what was taken is held, spent or given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    /// Held for shows whose reservations have not ended.
    pub reserved: i64,
    /// Spent for good.
    pub spent: i64,
    /// Given back: shows that were voided, and those that nobody confirmed where only confirmed ones cost.
    pub returned: i64,
    /// Of what is spent, what was taken when it was no longer held.
    pub late: i64,
    /// What confirmations would have taken for which nothing was left: nobody is billed for it.
    pub overrun: i64,
    /// Forfeited by a loss of power: shows may have been made for it that no record tells of. It counts towards budgets.
    pub lost: i64,
    /// The costs of all shows, whatever became of them.
    pub shown: i64,
    /// What clicks were worth.
    pub value: i64,
    /// Shows that were confirmed, or whose reservations ended where each show costs.
    pub impressions: u64,
    /// Clicks that belong to shows.
    pub clicks: u64,
    /// Upgrades that belong to shows.
    pub upgrades: u64,
}

impl Sums {
    /// What counts towards budgets.
    pub fn committed(&self) -> i64 {
        self.reserved + self.spent + self.lost
    }

    /// Adds those of another day. Sums beyond the range of a number stay at its end.
    pub fn add(&mut self, other: &Self) {
        let ours = self.amounts_mut();
        for (ours, theirs) in ours.into_iter().zip(other.amounts()) {
            *ours = ours.saturating_add(theirs);
        }
        for (ours, theirs) in self.counts_mut().into_iter().zip(other.counts()) {
            *ours += theirs;
        }
    }

    /// All amounts, in a fixed order.
    pub fn amounts(&self) -> [i64; 8] {
        let Self { reserved, spent, returned, late, overrun, lost, shown, value, .. } = *self;
        [reserved, spent, returned, late, overrun, lost, shown, value]
    }

    /// The same, to be changed.
    pub fn amounts_mut(&mut self) -> [&mut i64; 8] {
        let Self { reserved, spent, returned, late, overrun, lost, shown, value, .. } = self;
        [reserved, spent, returned, late, overrun, lost, shown, value]
    }

    /// All counts, in a fixed order.
    pub fn counts(&self) -> [u64; 3] {
        [self.impressions, self.clicks, self.upgrades]
    }

    /// The same, to be changed.
    pub fn counts_mut(&mut self) -> [&mut u64; 3] {
        [&mut self.impressions, &mut self.clicks, &mut self.upgrades]
    }
}

/// A local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Day {
    /// Days since 1970; where days are summed up, the newest of them.
    pub day: i32,
    /// Its sums.
    pub sums: Sums,
    /// Decisions that named the campaign and showed nothing, by [`place_of`] their reason.
    pub not_shown: [u64; REASONS],
}

impl Day {
    pub fn new(day: i32) -> Self {
        Self { day, sums: Sums::default(), not_shown: [0; REASONS] }
    }

    fn add(&mut self, other: &Self) {
        self.day = self.day.max(other.day);
        self.sums.add(&other.sums);
        self.not_shown.iter_mut().zip(other.not_shown).for_each(|(ours, theirs)| *ours += theirs);
    }
}

/// The days of an account: the newest [`Days::MOST`] on which anything happened, and the sum of all before them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Days {
    before: Option<Day>,
    /// Ascending.
    days: Vec<Day>,
}

impl Days {
    /// Days that are kept each by itself.
    pub const MOST: usize = 400;

    /// The days as they were read; `None` if they do not ascend, or there are too many.
    pub fn from_parts(before: Option<Day>, days: Vec<Day>) -> Option<Self> {
        let ascend = days.windows(2).all(|pair| pair[0].day < pair[1].day);
        let follow = before.zip(days.first()).is_none_or(|(before, first)| before.day < first.day);
        (ascend && follow && days.len() <= Self::MOST).then_some(Self { before, days })
    }

    /// The sum of those that are not kept by themselves, and the others, ascending.
    pub fn parts(&self) -> (Option<&Day>, &[Day]) {
        (self.before.as_ref(), &self.days)
    }

    /// All, the sum of the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Day> {
        self.before.iter().chain(&self.days)
    }

    /// Whether this day is one of those that are summed up.
    pub fn is_summed_up(&self, day: i32) -> bool {
        self.before.as_ref().is_some_and(|before| day <= before.day)
    }

    /// The sums of the day, or those that it is a part of; zeros if nothing has happened.
    pub fn sums(&self, day: i32) -> Sums {
        if let Some(before) = self.before.as_ref().filter(|before| day <= before.day) {
            return before.sums;
        }
        self.find(day).map_or_else(|_| Sums::default(), |place| self.days[place].sums)
    }

    /// The day, or the sum that it is a part of, to be changed.
    pub fn day_mut(&mut self, day: i32) -> &mut Day {
        if self.is_summed_up(day) {
            return self.before.get_or_insert_with(|| Day::new(day));
        }
        let place = match self.find(day) {
            Ok(place) => place,
            Err(mut place) => {
                if self.days.len() == Self::MOST {
                    if place == 0 {
                        return self.before.insert(sum(self.before.as_ref(), &Day::new(day)));
                    }
                    let oldest = self.days.remove(0);
                    self.before = Some(sum(self.before.as_ref(), &oldest));
                    place -= 1;
                }
                self.days.insert(place, Day::new(day));
                place
            }
        };
        &mut self.days[place]
    }

    fn find(&self, day: i32) -> Result<usize, usize> {
        match self.days.last() {
            // Nearly always.
            Some(last) if last.day == day => Ok(self.days.len() - 1),
            Some(last) if last.day < day => Err(self.days.len()),
            _ => self.days.binary_search_by_key(&day, |known| known.day),
        }
    }
}

fn sum(before: Option<&Day>, day: &Day) -> Day {
    let mut sum = before.copied().unwrap_or_else(|| Day::new(day.day));
    sum.add(day);
    sum
}
