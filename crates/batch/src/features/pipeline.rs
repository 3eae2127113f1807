//! The whole pipeline: files to rows.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::aggregate::{Aggregated, Clicked, Row, Rules, aggregate};
use super::clicks::ClickRows;
use super::history::{PlayRows, Records};
use super::read::{Source, read_rows};
use super::record::{PARTITIONS, instant, unix_ms};
use super::text::{Style, push_row};
use crate::in_order::in_order;
use upbeat_core::event::Id;
use upbeat_core::profile::Window;

/// Rows that one thread formats at a time.
const ROWS_AT_A_TIME: usize = 2048;

/// Bytes read at a time: they fit a core's own cache, with the records made of them.
const BLOCK_BYTES: usize = 256 << 10;

/// Bytes of plays kept in memory, mostly 32 for each; more of them are spilled.
const PLAYS_BYTES: usize = 256 << 20;

/// What the work may use; none of it changes the result.
#[derive(Debug, Clone)]
pub struct Resources {
    /// Threads at most, at least 1.
    pub threads: usize,
    /// Approximate bytes of a file that a thread reads at a time, at least 1.
    pub block_bytes: usize,
    /// Bytes of plays kept in memory; more of them are spilled.
    pub plays_bytes: usize,
    /// Directory of the spill file, which needs room for 32 bytes a play and leaves nothing behind.
    pub spill_directory: PathBuf,
}

impl Resources {
    /// All cores, 256 MiB of plays in memory, and a spill file in `spill_directory` beyond that.
    #[must_use]
    pub fn new(spill_directory: PathBuf) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { threads, block_bytes: BLOCK_BYTES, plays_bytes: PLAYS_BYTES, spill_directory }
    }
}

/// All plays, partitioned by customer, and the customers who clicked.
pub struct History {
    plays: Records,
    clicked: Clicked,
    bad: u64,
}

/// Reads plays, then clicks on `ad`; each file is opened when its turn comes.
///
/// # Errors
/// What a function of `open` fails with; a file cannot be read; plays cannot be spilled.
pub fn read<'a>(
    open: [&dyn Fn() -> anyhow::Result<Source<'a>>; 2],
    ad: &Id,
    resources: &Resources,
) -> anyhow::Result<History> {
    let [open_plays, open_clicks] = open;
    let mut plays = Records::new(resources.plays_bytes, resources.spill_directory.clone());
    let mut clicked = Clicked::default();
    let add = |more| plays.add(more);
    let mut bad = read_rows(open_plays()?, resources, PlayRows::new, PlayRows::partition, add)?;
    let rows = || ClickRows::new(ad);
    let add = |customers| {
        clicked.extend(customers);
        Ok(())
    };
    bad += read_rows(open_clicks()?, resources, rows, ClickRows::customers, add)?;
    Ok(History { plays, clicked, bad })
}

impl History {
    /// Rows of both files that could not be read; [`Watch`](super::Watch) was given each.
    #[must_use]
    pub fn bad(&self) -> u64 {
        self.bad
    }

    /// Whether the file holds any play.
    #[must_use]
    pub fn has_plays(&self) -> bool {
        !self.plays.is_empty()
    }

    /// How many partitions [`History::aggregate`] works on.
    #[must_use]
    pub fn partitions(&self) -> u64 {
        PARTITIONS as u64
    }

    /// Computes the row of each customer from the plays in `window`, where *now* is the newest play of the file;
    /// `u32::MAX` plays and days count the whole file. Repeats of a play, which share customer, event id and time,
    /// count once unless `keep_repeats`. `step` is called as each partition is done.
    ///
    /// # Errors
    /// Spilled plays cannot be read back.
    pub fn aggregate(
        &self,
        window: Window,
        keep_repeats: bool,
        threads: usize,
        mut step: impl FnMut() + Send,
    ) -> anyhow::Result<Aggregated> {
        let start = instant(window.start_ms(unix_ms(self.plays.newest())));
        let rules = Rules { keep_repeats, window, start };
        let mut partitions = 0..PARTITIONS;
        let mut all = Ok(Aggregated::default());
        in_order(
            threads,
            || (),
            |()| partitions.next(),
            |(), partition| self.plays.partition(partition, |runs| aggregate(runs, &rules, &self.clicked)),
            |aggregated| {
                step();
                match (aggregated, &mut all) {
                    (Ok(aggregated), Ok(all)) => {
                        all.append(aggregated);
                        ControlFlow::Continue(())
                    }
                    (aggregated, all) => {
                        *all = aggregated;
                        ControlFlow::Break(())
                    }
                }
            },
        );
        let mut all = all?;
        all.sort();
        Ok(all)
    }
}

impl Aggregated {
    /// Writes all rows as libSVM text: label 1 for customers who clicked, else 0, and the six shares.
    ///
    /// # Errors
    /// What `out` fails with.
    pub fn write(&self, style: Style, threads: usize, out: &mut (dyn Write + Send)) -> std::io::Result<()> {
        write_rows(&self.numbers, style, threads, out)?;
        write_rows(&self.texts, style, threads, out)
    }
}

fn write_rows<K: std::fmt::Display + Sync>(
    rows: &[Row<K>],
    style: Style,
    threads: usize,
    out: &mut (dyn Write + Send),
) -> std::io::Result<()> {
    let mut chunks = rows.chunks(ROWS_AT_A_TIME);
    let mut written = Ok(());
    in_order(
        threads.min(chunks.len()),
        || (),
        |()| chunks.next(),
        |(), rows| {
            let mut text = Vec::new();
            rows.iter().for_each(|row| push_row(&mut text, row, style));
            text
        },
        |text| {
            written = out.write_all(&text);
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        },
    );
    written
}
