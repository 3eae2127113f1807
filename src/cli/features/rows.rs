//! The rows of a block: plain ones by bytes, others by the rules of CSV.

use csv::ByteRecord;
use csv_core::ReadRecordResult;
use memchr::memchr_iter;

/// What becomes of rows.
pub(super) trait TakeRows {
    /// Takes the row that `text` starts with if it is plain: its length, with its end. None says nothing about the row.
    fn take_plain(&mut self, text: &[u8]) -> Option<usize>;

    /// Takes any row.
    ///
    /// # Errors
    /// What is wrong with it.
    fn take_any(&mut self, record: &ByteRecord) -> Result<(), String>;
}

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadRow {
    /// How many lines of the block end before it.
    pub(super) line: u64,
    pub(super) reason: String,
}

/// What a block came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Bytes up to the last row that ends in the block.
    pub(super) length: usize,
    /// How many lines end in them.
    pub(super) lines: u64,
    pub(super) bad: Vec<BadRow>,
}

/// Reads rows out of blocks.
pub(super) struct RowReader {
    reader: csv_core::Reader,
    fields: Vec<u8>,
    ends: Vec<usize>,
    record: ByteRecord,
}

impl RowReader {
    pub(super) fn new() -> Self {
        Self {
            reader: csv_core::Reader::new(),
            fields: vec![0; 256],
            ends: vec![0; 16],
            record: ByteRecord::new(),
        }
    }

    /// Reads the rows of a block that begins where a row may begin. A row that does not end in it is left, unless the
    /// block is the `last`. `first` says that the file begins here.
    pub(super) fn read(&mut self, block: &[u8], first: bool, last: bool, rows: &mut impl TakeRows) -> Told {
        let mut told = Told::default();
        let mut at = 0;
        while at < block.len() {
            if let Some(length) = rows.take_plain(&block[at..]) {
                at += length;
                told.lines += 1;
            } else if matches!(block[at], b'\n' | b'\r') {
                told.lines += u64::from(block[at] == b'\n');
                at += 1;
            } else {
                let Some((length, found)) = self.record(&block[at..], first && at == 0, last) else { break };
                if let Err(reason) = if found { rows.take_any(&self.record) } else { Ok(()) } {
                    told.bad.push(BadRow { line: told.lines, reason });
                }
                told.lines += memchr_iter(b'\n', &block[at..at + length]).count() as u64;
                at += length;
            }
        }
        told.length = at;
        told
    }

    /// Reads one record that begins with `text`: its length, and whether there was one at all. None when it does not
    /// end in the text, and more may follow.
    fn record(&mut self, text: &[u8], first: bool, last: bool) -> Option<(usize, bool)> {
        self.reader.reset();
        if !first {
            // Only at the start of a file is a byte order mark no part of the first field.
            self.reader.read_record(b"\n", &mut self.fields, &mut self.ends);
        }
        let (mut length, mut filled, mut ended) = (0, 0, 0);
        loop {
            let input = &text[length..];
            let (result, read, written, fields) =
                self.reader.read_record(input, &mut self.fields[filled..], &mut self.ends[ended..]);
            length += read;
            filled += written;
            ended += fields;
            match result {
                ReadRecordResult::InputEmpty if input.is_empty() || !last => return None,
                // Once more with nothing: the end of the file ends a record too.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.fields.resize(2 * self.fields.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::End => return Some((length, false)),
                ReadRecordResult::Record => break,
            }
        }
        self.record.clear();
        let mut start = 0;
        for end in &self.ends[..ended] {
            self.record.push_field(&self.fields[start..*end]);
            start = *end;
        }
        Some((length, true))
    }
}
