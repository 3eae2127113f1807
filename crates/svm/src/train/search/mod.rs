//! Choosing kernel, C and gamma by cross-validation: coarse first, then finer around the best.

mod choose;
mod compare;
mod lattice;
mod nested;

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
        for Candidate { parameters, family, metrics, scores, probabilities, .. } in again.tried {
            let same = |tried: &&mut Candidate| tried.family == family && tried.parameters == parameters;
            if let Some(tried) = compared.tried.iter_mut().find(same) {
                tried.again.push(Again { metrics, scores, probabilities });
            }
        }
    }
    Ok(())
}

/// Far from the seeds that people count up from 1, so that repetitions of one search are not the folds of another.
const OTHER_SEED: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::lattice::C_POWERS;
    use super::*;
    use crate::solve::NoProgress;
    use crate::testing::blobs;
    use crate::train::fit::fit;
    use crate::train::parameters::ClassWeights;

    fn grid(criterion: Criterion) -> Grid {
        let families = [Kernel::Linear, Kernel::Rbf { gamma: 1.0 }];
        let families = families.map(|kernel| Parameters { kernel, ..Parameters::default() }).to_vec();
        Grid { families, folds: 3, criterion, balance: false }
    }

    #[test]
    fn linearly_separable_rows_get_the_linear_kernel() {
        for criterion in [Criterion::LogLoss, Criterion::Error] {
            let found = search(&blobs(90, 0.06, 4), &grid(criterion), &NoProgress).unwrap();
            // Ten C and two finer ones for the line; three gammas with five C each for the curve, at most eight around each of
            // three, and eight finer pairs.
            let of_kernel =
                |name| found.tried.iter().filter(|tried| tried.parameters.kernel.name() == name).count();
            assert_eq!(of_kernel("linear"), 12);
            assert!((15 + 3 + 8..=15 + 24 + 8).contains(&of_kernel("rbf")), "{}", of_kernel("rbf"));
            assert_eq!(found.tried[found.chosen].parameters.kernel, Kernel::Linear, "{criterion:?}");
        }
    }

    #[test]
    fn rows_that_no_line_separates_get_the_rbf_kernel() {
        // Positive in the middle: no half space holds the positive rows only.
        let mut problem = blobs(120, 0.12, 4);
        let middle = |row: &[f64]| (row[4] - 0.64).abs() < 0.08;
        problem.positive = problem.x.rows().map(middle).collect();
        let found = search(&problem, &grid(Criterion::LogLoss), &NoProgress).unwrap();
        assert_eq!(found.tried[found.chosen].parameters.kernel.name(), "rbf");
    }

    #[test]
    fn rare_label_gets_class_weights_beside_none_where_they_are_asked_for() {
        let mut problem = blobs(90, 0.2, 4);
        // Every sixth row is positive.
        let mut kept = 0..90;
        problem
            .positive
            .iter_mut()
            .for_each(|positive| *positive &= kept.next().is_some_and(|row| row % 3 == 0));
        let rare = problem.positives();
        assert!((6..22).contains(&rare), "{rare}");
        let grid =
            |balance| Grid { families: vec![Parameters::default()], balance, ..grid(Criterion::LogLoss) };
        let found = search(&problem, &grid(true), &NoProgress).unwrap();
        let weighted: Vec<&Candidate> =
            found.tried.iter().filter(|tried| tried.parameters.class_weights != ClassWeights::NONE).collect();
        assert_eq!(weighted.len(), 3);
        let ClassWeights { positive, negative } = weighted[0].parameters.class_weights;
        assert!((positive * rare as f64 - negative * (90 - rare) as f64).abs() < 1e-9);
        let without = search(&problem, &grid(false), &NoProgress).unwrap();
        assert!(without.tried.iter().all(|tried| tried.parameters.class_weights == ClassWeights::NONE));
    }

    #[test]
    fn near_ties_are_compared_in_other_folds_and_the_same_each_time() {
        let problem = blobs(90, 0.2, 4);
        let grid = Grid { families: vec![Parameters::default()], ..grid(Criterion::Error) };
        let found = search(&problem, &grid, &NoProgress).unwrap();
        let again: Vec<&Candidate> = found.tried.iter().filter(|tried| !tried.again.is_empty()).collect();
        assert!((2..=MOST_REPEATED + 1).contains(&again.len()), "{}", again.len());
        for candidate in again {
            assert_eq!(candidate.again.len() as u64, REPETITIONS);
            assert!(candidate.again.iter().all(|again| again.scores != candidate.scores));
        }
        assert_eq!(search(&problem, &grid, &NoProgress).unwrap(), found);
    }

    #[test]
    fn candidates_are_tried_once_and_do_not_beat_the_chosen_by_more_than_noise() {
        let found = search(&blobs(90, 0.12, 7), &grid(Criterion::LogLoss), &NoProgress).unwrap();
        let same = |one: &Candidate, other: &Candidate| one.parameters == other.parameters;
        for (i, one) in found.tried.iter().enumerate() {
            assert!(!found.tried[..i].iter().any(|other| same(one, other)), "{:?}", one.parameters);
            let chosen = found.tried[found.chosen].metrics.log_loss.unwrap();
            let rows = found.rows as f64;
            assert!(chosen <= one.metrics.log_loss.unwrap() * 1.1 + 1.0 / rows);
        }
    }

    #[test]
    fn path_that_meets_the_bound_ends_there_and_says_so() {
        let problem = blobs(90, 0.3, 4);
        let rbf = Parameters {
            kernel: Kernel::Rbf { gamma: 1.0 },
            max_iterations: Some(200),
            ..Parameters::default()
        };
        let grid = Grid { families: vec![rbf], folds: 3, criterion: Criterion::Error, balance: false };
        let found = search(&problem, &grid, &NoProgress).unwrap();
        let unconverged: Vec<&LeftOut> =
            found.left_out.iter().filter(|left_out| left_out.reason.contains("200 iterations")).collect();
        assert!(!unconverged.is_empty() && !found.tried.is_empty());
        let of_kernel = |one: &Parameters, other: &Parameters| one.kernel == other.kernel && one.c > other.c;
        let mut beyond = 0;
        for left_out in &unconverged {
            let greater = |other: &&LeftOut| of_kernel(&other.parameters, &left_out.parameters);
            let named = format!("C = {} brought the solver to its bound", left_out.parameters.c);
            beyond +=
                found.left_out.iter().filter(greater).filter(|other| other.reason.contains(&named)).count();
            // Nothing on the coarse grid was trained behind it.
            let coarse = |tried: &&Candidate| tried.parameters.c.log2().rem_euclid(4.0) == 2.0;
            let is_behind = |tried: &Candidate| of_kernel(&tried.parameters, &left_out.parameters);
            assert!(!found.tried.iter().filter(coarse).any(is_behind), "{:?}", left_out.parameters);
        }
        assert!(beyond > 0, "{:?}", found.left_out);
    }

    #[test]
    fn choice_whose_machine_of_all_rows_is_of_no_use_gives_way_to_the_next_best() {
        let problem = blobs(60, 0.2, 4);
        let grid = Grid {
            families: vec![Parameters::default()],
            folds: 3,
            criterion: Criterion::Error,
            balance: false,
        };
        let found = search(&problem, &grid, &NoProgress).unwrap();
        let first = found.tried[found.chosen].parameters;
        let trained = |parameters: &Parameters| fit(&problem, parameters, &NoProgress);
        for constant in [true, false] {
            // The chosen one scores all rows alike, or does not converge.
            let (next, (fitted, is_constant)) = found
                .clone()
                .first_that_trains(|parameters| {
                    let mut fitted = trained(parameters)?;
                    fitted.solve.converged = constant || *parameters != first;
                    Ok((fitted, constant && *parameters == first))
                })
                .unwrap();
            let second = next.tried[next.chosen].parameters;
            assert_ne!(second, first);
            assert!(fitted == trained(&second).unwrap() && !is_constant);
            assert_eq!(next.left_out.last().map(|left_out| left_out.parameters), Some(first));
        }
        // Where none is of use, it is the first.
        let (same, (_, is_constant)) =
            found.clone().first_that_trains(|parameters| Ok((trained(parameters)?, true))).unwrap();
        assert!(same == found && is_constant);
    }

    #[test]
    fn one_c_that_fails_leaves_the_others_of_its_family_and_is_listed() {
        let mut problem = blobs(60, 0.05, 4);
        problem.x.dense_mut().rows_mut().for_each(|row| row[0] *= 1e5);
        let raw = Parameters { standardise: false, ..Parameters::default() };
        // The weights of one row take only the greater C beyond what the solvers calculate with.
        problem.weights = Some((0..60).map(|row| if row == 0 { 1e8 } else { 1.0 }).collect());
        let grid = Grid { families: vec![raw], folds: 3, criterion: Criterion::Error, balance: false };
        let found = search(&problem, &grid, &NoProgress).unwrap();
        assert!(!found.left_out.is_empty() && !found.tried.is_empty());
        assert!(found.left_out.iter().all(|left_out| left_out.reason.contains("too great")));
        let least = found.left_out.iter().map(|left_out| left_out.parameters.c).fold(f64::INFINITY, f64::min);
        assert!(found.tried.iter().all(|tried| tried.parameters.c < least));
    }

    #[test]
    fn values_too_great_for_one_family_leave_the_other_families() {
        let mut problem = blobs(60, 0.05, 4);
        problem.x.dense_mut().rows_mut().for_each(|row| row[0] *= 1e8);
        let raw = Parameters { standardise: false, ..Parameters::default() };
        let both = [raw, Parameters::default()].to_vec();
        let grid = |families| Grid { families, folds: 3, criterion: Criterion::Error, balance: false };
        let found = search(&problem, &grid(both), &NoProgress).unwrap();
        assert!(found.tried.iter().all(|tried| tried.parameters.standardise));
        assert!(found.left_out.iter().all(|left_out| !left_out.parameters.standardise));
        assert_eq!(found.left_out.len(), C_POWERS.count());
        let reported = search(&problem, &grid(vec![raw]), &NoProgress).unwrap_err().to_string();
        assert!(reported.contains("use --scale standard"), "{reported}");
    }
}
