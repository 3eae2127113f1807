//! A whole file: its blocks are read in parallel, and their results taken in the order of the file.

use std::io;
use std::ops::ControlFlow;

use anyhow::Context;

use super::pipeline::Resources;
use super::rows::{BlockRead, ReadRows, read_block};
use crate::blocks::{Block, Blocks, Input, Place};
use crate::in_order::in_order;

/// A file to read.
pub struct Source<'a> {
    /// Its bytes.
    pub input: Input<'a>,
    /// Its name for messages.
    pub name: String,
    /// Observes the reading.
    pub watch: Box<dyn Watch>,
}

/// Observes the reading of a file, in the order of the file.
pub trait Watch: Send {
    /// `bytes` more of the file have been read.
    fn advance(&mut self, bytes: u64);

    /// A row of file `name` that begins in `line`, counted from 1, could not be read.
    fn bad_row(&mut self, name: &str, line: u64, reason: &str);
}

/// Reads all rows of a file. Each thread collects rows in a `T` of its own, `finish` takes the result of a block from it,
/// and `take` is given the results in the order of the file. Bad rows are reported to the source's [`Watch`]; returns
/// how many there were.
///
/// Blocks are read in parallel as if each began with a row. Where a quoted field continues into the next block that is
/// wrong, and the rest of the file is read on one thread; as is an input that cannot be read twice.
///
/// # Errors
/// The file cannot be read, or `take` fails.
pub(super) fn read_rows<T: ReadRows, R: Send>(
    source: Source<'_>,
    resources: &Resources,
    rows: impl Fn() -> T + Sync,
    finish: impl Fn(&mut T) -> R + Sync,
    take: impl FnMut(R) -> anyhow::Result<()> + Send,
) -> anyhow::Result<u64> {
    let Source { input, name, mut watch } = source;
    let mut blocks = Blocks::new(input, resources.block_bytes);
    let mut merge = Merge { name: &name, lines: 0, bad: 0, watch: &mut *watch, take };
    let worker = || Worker { rows: rows(), block: Block::default() };
    if resources.threads > 1 && blocks.is_seekable() {
        match read_in_parallel(&mut blocks, resources.threads, worker, &finish, &mut merge)? {
            None => return Ok(merge.bad),
            Some(unfinished) => blocks.seek(unfinished).with_context(|| name.clone())?,
        }
    }
    let mut worker = worker();
    while let Some(place) = blocks.next(&mut worker.block).with_context(|| name.clone())? {
        let read = worker.read(place);
        blocks.put_back(&worker.block.bytes()[read.length..]);
        merge.add(read, finish(&mut worker.rows))?;
    }
    Ok(merge.bad)
}

/// Reads blocks on several threads, up to a row that does not end in its block; returns the offset of such a row.
fn read_in_parallel<T: ReadRows, R: Send>(
    blocks: &mut Blocks<'_>,
    threads: usize,
    worker: impl Fn() -> Worker<T> + Sync,
    finish: impl Fn(&mut T) -> R + Sync,
    merge: &mut Merge<'_, impl FnMut(R) -> anyhow::Result<()> + Send>,
) -> anyhow::Result<Option<u64>> {
    let mut unfinished = None;
    let mut failed = Ok(());
    let name = merge.name;
    in_order(
        threads,
        worker,
        |worker| blocks.next(&mut worker.block).transpose(),
        |worker, place: io::Result<Place>| {
            let place = place?;
            let read = worker.read(place);
            let end = place.offset + read.length as u64;
            let is_cut = read.length < worker.block.bytes().len();
            io::Result::Ok((read, finish(&mut worker.rows), is_cut.then_some(end)))
        },
        |block| {
            let added = block.with_context(|| name.to_owned()).and_then(|(read, result, cut_at)| {
                unfinished = cut_at;
                merge.add(read, result)
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

/// The state of a thread.
struct Worker<T> {
    rows: T,
    block: Block,
}

impl<T: ReadRows> Worker<T> {
    fn read(&mut self, place: Place) -> BlockRead {
        read_block(self.block.bytes(), place.offset == 0, place.last, &mut self.rows)
    }
}

/// Joins the results of blocks in the order of the file: counts lines, reports bad rows, passes results on.
struct Merge<'a, F> {
    name: &'a str,
    /// Line ends so far.
    lines: u64,
    bad: u64,
    watch: &'a mut dyn Watch,
    take: F,
}

impl<F> Merge<'_, F> {
    fn add<R>(&mut self, read: BlockRead, result: R) -> anyhow::Result<()>
    where
        F: FnMut(R) -> anyhow::Result<()>,
    {
        for bad in &read.bad {
            self.watch.bad_row(self.name, self.lines + bad.line, &bad.reason);
        }
        self.bad += read.bad.len() as u64;
        self.lines += read.lines;
        self.watch.advance(read.length as u64);
        (self.take)(result)
    }
}
