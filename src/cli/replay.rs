//! `upbeat replay`: send recorded events to a running server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::Instant;

use super::output;
use super::progress::Progress;
use upbeat_client::Client;
use upbeat_client::replay::{Delivery, Kind, Source, oldest_batch};

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
/// Rejected rows are named on stderr by file and line. Exit status 1 when a row was rejected or the
/// server could not be reached.
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
    /// Plays: event id, customer, track, "time", mobile 0/1, "zip"; `-` for stdin
    #[arg(long, value_name = "FILE", required_unless_present = "clicks")]
    tracks: Option<PathBuf>,
    /// Clicks: event id, customer, "ad", "time"; `-` for stdin
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
    let outcome = runtime.block_on(replay(&mut delivery, sources, args.rate));
    output::print(format_args!("{}\n", delivery.summary()))?;
    outcome?;
    Ok(if delivery.rejected() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends all rows of all sources, at most `rate` a second.
async fn replay(delivery: &mut Delivery, mut sources: Vec<Source>, rate: Option<f64>) -> anyhow::Result<()> {
    let bytes = sources.iter().map(Source::bytes).sum::<Option<u64>>();
    let mut progress = Progress::bytes(bytes);
    let started = Instant::now();
    while let Some(batch) = oldest_batch(&mut sources)? {
        if let Some(rate) = rate {
            let due = Duration::from_secs_f64(delivery.rows() as f64 / rate);
            tokio::time::sleep_until(started + due).await;
        }
        delivery.send(&batch, |line| progress.note(&line)).await?;
        progress.add(batch.read_bytes);
    }
    Ok(())
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
