//! `upbeat features`: from files of plays and of clicks or impressions to feature vectors.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::label::LabelName;
use super::progress::Progress;
use super::{files, output};
use upbeat_batch::blocks::Input;
use upbeat_batch::features::{self, ImpressionCounts, Resources, Source, Style, Watch};
use upbeat_core::event::{Id, Zone};
use upbeat_core::profile::Window;
use upbeat_ingest::file::Text;

/// Turn plays and clicks into feature vectors (libSVM text)
///
/// A row per customer with plays, by ascending id: label 1 if the customer clicked the ad, else 0, then the shares of
/// plays in the morning, afternoon, evening and night, on a phone, and of distinct tracks. Whole repeats count once.
///
/// With --label impression a row per impression of the ad, by customer and time: label 1 if it was clicked, else 0, then
/// the shares of the plays before it. A profit threshold and a contest between campaigns need a model of such rows.
///
/// A model for `serve` wants the window that `serve` keeps: --window-plays 256 --window-days 28. Without window flags
/// the whole file counts.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  upbeat features --tracks tracks.csv --clicks clicks.csv -o features.txt
  upbeat features --tracks tracks.csv --clicks clicks.csv --window-plays 256 --window-days 28 -o features.txt
  upbeat features --label impression --tracks tracks.csv --impressions impressions.csv --window-plays 256 \
      --window-days 28 --min-plays 10 --precise -o features.txt
      then: upbeat train features.txt --label impression -o model.json
  cat tracks.csv | upbeat features --tracks - --clicks clicks.csv --ids | head")]
pub(crate) struct Args {
    /// Plays: event id, customer id, track id, time, mobile 0|1, zip; plain, gzip or zstd; - for stdin
    #[arg(long, value_name = "FILE")]
    tracks: PathBuf,
    /// Clicks: event id, customer id, ad, time; plain, gzip or zstd; - for stdin. Not needed with --label impression
    #[arg(long, value_name = "FILE")]
    clicks: Option<PathBuf>,
    /// What a row is
    #[arg(long, value_enum, default_value_t = LabelName::Customer)]
    label: LabelName,
    /// Impressions, for --label impression: event id, customer id, ad, time, clicked 0|1; plain, gzip or zstd; - for stdin
    #[arg(long, value_name = "FILE")]
    impressions: Option<PathBuf>,
    /// Leave out impressions with fewer plays in the window before them, for --label impression; a campaign scores nobody
    /// with fewer than its own min_plays
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    min_plays: Option<u32>,
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
    /// Count only plays at most so many days older than the newest play in the file, or than the impression
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
    let answers = match args.file_of_answers() {
        Ok(answers) => answers,
        Err(message) => {
            output::note(format_args!("upbeat features: {message}"));
            return Ok(ExitCode::from(2));
        }
    };
    match args.label {
        LabelName::Customer => customers(&args, answers),
        LabelName::Impression => impressions(&args, answers),
    }
}

impl Args {
    /// The file that says what was clicked.
    ///
    /// # Errors
    /// It is not named, or the files that are named do not fit the label.
    fn file_of_answers(&self) -> Result<&Path, String> {
        let (flag, answers) = match (self.label, &self.clicks, &self.impressions) {
            (LabelName::Customer, _, Some(_)) => {
                return Err(
                    "--impressions is read with --label impression only; add it, or leave --impressions out"
                        .to_owned(),
                );
            }
            (LabelName::Customer, ..) if self.min_plays.is_some() => {
                return Err(
                    "--min-plays is for --label impression only; add it, or leave --min-plays out".to_owned()
                );
            }
            (LabelName::Customer, None, _) => {
                return Err("--clicks is missing: the file of clicks (event id, customer id, ad, time), which say whose label is 1".to_owned());
            }
            (LabelName::Impression, _, None) => {
                return Err("--label impression needs --impressions: the file of ads heard, clicked or not (event id, \
                            customer id, ad, time, clicked 0 or 1), such as `upbeat simulate` writes"
                    .to_owned());
            }
            (LabelName::Customer, Some(clicks), None) => ("--clicks", clicks),
            (LabelName::Impression, _, Some(impressions)) => ("--impressions", impressions),
        };
        if files::is_dash(&self.tracks) && files::is_dash(answers) {
            return Err(format!("only one of --tracks and {flag} can be - (stdin)"));
        }
        Ok(answers)
    }

