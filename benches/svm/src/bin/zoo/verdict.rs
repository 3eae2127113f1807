//! Judges a case by what each side came to.

use serde::{Deserialize, Serialize};

use crate::case::{Case, Machine, Reply};
use crate::objective::Objective;
use crate::peers::Peer;

/// How far an objective may be above another, relative to it.
pub const CLOSE: f64 = 1e-3;
/// The greatest duality gap, relative to the primal, where no peer has a result.
pub const GAP: f64 = 1e-2;
/// How many times a peer's time is too slow.
pub const SLOW: f64 = 3.0;
/// Times below this are taken for this.
pub const FLOOR_S: f64 = 1e-3;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Verdict {
    /// The objective is within [`CLOSE`] of the best peer's.
    Ok,
    /// It is lower by more than that.
    Better,
    /// No peer has a result; the duality gap is small.
    Alone,
    /// An error, with nothing fitted.
    Refused,
    /// The objective is higher, or the gap wide where no peer has a result.
    Worse,
    /// Fitted, and says itself that it did not converge.
    Unconverged,
    /// The objective is as good, the time above [`SLOW`] times the peer's.
    Slow,
    /// It was stopped where a peer finished, or crashed.
    Lost,
    /// Both sides were stopped.
    Neither,
}

impl Verdict {
    /// For the page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Better => "lower",
            Self::Alone => "alone",
            Self::Refused => "refused",
            Self::Worse => "higher objective",
            Self::Unconverged => "not converged",
            Self::Slow => "slower than 3 times",
            Self::Lost => "stopped",
            Self::Neither => "neither",
        }
    }
}

/// A case with all replies and its verdict.
#[derive(Clone, Serialize, Deserialize)]
pub struct Judged {
    pub case: Case,
    pub ours: Reply,
    pub peers: Vec<(Peer, Reply)>,
    pub verdict: Verdict,
    /// Objective above the best peer's, relative; negative where it is lower.
    pub excess: Option<f64>,
    /// Relative duality gap.
    pub gap: Option<f64>,
    /// Time over the fastest peer's that came as close.
    pub time_ratio: Option<f64>,
}

impl Judged {
    pub fn failed(&self) -> bool {
        matches!(self.verdict, Verdict::Worse | Verdict::Unconverged | Verdict::Slow | Verdict::Lost)
    }

    pub fn seconds(&self) -> Option<f64> {
        seconds(&self.ours)
    }
}

/// What is compared, as a minimum: the primal of weights, the negative dual of SMO's multipliers.
fn compared(case: &Case, objective: &Objective) -> f64 {
    match objective.dual {
        Some(dual) if case.machine != Machine::Linear => -dual,
        _ => objective.primal,
    }
}

fn seconds(reply: &Reply) -> Option<f64> {
    if let Reply::Solved { seconds, .. } = reply { Some(*seconds) } else { None }
}

fn value(case: &Case, reply: &Reply) -> Option<f64> {
    if let Reply::Solved { objective, .. } = reply { Some(compared(case, objective)) } else { None }
}

fn above(ours: f64, best: f64) -> f64 {
    (ours - best) / best.abs().max(f64::MIN_POSITIVE)
}

pub fn judge(case: Case, ours: Reply, peers: Vec<(Peer, Reply)>) -> Judged {
    let best = peers.iter().filter_map(|(_, reply)| value(&case, reply)).reduce(f64::min);
    let mut judged =
        Judged { case, ours, peers, verdict: Verdict::Lost, excess: None, gap: None, time_ratio: None };
    match &judged.ours {
        Reply::Refused { .. } => judged.verdict = Verdict::Refused,
        Reply::Unfinished { .. } if best.is_none() => judged.verdict = Verdict::Neither,
        Reply::Unfinished { .. } | Reply::Crashed { .. } => {}
        Reply::Solved { seconds: taken, objective, converged, reported } => {
            let mine = compared(&judged.case, objective);
            judged.excess = best.map(|best| above(mine, best));
            let dual = objective.dual.or(*reported);
            judged.gap =
                dual.map(|dual| (objective.primal - dual) / objective.primal.abs().max(f64::MIN_POSITIVE));
            // The fastest of the peers that came as close to the lowest objective of all.
            let lowest = best.map_or(mine, |best| best.min(mine));
            let as_good = judged.peers.iter().filter(|(peer, reply)| {
                peer.is_timed()
                    && value(&judged.case, reply).is_some_and(|value| above(value, lowest) <= CLOSE)
            });
            let fastest = as_good.filter_map(|(_, reply)| seconds(reply)).reduce(f64::min);
            judged.time_ratio = fastest.map(|theirs| taken.max(FLOOR_S) / theirs.max(FLOOR_S));
            let stationary = judged.gap.is_some_and(|gap| gap.abs() <= CLOSE);
            judged.verdict = match judged.excess {
                _ if !converged => Verdict::Unconverged,
                _ if objective.infeasible > 1e-6 => Verdict::Worse,
                // The sigmoid kernel is not positive semidefinite: there are several stationary points.
                Some(excess)
                    if excess.abs() > CLOSE && judged.case.machine == Machine::Sigmoid && stationary =>
                {
                    Verdict::Alone
                }
                Some(excess) if excess > CLOSE => Verdict::Worse,
                None if judged.gap.is_none_or(|gap| gap > GAP) => Verdict::Worse,
                _ if judged.time_ratio.is_some_and(|ratio| ratio > SLOW) => Verdict::Slow,
                Some(excess) if excess < -CLOSE => Verdict::Better,
                Some(_) => Verdict::Ok,
                None => Verdict::Alone,
            };
        }
    }
    judged
}
