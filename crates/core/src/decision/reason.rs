//! Why a decision came out as it did.

/// Why a decision came out as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The score is above the campaign's threshold: show.
    LikelyToClick,
    /// The score is at or below the threshold.
    UnlikelyToClick,
    /// The customer has Gold, which is what the offer sells.
    AlreadyGold,
    /// The campaign is not for the customer's membership, or not for those who signed up when the customer did.
    NotInAudience,
    /// Nothing is known of this customer.
    UnknownCustomer,
    /// Fewer plays in the window than the campaign asks for.
    TooLittleHistory,
    /// No model is loaded.
    NoModel,
    /// The customer was shown the ad, or all ads together, as often as a cap allows.
    Capped,
    /// The score is above the threshold, and the impression could not be recorded in the log: one that cannot be kept must not
    /// be spent. The policy does not give it; whoever keeps the log does, in place of *show*.
    LogUnavailable,
    /// There is no campaign.
    NoCampaign,
    /// The campaign rests.
    Paused,
    /// The campaign does not run at this time.
    NotScheduled,
    /// An impression, a click or an upgrade was too short a time ago.
    CoolingDown,
    /// What is left of the budget does not pay an impression.
    OverBudget,
    /// Every check passed, and the pacing of the budget leaves this show out.
    Paced,
    /// Every check passed, and the customer belongs to a holdout: what would have been shown is not.
    HeldOut,
    /// The score is at or below the threshold, and the customer's toss of the day says to show it all the same: show.
    Exploring,
}

impl Reason {
    /// Every reason, ordered by how far the policy came.
    pub const ALL: [Self; 17] = [
        Self::UnknownCustomer,
        Self::NoCampaign,
        Self::Paused,
        Self::NotScheduled,
        Self::AlreadyGold,
        Self::NotInAudience,
        Self::NoModel,
        Self::TooLittleHistory,
        Self::Capped,
        Self::CoolingDown,
        Self::OverBudget,
        Self::UnlikelyToClick,
        Self::Paced,
        Self::HeldOut,
        Self::LogUnavailable,
        Self::Exploring,
        Self::LikelyToClick,
    ];

    /// The reason in answers and metric labels, as in `likely_to_click`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LikelyToClick => "likely_to_click",
            Self::UnlikelyToClick => "unlikely_to_click",
            Self::AlreadyGold => "already_gold",
            Self::NotInAudience => "not_in_audience",
            Self::UnknownCustomer => "unknown_customer",
            Self::TooLittleHistory => "too_little_history",
            Self::NoModel => "no_model",
            Self::Capped => "capped",
            Self::LogUnavailable => "log_unavailable",
            Self::NoCampaign => "no_campaign",
            Self::Paused => "paused",
            Self::NotScheduled => "not_scheduled",
            Self::CoolingDown => "cooling_down",
            Self::OverBudget => "over_budget",
            Self::Paced => "paced",
            Self::HeldOut => "held_out",
            Self::Exploring => "exploring",
        }
    }

    /// Whether the ad is shown: for [`Reason::LikelyToClick`] and [`Reason::Exploring`] only.
    #[must_use]
    pub fn shows(self) -> bool {
        matches!(self, Self::LikelyToClick | Self::Exploring)
    }
}
