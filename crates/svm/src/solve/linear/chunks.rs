//! The hinge loss where one class is rare: solved on few rows of the other class, and on more of them until no row
//! that was left out would change the solution.
//!
//! This is chunking (Boser, Guyon and Vapnik, "A training algorithm for optimal margin classifiers", COLT 1992; Osuna,
//! Freund and Girosi, "Support vector machines: training and applications", 1997, section 3). The objective stays that
//! of all rows, without weights: a row that is left out has a multiplier of 0, which is right where it lies beyond the
//! margin. With a free bias the classes' multipliers have equal sums, so that few of the common class's rows can have
//! one. Started on all rows, the interior point method loses 50 rows among 20,000 in the others' sum, and stalls.

use super::Bias;
use crate::solve::{Examples, Solution};

/// A class is rare where its costs sum to less than this share of the other's.
const RARE: f64 = 0.1;

/// Rows of the common class for each of the rare one at the start, and their least number.
const FIRST_SHARE: usize = 4;
const FIRST_ROWS: usize = 200;

/// What their costs sum to at least where the bias is regularised: it is then `Σ ±alpha`, and to keep the common class
/// beyond the margin it has to come near 1.
const FIRST_COSTS: f64 = 2.0;

/// A row that lies within the margin by more than this is taken in.
const WITHIN: f64 = 1e-7;

/// Rounds, each of which takes in up to as many rows as there are.
const MAX_ROUNDS: usize = 50;

/// Whether the costs of one class sum to so little beside the other's, and there are rows to leave out.
pub(super) fn applies(examples: &Examples, bias: Bias) -> bool {
    let of_class = |class: bool| -> f64 {
        let costs = examples.costs.iter().zip(examples.positive);
        costs.filter(|(_, positive)| **positive == class).map(|(cost, _)| cost).sum()
    };
    let ratio = of_class(true) / of_class(false);
    ratio.min(1.0 / ratio) < RARE && first_rows(examples, bias).len() * 2 < examples.costs.len()
}

/// Solves by `solve`, which is given some of the rows. Without convergence where more than half of them are needed.
pub(super) fn solve(
    examples: &Examples,
    bias: Bias,
    mut solve: impl FnMut(&Examples) -> Solution,
) -> Solution {
    let all = examples.costs.len();
    let mut rows = first_rows(examples, bias);
    let mut iterations = 0;
    for _ in 0..MAX_ROUNDS {
        let x = examples.x.select(&rows);
        let positive: Vec<bool> = rows.iter().map(|&row| examples.positive[row]).collect();
        let costs: Vec<f64> = rows.iter().map(|&row| examples.costs[row]).collect();
        let found = solve(&Examples { x: &x, positive: &positive, costs: &costs });
        iterations += found.iterations;
        let mut alpha = vec![0.0; all];
        rows.iter().zip(&found.alpha).for_each(|(&row, &of_row)| alpha[row] = of_row);
        let mut missing = within_margin(examples, &rows, &alpha, found.bias);
        if missing.is_empty() || !found.converged {
            return Solution { alpha, iterations, ..found };
        }
        missing.sort_by(|one, other| one.0.total_cmp(&other.0));
        missing.truncate(rows.len());
        rows.extend(missing.iter().map(|&(_, row)| row));
        rows.sort_unstable();
        if rows.len() * 2 > all {
            break;
        }
    }
    Solution { iterations, ..Solution::none(all) }
}

/// All rows of the class that has fewer, and some of the other's, spread evenly.
fn first_rows(examples: &Examples, bias: Bias) -> Vec<usize> {
    let positives = examples.positive.iter().filter(|positive| **positive).count();
    let (rare, few) = if positives * 2 <= examples.positive.len() {
        (true, positives)
    } else {
        (false, examples.positive.len() - positives)
    };
    let many = examples.positive.len() - few;
    let mut first = (FIRST_SHARE * few).max(FIRST_ROWS);
    if bias == Bias::Regularised {
        let costs = examples.costs.iter().zip(examples.positive).filter(|(_, positive)| **positive != rare);
        let mean = costs.map(|(cost, _)| cost).sum::<f64>() / many as f64;
        first = first.max((FIRST_COSTS / mean) as usize);
    }
    let every = (many / first).max(1);
    let mut common = 0;
    let keeps = |&row: &usize| {
        common += usize::from(examples.positive[row] != rare);
        examples.positive[row] == rare || common % every == 0
    };
    (0..examples.positive.len()).filter(keeps).collect()
}

/// The margins of the rows that are left out and lie within the margin, each with its row.
fn within_margin(examples: &Examples, rows: &[usize], alpha: &[f64], bias: f64) -> Vec<(f64, usize)> {
    let signed = |row: usize, value: f64| if examples.positive[row] { value } else { -value };
    let mut weights = vec![0.0; examples.x.columns()];
    for &row in rows.iter().filter(|&&row| alpha[row] != 0.0) {
        examples.x.add_to(row, signed(row, alpha[row]), &mut weights);
    }
    let mut taken = rows.iter().copied().peekable();
    (0..examples.costs.len())
        .filter(|row| taken.next_if_eq(row).is_none())
        .map(|row| (signed(row, examples.x.dot(row, &weights) + bias), row))
        .filter(|(margin, _)| *margin < 1.0 - WITHIN)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::matrix::Matrix;

    #[test]
    fn regularised_bias_begins_on_as_many_rows_as_it_needs_to_come_to_1() {
        let x = Matrix::from_rows(vec![[0.5]; 20_000]).into();
        let positive: Vec<bool> = (0..20_000).map(|row| row % 400 == 0).collect();
        let first = |cost: f64, bias: Bias| {
            let costs = vec![cost; 20_000];
            let examples = Examples { x: &x, positive: &positive, costs: &costs };
            applies(&examples, bias).then(|| first_rows(&examples, bias).len())
        };
        assert!(first(1.0, Bias::Regularised).is_some_and(|rows| rows < 300));
        assert!(first(1e-3, Bias::Regularised).is_some_and(|rows| rows > 2000));
        assert_eq!(first(1e-4, Bias::Regularised), None, "all rows are needed");
        assert!(first(1e-4, Bias::Free).is_some_and(|rows| rows < 300));
    }
}
