//! What a file of plays says, parted by customer: in memory up to a bound, beyond it in a file.

use std::path::PathBuf;

use super::record::{PARTS, Parted, Record, Run};
use super::rows::TakeRows;
use super::spill::Spill;
use crate::event::Zone;
use crate::ingest::csv::RowReader;
use anyhow::Context;

/// Takes the plays of a block.
pub(super) struct PlayRows {
    records: Vec<Record>,
    text: String,
}

impl PlayRows {
    pub(super) fn new() -> Self {
        Self { records: Vec::new(), text: String::new() }
    }

    /// The plays taken since the last call.
    pub(super) fn part(&mut self) -> Parted {
        let parted = Parted::new(&self.records, std::mem::take(&mut self.text));
        self.records.clear();
        parted
    }
}

impl TakeRows for PlayRows {
    #[inline]
    fn take(&mut self, reader: &mut RowReader<'_>, zone: &Zone) -> Option<(usize, Result<(), String>)> {
        let (start, row) = reader.play_row(zone)?;
        Some((start, row.map(|play| self.records.push(Record::new(&play, &mut self.text)))))
    }
}

/// All plays, in the order of the file.
pub(super) struct Plays {
    blocks: Vec<Parted>,
    /// What `blocks` take.
    bytes: usize,
    /// What they may take.
    budget: usize,
    directory: PathBuf,
    spill: Option<Spill>,
    count: u64,
    newest: u64,
}

impl Plays {
    /// No plays. More than `budget` bytes of them go to a file in `directory`.
    pub(super) fn new(budget: usize, directory: PathBuf) -> Self {
        Self { blocks: Vec::new(), bytes: 0, budget, directory, spill: None, count: 0, newest: 0 }
    }

    /// Adds the plays of the next block. `newest` is the latest instant among them.
    pub(super) fn add(&mut self, plays: Parted) -> anyhow::Result<()> {
        self.count += plays.len() as u64;
        self.newest = self.newest.max(plays.newest());
        self.bytes += plays.bytes();
        self.blocks.push(plays);
        if self.bytes > self.budget {
            let at =
                || format!("{}: plays that do not fit in memory cannot be written", self.directory.display());
            let spill = match &mut self.spill {
                Some(spill) => spill,
                none => none.insert(Spill::new(&self.directory).with_context(at)?),
            };
            spill.write(&self.blocks).with_context(at)?;
            self.blocks.clear();
            self.bytes = 0;
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The latest instant of all.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// How many parts there are, for [`Plays::part`].
    pub(super) fn parts(&self) -> usize {
        PARTS
    }

    /// Gives the plays of one part, in the order of the file.
    pub(super) fn part<T>(&self, part: usize, work: impl FnOnce(&[Run<'_>]) -> T) -> anyhow::Result<T> {
        let spilled = match &self.spill {
            Some(spill) => spill.read(part).context("plays that were put aside cannot be read back")?,
            None => Vec::new(),
        };
        let spilled = spilled.iter().map(|(records, text)| Run { records, text });
        let runs: Vec<_> = spilled.chain(self.blocks.iter().map(|block| block.part(part))).collect();
        Ok(work(&runs))
    }
}
