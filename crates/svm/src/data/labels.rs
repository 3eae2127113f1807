//! The two classes of a problem.

use serde::{Deserialize, Serialize};

use crate::data::rows::finite;

/// The two labels as written in the training file; the positive one is the greater number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// Predicted for a score above 0.
    pub positive: String,
    /// Predicted for any other score.
    pub negative: String,
}

impl Labels {
    /// The label that a score predicts.
    pub fn predicted(&self, score: f64) -> &str {
        if score > 0.0 { &self.positive } else { &self.negative }
    }

    /// Whether a label's value is the positive one; none when it is neither of the two.
    pub fn is_positive(&self, value: f64) -> Option<bool> {
        if finite(&self.positive) == Some(value) {
            Some(true)
        } else {
            (finite(&self.negative) == Some(value)).then_some(false)
        }
    }
}

impl Default for Labels {
    /// `1` and `0`.
    fn default() -> Self {
        Self { positive: "1".to_owned(), negative: "0".to_owned() }
    }
}
