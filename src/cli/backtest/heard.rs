//! `upbeat backtest --tracks`: estimates from files of plays and of ads that were heard.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use upbeat_batch::features::{ImpressionCounts, Resources, Style, read_impressions};
use upbeat_core::campaign::{Money, Threshold};
use upbeat_core::event::{Id, Zone};
use upbeat_core::feature::{FEATURE_COUNT, FeatureVector};
use upbeat_core::model::{check_serving, read};
use upbeat_core::profile::Window;
use upbeat_learn::Terms;
use upbeat_learn::backtest::{Heard, Judge, Question};
use upbeat_learn::lift::Lift;
use upbeat_server::runtime::shipped_model;
use upbeat_svm::Model;

use super::answer::Answer;
use super::doubt;
use crate::cli::features::open;
use crate::cli::{WrongCall, files, output};

/// The model that the others are compared with.
const CHAMPION: &str = "gold-one-day";

/// Which files, and what an ad in them is.
#[derive(clap::Args)]
pub(super) struct HeardArgs {
    /// Plays, in place of --from: event id, customer id, track id, time, mobile 0|1, zip; plain, gzip or zstd
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "config", "attribution", "campaign", "report"])]
    tracks: Option<PathBuf>,
    /// Ads that were heard: event id, customer id, ad, time, clicked 0|1; plain, gzip or zstd
    #[arg(long, value_name = "FILE", requires = "tracks")]
    impressions: Option<PathBuf>,
    /// Clicks: event id, customer id, ad, time. Alone they do not say which ads were heard and not clicked
    #[arg(long, value_name = "FILE", requires = "tracks")]
    clicks: Option<PathBuf>,
    /// The ad
    #[arg(long, default_value = "ADV_REDUCED_1DAY", requires = "tracks")]
    ad: Id,
    /// What an ad that is shown costs
    #[arg(long, value_name = "MONEY", default_value = "0.02", value_parser = Money::parse, requires = "tracks")]
    impression_cost: Money,
    /// What a click is worth
    #[arg(long, value_name = "MONEY", default_value = "0.5", value_parser = Money::parse, requires = "tracks")]
    click_value: Money,
    /// Count only each customer's so many most recent plays before the ad
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_535), requires = "tracks")]
    window_plays: u32,
    /// Count only plays at most so many days before the ad
    #[arg(long, value_name = "N", default_value_t = 28, value_parser = clap::value_parser!(u32).range(1..=36_500), requires = "tracks")]
    window_days: u32,
    /// Zone of times without an offset, an IANA name such as Europe/Berlin; the same as `time_zone` of `serve`
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = Zone::named, requires = "tracks")]
    time_zone: Zone,
}

