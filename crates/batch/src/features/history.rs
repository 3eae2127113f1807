//! Plays or impressions partitioned by customer: in memory up to a bound, beyond it in a spill file.

use std::path::PathBuf;

use super::record::{Partitioned, Record, Run};
use super::rows::ReadRows;
use super::spill::Spill;
use anyhow::Context;
use upbeat_core::event::Zone;
use upbeat_ingest::decode::csv::{Kind, Refusal, RowReader};

/// Collects the plays of a block.
pub(super) struct PlayRows {
    records: Vec<Record>,
    text: String,
}

impl PlayRows {
    pub(super) fn new() -> Self {
        Self { records: Vec::new(), text: String::new() }
    }

    /// The plays taken since the last call.
    pub(super) fn partition(&mut self) -> Partitioned {
        let partitioned = Partitioned::new(&self.records, std::mem::take(&mut self.text));
        self.records.clear();
        partitioned
    }
}

impl ReadRows for PlayRows {
    const KIND: Kind = Kind::Plays;

    #[inline]
    fn read_row(&mut self, reader: &mut RowReader<'_>, zone: &Zone) -> Option<Result<(), Refusal>> {
        let row = reader.play_row(zone)?;
        Some(row.map(|play| self.records.push(Record::new(&play, &mut self.text))))
    }
}

/// All plays of a file, or all impressions, in the order of the file.
pub(super) struct Records {
    blocks: Vec<Partitioned>,
    /// Bytes of memory that `blocks` take.
    bytes: usize,
    /// Bytes that they may take.
    budget: usize,
    directory: PathBuf,
    spill: Option<Spill>,
    count: u64,
    newest: u64,
}

impl Records {
    /// No records. Beyond `budget` bytes they are spilled to a file in `directory`.
    pub(super) fn new(budget: usize, directory: PathBuf) -> Self {
        Self { blocks: Vec::new(), bytes: 0, budget, directory, spill: None, count: 0, newest: 0 }
    }

    /// Adds the records of the next block.
    ///
    /// # Errors
    /// They cannot be spilled.
    pub(super) fn add(&mut self, records: Partitioned) -> anyhow::Result<()> {
        self.count += records.len() as u64;
        self.newest = self.newest.max(records.newest());
        self.bytes += records.bytes();
        self.blocks.push(records);
        if self.bytes > self.budget {
            let at =
                || format!("{}: rows that do not fit in memory cannot be written", self.directory.display());
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

    /// Passes the records of one partition to `work`, in the order of the file.
    ///
    /// # Errors
    /// Spilled records cannot be read.
    pub(super) fn partition<T>(
        &self,
        partition: usize,
        work: impl FnOnce(&[Run<'_>]) -> T,
    ) -> anyhow::Result<T> {
        let spilled = match &self.spill {
            Some(spill) => spill.read(partition).context("spilled rows cannot be read back")?,
            None => Vec::new(),
        };
        let spilled = spilled.iter().map(|(records, text)| Run { records, text });
        let runs: Vec<_> =
            spilled.chain(self.blocks.iter().map(|block| block.partition(partition))).collect();
        Ok(work(&runs))
    }
}
