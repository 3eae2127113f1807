//! `upbeat backtest`: what other policies would have earned, from logged decisions.

mod answer;
mod heard;
mod page;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use upbeat_core::campaign::Label;
use upbeat_core::event::Id;
use upbeat_core::model::check_serving;
use upbeat_learn::backtest::{Backtest, Judge, OfCampaign, Question};
use upbeat_server::config::Duration;
use upbeat_svm::Model;

use self::answer::Answer;
use super::decision_log::{DecisionLog, LogArgs, Models, Needs, attribution_length};
use super::{WrongCall, files, output};

/// Estimate what other policies would have earned, from logged decisions
///
/// Clicks, cost and profit of the policy that was logged, of showing all, none, or as many at random, of the campaign's model without
/// coins (champion), of another model (challenger), and of thresholds of the probability of a click. Each by inverse propensity
/// scoring (ips) and self-normalised (snips), with the 95 % interval of the profit, the effective sample size, the largest weight, and
/// the share of decisions of which the log cannot tell (unsupported). Only eligible decisions count, and only once no click can come
/// for them any more. Clicks that no ad led to, upgrades and how much is played are in the lift against the holdout alone. Of a data
/// directory, also while a server uses it; of a backup; or of a running server.
///
/// Or of files (--tracks, --impressions): each ad of --ad that was heard is one that was shown for certain, to whoever heard it, with the
/// features of the plays before it. The champion is then the model of the label impression that is part of the program for the one-day
/// offer, and the terms are --impression-cost and --click-value.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  upbeat backtest --from upbeat-data --config upbeat.toml
  upbeat backtest --from http://127.0.0.1:8081 --campaign gold-one-day --model new.json --json
  upbeat backtest --from upbeat-data --threshold 0.04 --threshold 0.08 --report estimates.html
  upbeat backtest --tracks tracks.csv --impressions impressions.csv --model new.json")]
pub(crate) struct Args {
    /// A data directory, a backup, or the address of a server's admin listener, such as http://127.0.0.1:8081
    #[arg(long, value_name = "DIR|URL", required_unless_present = "tracks")]
    from: Option<String>,
    /// The configuration of the server whose directory it is: its `[learn] attribution` says how long after an ad a click counts. A
    /// running server says so itself [default: 30m]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long after an ad a click counts, whatever the server counts, such as 45m
    #[arg(long, value_name = "LENGTH", value_parser = attribution_length)]
    attribution: Option<Duration>,
    #[command(flatten)]
    heard: heard::HeardArgs,
    /// The campaign; each campaign when not given
    #[arg(long, value_name = "ID")]
    campaign: Option<String>,
    /// A model file to compare with the campaign's model, of the label impression
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Show where the probability of a click is above this; several may be given [default: those round the break-even probability]
    #[arg(long, value_name = "PROBABILITY", value_parser = probability)]
    threshold: Vec<f64>,
    /// Write a page to this file as well: profit against threshold, what a budget buys, reliability, lift, by membership and hour.
    /// It holds everything it shows, and opens in any browser
    #[arg(long, value_name = "F.html")]
    report: Option<PathBuf>,
    /// Write one JSON object instead of tables; money in micro-units
    #[arg(long)]
    json: bool,
}

