//! What a row of features is, and so what the probability of a model is of.

use clap::ValueEnum;
use upbeat_core::campaign::Label;

/// The values of `--label`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LabelName {
    /// Who clicked the ad at some time, and who did not
    Customer,
    /// An ad heard, which was clicked or was not
    Impression,
}

impl From<LabelName> for Label {
    fn from(name: LabelName) -> Self {
        match name {
            LabelName::Customer => Self::Customer,
            LabelName::Impression => Self::Impression,
        }
    }
}
