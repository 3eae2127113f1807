//! `upbeat export decisions|training|impressions`: decisions as the log has them, with what became of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use tempfile::TempDir;
use upbeat_core::decision::Reason;
use upbeat_core::event::Id;
use upbeat_engine::storage::{self, ErasedCustomers};
use upbeat_engine::{Entry, campaigns};
use upbeat_server::config::Duration;

use super::attribution::Attribution;
use super::models::Models;
use super::outcomes::{Outcomes, Shown};
use super::rows::{Decision, Exported};
use super::table::Table;
use super::{DecisionsArgs, Wanted};
use crate::cli::journal::{look, note, usage};
use crate::cli::{backup, output};

/// What a first look at the log found: what a second one is read with.
struct Found {
    /// What was erased must not come out.
    erased: ErasedCustomers,
    campaigns: Campaigns,
    /// Records at and above this position are left out: some of them were not in the log yet.
    below: u64,
}

/// The campaigns that the log knows.
#[derive(Default)]
pub(super) struct Campaigns {
    /// Ids by slot.
    slots: Vec<Id>,
    /// The ad of each campaign, as the newest version that has the campaign says.
    ads: HashMap<Id, Id>,
}

impl Campaigns {
    fn note(&mut self, entry: &Entry) {
        match entry {
            Entry::Started(started) => {
                // A version that ran one campaign.
                if let Some(campaign) = &started.campaign {
                    self.ads.insert(campaign.id.clone(), campaign.ad.clone());
                    if self.slots.is_empty() {
                        self.slots.push(campaign.id.clone());
                    }
                }
            }
            Entry::Campaigns(kept) => {
                self.slots.clone_from(&kept.slots);
                for campaign in campaigns::parse(&kept.toml).map_or(Vec::new(), |document| document.campaign)
                {
                    self.ads.insert(campaign.id, campaign.ad);
                }
            }
            _ => {}
        }
    }

    /// The id of a slot; one that nothing names any more is told by its number.
    pub(super) fn id(&self, slot: u16) -> Id {
        self.slots.get(usize::from(slot)).cloned().unwrap_or(Id::Number(slot.into()))
    }

    pub(super) fn ad(&self, campaign: &Id) -> Option<&Id> {
        self.ads.get(campaign)
    }
}

/// The name of a copy in its folder.
const COPY: &str = "copy";

/// A folder with a copy of what the server of this admin listener keeps, which goes with the value; and how long after its ad a click
/// counts there.
fn copied(url: &str) -> anyhow::Result<(TempDir, Option<Duration>)> {
    let folder = tempfile::Builder::new().prefix("upbeat-export-").tempdir();
    let folder = folder.context(
        "no folder for a copy of what the server keeps: set TMPDIR to a directory with room for it",
    )?;
    let attribution = backup::copy(url, &folder.path().join(COPY))?;
    Ok((folder, attribution))
}

