//! A whole file: its blocks are read in parallel, and their results taken in the order of the file.

use std::io;
use std::ops::ControlFlow;

use anyhow::Context;

use super::pipeline::Resources;
use super::rows::{BlockRead, ReadRows, read_block};
use crate::blocks::{Block, Blocks, Input, Place};
use crate::in_order::in_order;
use upbeat_core::event::Zone;
use upbeat_ingest::decode::csv::{Begin, Layout, MAX_ROW_BYTES};

/// A file to read.
pub struct Source<'a> {
    /// Its bytes.
    pub input: Input<'a>,
    /// Its name for messages.
    pub name: String,
    /// The zone of times that are written without an offset.
    pub zone: Zone,
    /// Observes the reading.
    pub watch: Box<dyn Watch>,
}

/// Observes the reading of a file, in the order of the file.
pub trait Watch: Send {
    /// `bytes` more of the file have been read.
    fn advance(&mut self, bytes: u64);

    /// A row of file `name` could not be read; `lines` are its first and its last, counted from 1, as
    /// [`report`](super::report) takes them.
    fn bad_row(&mut self, name: &str, lines: (u64, u64), reason: &str);
}

/// Reads all rows of a file. Each thread collects rows in a `T` of its own, `finish` takes the result of a block from it,
/// and `take` is given the results in the order of the file. Bad rows are reported to the source's [`Watch`]; returns
/// how many there were.
///
/// Blocks are read in parallel as if each began with a row. Where a quoted field or an overlong row continues into the
/// next block that is wrong, and the rest of the file is read on one thread; as is an input that cannot be read twice.
/// Memory is bounded whatever the file: no row is longer than [`MAX_ROW_BYTES`].
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
    let Source { input, name, zone, mut watch } = source;
    let mut blocks = Blocks::new(input, resources.block_bytes)
        .with_longest_line(MAX_ROW_BYTES + 2)
        .with_lines_ending_in_cr();
    let layout = detect_layout::<T>(&mut blocks).with_context(|| name.clone())?;
    let mut merge = Merge { name: &name, lines: 0, bad: 0, watch: &mut *watch, take };
    let worker = || Worker { rows: rows(), block: Block::default(), layout: layout.clone(), zone: &zone };
    let mut begin = Begin::FILE;
    if resources.threads > 1 && blocks.is_seekable() {
        match read_in_parallel(&mut blocks, resources.threads, worker, &finish, &mut merge)? {
            None => return Ok(merge.bad),
            Some((offset, end)) => {
                blocks.seek(offset).with_context(|| name.clone())?;
                begin = end;
            }
        }
    }
    let mut worker = worker();
    while let Some(place) = blocks.next(&mut worker.block).with_context(|| name.clone())? {
        let read = worker.read(place, begin);
        begin = read.end;
        blocks.put_back(&worker.block.bytes()[read.length..]);
        merge.add(read, finish(&mut worker.rows))?;
    }
    Ok(merge.bad)
}

/// Blank lines before the first row may take this many bytes, which are all looked at together.
const MAX_BLANK_BYTES: usize = 1 << 20;

/// The columns of a file. What is read for them is put back.
fn detect_layout<T: ReadRows>(blocks: &mut Blocks<'_>) -> io::Result<Layout> {
    let (mut block, mut head) = (Block::default(), Vec::new());
    let layout = loop {
        let Some(place) = blocks.next(&mut block)? else { break None };
        head.extend_from_slice(block.bytes());
        // Blocks that are smaller than a row may be needed until it is seen whole.
        let layout = Layout::detect(T::KIND, &head, place.last);
        if layout.is_some() || place.last {
            break layout;
        }
        if head.len() > MAX_BLANK_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the first {MAX_BLANK_BYTES} bytes are blank lines; remove them"),
            ));
        }
    };
    blocks.put_back(&head);
    Ok(layout.unwrap_or(Layout::of(T::KIND)))
}

/// Reads blocks on several threads, up to one that does not end with a line that ends a row; returns where its last row
/// ends, and how what is there begins.
fn read_in_parallel<'z, T: ReadRows, R: Send>(
    blocks: &mut Blocks<'_>,
    threads: usize,
    worker: impl Fn() -> Worker<'z, T> + Sync,
    finish: impl Fn(&mut T) -> R + Sync,
    merge: &mut Merge<'_, impl FnMut(R) -> anyhow::Result<()> + Send>,
) -> anyhow::Result<Option<(u64, Begin)>> {
    let mut unfinished = None;
    let mut failed = Ok(());
    let name = merge.name;
    in_order(
        threads,
        worker,
        |worker| blocks.next(&mut worker.block).transpose(),
        |worker, place: io::Result<Place>| {
            let place = place?;
            let read = worker.read(place, if place.offset == 0 { Begin::FILE } else { Begin::LINE });
            let end = place.offset + read.length as u64;
            let is_cut = read.length < worker.block.bytes().len() || read.end.is_within_line();
            let cut_at = (is_cut && !place.last).then_some((end, read.end));
            io::Result::Ok((read, finish(&mut worker.rows), cut_at))
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
struct Worker<'z, T> {
    rows: T,
    block: Block,
    layout: Layout,
    zone: &'z Zone,
}

impl<T: ReadRows> Worker<'_, T> {
    fn read(&mut self, place: Place, begin: Begin) -> BlockRead {
        read_block(self.block.bytes(), &self.layout, begin, place.last, self.zone, &mut self.rows)
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
            let (first, last) = bad.lines;
            self.watch.bad_row(self.name, (self.lines + first, self.lines + last), &bad.reason);
        }
        self.bad += read.bad.len() as u64;
        self.lines += read.lines;
        self.watch.advance(read.length as u64);
        (self.take)(result)
    }
}