pub(super) fn run(
    args: &HeardArgs,
    question: Question,
    model: Option<(&Path, &Model)>,
    is_json: bool,
) -> anyhow::Result<ExitCode> {
    let Some(tracks) = &args.tracks else { bail!("--tracks is missing") };
    let impressions = match (&args.impressions, &args.clicks) {
        (Some(impressions), _) => impressions,
        (None, Some(clicks)) => bail!(
            "{}: without --impressions the second of each click is an ad heard, and so each ad heard was clicked: nothing tells one policy from \
             another; give the ads that were heard and not clicked as well, with --impressions",
            files::shown(clicks)
        ),
        (None, None) => {
            let what = "--tracks needs --impressions: the file of ads heard, clicked or not (event id, customer id, ad, time, clicked 0 or 1)";
            return Err(WrongCall(what.to_owned()).into());
        }
    };
    if args.clicks.is_some() {
        output::note("upbeat backtest: --clicks is not read: the impressions say which of them were clicked");
    }
    output::check(&[tracks, impressions])?;
    let window = Window { plays: args.window_plays, days: args.window_days };
    if let Some((path, model)) = model {
        check_serving(model, window).with_context(|| files::shown(path))?;
    }
    let champion = read(shipped_model(CHAMPION).unwrap_or_default())?;
    check_serving(&champion, window).context("the model that is part of the program")?;
    let terms = Terms {
        cost_micro: args.impression_cost.micro(),
        value_micro: args.click_value.micro(),
        threshold: Threshold::Profit,
        held_out: 0.0,
        time_zone: "UTC".to_owned(),
    };
    let heard = Heard::new(args.ad.clone(), terms, Judge::new(&champion), question);
    let Some(heard) = taken(args, (tracks, impressions), window, heard)? else {
        return Ok(ExitCode::FAILURE);
    };
    let of = heard.finish();
    if of.shown == 0 {
        bail!(
            "{}: no ad {} in it was heard by a customer of whom {} has a play before it: nothing can be estimated",
            files::shown(impressions),
            args.ad,
            files::shown(tracks)
        );
    }
    output::note(format_args!(
        "upbeat backtest: it is assumed that each of the {} ads was shown for certain, to whoever asked: by a policy that shows everybody the \
         ad, with no holdout. Where some were chosen, the estimates are of those who were",
        of.shown
    ));
    doubt(&of).into_iter().for_each(|sentence| output::note(format_args!("upbeat backtest: {sentence}")));
    let lift = Lift::new(&[]);
    let answer = Answer { campaigns: std::slice::from_ref(&of), lift: &lift, currency: None };
    match is_json {
        true => output::print(format_args!("{}\n", answer.json()))?,
        false => output::print(answer.text())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes each ad with the features of the plays before it; `None` where lines cannot be read.
fn taken(
    args: &HeardArgs,
    (tracks, impressions): (&Path, &Path),
    window: Window,
    heard: Heard,
) -> anyhow::Result<Option<Heard>> {
    let resources = Resources::new(std::env::temp_dir());
    let open = |path: &Path| open(path, args.time_zone.clone());
    let history = read_impressions([&|| open(tracks), &|| open(impressions)], &args.ad, &resources)?;
    if history.bad() > 0 {
        output::note(format_args!("{} bad lines found; fix them; nothing was estimated", history.bad()));
        return Ok(None);
    }
    let style = Style { ids: true, precise: true };
    let table = history.aggregate(window, 1, false, style, resources.threads, || ())?;
    let ImpressionCounts { few_plays, repeated_plays, repeated_impressions, .. } = table.counts();
    for (count, what) in [
        (repeated_plays, "plays are repeats of earlier rows and are counted once"),
        (repeated_impressions, "impressions are repeats of earlier rows and are counted once"),
        (few_plays, "impressions have no play of their customer in the window before them and are left out"),
    ] {
        if count > 0 {
            output::note(format_args!("{count} {what}"));
        }
    }
    let mut rows = Rows { heard, line: Vec::new() };
    table.write(&mut rows)?;
    Ok(Some(rows.heard))
}

/// Takes the rows as they are written: each value reads back exactly.
struct Rows {
    heard: Heard,
    line: Vec<u8>,
}

impl Write for Rows {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let row = str::from_utf8(&self.line).ok().and_then(row);
            let (customer, vector, is_clicked) =
                row.ok_or_else(|| io::Error::other("a row of features is not as it was written"))?;
            self.heard.add(&customer, &vector, is_clicked);
            self.line.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Customer, features, and whether the ad was clicked.
fn row(line: &str) -> Option<(Id, FeatureVector, bool)> {
    let (row, customer) = line.split_once(" # ")?;
    let mut cells = row.split(' ');
    let is_clicked = cells.next()? == "1";
    let mut vector = [0.0; FEATURE_COUNT];
    for cell in cells {
        let (index, share) = cell.split_once(':')?;
        *vector.get_mut(index.parse::<usize>().ok()?.checked_sub(1)?)? = share.parse().ok()?;
    }
    Some((Id::parse(customer).ok()?, vector, is_clicked))
}
