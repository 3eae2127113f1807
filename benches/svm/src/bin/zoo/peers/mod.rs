//! The solvers of libSVM and LIBLINEAR, out of their shared libraries.

mod liblinear;
mod libsvm;

use std::ffi::{c_char, c_int};

use libloading::Library;
use serde::{Deserialize, Serialize};
use upbeat_svm::{Bias, Kernel, Loss};

use crate::data::Data;
use crate::objective::{Decision, Task};

/// The tolerance of every solver here.
pub const EPSILON: f64 = 1e-3;

/// A peer's solver.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Peer {
    /// `svm-train -s 0`
    Libsvm,
    /// The same on the kernel K + I/(2C) without an upper bound: the squared hinge, which libSVM does not have itself.
    LibsvmPrecomputed,
    /// `liblinear-train -s` with this number and `-B 1`.
    Liblinear(c_int),
}

impl Peer {
    /// Which solvers have this task.
    pub fn of(task: &Task, rows: usize) -> Vec<Self> {
        match (task.loss, task.bias) {
            (Loss::Hinge, Bias::Free) => vec![Self::Libsvm],
            (Loss::Hinge, Bias::Regularised) => vec![Self::Liblinear(3)],
            (Loss::SquaredHinge, Bias::Regularised) => vec![Self::Liblinear(1), Self::Liblinear(2)],
            (Loss::Logistic, Bias::Regularised) => vec![Self::Liblinear(7), Self::Liblinear(0)],
            (Loss::SquaredHinge, Bias::Free) if rows <= 1000 => vec![Self::LibsvmPrecomputed],
            _ => Vec::new(),
        }
    }

    /// As its users name it.
    pub fn name(self) -> String {
        match self {
            Self::Libsvm => "libSVM".to_owned(),
            Self::LibsvmPrecomputed => "libSVM on K + I/(2C)".to_owned(),
            Self::Liblinear(solver) => format!("LIBLINEAR -s {solver}"),
        }
    }

    /// Whether its time is of the same work.
    pub fn is_timed(self) -> bool {
        self != Self::LibsvmPrecomputed
    }

    /// The version of its library.
    pub fn version(self) -> Result<i32, String> {
        match self {
            Self::Libsvm | Self::LibsvmPrecomputed => libsvm::version(),
            Self::Liblinear(_) => liblinear::version(),
        }
    }

    /// Trains on all rows; `timed` runs the peer's own work once and may be asked to repeat it.
    pub fn train(
        self,
        data: &Data,
        task: &Task,
        timed: &mut dyn FnMut(&mut dyn FnMut()),
    ) -> Result<Decision, String> {
        match self {
            Self::Libsvm => libsvm::train(data, task, false, timed),
            Self::LibsvmPrecomputed => libsvm::train(data, task, true, timed),
            Self::Liblinear(solver) => liblinear::train(solver, data, task, timed),
        }
    }
}

/// `struct svm_node` and `struct feature_node`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Node {
    index: c_int,
    value: f64,
}

const END: Node = Node { index: -1, value: 0.0 };

fn nodes(data: &Data, last: Option<Node>) -> Vec<Vec<Node>> {
    let node = |&(column, value): &(usize, f64)| Node { index: column as c_int + 1, value };
    data.rows.iter().map(|row| row.iter().map(node).chain(last).chain([END]).collect()).collect()
}

/// Classes as both libraries take them.
fn classes(data: &Data) -> Vec<f64> {
    data.positive.iter().map(|&positive| if positive { 1.0 } else { -1.0 }).collect()
}

extern "C" fn silent(_: *const c_char) {}

fn open(names: [&str; 2], package: &str) -> Result<Library, String> {
    // SAFETY: loading these libraries runs no code of their own.
    let library = names.iter().find_map(|name| unsafe { Library::new(*name) }.ok());
    library.ok_or_else(|| format!("{} is not installed: apt install {package}", names[0]))
}

fn text(error: libloading::Error) -> String {
    error.to_string()
}

/// libSVM's numbers of kernels, with gamma, coef0 and degree.
fn numbered(kernel: Kernel) -> (c_int, f64, f64, c_int) {
    match kernel {
        Kernel::Linear => (0, 0.0, 0.0, 0),
        Kernel::Poly { gamma, coef0, degree } => (1, gamma, coef0, degree as c_int),
        Kernel::Rbf { gamma } => (2, gamma, 0.0, 0),
        Kernel::Sigmoid { gamma, coef0 } => (3, gamma, coef0, 0),
    }
}
