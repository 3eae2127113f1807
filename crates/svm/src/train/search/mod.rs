//! Choosing kernel, C and gamma by cross-validation: coarse first, then finer around the best.

mod choose;
mod compare;
mod lattice;
mod nested;
#[cfg(test)]
mod tests;

pub use choose::Criterion;

use crate::data::problem::Problem;
use crate::evaluate::metrics::Metrics;
use crate::kernel::Kernel;
use crate::solve::Progress;
use crate::train::cross_validation::{FoldRows, require_folds};
use crate::train::fit::Fitted;
use crate::train::parameters::{Parameters, Solver, TrainError};
use crate::train::sample::sample;
use choose::{choose, near_ties};
use compare::{Compared, Path, compare};
use lattice::{Lattice, balanced, fine, like, of_other_loss};

/// Most rows that candidates are compared on, so that a search takes seconds, not hours.
pub const SEARCH_ROWS: usize = 5000;

/// How often candidates that nearly tie are compared again, in other folds.
const REPETITIONS: u64 = 2;

/// Candidates within this many standard errors of the best are compared again, at most so many.
const NEAR_TIE: f64 = 0.5;
const MOST_REPEATED: usize = 24;

/// Most candidates whose machine is trained on all rows before one of them is taken.
const MOST_TRAINED: usize = 5;

/// The candidates of a search and the rule that compares them.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// A set of parameters per kernel and loss, simplest first; C and gamma are replaced by the grid's.
    pub families: Vec<Parameters>,
    /// Folds of the cross-validation, at least 2.
    pub folds: usize,
    /// What makes one better than another.
    pub criterion: Criterion,
    /// Whether the best is tried with class weights that make both classes count alike, too, where less than a quarter
    /// of the rows are of one of them; only without class weights of the families' own.
    pub balance: bool,
}

/// One candidate and its measures.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Place of its family among the grid's.
    pub family: usize,
    /// What was tried.
    pub parameters: Parameters,
    /// Measures of its cross-validation: each fold by a machine and by Platt's sigmoid, or the base rate, that were made
    /// of the other folds.
    pub metrics: Metrics,
    /// Mean squared difference of these probabilities and the truth, in `0.0..=1.0` (Brier, *Monthly Weather Review* 78, 1950);
    /// none where there are none.
    pub brier: Option<f64>,
    /// The score of each row of the sample by the machine that was trained without the row's fold.
    pub scores: Vec<f64>,
    /// The probability of each row of the sample by the sigmoid that was fitted without the row's fold; none where one
    /// could not be fitted.
    pub probabilities: Option<Vec<f64>>,
    /// The same of further cross-validations, in other folds: only of candidates that nearly tie with the best.
    pub again: Vec<Again>,
}

/// One more cross-validation of a candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Again {
    /// As [`Candidate::metrics`].
    pub metrics: Metrics,
    /// As [`Candidate::brier`].
    pub brier: Option<f64>,
    /// As [`Candidate::scores`], in these folds.
    pub scores: Vec<f64>,
    /// As [`Candidate::probabilities`], in these folds.
    pub probabilities: Option<Vec<f64>>,
}

/// A candidate that could not be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    /// What was tried.
    pub parameters: Parameters,
    /// Why it has no measures: values too great for it, or a solver that did not converge on a fold.
    pub reason: String,
}

/// The outcome of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Every candidate, simplest first: by family, as they are before balanced, then smaller gamma, then smaller C.
    pub tried: Vec<Candidate>,
    /// Those that could not be compared.
    pub left_out: Vec<LeftOut>,
    /// Place of the chosen one in `tried`.
    pub chosen: usize,
    /// Rows they were compared on.
    pub rows: usize,
    /// Folds they were compared in.
    pub folds: usize,
    /// What made one better than another.
    pub criterion: Criterion,
    /// Places of those rows in the problem, ascending.
    pub sample: Vec<usize>,
    /// What each of those rows counts; none for 1 everywhere.
    pub weights: Option<Vec<f64>>,
    /// The fold of each of those rows, below `folds`.
    pub fold_of: Vec<usize>,
}

