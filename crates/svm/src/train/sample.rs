//! A sample of rows that stands for all of them.

use crate::data::folds::stratified_sample;
use crate::data::problem::Problem;
use crate::train::parameters::Solver;

/// At most `max_rows` rows, and their places in the problem, ascending; all of them when there are no more.
///
/// Rows of the scarcer class are what limits every measure of rare positives. So all of them are taken, up to half of
/// the sample, and a row of the other class weighs as many rows as it stands for, for each that a row of the scarcer one
/// does. By their weights the classes have the shares that they have in the problem, and where every scarce row is
/// taken the sum of the costs is that of all rows. A solver that knows no weights gets each class's share of the rows.
pub(crate) fn sample(problem: &Problem, max_rows: usize, solver: Solver, seed: u64) -> (Problem, Vec<usize>) {
    if problem.len() <= max_rows {
        return (problem.clone(), (0..problem.len()).collect());
    }
    if solver == Solver::Smartcore {
        let rows = stratified_sample(&problem.positive, max_rows, seed);
        return (problem.select(&rows), rows);
    }
    let scarce = 2 * problem.positives() <= problem.len();
    let members = |class: bool| -> Vec<usize> {
        (0..problem.len()).filter(|&row| problem.positive[row] == class).collect()
    };
    let (few, many) = (members(scarce), members(!scarce));
    let taken = few.len().min(max_rows / 2);
    let part = |of: &[usize], count: usize| -> Vec<usize> {
        // Of one class alone, this is a plain sample.
        stratified_sample(&vec![scarce; of.len()], count, seed).into_iter().map(|place| of[place]).collect()
    };
    let mut rows = part(&few, taken);
    rows.extend(part(&many, max_rows - taken));
    rows.sort_unstable();
    let mut sample = problem.select(&rows);
    let stands_for = |all: &[usize], taken: usize| all.len() as f64 / taken as f64;
    let weight = stands_for(&many, max_rows - taken) / stands_for(&few, taken);
    let weights = sample.weights.get_or_insert_with(|| vec![1.0; rows.len()]);
    for (weight_of_row, &positive) in weights.iter_mut().zip(&sample.positive) {
        *weight_of_row *= if positive == scarce { 1.0 } else { weight };
    }
    (sample, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::{Calibration, Method};
    use crate::data::matrix::Matrix;
    use crate::evaluate::metrics::Metrics;
    use crate::solve::NoProgress;
    use crate::solve::linear::Loss;
    use crate::train::parameters::Parameters;
    use crate::{Choice, Criterion, Grid, Plan, train};
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    /// Two features, of which the first is greater in positive rows.
    fn rare(rows: usize, positives: usize, seed: u64) -> Problem {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut x = Matrix::new(2);
        let positive: Vec<bool> =
            (0..rows).map(|row| row * positives / rows != (row + 1) * positives / rows).collect();
        for &positive in &positive {
            let sum = |count: u32, rng: &mut Xoshiro256PlusPlus| {
                (0..count).map(|_| rng.random::<f64>()).sum::<f64>()
            };
            x.push(&[sum(4, &mut rng) + if positive { 1.2 } else { 0.0 }, rng.random()]);
        }
        Problem::new(x, positive).unwrap()
    }

    #[test]
    fn sample_keeps_all_rare_rows_and_weighs_the_classes_as_in_the_whole() {
        let weight = |sample: &Problem, class: bool| -> f64 {
            let weights = sample.weights.as_ref().unwrap().iter().zip(&sample.positive);
            weights.filter(|row| *row.1 == class).map(|row| row.0).sum()
        };
        for (rows, positives, taken) in
            [(10_000, 5, 5), (10_000, 300, 300), (10_000, 4_000, 500), (10_000, 9_990, 990)]
        {
            let problem = rare(rows, positives, 1);
            let (sample, places) = sample(&problem, 1000, Solver::Native, 7);
            assert_eq!((sample.len(), places.len(), sample.positives()), (1000, 1000, taken), "{positives}");
            assert!(places.is_sorted_by(|one, next| one < next));
            assert!(places.iter().enumerate().all(|(at, &row)| sample.positive[at] == problem.positive[row]));
            let share = weight(&sample, true) / (weight(&sample, true) + weight(&sample, false));
            assert!((share - positives as f64 / rows as f64).abs() < 1e-9, "{share}");
        }
        let (whole, places) = sample(&rare(1000, 5, 1), 1000, Solver::Native, 7);
        assert_eq!((whole.weights, places.len()), (None, 1000));
    }

    #[test]
    fn weights_of_rows_stay_in_the_sample() {
        let mut problem = rare(4000, 2000, 1);
        problem.weights = Some((0..4000).map(|row| 1.0 + f64::from(row % 7)).collect());
        let (sample, places) = sample(&problem, 100, Solver::Native, 7);
        for (weight, row) in sample.weights.unwrap().into_iter().zip(places) {
            assert!((weight - problem.weights.as_ref().unwrap()[row]).abs() < 1e-12);
        }
    }

    #[test]
    fn measures_and_probabilities_of_rare_positives_are_those_of_fresh_rows() {
        let (problem, fresh) = (rare(20_000, 30, 1), rare(20_000, 30, 2));
        // A sample of each class's share has three positive rows: nothing to calibrate on.
        let share = stratified_sample(&problem.positive, 2000, 3);
        assert_eq!(problem.select(&share).positives(), 3);

        let parameters = Parameters { loss: Loss::SquaredHinge, c: 0.1, seed: 3, ..Parameters::default() };
        let choice = Choice::Parameters(parameters);
        let trained = train(&problem, &choice, Plan::All, Some(Method::Platt), &NoProgress).unwrap();
        let places: Vec<usize> = (0..fresh.len()).collect();
        let scores = trained.fitted.scorer().score_rows(&fresh.x, &places);
        let calibration = trained.calibration.as_ref().unwrap();
        let mean = scores.iter().map(|&score| calibration.probability(score)).sum::<f64>() / 20_000.0;
        assert!((0.9e-3..2.2e-3).contains(&mean), "{mean}");
        let told = trained.measured.unwrap().metrics;
        let found = Metrics::measure(&scores, &fresh.positive, None, Some(calibration)).unwrap();
        let gap = told.log_loss.unwrap() - found.log_loss.unwrap();
        assert!((told.error - found.error).abs() < 5e-4 && gap.abs() < 2e-3, "{told:?} {found:?}");
        let base_rate = Metrics::measure(
            &scores,
            &fresh.positive,
            None,
            Calibration::fit(Method::Platt, &[0.0; 20_000], &fresh.positive, None).as_ref(),
        );
        assert!(found.log_loss < base_rate.unwrap().log_loss, "{found:?}");
    }

    #[test]
    fn search_among_rows_of_half_a_thousandth_positives_tells_measures_and_probabilities_of_fresh_rows() {
        let (problem, fresh) = (rare(20_000, 10, 1), rare(20_000, 10, 2));
        let grid = Grid {
            families: vec![Parameters::default()],
            folds: 3,
            criterion: Criterion::LogLoss,
            balance: false,
        };
        let trained =
            train(&problem, &Choice::Grid(grid), Plan::All, Some(Method::Platt), &NoProgress).unwrap();
        let found = trained.search.as_ref().unwrap();
        let sampled: Vec<bool> = found.sample.iter().map(|&row| problem.positive[row]).collect();
        assert_eq!(sampled.iter().filter(|&&positive| positive).count(), 10);
        assert!(!trained.constant);

        let places: Vec<usize> = (0..fresh.len()).collect();
        let scores = trained.fitted.scorer().score_rows(&fresh.x, &places);
        let calibration = trained.calibration.as_ref().unwrap();
        let mean = scores.iter().map(|&score| calibration.probability(score)).sum::<f64>() / 20_000.0;
        assert!((2.5e-4..1e-3).contains(&mean), "{mean}");
        let told = trained.measured.unwrap().metrics;
        let met = Metrics::measure(&scores, &fresh.positive, None, Some(calibration)).unwrap();
        let gap = told.log_loss.unwrap() - met.log_loss.unwrap();
        assert!((told.error - met.error).abs() < 2e-4 && gap.abs() < 2e-3, "{told:?} {met:?}");
        assert!((told.auc.unwrap() - met.auc.unwrap()).abs() < 0.2, "{told:?} {met:?}");
    }
}
