//! What a check found, with a sentence.

/// What is checked, in the order in which verdicts are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Check {
    /// Per customer, with the label of the first training: the error on customers held out.
    CustomerError,
    /// Clicks expected and clicks that came, over all ads shown.
    Calibration,
    /// The same where the probability is within half to twice that at which a show pays.
    CalibrationNearBreakEven,
    /// The candidate's profit a decision less the champion's.
    Profit,
    /// Whether ads were shown as often as their propensities say.
    Propensities,
    /// How many rows of equal weight the candidate's shows are worth.
    EffectiveSample,
    /// Clicks on ads that the candidate would have shown.
    Clicks,
    /// Decisions in which the candidate shows what is never shown.
    Unsupported,
}

impl Check {
    /// All of them, in their order.
    pub const ALL: [Self; 8] = [
        Self::CustomerError,
        Self::Calibration,
        Self::CalibrationNearBreakEven,
        Self::Profit,
        Self::Propensities,
        Self::EffectiveSample,
        Self::Clicks,
        Self::Unsupported,
    ];

    /// Its name in answers and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CustomerError => "customer_error",
            Self::Calibration => "calibration",
            Self::CalibrationNearBreakEven => "calibration_near_break_even",
            Self::Profit => "profit",
            Self::Propensities => "propensities",
            Self::EffectiveSample => "effective_sample",
            Self::Clicks => "clicks",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Whether a check stands in the way of a promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It does not.
    Passed,
    /// It does: what was found is beyond the limit, or could not be computed.
    Failed,
    /// It tells nothing here and does not decide.
    NotInformative,
}

impl Outcome {
    /// `Some(true)` where it passed, `Some(false)` where it failed, `None` where it does not decide.
    #[must_use]
    pub fn ok(self) -> Option<bool> {
        match self {
            Self::Passed => Some(true),
            Self::Failed => Some(false),
            Self::NotInformative => None,
        }
    }

    pub(super) fn passed_if(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Which check.
    pub check: Check,
    /// Whether it stands in the way.
    pub outcome: Outcome,
    /// What was found, in the unit of the limit; `None` where it could not be computed.
    pub value: Option<f64>,
    /// What it is held against.
    pub limit: f64,
    /// All of it in words.
    pub sentence: String,
}

/// The figures of a verdict, without its words: these are computed after every row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Finding {
    pub outcome: Outcome,
    pub value: Option<f64>,
    pub limit: f64,
}

impl Finding {
    /// What could not be computed fails.
    pub fn not_computed(limit: f64) -> Self {
        Self { outcome: Outcome::Failed, value: None, limit }
    }

    pub fn with_sentence(self, check: Check, sentence: String) -> Verdict {
        let Self { outcome, value, limit } = self;
        Verdict { check, outcome, value, limit, sentence }
    }
}