/// Compares every C of lines and every second C and gamma of curves on a coarse grid, then what lies next to the best of each
/// family, then halves and doubles of its best, on at most [`SEARCH_ROWS`] rows; a family that differs from an earlier one in
/// the loss alone around the best of that one; where [`Grid::balance`] asks for it and a class is rare, the best with
/// balanced class weights; and those that nearly tie again, in other folds.
///
/// The best by the criterion among those that were compared again wins, or a line that is hardly worse; of
/// equal ones the simplest: the earlier family, then the smaller gamma, then the smaller C. Measures are averages over a candidate's cross-validations and over its neighbours on
/// the grid, for those scatter less from seed to seed. The result does not depend on the number of threads. Candidates whose
/// kernel values are too great, that score all rows of each fold alike or whose solver does not converge within a bound on
/// its iterations are left out and listed; behind the last, so are greater C of the same path.
///
/// # Errors
/// Fewer rows of a class than folds, or the reason of the first candidate where none could be compared.
pub fn search(problem: &Problem, grid: &Grid, progress: &dyn Progress) -> Result<Search, TrainError> {
    let seed = grid.families.first().map_or(0, |parameters| parameters.seed);
    let solver = grid.families.first().map_or(Solver::Native, |parameters| parameters.solver);
    let (sample, rows) = sample(problem, SEARCH_ROWS, solver, seed);
    require_folds(&sample, grid.folds)?;
    let fold_rows = FoldRows::new(&sample, grid.folds, seed);
    let compare = |paths: &[Path], stage: &str| compare(&sample, paths, &fold_rows, stage, progress);
    let first_of_loss = |family: &usize| of_other_loss(grid, *family).is_none();
    let lattices: Vec<(usize, Lattice)> = (0..grid.families.len())
        .filter(first_of_loss)
        .map(|family| (family, Lattice::new(&sample, &grid.families[family])))
        .collect();
    let begun: Vec<Path> = lattices.iter().flat_map(|(family, lattice)| lattice.begun(*family)).collect();
    let mut compared = compare(&begun, "coarse grid")?;
    let around: Vec<Path> = lattices
        .iter()
        .flat_map(|(family, lattice)| lattice.around(*family, &compared, grid.criterion))
        .collect();
    compared.add(compare(&around, "around the best")?);
    let bests: Vec<(usize, Parameters)> = (0..grid.families.len())
        .filter_map(|family| {
            let of_family: Vec<&Candidate> =
                compared.tried.iter().filter(|tried| tried.family == family).collect();
            choose(&of_family, grid.criterion).map(|best| (family, of_family[best].parameters))
        })
        .collect();
    let mut finer = fine(&bests);
    for (family, parameters) in grid.families.iter().enumerate() {
        let best = of_other_loss(grid, family).and_then(|other| bests.iter().find(|best| best.0 == other));
        finer.extend(best.into_iter().flat_map(|(_, best)| like(family, parameters, best)));
    }
    compared.add(compare(&finer, "fine grid")?);
    if let (true, Some(chosen)) = (grid.balance, compared.choose(grid.criterion)) {
        let Candidate { family, parameters, .. } = &compared.tried[chosen];
        if let Some(path) = balanced(&sample, *family, parameters) {
            compared.add(compare(&[path], "class weights")?);
        }
    }
    repeat(&sample, grid, &mut compared, seed, progress)?;
    let Some(chosen) = compared.choose(grid.criterion) else {
        let reason = compared.left_out.first().map_or("there is none", |left_out| &left_out.reason);
        return Err(TrainError::NoCandidate { reason: reason.to_owned() });
    };
    let Compared { tried, left_out } = compared;
    Ok(Search {
        tried,
        left_out,
        chosen,
        rows: sample.len(),
        folds: grid.folds,
        criterion: grid.criterion,
        sample: rows,
        weights: sample.weights.clone(),
        fold_of: fold_rows.fold_of().to_vec(),
    })
}

impl Search {
    /// The best candidate of a search whose machine of all rows converges and does not score all of them alike, with what `train`
    /// makes of it. The few rows of a fold do not tell that always. Where none of the best few does, it is the first.
    pub(crate) fn first_that_trains(
        self,
        train: impl Fn(&Parameters) -> Result<(Fitted, bool), TrainError>,
    ) -> Result<(Self, (Fitted, bool)), TrainError> {
        let mut search = self.clone();
        let mut first = None;
        for _ in 0..MOST_TRAINED {
            let parameters = &search.tried[search.chosen].parameters;
            let trained = train(parameters);
            let reason = match &trained {
                Ok((fitted, _)) if !fitted.solve.converged && !parameters.allow_unconverged => {
                    let iterations = fitted.solve.iterations.unwrap_or(0);
                    TrainError::Unconverged { iterations }.to_string()
                }
                Ok((_, true)) => "it scores all rows alike".to_owned(),
                Err(error) => error.to_string(),
                Ok(_) => return trained.map(|trained| (search, trained)),
            };
            first.get_or_insert(trained);
            if !search.reject_chosen(reason) {
                break;
            }
        }
        first.unwrap_or_else(|| train(&self.tried[self.chosen].parameters)).map(|trained| (self, trained))
    }

