//! The rows of a block.

use upbeat_core::event::Zone;
use upbeat_ingest::decode::csv::{LineCount, RowReader};

/// Collects rows of one kind.
pub(super) trait ReadRows {
    /// Reads the next row of a block: where it begins, and if it is bad, what is wrong with it; none at the end.
    fn read_row(&mut self, reader: &mut RowReader<'_>, zone: &Zone) -> Option<(usize, Result<(), String>)>;
}

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadRow {
    /// The line of the block that it begins on, counted from 1.
    pub(super) line: u64,
    pub(super) reason: String,
}

/// What was read of a block, without the rows themselves.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct BlockRead {
    /// Bytes up to the last row that ends in the block.
    pub(super) length: usize,
    /// Line ends in them.
    pub(super) lines: u64,
    pub(super) bad: Vec<BadRow>,
}

/// Reads the rows of a block that begins where a row may begin. A row that does not end in it is not read, unless the
/// block is the `last`; `first` says that the file begins here.
pub(super) fn read_block(block: &[u8], first: bool, last: bool, rows: &mut impl ReadRows) -> BlockRead {
    let zone = Zone::utc();
    let mut reader = RowReader::block(block, first, last);
    let mut lines = LineCount::new(block);
    let mut bad = Vec::new();
    while let Some((start, row)) = rows.read_row(&mut reader, &zone) {
        if let Err(reason) = row {
            bad.push(BadRow { line: lines.at(start), reason });
        }
    }
    let length = reader.position();
    let lines = memchr::memchr_iter(b'\n', &block[..length]).count() as u64;
    BlockRead { length, lines, bad }
}
