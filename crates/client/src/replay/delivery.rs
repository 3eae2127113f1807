//! Batches to the server: retries, and the outcome of every row.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::fates::{Fate, Fates};
use super::retry::{LONGEST_WAIT, is_definite_refusal, is_worth_retrying, retry_after};
use super::source::Batch;
use crate::{Answer, Client, ClientError};

/// How often one batch is sent at most.
const MAX_ATTEMPTS: u32 = 6;
/// The wait before the second attempt where the server asks for none; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// A longer wait is told.
const TOLD_WAIT: Duration = Duration::from_secs(5);

/// Sends batches and counts the outcomes of their rows. Every row of a batch that was given to it is accepted, a
/// duplicate, rejected, not sent, or of unknown fate.
pub struct Delivery {
    client: Client,
    first_wait: Duration,
    counts: Counts,
    requests: u64,
    retries: u64,
    /// Whether an answer was lost whose batch was sent again: duplicates may then be rows of this replay.
    answers_lost: bool,
    fates: Fates,
    /// The batch that is being sent.
    pending: Option<Pending>,
}

/// A batch without an outcome yet, and what is known of its rows.
struct Pending {
    fate: Fate,
    file: String,
    lines: Vec<u64>,
}

/// The outcomes that the server told.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    accepted: u64,
    duplicates: u64,
    too_old: u64,
    erased: u64,
    rejected: u64,
}

/// The report of `POST /events`: an answer with status 200, or part of a problem where some rows found no room.
#[derive(Deserialize)]
struct Outcome {
    accepted: u64,
    duplicates: u64,
    #[serde(default)]
    too_old: u64,
    #[serde(default)]
    erased: u64,
    #[serde(default)]
    rejected: Vec<RejectedRow>,
    /// Rejected rows beyond those listed.
    #[serde(default)]
    rejected_omitted: u64,
}

#[derive(Deserialize)]
struct RejectedRow {
    /// Row in the body, from 0.
    index: usize,
    detail: String,
}

impl Outcome {
    fn rejected(&self) -> u64 {
        self.rejected.len() as u64 + self.rejected_omitted
    }
}

/// Why the replay stops.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The address is wrong, or the server did not answer after all attempts.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server answered, but took none of the rows, or not all of them for want of room.
    #[error("the server refused {rows} with status {status}{}", after_colon(.detail))]
    Refused {
        /// File and lines.
        rows: String,
        /// HTTP status.
        status: u16,
        /// The server's reason; may be empty.
        detail: String,
    },
    /// The server asks for a wait that is no longer one.
    #[error(
        "the server is busy (status {status}) and asks to send {rows} again only in {} s; replay the rest then",
        .wait.as_secs()
    )]
    Postponed {
        /// File and lines.
        rows: String,
        /// HTTP status.
        status: u16,
        /// What `Retry-After` says.
        wait: Duration,
    },
    /// A 200 that is not an answer to events.
    #[error("the answer for {rows} is not one of POST /events ({reason}); is --to the data address?")]
    Misunderstood {
        /// File and lines.
        rows: String,
        /// What is wrong with the answer.
        reason: serde_json::Error,
    },
    /// The server saw other rows than were sent.
    #[error("the server counted {counted} rows in {rows}; {sent} were sent")]
    Miscounted {
        /// File and lines.
        rows: String,
        /// Accepted, duplicate, too old and rejected rows.
        counted: u64,
        /// Rows in the request.
        sent: usize,
    },
}

