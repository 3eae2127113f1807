//! Measures of a search that its choice does not flatter.

use super::compare::{Path, compare, eased};
use super::lattice::Lattice;
use crate::calibrate::Method;
use crate::data::problem::Problem;
use crate::solve::{NoProgress, Progress};
use crate::train::cross_validation::{FoldRows, cross_validate_in, scarcer};
use crate::train::fit::fit;
use crate::train::parameters::{Parameters, TrainError};
use crate::train::score_unit::ScoreUnit;
use crate::train::search::Search;

/// Most folds of the cross-validations that choose anew: as many for each fold of the search, so that more take a search's time.
const INNER_FOLDS: usize = 3;

/// Of so many rows kernel and scaling are chosen anew as well: which of them does best on so few is chance, and costs little.
const FEW_ROWS: usize = 100;

/// What is told of each row of the sample by a machine whose parameters and calibration were made without the row's fold.
pub(crate) struct Nested {
    pub(crate) scores: Vec<f64>,
    /// The scores in the units of their machines, or as they are where one has none.
    pub(crate) alike: Vec<f64>,
    /// None where a calibration could not be fitted.
    pub(crate) probabilities: Option<Vec<f64>>,
}

/// What one fold is told.
struct OfFold {
    scores: Vec<f64>,
    alike: Vec<f64>,
    probabilities: Option<Vec<f64>>,
}

impl Search {
    /// Nested cross-validation: for each fold C and gamma are chosen anew by a cross-validation of the other folds, on the coarse
    /// grid of the chosen family, and a machine and its calibration made of those folds tell of the rows of this one. Kernel and
    /// scaling are chosen anew of few rows only, and the loss is what all rows chose.
    ///
    /// The measures of the chosen candidate itself flatter: it was chosen for them (Cawley and Talbot, *On
    /// over-fitting in model selection*, Journal of Machine Learning Research 11, 2010, section 5). So do those of the candidate that
    /// the other folds' rows choose by the scores that there are: each of their machines was trained on rows of the fold, and a kernel is
    /// symmetric, so that what suits those rows by these suits these by those.
    ///
    /// None where the other folds are too few rows to be divided. `sample` is the search's, with its weights.
    pub(crate) fn nested(
        &self,
        sample: &Problem,
        method: Option<Method>,
        progress: &dyn Progress,
    ) -> Result<Option<Nested>, TrainError> {
        let fold_rows = FoldRows::of(self.fold_of.clone(), self.folds);
        progress.stage("nested cross-validation", Some(self.folds as u64));
        let (mut scores, mut alike) = (vec![0.0; sample.len()], vec![0.0; sample.len()]);
        let mut probabilities = method.map(|_| scores.clone());
        for fold in 0..self.folds {
            let Some(told) = self.of_fold(sample, &fold_rows, fold, method)? else { return Ok(None) };
            for (place, &row) in fold_rows.held(fold).iter().enumerate() {
                (scores[row], alike[row]) = (told.scores[place], told.alike[place]);
                if let (Some(all), Some(of_fold)) = (&mut probabilities, &told.probabilities) {
                    all[row] = of_fold[place];
                }
            }
            if told.probabilities.is_none() {
                probabilities = None;
            }
            progress.advance(1);
        }
        Ok(Some(Nested { scores, alike, probabilities }))
    }

    /// The chosen family, with its class weights; of few rows, all that have its loss.
    fn families_to_choose_from(&self) -> impl Iterator<Item = (usize, &Parameters)> {
        let chosen = &self.tried[self.chosen];
        let first = |place: usize| place == 0 || self.tried[place - 1].family != self.tried[place].family;
        let others = self.tried.iter().enumerate().filter(move |(place, other)| {
            let like = other.family != chosen.family && other.parameters.loss == chosen.parameters.loss;
            self.rows <= FEW_ROWS && like && first(*place)
        });
        std::iter::once(chosen).chain(others.map(|other| other.1)).map(|of| (of.family, &of.parameters))
    }