    /// Leaves the chosen candidate out for a reason that shows when it is trained on all rows, and chooses again; false where no
    /// other is left.
    fn reject_chosen(&mut self, reason: String) -> bool {
        if self.tried.len() < 2 {
            return false;
        }
        let Candidate { parameters, .. } = self.tried.remove(self.chosen);
        self.left_out.push(LeftOut { parameters, reason });
        self.chosen = choose(&self.tried.iter().collect::<Vec<_>>(), self.criterion).unwrap_or(0);
        true
    }
}

impl Compared {
    /// Adds more, and brings all in order, simplest first.
    fn add(&mut self, more: Self) {
        self.tried.extend(more.tried);
        self.left_out.extend(more.left_out);
        self.tried.sort_by(|one, other| {
            let order = |candidate: &Candidate| {
                let Parameters { kernel, class_weights, .. } = candidate.parameters;
                (candidate.family, class_weights.positive != class_weights.negative, kernel.gamma())
            };
            let (of_one, of_other) = (order(one), order(other));
            let gamma = of_one.2.unwrap_or(0.0).total_cmp(&of_other.2.unwrap_or(0.0));
            let c = one.parameters.c.total_cmp(&other.parameters.c);
            of_one.0.cmp(&of_other.0).then(of_one.1.cmp(&of_other.1)).then(gamma).then(c)
        });
    }

    fn choose(&self, criterion: Criterion) -> Option<usize> {
        choose(&self.tried.iter().collect::<Vec<_>>(), criterion)
    }
}

/// Compares those that nearly tie again, in folds of other seeds.
fn repeat(
    sample: &Problem,
    grid: &Grid,
    compared: &mut Compared,
    seed: u64,
    progress: &dyn Progress,
) -> Result<(), TrainError> {
    let mut near =
        near_ties(&compared.tried.iter().collect::<Vec<_>>(), grid.criterion, NEAR_TIE, MOST_REPEATED);
    // A line that could win against curves has to be among them.
    let lines: Vec<usize> = (0..compared.tried.len())
        .filter(|&place| compared.tried[place].parameters.kernel == Kernel::Linear)
        .collect();
    let of_lines: Vec<&Candidate> = lines.iter().map(|&place| &compared.tried[place]).collect();
    let line = choose(&of_lines, grid.criterion).map(|best| lines[best]);
    near.extend(line.filter(|line| !near.contains(line)));
    if near.len() < 2 {
        return Ok(());
    }
    // In the order of the candidates, so that each path goes up in C.
    near.sort_unstable();
    let mut paths: Vec<Path> = Vec::new();
    for &place in &near {
        let Candidate { family, parameters, .. } = &compared.tried[place];
        let same = |path: &Path| {
            path.family == *family && Parameters { c: parameters.c, ..path.parameters } == *parameters
        };
        match paths.last_mut().filter(|path| same(path)) {
            Some(path) => path.cs.push(parameters.c),
            None => paths.push(Path { family: *family, parameters: *parameters, cs: vec![parameters.c] }),
        }
    }
    for repetition in 1..=REPETITIONS {
        let others =
            FoldRows::new(sample, grid.folds, seed.wrapping_add(repetition.wrapping_mul(OTHER_SEED)));
        let again = compare(sample, &paths, &others, "near ties", progress)?;
        for Candidate { parameters, family, metrics, brier, scores, probabilities, .. } in again.tried {
            let same = |tried: &&mut Candidate| tried.family == family && tried.parameters == parameters;
            if let Some(tried) = compared.tried.iter_mut().find(same) {
                tried.again.push(Again { metrics, brier, scores, probabilities });
            }
        }
    }
    Ok(())
}

/// Far from the seeds that people count up from 1, so that repetitions of one search are not the folds of another.
const OTHER_SEED: u64 = 0x9e37_79b9_7f4a_7c15;
