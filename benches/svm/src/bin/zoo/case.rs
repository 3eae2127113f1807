//! One case: a set, what is minimised on it, and who solves it. Each runs in a process of its own, with bounds.

use std::io::{Error, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use upbeat_svm::{Bias, Kernel, Loss, Solver};

use crate::data::Data;
use crate::objective::{Objective, Task, of};
use crate::ours::{self, Outcome};
use crate::peers::Peer;
use crate::sets;

/// Address space of a case's process.
const MEMORY_BYTES: u64 = 4 << 30;
/// CPU seconds for the objective, after the solver is done.
const JUDGING_S: u64 = 60;
/// A solver that takes less is run again, and its shortest time counts.
const SHORT_S: f64 = 0.02;
const REPEATS: usize = 5;

/// The kernels of the zoo; the linear one is solved in two ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Machine {
    Linear,
    LinearSmo,
    Rbf,
    Poly,
    Sigmoid,
}

/// The losses, with a name for the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Penalty {
    Hinge,
    SquaredHinge,
    Logistic,
}

/// What is minimised on which rows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Case {
    pub set: String,
    pub seed: u64,
    pub machine: Machine,
    pub penalty: Penalty,
    pub regularised: bool,
    pub c: f64,
}

/// Who solves it.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Side {
    Ours,
    Peer(Peer),
}

/// What came of it.
#[derive(Clone, Serialize, Deserialize)]
pub enum Reply {
    Solved {
        /// CPU seconds of the solver's thread, the shortest of its runs.
        seconds: f64,
        objective: Objective,
        converged: bool,
        /// The dual objective that the library reports of itself, as a maximum.
        reported: Option<f64>,
    },
    Refused {
        message: String,
    },
    /// It was stopped after so many CPU seconds.
    Unfinished {
        limit_s: u64,
    },
    /// The process ended some other way.
    Crashed {
        message: String,
    },
}

impl Case {
    pub fn task(&self, columns: usize) -> Task {
        let gamma = 1.0 / columns as f64;
        let kernel = match self.machine {
            Machine::Linear | Machine::LinearSmo => Kernel::Linear,
            Machine::Rbf => Kernel::Rbf { gamma },
            Machine::Poly => Kernel::Poly { gamma, coef0: 1.0, degree: 3 },
            Machine::Sigmoid => Kernel::Sigmoid { gamma, coef0: 0.0 },
        };
        let loss = match self.penalty {
            Penalty::Hinge => Loss::Hinge,
            Penalty::SquaredHinge => Loss::SquaredHinge,
            Penalty::Logistic => Loss::Logistic,
        };
        let bias = if self.regularised { Bias::Regularised } else { Bias::Free };
        Task { kernel, loss, bias, c: self.c }
    }

    /// As a line of the table names it.
    pub fn machine_name(&self) -> String {
        let machine = match self.machine {
            Machine::Linear => "linear",
            Machine::LinearSmo => "linear by SMO",
            Machine::Rbf => "rbf",
            Machine::Poly => "poly",
            Machine::Sigmoid => "sigmoid",
        };
        let penalty = match self.penalty {
            Penalty::Hinge => "hinge",
            Penalty::SquaredHinge => "squared hinge",
            Penalty::Logistic => "logistic",
        };
        format!("{machine}, {penalty}{}", if self.regularised { ", -B 1" } else { "" })
    }
}

/// Runs a case in a child process.
pub fn in_child(case: &Case, side: Side, limit_s: u64) -> Reply {
    let crashed = |message: String| Reply::Crashed { message };
    let run = || -> Result<(std::process::ExitStatus, String, String), Error> {
        let spec = serde_json::to_string(&(case, side, limit_s))?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["case", &spec])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (mut out, mut complaint) = (String::new(), String::new());
        child.stdout.take().expect("it is piped").read_to_string(&mut out)?;
        child.stderr.take().expect("it is piped").read_to_string(&mut complaint)?;
        Ok((child.wait()?, out, complaint))
    };
    match run() {
        Err(error) => crashed(error.to_string()),
        Ok((status, _, _)) if status.signal() == Some(libc::SIGXCPU) => Reply::Unfinished { limit_s },
        Ok((status, out, complaint)) => serde_json::from_str(&out).unwrap_or_else(|_| {
            crashed(format!("{status}: {}", complaint.lines().take(2).collect::<Vec<_>>().join(" ")))
        }),
    }
}

/// The child: reads the case from its argument, prints the reply.
pub fn child(spec: &str) -> Result<(), String> {
    let (case, side, limit_s): (Case, Side, u64) = serde_json::from_str(spec).map_err(|e| e.to_string())?;
    let set = sets::named(&case.set).ok_or_else(|| format!("there is no set {}", case.set))?;
    let data = set.data(case.seed);
    let reply = solve(&case, side, &data, limit_s);
    println!("{}", serde_json::to_string(&reply).map_err(|error| error.to_string())?);
    Ok(())
}

fn solve(case: &Case, side: Side, data: &Data, limit_s: u64) -> Reply {
    let task = case.task(data.columns);
    let mut seconds = f64::INFINITY;
    let mut timed = |work: &mut dyn FnMut()| {
        bound(libc::RLIMIT_AS, MEMORY_BYTES);
        bound(libc::RLIMIT_CPU, cpu_seconds().ceil() as u64 + limit_s);
        for _ in 0..REPEATS {
            let start = cpu_seconds();
            work();
            seconds = seconds.min(cpu_seconds() - start);
            if seconds > SHORT_S {
                break;
            }
        }
        bound(libc::RLIMIT_CPU, cpu_seconds() as u64 + JUDGING_S);
    };
    let solver = if case.machine == Machine::LinearSmo { Solver::Smo } else { Solver::Native };
    let (decision, converged, reported) = match side {
        Side::Ours => match ours::train(data, &task, solver, &mut timed) {
            Outcome::Refused(message) => return Reply::Refused { message },
            Outcome::Fitted { decision, converged, dual } => (decision, converged, dual),
        },
        Side::Peer(peer) => match peer.train(data, &task, &mut timed) {
            Err(message) => return Reply::Refused { message },
            Ok(decision) => (decision, true, None),
        },
    };
    let finite = |value: f64| if value.is_finite() { value } else { f64::MAX };
    let objective = of(&decision, data, &task);
    let objective = Objective {
        primal: finite(objective.primal),
        // Weights do not tell the multipliers: the dual of SMO's linear machines is the library's own word.
        dual: objective
            .dual
            .or(reported.filter(|_| case.machine == Machine::LinearSmo))
            .map(|dual| if dual.is_finite() { dual } else { -f64::MAX }),
        infeasible: finite(objective.infeasible),
    };
    Reply::Solved { seconds, objective, converged, reported: reported.filter(|value| value.is_finite()) }
}

/// CPU seconds of this thread so far, which is the process's only one: under a limit on CPU time, Linux counts the
/// process's own in ticks.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it fills in the time that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Bounds what this process may take.
fn bound(resource: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: it reads the limit that it is given.
    unsafe { libc::setrlimit(resource, &limit) };
}
