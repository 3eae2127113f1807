//! When the interior point method is to step carefully, and when there is nothing left to gain.
//!
//! Mehrotra's correction is made for a step that goes all the way. When the predictor comes no further than
//! some hundredths of it, the corrected step can undo what the step before has gained, and the two go on in
//! turns for ever: Cartis, "Some disadvantages of a Mehrotra-type primal-dual corrector interior point
//! algorithm for linear programming" (Applied Numerical Mathematics 59, 2009). Newton's steps without the
//! correction, towards a fixed share of the products, are shorter and do not cycle.

/// A gap that so many steps have not halved is in such a cycle. In most problems one or two steps halve it.
const CYCLE: u32 = 5;

/// A gap that so many steps have not halved, careful ones among them, is as small as rounding lets it become.
const STALL: u32 = 30;

/// How the gap between the primal and the dual objective has fallen so far.
#[derive(Debug)]
pub(super) struct Progress {
    /// The gap when it was last halved.
    halved: f64,
    /// Steps since then.
    since: u32,
    careful: bool,
}

impl Progress {
    /// Before the first gap is known.
    pub fn new() -> Self {
        Self { halved: f64::INFINITY, since: 0, careful: false }
    }

    /// Takes the gap after a step in. One that is not a number is one that was not halved.
    pub fn tell(&mut self, gap: f64) {
        if gap <= 0.5 * self.halved {
            (self.halved, self.since) = (gap, 0);
        } else {
            self.since += 1;
        }
        self.careful |= self.since >= CYCLE;
    }

    /// Whether to do without the correction, from now on: what has cycled once would do so again.
    pub fn is_careful(&self) -> bool {
        self.careful
    }

    /// Whether further steps are in vain.
    pub fn is_stalled(&self) -> bool {
        self.since >= STALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_makes_careful_for_good_and_a_stall_ends() {
        let mut progress = Progress::new();
        for step in 0..20 {
            progress.tell(0.5_f64.powi(step));
            assert!(!progress.is_careful() && !progress.is_stalled());
        }
        (0..CYCLE).for_each(|step| progress.tell(if step % 2 == 0 { 0.1 } else { 1e-5 }));
        assert!(progress.is_careful() && !progress.is_stalled());
        progress.tell(1e-9);
        assert!(progress.is_careful());
        (0..STALL).for_each(|_| progress.tell(f64::NAN));
        assert!(progress.is_stalled());
    }
}
