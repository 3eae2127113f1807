//! The report on the rows of a body.

use std::fmt;

use upbeat_core::excerpt::bounded_message;
use upbeat_core::feedback::FeedbackCounts;
use upbeat_core::profile::Applied;

use super::Rejection;
use crate::{Counters, NotPut};

/// The most refused rows that a report lists; the rest are only counted.
pub const MAX_REJECTED_REPORTED: usize = 10_000;

/// One row that was refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RejectedRow {
    /// The row's index, counted from 0; a header line is not a row.
    pub index: usize,
    /// The kind of problem, as a type URI.
    pub r#type: RowProblem,
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
    /// Rows older than all that is kept of their kind, of which it cannot be told whether they were applied before;
    /// they changed nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub too_old: usize,
    /// Rows of a time up to which their customer was erased; they changed nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub erased: usize,
    /// What was odd about the clicks, impressions and voids among the rows; `None` if there were none. Few bodies have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Box<FeedbackCounts>>,
    /// Rows that were refused, in order; at most [`MAX_REJECTED_REPORTED`].
    pub rejected: Vec<RejectedRow>,
    /// How many more were refused than `rejected` lists.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rejected_omitted: usize,
    /// The most severe problem among the refused rows; `None` if there are none.
    #[serde(skip)]
    pub worst: Option<RowProblem>,
    /// How many rows were refused for a time only: see [`RowProblem::is_temporary`].
    #[serde(skip)]
    pub refused_for_now: usize,
}

macro_rules! row_problems {
    ($($(#[$doc:meta])* $problem:ident, $slug:literal;)*) => {
        /// Why a row was refused, in ascending order of severity: a problem of the server's state, which may pass; of
        /// the row's content, which has to be mended; of room, which asks for the whole body again.
        ///
        /// Every row's problem is made here and in the conversion from [`Rejection`], for all formats and routes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum RowProblem {
            $($(#[$doc])* $problem,)*
        }

        impl RowProblem {
            /// Every problem, in the order of its number.
            pub const ALL: &[Self] = &[$(Self::$problem,)*];

            /// The problem's type URI, relative to the server.
            #[must_use]
            pub fn uri(self) -> &'static str {
                match self { $(Self::$problem => concat!("/problems/", $slug),)* }
            }

            /// The last part of the type URI, which is also a metric label.
            #[must_use]
            pub fn slug(self) -> &'static str {
                match self { $(Self::$problem => $slug,)* }
            }
        }
    };
}

row_problems! {
    /// Its time is further ahead of the server's clock than allowed; it may be accepted later.
    TooFarAhead, "too-far-ahead";
    /// It contradicts what the server knows.
    EventConflict, "event-conflict";
    /// Its content is not valid.
    InvalidEvent, "invalid-event";
    /// An atomic body is changing its customer; it may be accepted in a moment.
    CustomerClaimed, "customer-claimed";
    /// It cannot be recorded in the log at the moment.
    LogUnavailable, "log-unavailable";
    /// The catalogue holds as many tracks as it may.
    CatalogueFull, "catalogue-full";
    /// Profiles hold as many bytes as they may.
    MemoryFull, "memory-full";
    /// The store holds as many customers as it may.
    StoreFull, "store-full";
}

impl RowProblem {
    /// Whether the row was refused for want of room, or of a moment's time: the same row may be accepted later, unchanged.
    #[must_use]
    pub fn is_temporary(self) -> bool {
        matches!(
            self,
            Self::CustomerClaimed
                | Self::LogUnavailable
                | Self::CatalogueFull
                | Self::MemoryFull
                | Self::StoreFull
        )
    }
}

/// As its type URI.
impl serde::Serialize for RowProblem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.uri())
    }
}

/// From its type URI.
impl<'de> serde::Deserialize<'de> for RowProblem {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = RowProblem;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the type of a refused row's problem")
            }

            fn visit_str<E: serde::de::Error>(self, uri: &str) -> Result<RowProblem, E> {
                let known = RowProblem::ALL.iter().find(|problem| problem.uri() == uri);
                known.copied().ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(uri), &self))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

/// The problem of one refused row, and its detail.
#[derive(Debug)]
pub(super) struct Refusal {
    problem: RowProblem,
    detail: String,
}

impl Refusal {
    pub(super) fn catalogue_full(limit: usize) -> Self {
        let detail = format!("the catalogue holds its limit of {limit} tracks; raise limits.tracks");
        Self { problem: RowProblem::CatalogueFull, detail }
    }
}

/// The row could not be read.
impl From<String> for Refusal {
    fn from(detail: String) -> Self {
        Self { problem: RowProblem::InvalidEvent, detail: bounded_message(detail) }
    }
}

impl From<NotPut> for Refusal {
    fn from(refused: NotPut) -> Self {
        match refused {
            NotPut::Full(limit) => Self::catalogue_full(limit),
            NotPut::LogUnavailable => Rejection::LogUnavailable.into(),
        }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        let problem = match rejection {
            Rejection::TooFarAhead { .. } => RowProblem::TooFarAhead,
            Rejection::Conflict(_) => RowProblem::EventConflict,
            Rejection::MemoryFull(_) => RowProblem::MemoryFull,
            Rejection::StoreFull(_) => RowProblem::StoreFull,
            Rejection::Claimed(_) => RowProblem::CustomerClaimed,
            Rejection::LogUnavailable => RowProblem::LogUnavailable,
        };
        Self { problem, detail: rejection.to_string() }
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Report {
    /// The number of rows that it is of.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.accepted + self.duplicates + self.too_old + self.erased + self.refused()
    }

    /// How many rows were refused, listed or not.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.rejected.len() + self.rejected_omitted
    }

    /// Counts the result of one row, here and, where it was refused, in `counters`.
    pub(super) fn count(&mut self, index: usize, result: Result<Applied, Refusal>, counters: &Counters) {
        match result {
            Ok(Applied::Accepted) => self.accepted += 1,
            Ok(Applied::Duplicate | Applied::Replaced) => self.duplicates += 1,
            Ok(Applied::TooOld) => self.too_old += 1,
            Ok(Applied::Erased) => self.erased += 1,
            Err(Refusal { problem, detail }) => {
                counters.count_refused(problem);
                self.worst = self.worst.max(Some(problem));
                self.refused_for_now += usize::from(problem.is_temporary());
                if self.rejected.len() < MAX_REJECTED_REPORTED {
                    self.rejected.push(RejectedRow { index, r#type: problem, detail });
                } else {
                    self.rejected_omitted += 1;
                }
            }
        }
    }
}