    fn window(&self) -> Window {
        Window { plays: self.window_plays.unwrap_or(u32::MAX), days: self.window_days.unwrap_or(u32::MAX) }
    }

    fn style(&self) -> Style {
        Style { ids: self.ids, precise: self.precise }
    }

    /// Says how many rows of a kind repeat others, where some do.
    fn note_repeats(&self, repeats: u64, kind: &str) {
        if repeats > 0 {
            let treated = if self.keep_repeats { "counted again" } else { "counted once" };
            output::note(format_args!("{repeats} {kind} are repeats of earlier rows and are {treated}"));
        }
    }

    /// Says how many lines could not be read, where some could not; whether the run goes on.
    fn accepts_bad_lines(&self, bad: u64) -> bool {
        if bad == 0 {
            return true;
        }
        let verb = match self.skip_bad {
            true => "left out",
            false => "found; fix them or pass --skip-bad; nothing was written",
        };
        output::note(format_args!("{bad} bad lines {verb}"));
        self.skip_bad
    }
}

/// A row per customer.
fn customers(args: &Args, clicks: &Path) -> anyhow::Result<ExitCode> {
    let mut output = output::open_one(&[&args.tracks, clicks], &args.output)?;
    let resources = Resources::new(spill_directory(&args.output));
    let threads = resources.threads;
    let open = |path| open(path, args.time_zone.clone());
    let history = features::read([&|| open(&args.tracks), &|| open(clicks)], &args.ad, &resources)?;
    let mut progress = Progress::new(history.partitions(), "partitions");
    let rows = history.aggregate(args.window(), args.keep_repeats, threads, || progress.add(1))?;
    drop(progress);
    args.note_repeats(rows.repeats(), "plays");
    if !args.accepts_bad_lines(history.bad()) {
        return Ok(ExitCode::FAILURE);
    }
    if !history.has_plays() {
        output::note("no plays: no rows are written");
    }
    output.write(|out| Ok(rows.write(args.style(), threads, out)?))?;
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// A row per impression.
fn impressions(args: &Args, impressions: &Path) -> anyhow::Result<ExitCode> {
    if args.clicks.is_some() {
        output::note(
            "--clicks is not read with --label impression: the impressions say which of them were clicked",
        );
    }
    let mut output = output::open_one(&[&args.tracks, impressions], &args.output)?;
    let resources = Resources::new(spill_directory(&args.output));
    let open = |path| open(path, args.time_zone.clone());
    let history =
        features::read_impressions([&|| open(&args.tracks), &|| open(impressions)], &args.ad, &resources)?;
    let mut progress = Progress::new(history.partitions(), "partitions");
    let step = || progress.add(1);
    let min_plays = args.min_plays.unwrap_or(1);
    let (window, threads) = (args.window(), resources.threads);
    let table =
        history.aggregate(window, min_plays as usize, args.keep_repeats, args.style(), threads, step)?;
    drop(progress);
    let ImpressionCounts { rows, few_plays, repeated_plays, repeated_impressions } = table.counts();
    args.note_repeats(repeated_plays, "plays");
    args.note_repeats(repeated_impressions, "impressions");
    if !args.accepts_bad_lines(history.bad()) {
        return Ok(ExitCode::FAILURE);
    }
    if few_plays > 0 {
        output::note(format_args!(
            "{few_plays} of {} impressions of {} have {} of their customer in the window before them and are left out",
            rows + few_plays,
            args.ad,
            if min_plays == 1 { "no play".to_owned() } else { format!("fewer than {min_plays} plays") }
        ));
    }
    if !history.has_impressions() {
        output::note(format_args!("no impressions of {}: no rows are written", args.ad));
    } else if !history.has_plays() {
        output::note("no plays: no rows are written");
    }
    output.write(|out| Ok(table.write(out)?))?;
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// The directory of the output, which needs room as well; without one, that of temporary files.
fn spill_directory(output: &Path) -> PathBuf {
    output::directory(output).unwrap_or_else(std::env::temp_dir)
}

/// A file, or standard input, and a progress bar for it.
pub(crate) fn open(path: &Path, zone: Zone) -> anyhow::Result<Source<'static>> {
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