pub(super) fn run(args: &DecisionsArgs, what: Exported) -> anyhow::Result<ExitCode> {
    let wanted = Wanted::of(&args.wanted)?;
    let mut table = Table::open(&args.output, what.columns())?;
    // A running server is copied as by a backup: consistent, checked, and gone when this ends.
    let attribution = Attribution::of(args)?;
    let (copied, of_server) = match args.from.contains("://") {
        true => copied(&args.from).map(|(folder, of_server)| (Some(folder), of_server))?,
        false => (None, None),
    };
    let attribution = attribution.or_of_server(of_server, &args.from);
    if what != Exported::Decisions {
        attribution.say();
    }
    let inside = copied.as_ref().map(|folder| folder.path().join(COPY));
    let directory = inside.as_deref().unwrap_or(Path::new(&args.from));
    let usage = usage(directory)?;
    if let Some(note) = note(directory, &usage) {
        output::note(format_args!("upbeat export: {note}"));
    }
    let (found, disk) = look(
        directory,
        &usage,
        |_| true,
        |disk| {
            let (mut erased, mut campaigns) = (ErasedCustomers::default(), Campaigns::default());
            let read = storage::decisions(disk, false, &mut |position, entry| {
                erased.note(Some(position).filter(|position| *position > 0), &entry);
                campaigns.note(&entry);
                Ok(())
            });
            let watermark = read.with_context(|| directory.display().to_string())?;
            let below = if usage.process().is_some() { watermark } else { u64::MAX };
            Ok(Found { erased, campaigns, below })
        },
    )?;
    let mut export = Export {
        what,
        wanted: &wanted,
        found: &found,
        models: RefCell::new(Models::of(directory)),
        outcomes: Outcomes::new(attribution.ms()),
        without_counts: 0,
        immature: 0,
    };
    let mut failed = None;
    let read = storage::decisions(&disk, true, &mut |position, entry| {
        export.entry(position, entry, &mut table).map_err(|error| {
            let said = error.to_string();
            failed = Some(error);
            said
        })
    });
    failed.map_or(read.map(drop).map_err(anyhow::Error::from), Err).with_context(|| args.from.clone())?;
    export.finish(&mut table)?;
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
    models: RefCell<Models>,
    outcomes: Outcomes,
    /// Ads that were shown by versions that kept no counts, and are no training rows.
    without_counts: u64,
    /// Ads whose click may come yet.
    immature: u64,
}

impl Export<'_> {
    fn entry(&mut self, position: u64, entry: Entry, table: &mut Table) -> anyhow::Result<()> {
        if position >= self.found.below {
            return Ok(());
        }
        let is_erased = |customer: &Id| self.found.erased.covers(Some(position), customer);
        match entry {
            Entry::Event { event, .. } if !is_erased(&event.customer) => {
                self.outcomes.event(&event, |campaign| self.found.campaigns.ad(campaign).cloned());
            }
            Entry::Erased { .. } | Entry::Erasure { .. } | Entry::Tombstone(_) => {}
            entry => {
                let campaigns = &self.found.campaigns;
                let Some(decision) = Decision::of(entry, campaigns).filter(|of| !is_erased(&of.customer))
                else {
                    return Ok(());
                };
                self.outcomes.advance(decision.time_ms);
                if decision.is_shown() {
                    self.outcomes.show(decision);
                } else if self.what == Exported::Decisions {
                    self.write(&Shown::never(decision), table)?;
                }
                while let Some(shown) = self.outcomes.next_known() {
                    self.write(&shown, table)?;
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, shown: &Shown, table: &mut Table) -> anyhow::Result<()> {
        let decision = &shown.decision;
        let is_wanted = self.wanted.customer.as_ref().is_none_or(|id| *id == decision.customer)
            && self.wanted.is_time_in_range(decision.time_ms);
        if !is_wanted {
            return Ok(());
        }
        let campaigns = &self.found.campaigns;
        let row = match self.what {
            Exported::Decisions => Some(shown.decision_row(campaigns, &mut self.models.borrow_mut())),
            Exported::Training => {
                if !shown.is_mature {
                    self.immature += 1;
                    return Ok(());
                }
                let row = shown.training_row(campaigns);
                self.without_counts += u64::from(row.is_none() && !shown.is_voided());
                row
            }
            Exported::Impressions => shown.impression_row(campaigns),
        };
        row.map_or(Ok(()), |row| table.row(&row))
    }

    /// Writes what is held back, and says what is missing.
    fn finish(mut self, table: &mut Table) -> anyhow::Result<()> {
        for shown in self.outcomes.rest() {
            self.write(&shown, table)?;
        }
        for (model, decisions) in self.models.borrow().missing() {
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
        if self.immature > 0 {
            output::note(format_args!(
                "upbeat export: {} ads are younger than the time in which a click counts: they are no rows yet",
                self.immature
            ));
        }
        Ok(())
    }
}

/// Whether the answer of a decision for this reason has a score: the policy came to the plays.
pub(super) fn has_score(reason: Reason) -> bool {
    let place = |of: Reason| Reason::ALL.iter().position(|reason| *reason == of);
    place(reason) >= place(Reason::TooLittleHistory)
}
