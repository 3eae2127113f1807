//! `upbeat replay`: send recorded events to a running server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;

use super::interrupt::Signals;
use super::output;
use super::progress::Progress;
use upbeat_client::Client;
use upbeat_client::replay::{Batch, Delivery, Kind, Source, oldest_batch};

/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Rows in a request by default.
const DEFAULT_BATCH_ROWS: u32 = 1_000;
/// With a rate and no batch size, this many requests a second share the rows.
const REQUESTS_PER_S: f64 = 10.0;

/// Send recorded plays and clicks to a running server
///
/// Rows go out in the order of the files; of two files, the batch whose first row is older goes
/// first. The server knows events it has seen, so a replay that was cut short can be started again.
/// Rejected rows are named on stderr by file and line. A busy server is waited for as long as it asks
/// (Retry-After, up to 5 minutes), and rows whose answer was lost are sent again. At the end, or when a
/// signal ends it, the rows that were not sent and those of unknown fate are named; the counts of the
/// summary add up to the rows. Exit status 1 when a row was rejected, not sent, or of unknown fate.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  upbeat replay --tracks history/tracks.csv --clicks history/clicks.csv --to http://127.0.0.1:8080
      as fast as the server takes them
  upbeat replay --tracks history/tracks.csv --to http://127.0.0.1:8080 --rate 500
      five hundred a second
  tail -F tracks.csv | upbeat replay --tracks - --to http://127.0.0.1:8080
      whatever another process writes, as it comes")]