    fn of_fold(
        &self,
        sample: &Problem,
        fold_rows: &FoldRows,
        fold: usize,
        method: Option<Method>,
    ) -> Result<Option<OfFold>, TrainError> {
        let training = fold_rows.training(sample, fold);
        let chosen = &self.tried[self.chosen];
        let folds = scarcer(&training).0.min(INNER_FOLDS);
        if folds < 2 {
            return Ok(None);
        }
        let inner = FoldRows::new(&training, folds, chosen.parameters.seed);
        let paths: Vec<Path> = self
            .families_to_choose_from()
            .flat_map(|(family, parameters)| Lattice::new(&training, parameters).begun(family))
            .collect();
        let compared = compare(&training, &paths, &inner, "nested cross-validation", &NoProgress)?;
        let found = compared.choose(self.criterion).map(|place| compared.tried[place].parameters);
        let parameters =
            Parameters { allow_unconverged: true, ..eased(&found.unwrap_or(chosen.parameters), &training) };
        let Ok(fitted) = fit(&training, &parameters, &NoProgress) else { return Ok(None) };
        let scorer = fitted.scorer();
        let held = fold_rows.held(fold);
        let scores = scorer.score_rows(&sample.x, held);
        let Some(method) = method else {
            return Ok(Some(OfFold { alike: scores.clone(), scores, probabilities: None }));
        };
        let validated = cross_validate_in(&inner, &training, &parameters, &NoProgress)?;
        let unit = ScoreUnit::of(&scorer, &training);
        let in_units = unit.is_known() && validated.units.iter().all(ScoreUnit::is_known);
        let inside = |unit: &ScoreUnit, score: f64| if in_units { unit.inside(score) } else { score };
        let of_training = validated.scores.iter().zip(inner.fold_of());
        let of_training: Vec<f64> =
            of_training.map(|(&score, &fold)| inside(&validated.units[fold], score)).collect();
        let alike: Vec<f64> = scores.iter().map(|&score| inside(&unit, score)).collect();
        let calibration = inner.out_of_fold(&training, &of_training).calibration(method);
        let probabilities = calibration
            .map(|calibration| alike.iter().map(|&score| calibration.probability(score)).collect());
        Ok(Some(OfFold { scores, alike, probabilities }))
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel;
    use crate::testing::blobs;
    use crate::train::search::{Criterion, Grid, search};

    #[test]
    fn no_label_of_a_fold_has_a_part_in_what_is_told_of_its_rows() {
        let problem = blobs(36, 0.3, 5);
        let rbf = Parameters { kernel: Kernel::Rbf { gamma: 1.0 }, ..Parameters::default() };
        let grid = Grid { families: vec![rbf], folds: 3, criterion: Criterion::Error, balance: false };
        let found = search(&problem, &grid, &NoProgress).unwrap();
        let told = |found: &Search, problem: &Problem| {
            found.nested(problem, Some(Method::Platt), &NoProgress).unwrap().unwrap()
        };
        let of_truth = told(&found, &problem);
        // Also where the labels had their part in the search.
        let mut turned = problem.clone();
        let of_fold = |row: &usize| found.fold_of[*row] == 1;
        (0..36).filter(of_fold).for_each(|row| turned.positive[row] = !turned.positive[row]);
        let again = Search { fold_of: found.fold_of.clone(), ..search(&turned, &grid, &NoProgress).unwrap() };
        let of_turned = told(&again, &turned);
        let part = |all: &[f64]| (0..36).filter(of_fold).map(|row| all[row]).collect::<Vec<f64>>();
        assert_eq!(part(&of_truth.scores), part(&of_turned.scores));
        let [one, other] = [&of_truth, &of_turned].map(|told| part(told.probabilities.as_ref().unwrap()));
        assert_eq!(one, other);
        assert_ne!(of_truth.scores, of_turned.scores);
    }

    #[test]
    fn search_of_rows_too_few_to_be_divided_again_has_no_measures() {
        let rows: Vec<usize> = (0..2).chain(13..20).collect();
        let few = blobs(36, 0.1, 5).select(&rows);
        let grid = Grid {
            families: vec![Parameters::default()],
            folds: 2,
            criterion: Criterion::Error,
            balance: false,
        };
        let found = search(&few, &grid, &NoProgress).unwrap();
        assert!(found.nested(&few, Some(Method::Platt), &NoProgress).unwrap().is_none());
    }
}
