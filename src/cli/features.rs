//! `upbeat features`: from play and click files to feature vectors.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use csv::ByteRecord;

use super::files;
use super::progress::Progress;
use crate::event::{Event, EventKind, Id, Zone};
use crate::feature::{self, FeatureVector};
use crate::ingest::csv as rows;
use crate::profile::{Play, RecentEntry, Window};

/// Turn plays and clicks into feature vectors (libSVM text)
///
/// A row per customer with plays, by ascending id: label 1 if the customer clicked the ad, else 0, then the shares of
/// plays in the morning, afternoon, evening and night, on a phone, and of distinct tracks. Whole repeats count once.
///
/// A model for `serve` wants the window that `serve` keeps: --window-plays 256 --window-days 28. Without window flags
/// the whole file counts.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  upbeat features --tracks tracks.csv --clicks clicks.csv -o features.txt
  upbeat features --tracks tracks.csv --clicks clicks.csv --window-plays 256 --window-days 28 -o features.txt
  cat tracks.csv | upbeat features --tracks - --clicks clicks.csv --ids | head")]
pub(crate) struct Args {
    /// Plays: event id, customer id, track id, time, mobile 0|1, zip; - for stdin
    #[arg(long, value_name = "FILE")]
    tracks: PathBuf,
    /// Clicks: event id, customer id, ad, time; - for stdin
    #[arg(long, value_name = "FILE")]
    clicks: PathBuf,
    /// The ad whose clicks make label 1
    #[arg(long, default_value = "ADV_REDUCED_1DAY")]
    ad: Id,
    /// Write `# <customer id>` at the end of each line
    #[arg(long)]
    ids: bool,
    /// Write values that read back exactly, in place of two digits
    #[arg(long)]
    precise: bool,
    /// Count every row, repeats too, as the seed's script did
    #[arg(long)]
    keep_repeats: bool,
    /// Count only each customer's so many most recent plays
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    window_plays: Option<u32>,
    /// Count only plays at most so many days older than the newest play in the file
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    window_days: Option<u32>,
    /// Leave out lines that cannot be read, rather than stop with status 1
    #[arg(long)]
    skip_bad: bool,
    /// Where to write; - for stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if files::is_dash(&args.tracks) && files::is_dash(&args.clicks) {
        eprintln!("upbeat features: only one of --tracks and --clicks can be - (stdin)");
        return Ok(ExitCode::from(2));
    }
    let mut history = History::default();
    let bad = read_plays(&args, &mut history)? + read_clicks(&args, &mut history)?;
    let repeats = history.settle(args.keep_repeats);
    if repeats > 0 {
        let treated = if args.keep_repeats { "counted again" } else { "counted once" };
        eprintln!("{repeats} plays are repeats of earlier rows and are {treated}");
    }
    if bad > 0 {
        let verb = if args.skip_bad {
            "left out"
        } else {
            "found; mend them or pass --skip-bad; nothing was written"
        };
        eprintln!("{bad} bad lines {verb}");
        if !args.skip_bad {
            return Ok(ExitCode::FAILURE);
        }
    }
    if history.plays.is_empty() {
        eprintln!("no plays: no rows are written");
    }
    write(&args, &history)?;
    Ok(ExitCode::SUCCESS)
}

/// What the files say of each customer.
#[derive(Default)]
struct History {
    plays: BTreeMap<Id, Vec<Play>>,
    clicked: HashSet<Id>,
    newest_ms: i64,
}

impl History {
    /// Brings plays into the order of the window, each once unless repeats are kept; how many were repeats.
    fn settle(&mut self, keep_repeats: bool) -> usize {
        let mut repeats = 0;
        for plays in self.plays.values_mut() {
            plays.sort_by(|a, b| a.key().cmp(&b.key()));
            let distinct = plays.chunk_by(|a, b| a.key() == b.key()).count();
            repeats += plays.len() - distinct;
            if !keep_repeats {
                plays.dedup_by(|later, first| later.key() == first.key());
            }
        }
        repeats
    }
}

