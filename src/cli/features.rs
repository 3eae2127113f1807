//! `upbeat features`: from play and click files to feature vectors.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::progress::Progress;
use super::{files, output};
use upbeat_batch::blocks::Input;
use upbeat_batch::features::{self, Resources, Source, Style, Watch};
use upbeat_core::event::{Id, Zone};
use upbeat_core::profile::Window;
use upbeat_ingest::file::Text;

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
    /// Plays: event id, customer id, track id, time, mobile 0|1, zip; plain, gzip or zstd; - for stdin
    #[arg(long, value_name = "FILE")]
    tracks: PathBuf,
    /// Clicks: event id, customer id, ad, time; plain, gzip or zstd; - for stdin
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    window_plays: Option<u32>,
    /// Count only plays at most so many days older than the newest play in the file
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    window_days: Option<u32>,
    /// Zone of times without an offset, an IANA name such as Europe/Berlin; the same as `time_zone` of `serve`
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = Zone::named)]
    time_zone: Zone,
    /// Leave out lines that cannot be read, rather than stop with status 1
    #[arg(long)]
    skip_bad: bool,
    /// Where to write; - for stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if files::is_dash(&args.tracks) && files::is_dash(&args.clicks) {
        output::note("upbeat features: only one of --tracks and --clicks can be - (stdin)");
        return Ok(ExitCode::from(2));
    }
    let mut output = output::open_one(&[&args.tracks, &args.clicks], &args.output)?;
    let resources = Resources::new(spill_directory(&args.output));
    let threads = resources.threads;
    let open = |path| open(path, args.time_zone.clone());
    let history = features::read([&|| open(&args.tracks), &|| open(&args.clicks)], &args.ad, &resources)?;
    let window =
        Window { plays: args.window_plays.unwrap_or(u32::MAX), days: args.window_days.unwrap_or(u32::MAX) };
    let mut progress = Progress::new(history.partitions(), "partitions");
    let rows = history.aggregate(window, args.keep_repeats, threads, || progress.add(1))?;
    drop(progress);
    if rows.repeats() > 0 {
        let treated = if args.keep_repeats { "counted again" } else { "counted once" };
        output::note(format_args!("{} plays are repeats of earlier rows and are {treated}", rows.repeats()));
    }
    if history.bad() > 0 {
        let verb = if args.skip_bad {
            "left out"
        } else {
            "found; fix them or pass --skip-bad; nothing was written"
        };
        output::note(format_args!("{} bad lines {verb}", history.bad()));
        if !args.skip_bad {
            return Ok(ExitCode::FAILURE);
        }
    }
    if !history.has_plays() {
        output::note("no plays: no rows are written");
    }
    let style = Style { ids: args.ids, precise: args.precise };
    output.write(|out| Ok(rows.write(style, threads, out)?))?;
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// The directory of the output, which needs room as well; without one, that of temporary files.
fn spill_directory(output: &Path) -> PathBuf {
    output::directory(output).unwrap_or_else(std::env::temp_dir)
}

/// A file, or standard input, and a progress bar for it.
fn open(path: &Path, zone: Zone) -> anyhow::Result<Source<'static>> {
    let text = files::open_text(path)?;
    let watch = Box::new(Bar(Progress::bytes(text.length())));
    let input = match text {
        Text::Plain(file) => file.into(),
        Text::Compressed(text) | Text::Stream(text) => Input::Stream(text),
    };
    Ok(Source { input, name: files::shown(path), zone, watch })
}

struct Bar(Progress);

impl Watch for Bar {
    fn advance(&mut self, bytes: u64) {
        self.0.add(bytes);
    }

    fn bad_row(&mut self, name: &str, lines: (u64, u64), reason: &str) {
        self.0.note(&format!("{name}:{}", features::report(lines, reason)));
    }
}
