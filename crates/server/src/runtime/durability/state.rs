//! The states of the log as answers name them.

use upbeat_engine::LogState;

/// The name of a state of the log in answers.
pub(crate) fn state_name(state: LogState) -> &'static str {
    match state {
        LogState::Off => "off",
        LogState::Accepting => "accepting",
        LogState::Reserve => "reserve",
        LogState::Full => "full",
        LogState::Failed => "failed",
    }
}
