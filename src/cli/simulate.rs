//! `upbeat simulate`: write a simulated history.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use jiff::civil::DateTime;

use super::output::{self, Output};
use super::progress::Progress;
use upbeat_simulate::write::{self, EventFiles, RowCounts};
use upbeat_simulate::{Settings, Simulation};

/// Write a simulated history of customers, tracks, plays, clicks and impressions
///
/// Five files: customers.csv, music.csv, tracks.csv (plays), clicks.csv, and impressions.csv (every ad
/// heard, clicked or not). The same arguments give the same bytes on every machine. Who clicks what, and why, stands in docs/simulator.md.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  upbeat simulate -o history
      5,000 customers, 1,000,000 plays, 13 weeks up to 2015: the size of the original data set
  upbeat simulate --customers 200 --plays 20000 --seed 7 --resend 0.05 --late 0.02 -o small
      a small one, with rows that a shipper sent twice and rows that came late
  upbeat simulate --drift --weeks 26 -o drifting
      half a year, in whose second half the offer tempts other listeners than before")]
pub(crate) struct Args {
    /// Customers, 1 to 10,000,000
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    customers: u32,
    /// Plays, 1 to 1,000,000,000; as many impressions, about a third as many clicks
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    plays: u64,
    /// All chance follows from this number
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Folder for the files; made when missing, files of the same names are replaced
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Length of the history in weeks, 1 to 520
    #[arg(long, value_name = "N", default_value_t = 13)]
    weeks: u32,
    /// When the history ends, without time zone; every event is before it
    #[arg(long, value_name = "TIME", default_value = "2015-01-01T00:00:00")]
    end: DateTime,
    /// From the middle of the history on, the offer tempts phone listeners less and less, and
    /// listeners who replay favourites in the evening more and more
    #[arg(long)]
    drift: bool,
    /// Share of rows, 0 to 1, in the files of plays, clicks and impressions that are repeated whole further down
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, default_value_t = 0.0)]
    resend: f64,
    /// Share of rows, 0 to 1, in the files of plays, clicks and impressions that come up to three days late
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, default_value_t = 0.0)]
    late: f64,
    /// Leave out impressions.csv, which is as long as tracks.csv; the other files are the same
    #[arg(long)]
    no_impressions: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let settings = Settings {
        customers: args.customers,
        plays: args.plays,
        seed: args.seed,
        weeks: args.weeks,
        end_s: civil_s(args.end),
        drift: args.drift,
        resend: args.resend,
        late: args.late,
    };
    if let Err(error) = settings.check() {
        output::note(format_args!("upbeat simulate: {error}"));
        return Ok(ExitCode::from(2));
    }
    fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let plays = settings.plays;
    let simulation = Simulation::new(settings)?;

    let names = ["customers.csv", "music.csv", "tracks.csv", "clicks.csv", "impressions.csv"];
    let names = &names[..names.len() - usize::from(args.no_impressions)];
    let paths: Vec<PathBuf> = names.iter().map(|name| args.out.join(name)).collect();
    let mut outputs = output::open(&[], &paths.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    let [customers, music, tracks, clicks, impressions @ ..] = &mut outputs[..] else {
        unreachable!("at least four were named")
    };
    customers.write(|mut out| Ok(write::customers(&simulation, &mut out)?))?;
    music.write(|mut out| Ok(write::music(&mut out)?))?;
    let mut progress = Progress::new(plays, "plays");
    let mut counts = RowCounts::default();
    let mut write_events = |mut tracks: &mut dyn Write,
                            mut clicks: &mut dyn Write,
                            mut impressions: &mut dyn Write| {
        let files = EventFiles { tracks: &mut tracks, clicks: &mut clicks, impressions: &mut impressions };
        counts = write::events(&simulation, files, |more| progress.add(more))?;
        anyhow::Ok(())
    };
    tracks.write(|tracks| {
        clicks.write(|clicks| match impressions.first_mut() {
            Some(file) => file.write(|impressions| write_events(tracks, clicks, impressions)),
            None => write_events(tracks, clicks, &mut io::sink()),
        })
    })?;
    // Only now do the names have the new content: a failure leaves all of them as they were.
    outputs.into_iter().try_for_each(Output::finish)?;
    drop(progress);
    let impressions = match args.no_impressions {
        true => "no".to_owned(),
        false => counts.impressions.to_string(),
    };
    output::note(format_args!(
        "wrote {} customers, {} plays, {} clicks and {impressions} impressions to {}",
        simulation.listeners().len(),
        counts.tracks,
        counts.clicks,
        args.out.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Seconds since 1970-01-01T00:00:00, both read without a time zone.
fn civil_s(time: DateTime) -> i64 {
    const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    time.duration_since(EPOCH).as_secs()
}
