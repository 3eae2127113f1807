//! Which examples fit, calibrate, choose, and are held out, by their time.

use std::ops::Range;

use super::examples::{Example, clicks};
use super::{LEAST_CLICKS, LEAST_EXAMPLES};

/// The newest are held out for the gate: a fifth at most, and no more than have this many clicks, so that the newest of many
/// examples are not kept from a training. As many before them choose.
const SHARE: f64 = 0.2;
const ENOUGH_CLICKS: usize = 200;

/// Of the examples of a look-back, the newest quarter calibrates and the others are fitted to.
const CALIBRATING: f64 = 0.25;

/// Fewer clicks than this calibrate nothing.
const LEAST_CALIBRATING_CLICKS: usize = 5;

/// All examples, the newest half, quarter and so on, at most so many.
const LOOK_BACKS: usize = 8;

/// Examples in the order of their time, from the oldest to the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Those that fit and calibrate, in a look-back that takes all.
    pub train: Range<usize>,
    /// Those on which candidates are compared, and which calibrate the chosen one, too.
    pub choose: Range<usize>,
    /// Those that no training has seen: the gate's.
    pub held_out: Range<usize>,
}

/// How far back a machine looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LookBack {
    pub fit: Range<usize>,
    pub calibrate: Range<usize>,
}

impl Split {
    /// Of examples in the order of their time.
    #[must_use]
    pub fn of(examples: &[Example]) -> Self {
        let most = (examples.len() as f64 * SHARE) as usize;
        let before = |end: usize| {
            let newest = examples[..end].iter().rev().take(most);
            let mut clicks = 0;
            let enough = newest.take_while(|example| {
                clicks += usize::from(example.clicked);
                clicks <= ENOUGH_CLICKS
            });
            end - enough.count()
        };
        let held_out = before(examples.len())..examples.len();
        let choose = before(held_out.start)..held_out.start;
        Self { train: 0..choose.start, choose, held_out }
    }

    /// The look-back that takes all.
    pub(super) fn longest(&self) -> LookBack {
        self.look_back(self.train.len())
    }

    fn look_back(&self, count: usize) -> LookBack {
        let Range { end, .. } = self.train;
        let calibrate = end - (count as f64 * CALIBRATING) as usize;
        LookBack { fit: end - count..calibrate, calibrate: calibrate..end }
    }

    /// Those that have enough of both classes, the longest first.
    pub(super) fn look_backs(&self, examples: &[Example]) -> Vec<LookBack> {
        let halved = (0..LOOK_BACKS).map(|times| self.look_back(self.train.len() >> times));
        let has = |range: &Range<usize>, least: usize| {
            let clicks = clicks(&examples[range.clone()]);
            clicks >= least && range.len() - clicks >= least
        };
        let is_enough = |of: &LookBack| {
            of.fit.len() >= LEAST_EXAMPLES
                && has(&of.fit, LEAST_CLICKS)
                && has(&of.calibrate, LEAST_CALIBRATING_CLICKS)
                && has(&self.choose, LEAST_CALIBRATING_CLICKS)
        };
        halved.filter(is_enough).collect()
    }
}
