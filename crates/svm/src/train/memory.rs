//! What a kernel machine takes in memory, known before it is taken.

use crate::data::either::Rows;
use crate::kernel::Kernel;
use crate::solve::smo::SmoOptions;
use crate::train::parameters::{Parameters, Solver, TrainError};

/// Most bytes that training one kernel machine may take beside the problem: 4 GiB.
pub const KERNEL_BYTES: u64 = 4 << 30;

/// Most bytes that a candidate of a search may take where its rows are sparse: kernels of wide rows are slow as well, and a
/// search trains hundreds of machines, several at a time.
pub(crate) const SEARCH_KERNEL_BYTES: u64 = 64 << 20;

/// Refuses parameters that need more than `limit` bytes on these rows.
pub(crate) fn check(x: &Rows, parameters: &Parameters, limit: u64) -> Result<(), TrainError> {
    let bytes = needed(x, parameters);
    if bytes <= limit {
        return Ok(());
    }
    let (rows, columns) = (x.len(), x.columns());
    Err(TrainError::TooLarge { kernel: parameters.kernel.name(), rows, columns, bytes, limit })
}

/// Bytes beside the problem. Linear machines take sparse rows as they are, and dense ones in a copy or two: both are no
/// more than the problem itself by a small factor, and so none are counted.
fn needed(x: &Rows, parameters: &Parameters) -> u64 {
    if parameters.kernel == Kernel::Linear && parameters.solver == Solver::Native {
        return 0;
    }
    let (rows, columns) = (x.len() as u64, x.columns() as u64);
    let cells = rows.saturating_mul(columns);
    // Dense rows in double precision, scaled or without having been sparse; in single precision one after the other,
    // and again in blocks for vector instructions.
    let copies = if x.as_dense().is_none() || parameters.standardise { 8 } else { 0 };
    let kernel_rows = rows.saturating_mul(4 * rows).min(SmoOptions::default().cache_bytes as u64);
    // What is not zero in sparse rows is listed as well.
    let listed = if let Rows::Sparse(x) = x { 8 * x.stored() as u64 } else { 0 };
    cells.saturating_mul(copies + 4 + 4).saturating_add(kernel_rows).saturating_add(listed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::matrix::Matrix;
    use crate::data::problem::Problem;
    use crate::data::sparse::SparseMatrix;
    use crate::solve::NoProgress;
    use crate::train::fit::fit;
    use crate::train::search::{Criterion, Grid, search};

    /// So many rows, of which each has one value.
    fn wide(rows: usize, columns: usize) -> Problem {
        let mut x = SparseMatrix::new(columns);
        (0..rows).for_each(|row| x.push([(row * 7919 % columns, 1.0 + row as f64)]));
        Problem::new(x, (0..rows).map(|row| row % 2 == 0).collect()).unwrap()
    }

    #[test]
    fn kernels_say_what_memory_they_need_before_they_take_it() {
        let problem = wide(60_000, 10_000);
        let rbf = Parameters { kernel: Kernel::Rbf { gamma: 0.1 }, ..Parameters::default() };
        for parameters in [rbf, Parameters { solver: Solver::Smo, kernel: Kernel::Linear, ..rbf }] {
            let reported = fit(&problem, &parameters, &NoProgress).unwrap_err().to_string();
            let expected = format!(
                "the {} kernel on 60000 rows of 10000 columns needs 9.87 GB of memory, and 4.29 GB are allowed",
                parameters.kernel.name()
            );
            assert!(reported.starts_with(&expected), "{reported}");
            // The linear kernel by SMO is one of those that make rows dense.
            assert!(reported.contains("--kernel linear with --solver native"), "{reported}");
        }
        let linear = Parameters { max_iterations: Some(2), ..Parameters::default() };
        assert_eq!(fit(&problem, &linear, &NoProgress).unwrap().machine.features(), 10_000);
    }

    #[test]
    fn search_leaves_kernels_of_wide_sparse_rows_out_and_says_why() {
        let mut problem = wide(700, 10_000);
        let mut x = SparseMatrix::new(10_000);
        for row in 0..700 {
            x.push([(0, if problem.positive[row] { 1.0 } else { -1.0 }), (1 + row * 7919 % 9999, 1.0)]);
        }
        problem.x = x.into();
        let rbf = Parameters { kernel: Kernel::Rbf { gamma: 1.0 }, ..Parameters::default() };
        let grid = Grid {
            families: vec![Parameters::default(), rbf],
            folds: 5,
            criterion: Criterion::Error,
            balance: false,
        };
        let found = search(&problem, &grid, &NoProgress).unwrap();
        assert_eq!(found.tried[found.chosen].parameters.kernel, Kernel::Linear);
        let left_out = found.left_out.iter().filter(|left_out| left_out.parameters.kernel != Kernel::Linear);
        let reasons: Vec<&str> = left_out.map(|left_out| left_out.reason.as_str()).collect();
        // Every second C of every second gamma, and nothing around them.
        assert_eq!(reasons.len(), 15);
        assert!(
            reasons.iter().all(|reason| reason.contains("needs 0.09 GB of memory, and 0.07 GB")),
            "{}",
            reasons[0]
        );
    }

    #[test]
    fn what_kernels_need_is_counted_whatever_the_rows() {
        let rbf = Parameters { kernel: Kernel::Rbf { gamma: 0.1 }, ..Parameters::default() };
        let raw = Parameters { standardise: false, ..rbf };
        let sparse = wide(10, 100).x;
        let dense = Rows::from(sparse.to_dense().into_owned());
        assert_eq!([&sparse, &dense].map(|x| needed(x, &rbf)), [16_480, 16_400]);
        assert_eq!([&sparse, &dense].map(|x| needed(x, &raw)), [16_480, 8_400]);
        assert_eq!(needed(&Matrix::new(usize::MAX).into(), &rbf), 0);
        assert_eq!(needed(&dense, &Parameters::default()), 0);
    }
}
