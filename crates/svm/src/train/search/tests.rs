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
    problem.positive.iter_mut().for_each(|positive| *positive &= kept.next().is_some_and(|row| row % 3 == 0));
    let rare = problem.positives();
    assert!((6..22).contains(&rare), "{rare}");
    let grid = |balance| Grid { families: vec![Parameters::default()], balance, ..grid(Criterion::LogLoss) };
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
    let rbf =
        Parameters { kernel: Kernel::Rbf { gamma: 1.0 }, max_iterations: Some(200), ..Parameters::default() };
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
        beyond += found.left_out.iter().filter(greater).filter(|other| other.reason.contains(&named)).count();
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
    let grid =
        Grid { families: vec![Parameters::default()], folds: 3, criterion: Criterion::Error, balance: false };
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
