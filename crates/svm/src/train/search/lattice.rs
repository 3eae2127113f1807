//! The machines that a search compares.

use crate::data::problem::Problem;
use crate::data::scaling::Scaling;
use crate::kernel::Kernel;
use crate::train::parameters::{ClassWeights, Parameters, Solver};
use crate::train::search::choose::near_ties;
use crate::train::search::compare::{Compared, Path};
use crate::train::search::{Candidate, Criterion, Grid};

/// Every second C of every second gamma is tried first, then what lies next to a family's best: those within this many
/// standard errors of its best, at most so many.
const EVERY: usize = 2;
const NEAR_BEST: f64 = 1.0;
const MOST_BESTS: usize = 3;

/// Below this share of the scarcer class, balanced class weights join the candidates.
const RARE_SHARE: f64 = 0.25;

/// Gamma of the coarse grid, in powers of 4, times 1 / (features × variance).
const GAMMA_POWERS: std::ops::RangeInclusive<i32> = -3..=2;

/// C of the coarse grid, in powers of 4, times the kernel's unit.
pub(super) const C_POWERS: std::ops::RangeInclusive<i32> = -3..=6;

/// Half, once and twice the C of these parameters where both classes count alike, if one of them is rare and the parameters
/// have no class weights of their own.
pub(super) fn balanced(sample: &Problem, family: usize, parameters: &Parameters) -> Option<Path> {
    if parameters.class_weights != ClassWeights::NONE || parameters.solver == Solver::Smartcore {
        return None;
    }
    let weight = |row: usize| sample.weights.as_ref().map_or(1.0, |weights| weights[row]);
    let all: f64 = (0..sample.len()).map(weight).sum();
    let positive = (0..sample.len()).filter(|&row| sample.positive[row]).map(weight).sum::<f64>() / all;
    if positive.min(1.0 - positive) >= RARE_SHARE {
        return None;
    }
    // The classes' total cost stays that of all rows.
    let class_weights = ClassWeights { positive: 0.5 / positive, negative: 0.5 / (1.0 - positive) };
    let cs = [0.5, 1.0, 2.0].map(|factor| factor * parameters.c).to_vec();
    Some(Path { family, parameters: Parameters { class_weights, ..*parameters }, cs })
}

/// A family's coarse grid.
pub(super) struct Lattice {
    parameters: Parameters,
    /// Ascending, as the kernels by their gamma.
    cs: Vec<f64>,
    kernels: Vec<Kernel>,
}

impl Lattice {
    pub(super) fn new(problem: &Problem, parameters: &Parameters) -> Self {
        // Kernels of inner products grow with the features' variance, and C must shrink as they grow.
        let variance = if parameters.standardise { 1.0 } else { mean_variance(problem) };
        let unit_gamma = 1.0 / (problem.x.columns() as f64 * variance);
        let unit_c = if parameters.kernel == Kernel::Linear { power_of_4(1.0 / variance) } else { 1.0 };
        let kernels = match parameters.kernel {
            Kernel::Linear => vec![Kernel::Linear],
            kernel => GAMMA_POWERS.map(|power| kernel.with_gamma(unit_gamma * 4f64.powi(power))).collect(),
        };
        let cs = C_POWERS.map(|power| unit_c * 4f64.powi(power)).collect();
        Self { parameters: *parameters, cs, kernels }
    }

    /// All of it for lines, whose machines cost little, else every second C of every second gamma.
    pub(super) fn begun(&self, family: usize) -> Vec<Path> {
        let every = if self.kernels.len() == 1 { 1 } else { EVERY };
        let cs: Vec<f64> = self.cs.iter().copied().step_by(every).collect();
        let path = |kernel: &Kernel| self.path(family, *kernel, cs.clone());
        self.kernels.iter().step_by(every).map(path).collect()
    }

