//! The rows of a block.

use std::sync::Arc;

use upbeat_core::event::Zone;
use upbeat_ingest::decode::csv::{Begin, Kind, Layout, Refusal, RowReader};

/// Collects rows of one kind.
pub(super) trait ReadRows {
    /// What the rows are.
    const KIND: Kind;

    /// Reads the next row of a block, or what is wrong with it; none at the end.
    fn read_row(&mut self, reader: &mut RowReader<'_>, zone: &Zone) -> Option<Result<(), Refusal>>;
}

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadRow {
    /// The first and the last line of the block that it is on, counted from 1.
    pub(super) lines: (u64, u64),
    pub(super) reason: Arc<str>,
}

/// What was read of a block, without the rows themselves.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BlockRead {
    /// Bytes up to the last row that ends in the block.
    pub(super) length: usize,
    /// Line ends in them.
    pub(super) lines: u64,
    pub(super) bad: Vec<BadRow>,
    /// How what follows them begins.
    pub(super) end: Begin,
}

/// Reads the rows of a block; `zone` is that of times without an offset. A row that does not end in it is not read, unless the block is the `last`.
pub(super) fn read_block(
    block: &[u8],
    layout: &Layout,
    begin: Begin,
    last: bool,
    zone: &Zone,
    rows: &mut impl ReadRows,
) -> BlockRead {
    let mut reader = RowReader::block(block, layout.clone(), begin, last);
    let mut lines = reader.line_count();
    let mut bad: Vec<BadRow> = Vec::new();
    while let Some(row) = rows.read_row(&mut reader, zone) {
        if let Err(Refusal { row, reason }) = row {
            // A block of garbage has very many bad rows, most of them with the same reason as the one before.
            let reason = match bad.last() {
                Some(BadRow { reason: last, .. }) if **last == *reason => Arc::clone(last),
                _ => reason.into(),
            };
            bad.push(BadRow { lines: lines.of(&row), reason });
        }
    }
    BlockRead { length: reader.position(), lines: reader.lines(), bad, end: reader.end() }
}
