//! The feature vector: six shares of the plays in the window.
//!
//! Batch `features`, training rows and live scoring all end in [`vector`]; there is no second copy.

/// How many features a vector has.
pub const FEATURE_COUNT: usize = 6;

/// Names of the features, in the order of the vector.
pub const FEATURE_NAMES: [&str; FEATURE_COUNT] = [
    "morning",
    "afternoon",
    "evening",
    "night",
    "mobile",
    "unique_tracks",
];

/// Name and version of this feature definition; a model file carries it and `serve` compares it.
pub const FEATURE_DEFINITION: &str = "upbeat.shares/1";

/// Six shares, each in `0.0..=1.0`, in the order of [`FEATURE_NAMES`].
pub type FeatureVector = [f64; FEATURE_COUNT];

/// The most recent plays that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// At most this many plays, `1..=65_536`.
    pub plays: u32,
    /// At most this many days old, `1..=36_500`.
    pub days: u32,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            plays: 256,
            days: 28,
        }
    }
}
