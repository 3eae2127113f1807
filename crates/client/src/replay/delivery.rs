//! Batches to the server: retries, and the outcome of every row.

use std::time::Duration;

use hyper::header::RETRY_AFTER;
use serde::Deserialize;

use super::source::Batch;
use crate::{Answer, Client, ClientError};

/// How often one batch is sent at most.
const MAX_ATTEMPTS: u32 = 6;
/// The wait before the second attempt; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Longest wait that a server can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Sends batches and counts the outcomes of their rows.
pub struct Delivery {
    client: Client,
    first_wait: Duration,
    sent: u64,
    accepted: u64,
    duplicates: u64,
    too_old: u64,
    rejected: u64,
    requests: u64,
    retries: u64,
}

/// The answer of `POST /events`.
#[derive(Deserialize)]
struct Outcome {
    accepted: u64,
    duplicates: u64,
    #[serde(default)]
    too_old: u64,
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

/// Why the replay stops.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The address is wrong, or the server did not answer after all attempts.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server answered, but took none of the rows.
    #[error("the server refused {rows} with status {status}{}", after_colon(.detail))]
    Refused {
        /// File and lines.
        rows: String,
        /// HTTP status.
        status: u16,
        /// The server's reason; may be empty.
        detail: String,
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
            sent: 0,
            accepted: 0,
            duplicates: 0,
            too_old: 0,
            rejected: 0,
            requests: 0,
            retries: 0,
        }
    }

    /// Rows handled so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.sent
    }

    /// Rows rejected so far, here or by the server.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// All counts so far, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let Self { sent, accepted, duplicates, too_old, rejected, requests, retries, .. } = self;
        let too_old = if *too_old > 0 { format!(", too old {too_old}") } else { String::new() };
        format!(
            "{sent} rows in {requests} requests ({retries} sent again): \
             accepted {accepted}, duplicates {duplicates}{too_old}, rejected {rejected}"
        )
    }

    /// Sends a batch until the server takes it; `note` gets a line for each row that is rejected
    /// and each attempt that failed. At most 6 attempts, between them the wait that the server asks for
    /// (up to 30 s), else one that doubles from 250 ms.
    ///
    /// # Errors
    /// The server refuses the batch as a whole, does not answer, or its answer is not one for this batch; rows
    /// of the batch may have been accepted, and are duplicates when they are sent again.
    pub async fn send(&mut self, batch: &Batch, mut note: impl FnMut(String)) -> Result<(), DeliveryError> {
        for (line, reason) in &batch.refused {
            note(format!("{}:{line}: {reason}", batch.file));
        }
        self.sent += batch.refused.len() as u64;
        self.rejected += batch.refused.len() as u64;
        if batch.lines.is_empty() {
            return Ok(());
        }
        let answer = self.post_until_accepted(batch, &mut note).await?;
        let outcome: Outcome = serde_json::from_slice(&answer.body)
            .map_err(|reason| DeliveryError::Misunderstood { rows: rows(batch), reason })?;
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
        let rejected = outcome.rejected.len() as u64 + outcome.rejected_omitted;
        self.sent += batch.lines.len() as u64;
        self.accepted += outcome.accepted;
        self.duplicates += outcome.duplicates;
        self.too_old += outcome.too_old;
        self.rejected += rejected;
        let counted = outcome.accepted + outcome.duplicates + outcome.too_old + rejected;
        if counted == batch.lines.len() as u64 {
            Ok(())
        } else {
            // A lost event must be reported.
            Err(DeliveryError::Miscounted { rows: rows(batch), counted, sent: batch.lines.len() })
        }
    }

    /// Posts a batch, again when the server is busy or cannot be reached: it recognises events that it has
    /// accepted, so no row counts twice.
    async fn post_until_accepted(
        &mut self,
        batch: &Batch,
        note: &mut impl FnMut(String),
    ) -> Result<Answer, DeliveryError> {
        let body = bytes::Bytes::copy_from_slice(&batch.body);
        let mut wait = self.first_wait;
        for attempt in 1.. {
            self.requests += 1;
            let path = batch.kind.path();
            let answer = self.client.post(path, "text/csv", body.clone()).await;
            let last = attempt == MAX_ATTEMPTS;
            let asked_wait = match answer {
                Ok(answer) if answer.status == 200 => return Ok(answer),
                Ok(answer) if !last && is_busy(answer.status) => retry_after(&answer),
                Ok(answer) => {
                    return Err(DeliveryError::Refused {
                        rows: rows(batch),
                        status: answer.status,
                        detail: answer.detail(),
                    });
                }
                Err(error @ ClientError::Url { .. }) => return Err(error.into()),
                Err(error) if last => return Err(error.into()),
                Err(error) => {
                    note(format!("{error}; trying again"));
                    None
                }
            };
            self.retries += 1;
            tokio::time::sleep(asked_wait.unwrap_or(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        unreachable!("the last attempt returns")
    }
}

/// Statuses that say "later": too many requests, bad gateway, unavailable, gateway timeout.
fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// The wait that the server asks for in whole seconds, at most [`LONGEST_WAIT`].
fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer.headers.get(RETRY_AFTER)?.to_str().ok()?;
    let wait = Duration::from_secs(seconds.trim().parse().ok()?);
    Some(wait.min(LONGEST_WAIT))
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
mod tests {
    use std::path::Path;

    use super::super::source::{Kind, Source, oldest_batch};
    use super::*;
    use crate::stub::{Stub, block_on, respond, stub};

    /// Sends `rows` from a file, two in a batch; the outcome, the notes and the delivery.
    async fn deliver(stub: &Stub, rows: &str) -> (Result<(), DeliveryError>, Vec<String>, Delivery) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.csv");
        std::fs::write(&file, rows).unwrap();
        let mut sources = [Source::open(Kind::Plays, Path::new(&file), 2).unwrap()];
        let client = Client::new(&stub.url, Duration::from_secs(5)).unwrap();
        let mut delivery = Delivery::new(client);
        delivery.first_wait = Duration::from_millis(1);
        let mut notes = Vec::new();
        while let Some(batch) = oldest_batch(&mut sources).unwrap() {
            let sent = delivery.send(&batch, |line| {
                let name = line.rsplit('/').next().unwrap_or_default();
                notes.push(name.to_owned());
            });
            if let Err(error) = sent.await {
                return (Err(error), notes, delivery);
            }
        }
        (Ok(()), notes, delivery)
    }

    const ACCEPTED: &str = r#"{"accepted":2,"duplicates":0,"rejected":[]}"#;

    #[test]
    fn rejected_rows_are_named_by_their_line_in_the_file() {
        block_on(async {
            let stub = stub(|nth, _| match nth {
                0 => respond(200, ACCEPTED),
                _ => respond(
                    200,
                    r#"{"accepted":0,"duplicates":1,"rejected":[{"index":1,"detail":"no time"}]}"#,
                ),
            })
            .await;
            let (outcome, notes, delivery) = deliver(&stub, "a\n\nb\nc\n\"x\nd\n").await;
            outcome.unwrap();
            assert_eq!(notes, ["t.csv:5: a quote is not closed", "t.csv:6: no time"]);
            assert_eq!(
                delivery.summary(),
                "5 rows in 2 requests (0 sent again): accepted 2, duplicates 1, rejected 2"
            );
            let received = stub.received.lock().unwrap();
            assert_eq!(received[0].1, "/events?kind=plays");
            assert_eq!((&*received[0].2, &*received[1].2), ("a\nb\n", "c\nd\n"));
        });
    }

    #[test]
    fn rows_that_the_server_does_not_list_count_as_rejected() {
        block_on(async {
            let stub = stub(|_, _| {
                let body = r#"{"accepted":0,"duplicates":0,
                    "rejected":[{"index":0,"detail":"bad"}],"rejected_omitted":1}"#;
                respond(200, body)
            })
            .await;
            let (outcome, notes, delivery) = deliver(&stub, "a\nb\n").await;
            outcome.unwrap();
            assert_eq!((notes.len(), delivery.rejected()), (2, 2));
        });
    }

    #[test]
    fn rows_too_old_to_tell_are_counted_apart() {
        block_on(async {
            let stub =
                stub(|_, _| respond(200, r#"{"accepted":0,"duplicates":1,"too_old":1,"rejected":[]}"#));
            let (outcome, notes, delivery) = deliver(&stub.await, "a\nb\n").await;
            outcome.unwrap();
            assert!(notes.is_empty(), "{notes:?}");
            let expected =
                "2 rows in 1 requests (0 sent again): accepted 0, duplicates 1, too old 1, rejected 0";
            assert_eq!(delivery.summary(), expected);
        });
    }

    #[test]
    fn busy_server_gets_the_same_rows_again() {
        block_on(async {
            let stub = stub(|nth, _| {
                let mut busy = respond(503, "");
                busy.headers_mut().insert(RETRY_AFTER, "0".parse().unwrap());
                if nth < 2 { busy } else { respond(200, ACCEPTED) }
            })
            .await;
            let (outcome, notes, delivery) = deliver(&stub, "a\nb\n").await;
            outcome.unwrap();
            assert!(notes.is_empty(), "{notes:?}");
            assert_eq!(
                delivery.summary(),
                "2 rows in 3 requests (2 sent again): accepted 2, duplicates 0, rejected 0"
            );
        });
    }

    #[test]
    fn attempts_are_bounded() {
        block_on(async {
            let stub = stub(|_, _| respond(503, r#"{"title":"draining"}"#)).await;
            let (outcome, _, delivery) = deliver(&stub, "a\n").await;
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains("line 1 with status 503: draining"), "{error}");
            assert_eq!(delivery.requests, u64::from(MAX_ATTEMPTS));
        });
    }

    #[test]
    fn refusals_and_unknown_answers_end_the_replay_at_once() {
        block_on(async {
            for (status, body, message) in [
                (404, "", "status 404"),
                (413, r#"{"detail":"too big"}"#, "status 413: too big"),
                (200, "<html>", "is --to the data address?"),
                (200, ACCEPTED, "counted 2 rows in"),
            ] {
                let stub = stub(move |_, _| respond(status, body)).await;
                let (outcome, _, delivery) = deliver(&stub, "a\n").await;
                let error = outcome.unwrap_err().to_string();
                assert!(error.contains(message), "{error}");
                assert_eq!(delivery.requests, 1);
            }
        });
    }
}