impl Delivery {
    /// Nothing sent yet.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            first_wait: FIRST_WAIT,
            counts: Counts::default(),
            requests: 0,
            retries: 0,
            answers_lost: false,
            fates: Fates::default(),
            pending: None,
        }
    }

    /// Rows handled so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        let Counts { accepted, duplicates, too_old, erased, rejected } = self.counts;
        accepted
            + duplicates
            + too_old
            + erased
            + rejected
            + self.fates.count(Fate::Unsent)
            + self.fates.count(Fate::Unknown)
    }

    /// Whether the server knows every row so far: none was rejected, not sent, or of unknown fate.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let Counts { accepted, duplicates, too_old, erased, .. } = self.counts;
        accepted + duplicates + too_old + erased == self.rows()
    }

    /// All counts so far, in one line; they add up to the rows.
    #[must_use]
    pub fn summary(&self) -> String {
        let Self { counts, requests, retries, .. } = self;
        let Counts { accepted, duplicates, too_old, erased, rejected } = counts;
        let if_any = |name: &str, count: u64| match count {
            0 => String::new(),
            count => format!(", {name} {count}"),
        };
        let (too_old, erased) = (if_any("too old", *too_old), if_any("erased", *erased));
        let mut summary = format!(
            "{} rows in {requests} requests ({retries} sent again): \
             accepted {accepted}, duplicates {duplicates}{too_old}{erased}, rejected {rejected}",
            self.rows()
        );
        for (fate, name) in [(Fate::Unsent, "not sent"), (Fate::Unknown, "of unknown fate")] {
            match self.fates.count(fate) {
                0 => {}
                count => summary += &format!(", {name} {count}"),
            }
        }
        summary
    }

    /// Which rows so far were not sent and which are of unknown fate, a line for each run of them, and what that means.
    #[must_use]
    pub fn remains(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.fates.runs(Fate::Unsent).map(|run| format!("not sent: {run}")).collect();
        lines.extend(self.fates.runs(Fate::Unknown).map(|run| {
            format!("of unknown fate: {run}; replay them again, rows that arrived are then duplicates")
        }));
        if self.answers_lost && self.counts.duplicates > 0 {
            lines.push(
                "some answers were lost and their rows sent again: among the duplicates are rows that this replay \
                 brought"
                    .to_owned(),
            );
        }
        lines
    }

    /// Sends a batch until the server takes it; `note` gets a line for each row that is rejected
    /// and each attempt that failed. At most 6 attempts, between them the wait that the server asks for
    /// (`Retry-After`, up to 5 minutes), else one that doubles from 250 ms.
    ///
    /// A batch is sent again also where its answer was lost: the server recognises the events that it has.
    ///
    /// # Errors
    /// The server refuses the batch as a whole, does not answer, or its answer is not one for this batch. The rows are
    /// then counted as not sent or of unknown fate, or by the server's report where it gave one.
    pub async fn send(&mut self, batch: &Batch, mut note: impl FnMut(String)) -> Result<(), DeliveryError> {
        for row in &batch.refused {
            note(format!("{}:{row}", batch.file));
        }
        self.counts.rejected += batch.refused.len() as u64;
        if batch.lines.is_empty() {
            return Ok(());
        }
        self.pending =
            Some(Pending { fate: Fate::Unsent, file: batch.file.clone(), lines: batch.lines.clone() });
        let outcome = self.post_until_accepted(batch, &mut note).await;
        self.abandon();
        outcome
    }

    /// Counts the rows of a batch whose [`Delivery::send`] did not come to its end, by what is known of them: to be
    /// called where that future was dropped.
    pub fn abandon(&mut self) {
        if let Some(Pending { fate, file, lines }) = self.pending.take() {
            self.fates.add(fate, &file, &lines);
        }
    }

    /// Notes what is known of the batch that is being sent; returns what was known before.
    fn learn(&mut self, fate: Fate) -> Fate {
        self.pending.as_mut().map_or(fate, |pending| std::mem::replace(&mut pending.fate, fate))
    }

    async fn post_until_accepted(
        &mut self,
        batch: &Batch,
        note: &mut impl FnMut(String),
    ) -> Result<(), DeliveryError> {
        let body = bytes::Bytes::copy_from_slice(&batch.body);
        let mut wait = self.first_wait;
        // Rows of this batch that earlier attempts brought, of those that were answered with a report.
        let mut brought = 0;
        for attempt in 1.. {
            self.requests += 1;
            let before = self.learn(Fate::Unknown);
            let answer = self.client.post(batch.kind.path(), "text/csv", body.clone()).await;
            let last = attempt == MAX_ATTEMPTS;
            let asked = match answer {
                Ok(answer) if answer.status == 200 => {
                    let outcome = serde_json::from_slice(&answer.body)
                        .map_err(|reason| DeliveryError::Misunderstood { rows: rows(batch), reason })?;
                    return self.count(batch, &outcome, brought, note);
                }
                Ok(answer) => {
                    let report: Option<Outcome> = serde_json::from_slice(&answer.body).ok();
                    if report.is_none() && is_definite_refusal(answer.status) {
                        // An answer that was lost before may still have brought them.
                        self.learn(before);
                    }
                    // A gateway may have lost the answer of a server that took the rows.
                    self.answers_lost |= report.is_none() && !is_definite_refusal(answer.status) && !last;
                    let wait = retry_after(&answer, SystemTime::now());
                    let too_long = wait.filter(|&wait| wait > LONGEST_WAIT);
                    if last || too_long.is_some() || !is_worth_retrying(answer.status) {
                        return Err(self.give_up(batch, &answer, report.as_ref(), brought, too_long, note));
                    }
                    brought += report.map_or(0, |report| report.accepted);
                    if let Some(wait) = wait.filter(|&wait| wait >= TOLD_WAIT) {
                        let detail = after_colon(&answer.detail());
                        let seconds = wait.as_secs();
                        note(format!("status {}{detail}; trying again in {seconds} s", answer.status));
                    }
                    wait
                }
                Err(error @ ClientError::Url { .. }) => {
                    self.learn(before);
                    return Err(error.into());
                }
                Err(error) => {
                    if matches!(error, ClientError::Unreachable { .. }) {
                        self.learn(before);
                    } else {
                        self.answers_lost |= !last;
                    }
                    if last {
                        return Err(error.into());
                    }
                    note(format!("{error}; trying again"));
                    None
                }
            };
            self.retries += 1;
            tokio::time::sleep(asked.unwrap_or(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        unreachable!("the last attempt returns")
    }

    /// Counts a batch that the server did not take whole, and says why.
    fn give_up(
        &mut self,
        batch: &Batch,
        answer: &Answer,
        report: Option<&Outcome>,
        brought: u64,
        too_long: Option<Duration>,
        note: &mut impl FnMut(String),
    ) -> DeliveryError {
        let status = answer.status;
        if let Some(report) = report
            && let Err(error) = self.count(batch, report, brought, note)
        {
            return error;
        }
        match too_long {
            Some(wait) => DeliveryError::Postponed { rows: rows(batch), status, wait },
            None => DeliveryError::Refused { rows: rows(batch), status, detail: answer.detail() },
        }
    }

    /// Counts the rows of a report. `brought` of its duplicates were accepted by earlier attempts.
    fn count(
        &mut self,
        batch: &Batch,
        outcome: &Outcome,
        brought: u64,
        note: &mut impl FnMut(String),
    ) -> Result<(), DeliveryError> {
        let counted =
            outcome.accepted + outcome.duplicates + outcome.too_old + outcome.erased + outcome.rejected();
        if counted != batch.lines.len() as u64 {
            // A lost event must be reported.
            return Err(DeliveryError::Miscounted { rows: rows(batch), counted, sent: batch.lines.len() });
        }
        for RejectedRow { index, detail } in &outcome.rejected {
            match batch.lines.get(*index) {
                Some(line) => note(format!("{}:{line}: {detail}", batch.file)),
                None => note(format!("{}, row {index} of them: {detail}", rows(batch))),
            }
        }
        if outcome.rejected_omitted > 0 {
            note(format!(
                "{}: {} more rejected rows, which the server did not list; smaller batches \
                 (--batch) list all",
                rows(batch),
                outcome.rejected_omitted
            ));
        }
        let brought = brought.min(outcome.duplicates);
        self.counts.accepted += outcome.accepted + brought;
        self.counts.duplicates += outcome.duplicates - brought;
        self.counts.too_old += outcome.too_old;
        self.counts.erased += outcome.erased;
        self.counts.rejected += outcome.rejected();
        self.pending = None;
        Ok(())
    }
}

/// Which rows a batch holds, for messages.
fn rows(batch: &Batch) -> String {
    match batch.lines[..] {
        [only] => format!("{}, line {only}", batch.file),
        [first, .., last] => format!("{}, lines {first} to {last}", batch.file),
        [] => batch.file.clone(),
    }
}

fn after_colon(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

#[cfg(test)]
mod tests;
