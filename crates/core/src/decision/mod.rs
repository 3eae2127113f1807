//! The decision for one customer at one instant: show or not, with a reason. Plain values in, a verdict out.

pub mod policy;
mod reason;

pub use reason::Reason;

/// A model's score of one customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The SVM's decision value; above zero leans towards a click.
    pub value: f64,
    /// After calibration, in `0.0..=1.0`; `None` if the model carries none.
    pub probability: Option<f64>,
}
