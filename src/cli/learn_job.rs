//! `upbeat learn-job`: judges a challenger and trains a candidate of one campaign, as the process that a server starts for it.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use upbeat_engine::ModelId;
use upbeat_learn::job::{Ask, Given, Run};
use upbeat_server::runtime::end_with_parent;

use super::decision_log::{DecisionLog, LogArgs, Needs};
use super::output;

/// An ask is some 600 bytes.
const MOST_ASK_BYTES: u64 = 1 << 20;

/// Judge a challenger and train a candidate, for the server that starts this
///
/// Reads what it is asked as one JSON object from standard input, and the log of the data directory, which a server may use
/// meanwhile and in which nothing is changed. Writes one JSON object to standard output: what became of the challenger, the text of
/// the model that was trained or why there is none, and what is watched of the campaign. Ends with 1 and a sentence where the log cannot be read.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The process that starts this, with which this ends
    #[arg(long, value_name = "ID")]
    parent: Option<u32>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    args.parent.into_iter().for_each(end_with_parent);
    let ask = read_ask()?;
    let log = LogArgs::of(args.data_dir.display().to_string());
    let needs = Needs { role: "learn-job", clicks: false, newest: false, notes: false };
    let log = DecisionLog::open(&log, needs)?;
    let models = log.models();
    let model = |id: &str| models.model(ModelId::new(id));
    let given = Given {
        champion: ask.champion.as_deref().and_then(model),
        challenger: ask.challenger.as_ref().and_then(|challenger| model(&challenger.id)),
    };
    let mut run = Run::new(&ask, &log.found, &given);
    let before = log.profiles_before(&mut |entry| run.before(entry))?;
    run.begin(before);
    log.read(true, &mut |position, entry| {
        run.entry(position, entry);
        Ok(())
    })?;
    let answer = serde_json::to_string(&run.finish()).context("the answer is no JSON")?;
    output::print(answer + "\n")?;
    Ok(ExitCode::SUCCESS)
}

fn read_ask() -> anyhow::Result<Ask> {
    let mut text = String::new();
    let read = io::stdin().lock().take(MOST_ASK_BYTES + 1).read_to_string(&mut text);
    read.context("standard input cannot be read")?;
    if text.len() as u64 > MOST_ASK_BYTES {
        bail!("standard input: an ask has at most {MOST_ASK_BYTES} bytes");
    }
    serde_json::from_str(&text).context(
        "standard input: what a server asks of a learning job is wanted, as one JSON object; this command is not for calling by hand",
    )
}
