#![doc = include_str!("../README.md")]

mod calibrate;
mod data;
mod evaluate;
mod formats;
mod kernel;
mod model;
mod score;
mod solve;
#[cfg(test)]
mod testing;
mod train;

pub use calibrate::{Calibration, Isotonic, Method, Platt};
pub use data::either::Rows;
pub use data::exact::Number;
pub use data::fixed::{Fixed, Shortest, Significant};
pub use data::folds::{Split, random_split, stratified_folds, stratified_sample};
pub use data::g17::G17;
pub use data::labels::Labels;
pub use data::matrix::Matrix;
pub use data::problem::{Problem, ProblemError};
pub use data::rows::{MAX_FEATURES, MAX_LINE_BYTES, Row, RowError, RowFault, RowReader};
pub use data::scaling::Scaling;
pub use data::sparse::SparseMatrix;
pub use evaluate::curves::{
    PrecisionRecall, RELIABILITY_BINS, ReliabilityBin, RocPoint, ScoreBin, average_precision,
    expected_calibration_error, histogram, precision_recall, reliability, roc,
};
pub use evaluate::explanation::{Explanation, explain, training_mean};
pub use evaluate::intervals::{auc_interval, wilson};
pub use evaluate::metrics::{Confusion, Interval, Metrics};
pub use evaluate::ties::{SCORE_TIE, constant};
pub use formats::{ExchangeError, Import, TextFormat, liblinear, libsvm, onnx};
pub use kernel::Kernel;
pub use model::check::check_name;
pub use model::machine::Machine;
pub use model::metadata::Metadata;
pub use model::training::{Measured, SolverRecord, Training};
pub use model::{Features, Model, ModelError, Parts};
pub use score::Scorer;
pub use score::simd::{Avx2, Avx512, Simd};
pub use solve::linear::{Bias, Loss};
pub use solve::{NoProgress, Progress};
pub use train::cross_validation::cross_validate;
pub use train::fit::{Fitted, Solve, fit};
pub use train::memory::KERNEL_BYTES;
pub use train::parameters::{ClassWeights, Parameters, Solver, TrainError};
pub use train::search::{Again, Candidate, Criterion, Grid, LeftOut, SEARCH_ROWS, Search, search};
pub use train::{CALIBRATION_ROWS, Choice, Plan, Scored, Trained, train};
