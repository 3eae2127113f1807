//! Detects cycles and stalls of the interior point method.
//!
//! Mehrotra's correction is made for a step that goes all the way. When the predictor comes no further than
//! some hundredths of it, the corrected step can undo what the step before has gained, and the two alternate
//! for ever: Cartis, "Some disadvantages of a Mehrotra-type primal-dual corrector interior point
//! algorithm for linear programming" (Applied Numerical Mathematics 59, 2009). Newton's steps without the
//! correction, towards a fixed share of the products, are shorter and do not cycle.

/// A gap that so many steps have not halved is in such a cycle. In most problems one or two steps halve it.
const CYCLE: u32 = 5;

/// A gap that so many steps have not halved, careful ones among them, is as small as rounding lets it become.
const STALL: u32 = 30;

/// The history of the gap between the primal and the dual objective.
#[derive(Debug)]
pub(super) struct GapHistory {
    /// The gap when it was last halved.
    halved: f64,
    /// Steps since then.
    since: u32,
    careful: bool,
}

impl GapHistory {
    /// Before the first gap is known.
    pub fn new() -> Self {
        Self { halved: f64::INFINITY, since: 0, careful: false }
    }

    /// Records the gap after a step. NaN counts as not halved.
    pub fn record(&mut self, gap: f64) {
        if gap <= 0.5 * self.halved {
            (self.halved, self.since) = (gap, 0);
        } else {
            self.since += 1;
        }
        self.careful |= self.since >= CYCLE;
    }

    /// Whether to leave the correction out from now on: what has cycled once would do so again.
    pub fn is_careful(&self) -> bool {
        self.careful
    }

    /// Whether further steps would gain nothing.
    pub fn is_stalled(&self) -> bool {
        self.since >= STALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_make_steps_careful_for_good_and_stalls_end_the_solve() {
        let mut history = GapHistory::new();
        for step in 0..20 {
            history.record(0.5_f64.powi(step));
            assert!(!history.is_careful() && !history.is_stalled());
        }
        (0..CYCLE).for_each(|step| history.record(if step % 2 == 0 { 0.1 } else { 1e-5 }));
        assert!(history.is_careful() && !history.is_stalled());
        history.record(1e-9);
        assert!(history.is_careful());
        (0..STALL).for_each(|_| history.record(f64::NAN));
        assert!(history.is_stalled());
    }
}
