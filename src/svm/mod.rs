//! The support vector machine: problem, parameters, model, prediction.
//!
//! The words are libSVM's. A [`Problem`] is read from text, [`train()`] turns it into a [`Model`] under
//! [`Settings`], a [`Scorer`] is the model compiled for speed. Nothing here reads a clock or opens a
//! file: readers take `impl BufRead`, writers take `impl Write`.

mod calibration;
mod curves;
mod decimal;
mod exact;
mod exchange;
mod explanation;
mod fit;
mod folds;
mod kernel;
pub mod liblinear;
pub mod libsvm;
mod linear;
mod machine;
mod metrics;
mod model;
mod model_check;
mod model_json;
mod number;
pub mod onnx;
mod parallel;
mod problem;
mod rows;
mod scaling;
mod scorer;
mod search;
mod settings;
mod simd;
mod smartcore;
mod smo;
mod solver;
#[cfg(test)]
mod testing;
mod train;

pub use calibration::{Calibration, Isotonic, Method, Platt};
pub use curves::{
    PrecisionRecall, RELIABILITY_BINS, ReliabilityBin, RocPoint, ScoreBin, auc_interval, average_precision,
    expected_calibration_error, histogram, precision_recall, reliability, roc, wilson,
};
pub use decimal::G17;
pub use exact::Number;
pub use exchange::{ExchangeError, Import, TextFormat};
pub use explanation::{Explanation, explain, training_mean};
pub use fit::{Fitted, Solve, fit};
pub use folds::{Split, stratified_folds, stratified_sample, stratified_split};
pub use kernel::Kernel;
pub use linear::{Bias, Loss};
pub use machine::Machine;
pub use metrics::{Confusion, Interval, Metrics};
pub use model::{Features, Labels, Measured, Model, ModelError, Parameters, Parts, Training};
pub use model_check::check_name;
pub use problem::{Matrix, Problem, ProblemError};
pub use rows::{MAX_FEATURES, MAX_LINE_BYTES, Row, RowError, RowReader};
pub use scaling::Scaling;
pub use scorer::Scorer;
pub use search::{Candidate, Criterion, Grid, SEARCH_ROWS, Search, search};
pub use settings::{ClassWeights, Settings, Solver, TrainError};
pub use simd::Simd;
pub use solver::{Examples, Quiet, Solution, Stopping, Watch};
pub use train::{CALIBRATION_ROWS, Choice, Plan, Scored, Trained, cross_validate, train};
