//! `upbeat check-consistency`: whether the features of logged decisions are those that the events before them give.

use std::process::ExitCode;

use serde_json::{Value, json};
use upbeat_core::event::Time;
use upbeat_learn::consistency::{Agreement, Consistency, Disagreement};

use super::decision_log::{DecisionLog, LogArgs, Needs};
use super::output;

/// Check that decisions and training know the same: nothing of later
///
/// Reads the events of the log again in their order, counts at each logged decision the plays that were in its window, by the code that
/// decides and trains, and compares them with the counts that the decision's record has. Every decision that can be checked has to
/// agree: one that does not knows what came after it, or the server and its log have come apart. A decision cannot be checked where
/// its customer was erased, or where the log has lost events before it and no snapshot has what they came to. Of a data directory,
/// also while a server uses it; of a backup; or of a running server.
///
/// Exit status: 0 if every decision that can be checked agrees, and there is one; else 1, with what is wrong.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  upbeat check-consistency --from upbeat-data
  upbeat check-consistency --from http://127.0.0.1:8081 --json")]
pub(crate) struct Args {
    /// A data directory, a backup, or the address of a server's admin listener, such as http://127.0.0.1:8081
    #[arg(long, value_name = "DIR|URL")]
    from: String,
    /// Write one JSON object instead of sentences
    #[arg(long)]
    json: bool,
    /// Memory for profiles; where they need more, the log is read several times
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    memory: u32,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let log_args = LogArgs::of(args.from.clone());
    let needs = Needs { role: "check-consistency", clicks: false, newest: false, notes: true };
    let log = DecisionLog::open(&log_args, needs)?;
    let all = agreement(&log, (args.memory as usize) << 20)?;
    let text = if args.json { format!("{}\n", told(&all)) } else { text(&all) };
    output::print(format_args!("{text}"))?;
    let Some(sentence) = failure(&all) else { return Ok(ExitCode::SUCCESS) };
    output::note(format_args!("upbeat check-consistency: {}: {sentence}", args.from));
    Ok(ExitCode::FAILURE)
}

/// Reads the log as often as profiles need that take so much memory at once.
fn agreement(log: &DecisionLog, most_bytes: usize) -> anyhow::Result<Agreement> {
    let (mut all, mut first) = (Agreement::default(), Some(0));
    while let Some(first_hash) = first {
        let mut reading = Consistency::new(&log.found, first_hash, most_bytes);
        let before = log.profiles_before(&mut |entry| reading.profile(entry))?;
        reading.begin(before);
        log.read(true, &mut |position, entry| {
            reading.entry(position, &entry);
            Ok(())
        })?;
        let (found, next) = reading.finish();
        all.add(found);
        first = next;
    }
    Ok(all)
}

/// Why it is no success, if so.
fn failure(all: &Agreement) -> Option<String> {
    let Agreement { checked, agreed, not_checkable, .. } = all;
    let first = all.disagreements.first();
    match (checked, not_checkable.sum()) {
        (0, 0) => Some(
            "there is no decision in it, so that nothing was checked; a server logs every decision about a customer of whom it knows something"
                .to_owned(),
        ),
        (0, not_checkable) => Some(format!("none of its {not_checkable} decisions can be checked")),
        (checked, _) if checked > agreed => Some(format!(
            "{} of {checked} decisions have other counts in their records than the events before them give; the first is {}",
            checked - agreed,
            first.map_or("not known".to_owned(), |of| format!("{} of customer {}", of.decision_id, of.customer))
        )),
        _ => None,
    }
}

fn text(all: &Agreement) -> String {
    let Agreement { checked, agreed, not_checkable, disagreements } = all;
    let share = all.share().map_or("nothing to take a share of".to_owned(), |share| format!("share {share}"));
    let mut text = format!("{checked} decisions checked, {agreed} agree: {share}\n");
    let reasons = [
        (
            not_checkable.events_gone,
            "the log has lost events before them, and no snapshot has what these came to",
        ),
        (not_checkable.erased, "their customers were erased"),
        (not_checkable.without_counts, "their records have no counts"),
        (not_checkable.no_memory, "their customers' plays did not fit into memory"),
    ];
    for (count, why) in reasons.into_iter().filter(|(count, _)| *count > 0) {
        text += &format!("{count} decisions cannot be checked: {why}\n");
    }
    for of in disagreements {
        let Disagreement { decision_id, customer, logged, computed, .. } = of;
        text += &format!(
            "decision {decision_id} of customer {customer} at {}: logged {}; by the events before it {}\n",
            Time::from_unix_ms(of.time_ms),
            counts(logged),
            counts(computed)
        );
    }
    text
}

const NAMES: [&str; 7] = ["plays", "morning", "afternoon", "evening", "night", "mobile", "unique"];

fn counts(of: &[u16; 7]) -> String {
    let each: Vec<String> = NAMES.iter().zip(of).map(|(name, count)| format!("{name} {count}")).collect();
    each.join(", ")
}

fn told(all: &Agreement) -> Value {
    let counts = |of: &[u16; 7]| {
        let each = NAMES.iter().zip(of).map(|(name, count)| ((*name).to_owned(), json!(count)));
        Value::Object(each.collect())
    };
    let disagreement = |of: &Disagreement| {
        json!({
            "decision_id": of.decision_id, "customer": of.customer, "time": format!("{}Z", Time::from_unix_ms(of.time_ms)),
            "logged": counts(&of.logged), "computed": counts(&of.computed),
        })
    };
    let disagreements: Vec<Value> = all.disagreements.iter().map(disagreement).collect();
    json!({
        "checked": all.checked, "agreed": all.agreed, "share": all.share(), "not_checkable": all.not_checkable,
        "disagreements": disagreements,
    })
}
