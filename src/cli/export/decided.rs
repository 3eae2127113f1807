//! `upbeat export decisions|training|impressions`: decisions as the log has them, with what became of them.

use std::path::Path;
use std::process::ExitCode;

use upbeat_core::decision::Reason;
use upbeat_learn::{Found, Joiner, Row};

use super::rows::{Exported, decision_cells, impression_cells, training_cells};
use super::table::Table;
use super::{DecisionsArgs, Wanted};
use crate::cli::decision_log::{DecisionLog, Models, Needs};
use crate::cli::output;

pub(super) fn run(args: &DecisionsArgs, what: Exported) -> anyhow::Result<ExitCode> {
    let wanted = Wanted::of(&args.wanted)?;
    let mut table = Table::open(&args.output, what.columns())?;
    let needs = Needs { role: "export", clicks: what != Exported::Decisions, newest: false, notes: true };
    let log = DecisionLog::open(&args.log, needs)?;
    let models = log.models();
    let (wanted, found) = (&wanted, &log.found);
    let mut export = Export {
        what,
        wanted,
        found,
        models,
        table: &mut table,
        without_counts: 0,
        immature: 0,
        forgotten: 0,
    };
    let mut joiner = Joiner::new(found, log.attribution_ms);
    log.read(false, &mut |position, entry| joiner.entry(position, entry, &mut |row| export.write(&row)))?;
    joiner.finish(&mut |row| export.write(&row))?;
    export.say();
    let rows = table.rows();
    table.finish()?;
    if args.output != Path::new("-") {
        output::note(format_args!("{rows} rows in {}", args.output.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// An export that is under way.
struct Export<'a> {
    what: Exported,
    wanted: &'a Wanted,
    found: &'a Found,
    models: Models,
    table: &'a mut Table,
    /// Ads that were shown by versions that kept no counts, and are no training rows.
    without_counts: u64,
    /// Ads whose click may come yet.
    immature: u64,
    /// Ads that are older than the events that the log still has.
    forgotten: u64,
}

impl Export<'_> {
    fn write(&mut self, row: &Row) -> anyhow::Result<()> {
        let is_wanted = self.wanted.customer.as_ref().is_none_or(|id| *id == row.customer)
            && self.wanted.is_time_in_range(row.time_ms);
        if !is_wanted || (self.what != Exported::Decisions && !row.is_shown()) {
            return Ok(());
        }
        if self.what != Exported::Decisions && !row.has_events {
            self.forgotten += 1;
            return Ok(());
        }
        let campaigns = &self.found.campaigns;
        let cells = match self.what {
            Exported::Decisions => Some(decision_cells(row, campaigns, &mut self.models)),
            Exported::Training => {
                if !row.is_mature {
                    self.immature += 1;
                    return Ok(());
                }
                let cells = training_cells(row);
                self.without_counts += u64::from(cells.is_none() && !row.is_voided());
                cells
            }
            Exported::Impressions => impression_cells(row, campaigns),
        };
        cells.map_or(Ok(()), |cells| self.table.row(&cells))
    }

    /// Says what is missing.
    fn say(&self) {
        for (model, decisions) in self.models.missing() {
            output::note(format_args!(
                "upbeat export: model {model} is neither in the data directory nor in this program: score and probability of \
                 {decisions} decisions are empty"
            ));
        }
        if self.without_counts > 0 {
            output::note(format_args!(
                "upbeat export: {} ads were shown by a version that kept no counts of plays: they are no rows",
                self.without_counts
            ));
        }
        if self.forgotten > 0 {
            output::note(format_args!(
                "upbeat export: {} ads are older than the events that the log still has ([retention.events]), and nobody knows which were \
                 clicked: they are no rows",
                self.forgotten
            ));
        }
        if self.immature > 0 {
            output::note(format_args!(
                "upbeat export: {} ads are younger than the time in which a click counts: they are no rows yet",
                self.immature
            ));
        }
    }
}

/// Whether the answer of a decision for this reason has a score: the policy came to the plays.
pub(super) fn has_score(reason: Reason) -> bool {
    let place = |of: Reason| Reason::ALL.iter().position(|reason| *reason == of);
    place(reason) >= place(Reason::TooLittleHistory)
}