    /// What was not tried next to the best ones.
    pub(super) fn around(&self, family: usize, compared: &Compared, criterion: Criterion) -> Vec<Path> {
        let of_family: Vec<&Candidate> =
            compared.tried.iter().filter(|tried| tried.family == family).collect();
        let bests = near_ties(&of_family, criterion, NEAR_BEST, MOST_BESTS);
        let bests = bests.into_iter().map(|place| &of_family[place].parameters);
        let left_out = compared.left_out.iter().map(|left_out| &left_out.parameters);
        let known: Vec<&Parameters> =
            of_family.iter().map(|tried| &tried.parameters).chain(left_out).collect();
        let tried = |kernel, c| known.contains(&&Parameters { kernel, c, ..self.parameters });
        let place = |best: &Parameters| {
            let kernel = self.kernels.iter().position(|kernel| *kernel == best.kernel);
            kernel.zip(self.cs.iter().position(|c| *c == best.c))
        };
        let bests: Vec<(usize, usize)> = bests.filter_map(place).collect();
        let mut paths = Vec::new();
        for (row, &kernel) in self.kernels.iter().enumerate() {
            let near = |column: usize| {
                bests.iter().any(|best| best.0.abs_diff(row) <= 1 && best.1.abs_diff(column) <= 1)
            };
            let cs = self.cs.iter().enumerate().filter(|&(column, &c)| near(column) && !tried(kernel, c));
            let cs: Vec<f64> = cs.map(|(_, &c)| c).collect();
            if !cs.is_empty() {
                paths.push(self.path(family, kernel, cs));
            }
        }
        paths
    }

    fn path(&self, family: usize, kernel: Kernel, cs: Vec<f64>) -> Path {
        Path { family, parameters: Parameters { kernel, ..self.parameters }, cs }
    }
}

/// The earlier family that differs in the loss alone: where one loss does well, the other does, so that the coarse grid is
/// searched by the first alone.
pub(super) fn of_other_loss(grid: &Grid, family: usize) -> Option<usize> {
    let parameters = &grid.families[family];
    grid.families[..family]
        .iter()
        .position(|other| Parameters { loss: parameters.loss, ..*other } == *parameters)
}

/// A family's candidates around the best of another loss, whose C means somewhat else.
pub(super) fn like(family: usize, parameters: &Parameters, best: &Parameters) -> Vec<Path> {
    let cs = [0.25, 0.5, 1.0, 2.0, 4.0].map(|factor| factor * best.c).to_vec();
    let kernels = match best.kernel.gamma() {
        None => vec![best.kernel],
        Some(gamma) => [0.5, 1.0, 2.0].map(|factor| best.kernel.with_gamma(factor * gamma)).to_vec(),
    };
    let path = |kernel| Path { family, parameters: Parameters { kernel, ..*parameters }, cs: cs.clone() };
    kernels.into_iter().map(path).collect()
}

/// Half, once and twice the C and gamma of each family's best, but for the best itself.
pub(super) fn fine(bests: &[(usize, Parameters)]) -> Vec<Path> {
    let mut paths = Vec::new();
    for &(family, parameters) in bests {
        let around = [0.5, 1.0, 2.0];
        let cs: Vec<f64> = around.map(|factor| parameters.c * factor).to_vec();
        match parameters.kernel.gamma() {
            None => paths.push(Path { family, parameters, cs: vec![cs[0], cs[2]] }),
            Some(gamma) => paths.extend(around.map(|factor| {
                let kernel = parameters.kernel.with_gamma(gamma * factor);
                let cs = if factor == 1.0 { vec![cs[0], cs[2]] } else { cs.clone() };
                Path { family, parameters: Parameters { kernel, ..parameters }, cs }
            })),
        }
    }
    paths
}

/// Mean over the features of their variance, or 1 where nothing varies.
fn mean_variance(problem: &Problem) -> f64 {
    let scale = Scaling::learn(&problem.x).scale;
    let mean = scale.iter().map(|scale| scale * scale).sum::<f64>() / scale.len() as f64;
    if mean.is_normal() { mean } else { 1.0 }
}

fn power_of_4(value: f64) -> f64 {
    4f64.powi((value.log2() / 2.0).round() as i32)
}
