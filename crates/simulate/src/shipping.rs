//! The order in which rows reach a file: some arrive late, some are sent again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Settings;
use super::rng::{Rng, Stream};

/// Delayed rows are late by at least this and at most [`LONGEST_S`].
const SHORTEST_S: u32 = 60;
/// Three days.
const LONGEST_S: u32 = 3 * 86_400;

/// Brings rows that come in time order into the order of a file.
///
/// Of any n rows, `late · n` (rounded up or down) are delayed by one minute to three days, and
/// `resend · n` (rounded up or down) appear once more, whole, one minute to three days after they
/// appeared first. Rows still delayed at the end close the file. Memory: the delayed rows of three
/// days.
pub(super) struct Shipper<T> {
    late: Picker,
    resend: Picker,
    delayed: BinaryHeap<Reverse<(i64, u64, T)>>,
    rows: u64,
    sequence: u64,
    delays: Rng,
}

impl<T: Copy + Ord> Shipper<T> {
    pub(super) fn new(settings: &Settings, stream: Stream) -> Self {
        let rng = |index| Rng::of(settings.seed, stream, index);
        Self {
            late: Picker::new(settings.late, rng(0)),
            resend: Picker::new(settings.resend, rng(1)),
            delayed: BinaryHeap::new(),
            rows: 0,
            sequence: 0,
            delays: rng(2),
        }
    }

    /// Takes the next row, which happened at `civil_s`, and emits what goes into the file now.
    #[inline]
    pub(super) fn push<E>(
        &mut self,
        civil_s: i64,
        row: T,
        mut emit: impl FnMut(&T) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(Reverse((due_s, _, waiting))) = self.delayed.peek()
            && *due_s < civil_s
        {
            emit(waiting)?;
            self.delayed.pop();
        }
        let late = self.late.picks(self.rows);
        let resent = self.resend.picks(self.rows);
        self.rows += 1;
        let appears_s = if late {
            self.delay(civil_s, row)
        } else {
            emit(&row)?;
            civil_s
        };
        if resent {
            self.delay(appears_s, row);
        }
        Ok(())
    }

    /// Emits the rows that are still delayed, in the order in which they are due.
    pub(super) fn finish<E>(mut self, mut emit: impl FnMut(&T) -> Result<(), E>) -> Result<(), E> {
        while let Some(Reverse((_, _, row))) = self.delayed.pop() {
            emit(&row)?;
        }
        Ok(())
    }

    /// Delays `row`; returns when it is due.
    fn delay(&mut self, after_s: i64, row: T) -> i64 {
        let delay_s = SHORTEST_S + self.delays.below(LONGEST_S - SHORTEST_S + 1);
        let due_s = after_s + i64::from(delay_s);
        self.delayed.push(Reverse((due_s, self.sequence, row)));
        self.sequence += 1;
        due_s
    }
}

/// Picks a share of numbered rows: one at random of every `1 / share` neighbours, so that any n
/// rows have `share · n` picks, rounded up or down.
struct Picker {
    /// In millionths.
    share: u64,
    stratum: u64,
    pick: Option<u64>,
    rng: Rng,
}

const WHOLE: u64 = 1_000_000;

impl Picker {
    fn new(share: f64, rng: Rng) -> Self {
        Self { share: (share * WHOLE as f64 + 0.5) as u64, stratum: u64::MAX, pick: None, rng }
    }

    /// Whether row `index` is picked; to be asked once for each row, in order.
    #[inline]
    fn picks(&mut self, index: u64) -> bool {
        if self.share == 0 {
            return false;
        }
        // Row i lies in stratum ⌊i · share⌋; stratum s starts at row ⌈s / share⌉.
        let stratum = index * self.share / WHOLE;
        if stratum != self.stratum {
            self.stratum = stratum;
            let first = (stratum * WHOLE).div_ceil(self.share);
            let next = ((stratum + 1) * WHOLE).div_ceil(self.share);
            self.pick = Some(first + u64::from(self.rng.below((next - first) as u32)));
        }
        self.pick == Some(index)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn ship(rows: i64, late: f64, resend: f64) -> Vec<i64> {
        let settings = Settings { late, resend, ..Settings::default() };
        let mut shipper = Shipper::new(&settings, Stream::ShipTracks);
        let mut file = Vec::new();
        let mut emit = |row: &i64| -> Result<(), Infallible> {
            file.push(*row);
            Ok(())
        };
        // A row every ten seconds; the row is its own time.
        for index in 0..rows {
            shipper.push(index * 10, index * 10, &mut emit).unwrap();
        }
        shipper.finish(&mut emit).unwrap();
        file
    }

    #[test]
    fn rows_are_unchanged_by_default() {
        assert_eq!(ship(50, 0.0, 0.0), (0..50).map(|row| row * 10).collect::<Vec<_>>());
    }

    #[test]
    fn exactly_the_share_of_rows_is_sent_again() {
        for (rows, share, again) in [(1_000, 0.05, 50), (1_000, 1.0, 1_000), (7, 0.5, 4)] {
            let file = ship(rows, 0.0, share);
            assert!(file.len() as i64 - rows <= again && file.len() as i64 - rows >= again - 1);
            for row in 0..rows {
                assert!(file.contains(&(row * 10)));
            }
        }
        assert_eq!(ship(1_000, 0.3, 0.05).len(), 1_050);
    }

    #[test]
    fn late_rows_are_all_kept_and_at_most_three_days_late() {
        let rows = 100_000;
        let file = ship(rows, 0.02, 0.0);
        assert_eq!(file.len() as i64, rows);
        let (mut newest, mut late) = (i64::MIN, 0);
        for row in &file {
            assert!(newest - row <= i64::from(LONGEST_S), "{row} after {newest}");
            late += i64::from(*row < newest);
            newest = newest.max(*row);
        }
        assert_eq!(late, rows * 2 / 100);
        let mut sorted = file.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..rows).map(|row| row * 10).collect::<Vec<_>>());
    }
}
