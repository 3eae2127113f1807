//! The report on the rows of a body.

use upbeat_core::profile::Applied;

use super::Rejection;

/// The most refused rows that a report lists; the rest are only counted.
pub const MAX_REJECTED_REPORTED: usize = 10_000;

/// One row that was refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RejectedRow {
    /// The row's index, counted from 0; a header line is not a row.
    pub index: usize,
    /// What is wrong with it and how to fix it.
    pub detail: String,
}

/// How many rows of a body were accepted, duplicates or refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// Rows that were new.
    pub accepted: usize,
    /// Rows that had been applied before and changed nothing.
    pub duplicates: usize,
    /// Rows that were refused, in order; at most [`MAX_REJECTED_REPORTED`].
    pub rejected: Vec<RejectedRow>,
    /// How many more were refused than `rejected` lists.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rejected_omitted: usize,
    /// The most severe cause among the refused rows; `None` if there are none.
    #[serde(skip)]
    pub cause: Option<Cause>,
}

/// Why a row was refused, in ascending order of severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It contradicts what the server knows, or its clock; it may be accepted later.
    State,
    /// Its content is not valid.
    Content,
    /// The store or the catalogue is full.
    Room,
}

/// The detail and cause of one refused row.
#[derive(Debug)]
pub(super) struct Refusal {
    detail: String,
    cause: Cause,
}

impl Refusal {
    pub(super) fn catalogue_full(limit: usize) -> Self {
        let detail = format!("the catalogue holds its limit of {limit} tracks; raise limits.tracks");
        Self { detail, cause: Cause::Room }
    }
}

impl From<String> for Refusal {
    fn from(detail: String) -> Self {
        Self { detail, cause: Cause::Content }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        let cause = match rejection {
            Rejection::StoreFull(_) | Rejection::MemoryFull(_) => Cause::Room,
            Rejection::TooFarAhead { .. } | Rejection::Conflict(_) => Cause::State,
        };
        Self { detail: rejection.to_string(), cause }
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Report {
    /// The number of rows that it is of.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.accepted + self.duplicates + self.rejected.len() + self.rejected_omitted
    }

    /// Counts the result of one row.
    pub(super) fn count(&mut self, index: usize, result: Result<Applied, Refusal>) {
        match result {
            Ok(Applied::Accepted) => self.accepted += 1,
            Ok(Applied::Duplicate) => self.duplicates += 1,
            Err(Refusal { detail, cause }) => {
                self.cause = self.cause.max(Some(cause));
                if self.rejected.len() < MAX_REJECTED_REPORTED {
                    self.rejected.push(RejectedRow { index, detail });
                } else {
                    self.rejected_omitted += 1;
                }
            }
        }
    }
}
