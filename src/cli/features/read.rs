//! A whole file: blocks on all cores, told in the order of the file.

use std::io;
use std::ops::ControlFlow;

use anyhow::Context;

use super::rows::{TakeRows, Told, read_block};
use crate::cli::blocks::{Block, Blocks, Input, Place};
use crate::cli::in_order::in_order;

/// A file to read, what messages call it and who follows.
pub(super) struct Source<'a> {
    pub(super) input: Input<'a>,
    pub(super) name: String,
    pub(super) watch: Box<dyn Watch>,
}

/// How a file is read; none of it changes the result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Threads at most.
    pub(super) threads: usize,
    /// Bytes read at a time, about.
    pub(super) block_bytes: usize,
}

/// Follows the work.
pub(super) trait Watch: Send {
    /// So many bytes more have been read.
    fn add(&mut self, bytes: u64);
    /// A line for whoever watches.
    fn note(&mut self, line: &str);
}

/// Reads all rows of a file. Each thread takes rows with a `T` of its own; `finish` says what a block came to, and
/// `take` is given that in the order of the file. Bad rows are noted with line and reason; how many there were.
///
/// Blocks are read side by side as if each began with a row. Where a quoted field runs on into the next block that was
/// wrong, and the rest of the file is read in one go; as is an input that cannot be read twice.
///
/// # Errors
/// The file cannot be read, or `take` fails.
pub(super) fn read_rows<T: TakeRows, R: Send>(
    source: Source<'_>,
    pace: Pace,
    rows: impl Fn() -> T + Sync,
    finish: impl Fn(&mut T) -> R + Sync,
    take: impl FnMut(R) -> anyhow::Result<()> + Send,
) -> anyhow::Result<u64> {
    let Source { input, name, mut watch } = source;
    let mut blocks = Blocks::new(input, pace.block_bytes);
    let mut ledger = Ledger { name: &name, lines: 0, bad: 0, watch: &mut *watch, take };
    let worker = || Worker { rows: rows(), block: Block::default() };
    if pace.threads > 1 && blocks.is_seekable() {
        match side_by_side(&mut blocks, pace.threads, worker, &finish, &mut ledger)? {
            None => return Ok(ledger.bad),
            Some(unfinished) => blocks.seek(unfinished).with_context(|| name.clone())?,
        }
    }
    let mut worker = worker();
    while let Some(place) = blocks.next(&mut worker.block).with_context(|| name.clone())? {
        let told = worker.read(place);
        blocks.put_back(&worker.block.bytes()[told.length..]);
        ledger.add(told, finish(&mut worker.rows))?;
    }
    Ok(ledger.bad)
}

/// Reads blocks on several threads, up to a row that does not end where its block ends; where that row begins.
fn side_by_side<T: TakeRows, R: Send>(
    blocks: &mut Blocks<'_>,
    threads: usize,
    worker: impl Fn() -> Worker<T> + Sync,
    finish: impl Fn(&mut T) -> R + Sync,
    ledger: &mut Ledger<'_, impl FnMut(R) -> anyhow::Result<()> + Send>,
) -> anyhow::Result<Option<u64>> {
    let mut unfinished = None;
    let mut failed = Ok(());
    let name = ledger.name;
    in_order(
        threads,
        worker,
        |worker| blocks.next(&mut worker.block).transpose(),
        |worker, place: io::Result<Place>| {
            let place = place?;
            let told = worker.read(place);
            let end = place.offset + told.length as u64;
            let left = told.length < worker.block.bytes().len();
            io::Result::Ok((told, finish(&mut worker.rows), left.then_some(end)))
        },
        |read| {
            let added = read.with_context(|| name.to_owned()).and_then(|(told, result, left)| {
                unfinished = left;
                ledger.add(told, result)
            });
            match added {
                Ok(()) if unfinished.is_none() => ControlFlow::Continue(()),
                added => {
                    failed = added;
                    ControlFlow::Break(())
                }
            }
        },
    );
    failed.map(|()| unfinished)
}

/// What a thread reads with.
struct Worker<T> {
    rows: T,
    block: Block,
}

impl<T: TakeRows> Worker<T> {
    fn read(&mut self, place: Place) -> Told {
        read_block(self.block.bytes(), place.offset == 0, place.last, &mut self.rows)
    }
}

/// Counts lines and tells bad ones.
struct Ledger<'a, F> {
    name: &'a str,
    /// Lines that ended so far.
    lines: u64,
    bad: u64,
    watch: &'a mut dyn Watch,
    take: F,
}

impl<F> Ledger<'_, F> {
    fn add<R>(&mut self, told: Told, result: R) -> anyhow::Result<()>
    where
        F: FnMut(R) -> anyhow::Result<()>,
    {
        for bad in &told.bad {
            self.watch.note(&format!("{}:{}: {}", self.name, self.lines + bad.line, bad.reason));
        }
        self.bad += told.bad.len() as u64;
        self.lines += told.lines;
        self.watch.add(told.length as u64);
        (self.take)(result)
    }
}