fn probability(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "give a number from 0 to 1".to_owned())?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err("give a number from 0 to 1".to_owned()) }
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let campaign = args.campaign.as_deref().map(Id::parse).transpose();
    let campaign = campaign.map_err(|error| WrongCall(format!("--campaign: {error}")))?;
    let inputs: Vec<&Path> = args.model.iter().map(PathBuf::as_path).collect();
    output::check(&inputs)?;
    // Before the work begins, so that a wrong name is told at once.
    let report = args.report.as_deref().map(|path| output::open_one(&inputs, path)).transpose()?;
    let model = match &args.model {
        Some(path) => Some((path, files::read_model(path)?)),
        None => None,
    };
    let challenger = model.as_ref().map(|(path, model)| challenger(path, model)).transpose()?;
    let Some(from) = args.from else {
        let model = model.as_ref().map(|(path, model)| (path.as_path(), model));
        let question = Question { challenger, thresholds: args.threshold, in_detail: false };
        return heard::run(&args.heard, question, model, args.json);
    };
    let log_args = LogArgs::with(from.clone(), args.config, args.attribution);
    let log =
        DecisionLog::open(&log_args, Needs { role: "backtest", clicks: true, newest: true, notes: true })?;
    if log.found.newest_ms.is_none() {
        bail!(
            "{}: there is no decision in it; a server logs every decision about a customer of whom it knows something",
            from
        );
    }
    if let (Some((path, model)), Some(window)) = (&model, log.found.window) {
        check_serving(model, window).with_context(|| files::shown(path))?;
    }
    let slots = slots(&log, campaign.as_ref())?;
    let mut models = log.models();
    let judged = slots.iter().map(|slot| (*slot, champion(&log, &mut models, *slot))).collect();
    let question =
        Question { challenger, thresholds: args.threshold.clone(), in_detail: args.report.is_some() };
    let mut backtest = Backtest::new(&log.found, log.attribution_ms, judged, question);
    log.read(true, &mut |position, entry| Ok(backtest.entry(position, entry)?))?;
    let (campaigns, lift) = backtest.finish()?;
    let (told, refused): (Vec<_>, Vec<_>) = campaigns.into_iter().partition(|of| refusal(of).is_none());
    let refusals: Vec<String> = refused.iter().filter_map(refusal).collect();
    if told.is_empty() {
        bail!("{}: {}", from, refusals.join("\n"));
    }
    let doubts = told.iter().flat_map(|of| [doubt(of), unjudged(of)]).flatten();
    for sentence in refusals.into_iter().chain(doubts) {
        output::note(format_args!("upbeat backtest: {sentence}"));
    }
    let answer = Answer { campaigns: &told, lift: &lift, currency: log.found.campaigns.currency() };
    if let Some(report) = report {
        report.write_all(answer.page(&from)?.as_bytes())?;
    }
    match args.json {
        true => output::print(format_args!("{}\n", answer.json()))?,
        false => output::print(answer.text())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The slots of which is asked.
fn slots(log: &DecisionLog, campaign: Option<&Id>) -> anyhow::Result<Vec<u16>> {
    let ids = log.found.campaigns.ids();
    let of = |wanted: &Id| ids.iter().position(|id| id == wanted);
    let all = || (0..ids.len()).filter_map(|slot| u16::try_from(slot).ok()).collect();
    let Some(campaign) = campaign else { return Ok(all()) };
    match of(campaign).and_then(|slot| u16::try_from(slot).ok()) {
        Some(slot) => Ok(vec![slot]),
        None => {
            let known: Vec<_> = ids.iter().map(Id::to_string).collect();
            bail!("--campaign {campaign}: the log knows no such campaign; it knows {}", known.join(", "))
        }
    }
}

/// The model that decided for a campaign last, if it is there.
fn champion(log: &DecisionLog, models: &mut Models, slot: u16) -> Option<Judge> {
    let id = log.found.champion(slot)?;
    let model = models.model(id);
    if model.is_none() {
        output::note(format_args!(
            "upbeat backtest: model {id} of campaign {} is neither in the data directory nor in this program: nothing is said of \
             champion and thresholds",
            log.found.campaigns.id(slot)
        ));
    }
    model.map(|model| Judge::new(&model))
}

/// A model that is compared with those of the campaigns.
fn challenger(path: &Path, model: &Model) -> anyhow::Result<Judge> {
    let judge = Judge::new(model);
    if judge.label != Label::Impression {
        bail!(
            "{}: its label is {}: it knows who clicks at some time, not whether a show is clicked, and estimates are of shows; give a \
             model of the label impression (upbeat features --label impression, upbeat train --label impression)",
            files::shown(path),
            judge.label.name()
        );
    }
    if !judge.knows_clicks() {
        bail!(
            "{}: it has no calibration, and so no probability of a click; train one with it",
            files::shown(path)
        );
    }
    Ok(judge)
}

/// Why nothing can be estimated of a campaign, if so.
fn refusal(of: &OfCampaign) -> Option<String> {
    let OfCampaign { id, decisions, eligible, young, forgotten, .. } = of;
    let sentence = match (decisions, eligible, of.mature()) {
        (0, ..) => "no decision names it".to_owned(),
        (_, 0, _) => format!(
            "none of its {decisions} decisions is eligible for estimates: a rule refused each, and what a rule refuses no coin could \
             have shown; `exploration` shows some of the unlikely ones"
        ),
        (.., 0) if *forgotten > 0 => format!(
            "{young} of its {eligible} eligible decisions are so young that a click on them may come yet, and {forgotten} are older than the \
             events that the log still has ([retention.events]), so that nobody knows which were clicked"
        ),
        (.., 0) => format!(
            "all of its {young} eligible decisions are so young that a click on them may come yet: try again later, or name a shorter \
             --attribution"
        ),
        _ => return None,
    };
    Some(format!("campaign {id}: {sentence}"))
}

/// Why nothing is said of thresholds of the probability of a click, if so.
fn unjudged(of: &OfCampaign) -> Option<String> {
    let judge = of.champion.as_ref().filter(|judge| !judge.knows_clicks())?;
    let what = match judge.label {
        Label::Impression => "has no calibration",
        Label::Customer => {
            "is of the label customer: it knows who clicks at some time, not whether a show is clicked"
        }
    };
    Some(format!(
        "campaign {}: its model {} {what}; nothing is said of thresholds of that probability",
        of.id, judge.id
    ))
}

/// What is to be known before the estimates of a campaign are believed.
fn doubt(of: &OfCampaign) -> Option<String> {
    let OfCampaign { id, shown, clicked, .. } = of;
    let sentence = match (*shown, *clicked) {
        (0, _) => "nothing was shown: nothing can be told of policies that show".to_owned(),
        (shown, 0) => format!(
            "none of its {shown} shown ads was clicked in time: that is too few to compare policies by, and the intervals say so; \
             are clicks sent to POST /events?"
        ),
        (shown, clicked) if shown == clicked => {
            format!("each of its {shown} shown ads was clicked: no policy can be told from another")
        }
        _ => return None,
    };
    Some(format!("campaign {id}: {sentence}"))
}
