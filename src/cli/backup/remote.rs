//! What is asked of the server.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use tokio::runtime::Runtime;
use upbeat_client::{Answer, Client, ClientError};
use upbeat_server::config::Duration as Length;

/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Tombstones of twenty million erased customers, who come in one answer.
const MOST_ANSWER_BYTES: usize = 1 << 30;

/// How often a request is sent that a busy server sheds, a second apart.
const MOST_TRIES: u32 = 30;

/// The bytes of a file that are asked for at once: little enough that a decision never waits for one of the server's threads to
/// send them.
pub(super) const PART_BYTES: u64 = 64 << 10;

/// The bytes of which a digest is asked for at once.
pub(super) const DIGEST_BYTES: u64 = 4 << 20;

/// The admin listener of a server.
pub(super) struct Remote {
    runtime: Runtime,
    client: Client,
    url: String,
}

/// A backup that a server holds.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Held {
    /// Its name.
    pub(super) id: String,
    /// The fingerprint of the server.
    pub(super) server: String,
    /// When it was taken.
    pub(super) taken: String,
    /// Above all positions in it.
    pub(super) position: u64,
    /// The snapshot in it.
    pub(super) snapshot: Option<String>,
    /// Its files.
    pub(super) files: Vec<HeldFile>,
    /// How long after its ad a click counts on that server; `None` of a version that does not say so.
    pub(super) attribution: Option<Length>,
}

/// A file of it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct HeldFile {
    /// Its name.
    pub(super) name: String,
    /// As many bytes of it are to be read.
    pub(super) bytes: u64,
    /// As many bytes it has: what is not read is zeros.
    pub(super) size: u64,
}

#[derive(Deserialize)]
struct Sha256 {
    sha256: String,
}

/// The server does not hold the backup any more.
#[derive(Debug)]
pub(super) struct Gone(String);

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Gone {}

impl Remote {
    /// A server by the URL of its admin listener.
    ///
    /// # Errors
    /// It is no URL of an HTTP server.
    pub(super) fn new(url: &str) -> anyhow::Result<Self> {
        let client = Client::new(url, ANSWER_TIMEOUT)?.with_answers_of(MOST_ANSWER_BYTES);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, client, url: url.to_owned() })
    }

    /// Begins a backup.
    ///
    /// # Errors
    /// There is no such server, it is none of an admin listener, or it refuses.
    pub(super) fn begin(&self, history: bool) -> anyhow::Result<Held> {
        let path = format!("/backups?history={history}");
        let answer = self.ask(|| self.client.post(&path, "application/json", ""))?;
        match answer.status {
            201 => read(&answer).with_context(|| self.url.clone()),
            404 | 405 => Err(self.no_admin_listener()),
            _ => Err(self.refused(&answer)),
        }
    }

    /// The backup of this name, if the server still holds it.
    ///
    /// # Errors
    /// The server does not answer as one of Upbeat's.
    pub(super) fn held(&self, id: &str) -> anyhow::Result<Option<Held>> {
        let path = format!("/backups/{id}");
        let answer = self.ask(|| self.client.get(&path))?;
        match (answer.status, is_gone(&answer)) {
            (200, _) => Ok(Some(read(&answer).with_context(|| self.url.clone())?)),
            (_, true) => Ok(None),
            (404 | 405, _) => Err(self.no_admin_listener()),
            _ => Err(self.refused(&answer)),
        }
    }

    /// Bytes of a file from `first` to `last`, or fewer, but one at least.
    ///
    /// # Errors
    /// [`Gone`], or the server does not give them.
    pub(super) fn part(&self, id: &str, name: &str, first: u64, last: u64) -> anyhow::Result<Vec<u8>> {
        let path = format!("/backups/{id}/{name}");
        let answer = self.ask(|| self.client.get_part(&path, first, last))?;
        if answer.status != 206 {
            return Err(self.refused(&answer));
        }
        let range =
            answer.headers.get("content-range").and_then(|range| range.to_str().ok()).unwrap_or_default();
        let is_asked = range.starts_with(&format!("bytes {first}-"));
        let is_sound = is_asked && !answer.body.is_empty() && answer.body.len() as u64 <= last + 1 - first;
        anyhow::ensure!(
            is_sound,
            "{}: {name}: another part than bytes {first} to {last} came: {range:?}",
            self.url
        );
        Ok(answer.body.to_vec())
    }

    /// The SHA-256 of the bytes of a file from `first` to `last`.
    ///
    /// # Errors
    /// As of [`Remote::part`].
    pub(super) fn digest(&self, id: &str, name: &str, first: u64, last: u64) -> anyhow::Result<String> {
        let path = format!("/backups/{id}/{name}?digest=true");
        let answer = self.ask(|| self.client.get_part(&path, first, last))?;
        if answer.status != 200 {
            return Err(self.refused(&answer));
        }
        let Sha256 { sha256 } = read(&answer).with_context(|| self.url.clone())?;
        Ok(sha256)
    }

    /// The text of the file of tombstones.
    ///
    /// # Errors
    /// The server does not give it.
    pub(super) fn tombstones(&self) -> anyhow::Result<String> {
        let answer = self.ask(|| self.client.get("/tombstones"))?;
        if answer.status != 200 {
            return Err(self.refused(&answer));
        }
        String::from_utf8(answer.body.into()).with_context(|| format!("{}: tombstones", self.url))
    }

    /// Says that a backup is not needed any longer.
    ///
    /// # Errors
    /// The server does not answer; it forgets the backup by itself then.
    pub(super) fn end(&self, id: &str) -> anyhow::Result<()> {
        let path = format!("/backups/{id}");
        let answer = self.ask(|| self.client.delete(&path))?;
        if answer.status == 204 || is_gone(&answer) { Ok(()) } else { Err(self.refused(&answer)) }
    }

    /// Sends a request again for as long as the server is busy.
    fn ask<F: Future<Output = Result<Answer, ClientError>>>(
        &self,
        request: impl Fn() -> F,
    ) -> anyhow::Result<Answer> {
        for _ in 1..MOST_TRIES {
            let answer = self.runtime.block_on(request())?;
            if answer.status != 503 {
                return Ok(answer);
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        Ok(self.runtime.block_on(request())?)
    }

    fn refused(&self, answer: &Answer) -> anyhow::Error {
        if is_gone(answer) {
            return anyhow!(Gone(answer.detail()));
        }
        anyhow!("{}: status {}: {}", self.url, answer.status, answer.detail())
    }

    /// Why an answer is none of an admin listener with this route.
    fn no_admin_listener(&self) -> anyhow::Error {
        let url = &self.url;
        let is_data =
            self.runtime.block_on(self.client.get("/healthz")).is_ok_and(|answer| answer.status == 200);
        if is_data {
            return anyhow!(
                "{url} is the data listener of a server, and backups are read from its admin listener: admin_listen in its \
                 configuration, http://127.0.0.1:8081 unless that says otherwise"
            );
        }
        anyhow!(
            "{url} gives no backups: it is no server of Upbeat's, or one of a version without them; name the admin listener, \
             http://127.0.0.1:8081 unless admin_listen in its configuration says otherwise"
        )
    }
}

fn is_gone(answer: &Answer) -> bool {
    let problem: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    answer.status == 404 && problem.is_some_and(|problem| problem["type"] == "/problems/backup-not-found")
}

fn read<T: serde::de::DeserializeOwned>(answer: &Answer) -> anyhow::Result<T> {
    match serde_json::from_slice(&answer.body) {
        Ok(read) => Ok(read),
        Err(error) => bail!("an answer that is none of Upbeat's: {error}"),
    }
}