pub(crate) struct Args {
    /// Plays: event id, customer, track, "time", mobile 0/1, "zip"; plain, gzip or zstd; `-` for stdin
    #[arg(long, value_name = "FILE", required_unless_present = "clicks")]
    tracks: Option<PathBuf>,
    /// Clicks: event id, customer, "ad", "time"; plain, gzip or zstd; `-` for stdin
    #[arg(long, value_name = "FILE")]
    clicks: Option<PathBuf>,
    /// The server's data address, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    to: String,
    /// Rows a second, at most; as fast as the server takes them when not given
    #[arg(long, value_name = "R", value_parser = positive)]
    rate: Option<f64>,
    /// Rows in one request, 1 to 100,000 [default: 1000, or a tenth of the rate if that is less]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: Option<u32>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = match Client::new(&args.to, ANSWER_TIMEOUT) {
        Ok(client) => client,
        Err(error) => return Ok(usage(&error)),
    };
    let both_stdin =
        [&args.tracks, &args.clicks].map(|path| path.as_ref().is_some_and(|path| path.as_os_str() == "-"));
    if both_stdin == [true, true] {
        return Ok(usage(&"only one of --tracks and --clicks can be stdin"));
    }
    let inputs: Vec<_> = [&args.tracks, &args.clicks].into_iter().flatten().map(PathBuf::as_path).collect();
    output::check(&inputs)?;
    let batch_rows = args.batch.unwrap_or_else(|| batch_rows(args.rate)) as usize;
    let mut sources = Vec::new();
    for (kind, path) in [(Kind::Plays, &args.tracks), (Kind::Clicks, &args.clicks)] {
        if let Some(path) = path {
            sources.push(Source::open(kind, path, batch_rows)?);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut delivery = Delivery::new(client);
    let last_line = sources.iter().map(|source| (source.file().to_owned(), 0)).collect();
    let mut reading = Reading { sources: Some(sources), last_line };
    let outcome: anyhow::Result<Option<u8>> = runtime.block_on(async {
        let mut signals = Signals::new()?;
        tokio::select! {
            biased;
            status = signals.next() => Ok(Some(status)),
            sent = replay(&mut delivery, &mut reading, args.rate) => sent.map(|()| None),
        }
    });
    // A thread may still wait for the next row of a stream.
    runtime.shutdown_background();
    delivery.abandon();
    for line in delivery.remains() {
        output::note(line);
    }
    if !matches!(outcome, Ok(None)) {
        reading.tell_unread();
    }
    let printed = output::print(format_args!("{}\n", delivery.summary()));
    // What was not delivered weighs more than a summary that nobody reads.
    match outcome? {
        Some(status) => Ok(ExitCode::from(status)),
        None if !delivery.is_complete() => Ok(ExitCode::FAILURE),
        None => printed.map(|()| ExitCode::SUCCESS),
    }
}

/// The sources of a replay, and how far they were read.
struct Reading {
    /// None while a thread reads.
    sources: Option<Vec<Source>>,
    /// The last line of each file that was given to the delivery.
    last_line: BTreeMap<String, u64>,
}

impl Reading {
    /// The next batch; none at the end. Read on a thread of its own: a stream may pause for hours, and a signal must not
    /// wait for it.
    async fn next(&mut self) -> anyhow::Result<Option<Batch>> {
        let mut sources = self.sources.take().context("an earlier read did not end")?;
        let read = move || (oldest_batch(&mut sources), sources);
        let (batch, sources) = tokio::task::spawn_blocking(read).await?;
        self.sources = Some(sources);
        let batch = batch?;
        if let Some(batch) = &batch {
            let lines = batch.lines.iter().chain(batch.refused.iter().map(|row| &row.lines.0));
            self.last_line.insert(batch.file.clone(), lines.max().copied().unwrap_or(0));
        }
        Ok(batch)
    }

    /// Says which rows were not even read.
    fn tell_unread(&mut self) {
        let mut ended = Vec::new();
        for source in self.sources.iter_mut().flatten() {
            let is_file = !source.is_live();
            match source.first_unsent() {
                Ok(Some((file, line))) => {
                    output::note(format_args!("not sent: {file}, from line {line} on"));
                    ended.push(file.to_owned());
                }
                Ok(None) if is_file => ended.push(source.file().to_owned()),
                Ok(None) => {}
                Err(error) => output::note(format_args!("{error}: what follows was not sent")),
            }
        }
        // A stream, or whatever a thread still reads: how far it goes is not known.
        for (file, line) in self.last_line.iter().filter(|(file, _)| !ended.contains(file)) {
            match line {
                0 => output::note(format_args!("not sent: {file}, all of it")),
                line => output::note(format_args!("not sent: {file}, whatever comes after line {line}")),
            }
        }
    }
}

/// Sends all rows of all sources, at most `rate` a second.
async fn replay(delivery: &mut Delivery, reading: &mut Reading, rate: Option<f64>) -> anyhow::Result<()> {
    let bytes = reading.sources.iter().flatten().map(Source::bytes).sum::<Option<u64>>();
    let mut progress = Progress::bytes(bytes);
    let started = Instant::now();
    loop {
        if let Some(rate) = rate {
            let due = Duration::from_secs_f64(delivery.rows() as f64 / rate);
            tokio::time::sleep_until(started + due).await;
        }
        let Some(batch) = reading.next().await? else { return Ok(()) };
        delivery.send(&batch, |line| progress.note(&line)).await?;
        progress.add(batch.read_bytes);
    }
}

fn batch_rows(rate: Option<f64>) -> u32 {
    rate.map_or(DEFAULT_BATCH_ROWS, |rate| {
        ((rate / REQUESTS_PER_S).ceil() as u32).clamp(1, DEFAULT_BATCH_ROWS)
    })
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=1e9).contains(&rate) => Ok(rate),
        _ => Err("give a number of rows a second from 0.001 to 1000000000".to_owned()),
    }
}

fn usage(error: &dyn std::fmt::Display) -> ExitCode {
    output::note(format_args!("upbeat replay: {error}"));
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_small_at_a_low_rate() {
        assert_eq!(batch_rows(None), 1_000);
        assert_eq!(batch_rows(Some(1.0)), 1);
        assert_eq!(batch_rows(Some(500.0)), 50);
        assert_eq!(batch_rows(Some(1e9)), 1_000);
        assert!(positive("0").is_err() && positive("NaN").is_err() && positive("-1").is_err());
    }
}