fn read_plays(args: &Args, history: &mut History) -> anyhow::Result<u64> {
    history.newest_ms = i64::MIN;
    read_rows(&args.tracks, rows::play, |event| {
        let Event { customer, id: event_id, time, kind } = event;
        if let EventKind::Play { track, mobile } = kind {
            history.newest_ms = history.newest_ms.max(time.unix_ms);
            history.plays.entry(customer).or_default().push(Play { time, event_id, track, mobile });
        }
    })
}

fn read_clicks(args: &Args, history: &mut History) -> anyhow::Result<u64> {
    read_rows(&args.clicks, rows::click, |event| {
        if matches!(&event.kind, EventKind::Click { ad } if *ad == args.ad) {
            history.clicked.insert(event.customer);
        }
    })
}

/// Reads every row of a file; bad ones go to stderr with their line and reason, and are counted.
fn read_rows(
    path: &Path,
    parse: fn(&ByteRecord, &Zone) -> Result<Event, String>,
    mut take: impl FnMut(Event),
) -> anyhow::Result<u64> {
    let mut bytes = Vec::new();
    files::open(path)?.read_to_end(&mut bytes).with_context(|| files::shown(path))?;
    let mut progress = Progress::bytes(Some(bytes.len() as u64));
    let mut reader = rows::reader(&bytes[..]);
    let mut lines = rows::LineCount::new(&bytes);
    let mut record = ByteRecord::new();
    let zone = Zone::utc();
    let (mut bad, mut told) = (0, 0);
    while reader.read_byte_record(&mut record).with_context(|| files::shown(path))? {
        match parse(&record, &zone) {
            Ok(event) => take(event),
            Err(reason) => {
                bad += 1;
                progress.note(&format!("{}:{}: {reason}", files::shown(path), lines.of(&record)));
            }
        }
        let byte = reader.position().byte();
        progress.add(byte - told);
        told = byte;
    }
    Ok(bad)
}

fn write(args: &Args, history: &History) -> anyhow::Result<()> {
    let window =
        Window { plays: args.window_plays.unwrap_or(u32::MAX), days: args.window_days.unwrap_or(u32::MAX) };
    files::write_to(&args.output, |out| {
        for (customer, plays) in &history.plays {
            let start_ms = window.start_ms(history.newest_ms);
            let by_age = plays.partition_point(|play| play.time.unix_ms < start_ms);
            let counted = &plays[by_age.max(plays.len().saturating_sub(window.plays as usize))..];
            let heard = counted.iter().map(|play| feature::Heard::from(play.view()));
            let Some(vector) = feature::vector(heard) else { continue };
            let clicked = history.clicked.contains(customer);
            write_row(out, &vector, clicked, args.precise)?;
            if args.ids {
                write!(out, " # {customer}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    })
}

/// One row of libSVM text, without its end. Rust rounds halves that are exact to even, as C's `%.2f` does.
fn write_row(
    out: &mut dyn Write,
    vector: &FeatureVector,
    clicked: bool,
    precise: bool,
) -> std::io::Result<()> {
    write!(out, "{}", u8::from(clicked))?;
    for (index, value) in (1..).zip(vector) {
        if precise {
            write!(out, " {index}:{value}")?;
        } else {
            write!(out, " {index}:{value:.2}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    /// Shares whose exact value ends in a half at the second digit, and what C's `printf("%.2f")` makes of them.
    #[test]
    fn halves_round_to_even_as_in_c() {
        let cases = [
            (0.125, "0.12"),
            (0.375, "0.38"),
            (0.625, "0.62"),
            (0.875, "0.88"),
            (0.005, "0.01"),
            (0.015, "0.01"),
            (0.115, "0.12"),
            (1.0, "1.00"),
            (0.0, "0.00"),
        ];
        for (value, expected) in cases {
            assert_eq!(format!("{value:.2}"), expected);
        }
    }
}
