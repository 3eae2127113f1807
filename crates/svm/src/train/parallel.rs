//! Independent pieces of work on several threads.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cores that may be used.
pub(crate) fn cores() -> usize {
    #[cfg(test)]
    if let Some(cores) = tests::CORES.get() {
        return cores;
    }
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// `work(0) … work(count - 1)`, each once, a few at a time; the results are in that order, however many
/// threads there are. A panic in one is passed on.
pub(crate) fn in_parallel<T: Send>(count: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= count {
                return done;
            }
            done.push((piece, work(piece)));
        }
    };
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.clamp(1, count.max(1))).map(|_| scope.spawn(take)).collect();
        let mut done = take();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|&(piece, _)| piece);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::testing::blobs;
    use crate::{Choice, Criterion, Grid, Kernel, Loss, Method, Model, NoProgress, Parameters, Plan, train};

    thread_local! {
        /// What `cores` says to this thread, instead of how many there are.
        pub(super) static CORES: Cell<Option<usize>> = const { Cell::new(None) };
    }

    #[test]
    fn model_and_search_do_not_depend_on_the_number_of_cores() {
        let problem = blobs(24, 0.2, 7);
        let hinge = Parameters { loss: Loss::Hinge, ..Parameters::default() };
        let rbf = Parameters { kernel: Kernel::Rbf { gamma: 1.0 }, ..hinge };
        let grid = |parameters, criterion| {
            Choice::Grid(Grid { families: vec![parameters], folds: 3, criterion, balance: false })
        };
        for (choice, plan, method) in [
            (Choice::Parameters(rbf), Plan::All, Method::Isotonic),
            (grid(rbf, Criterion::Error), Plan::All, Method::Platt),
            (grid(hinge, Criterion::LogLoss), Plan::CrossValidation(4), Method::Platt),
        ] {
            let with = |cores: usize| {
                CORES.set(Some(cores));
                let trained = train(&problem, &choice, plan, Some(method), &NoProgress).unwrap();
                let model = Model::new(trained.clone().into_parts(&problem)).unwrap();
                (trained, model.to_bytes())
            };
            let one = with(1);
            for cores in [2, 8] {
                assert!(with(cores) == one, "{choice:?} with {cores} cores");
            }
        }
    }

    #[test]
    fn results_come_in_order_whatever_the_threads() {
        for threads in 0..5 {
            for count in [0, 1, 2, 7, 100] {
                let squares = in_parallel(count, threads, |i| i * i);
                assert_eq!(squares, (0..count).map(|i| i * i).collect::<Vec<_>>());
            }
        }
    }
}
