//! Records that do not fit in memory, in an unnamed file.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::record::{Moment, PARTITIONS, Partitioned, Record};

/// Bytes of a record in the file.
const RECORD_BYTES: usize = 32;

/// How many names are tried for the file.
const MAX_ATTEMPTS: u32 = 100;

/// Records by partition, written in batches, read back a partition at a time.
///
/// The file's name is removed as soon as it is open, so its space is freed when the process ends, whatever ends it.
pub(super) struct Spill {
    file: BufWriter<File>,
    length: u64,
    /// For each batch, the extents of its partitions.
    batches: Vec<Vec<Extent>>,
}

/// Where the records of one partition of one batch are: records, then their interned text.
#[derive(Debug, Clone, Copy)]
struct Extent {
    offset: u64,
    records: usize,
    text: usize,
}

impl Spill {
    /// An empty file in `directory`.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let file = unnamed_file(directory)?;
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), length: 0, batches: Vec::new() })
    }

    /// Writes all records of some blocks, which follow those written before.
    pub(super) fn write(&mut self, blocks: &[Partitioned]) -> io::Result<()> {
        let mut extents = Vec::with_capacity(PARTITIONS);
        let (mut records, mut text) = (Vec::new(), String::new());
        for partition in 0..PARTITIONS {
            records.clear();
            text.clear();
            for block in blocks {
                block.partition(partition).append_to(&mut records, &mut text);
            }
            for record in &records {
                self.file.write_all(&to_bytes(record))?;
            }
            self.file.write_all(text.as_bytes())?;
            extents.push(Extent { offset: self.length, records: records.len(), text: text.len() });
            self.length += (records.len() * RECORD_BYTES + text.len()) as u64;
        }
        self.batches.push(extents);
        self.file.flush()
    }

    /// The records of one partition in the order they were written, and their interned text.
    pub(super) fn read(&self, partition: usize) -> io::Result<Vec<(Vec<Record>, String)>> {
        let read = |extents: &Vec<Extent>| {
            let Extent { offset, records, text } = extents[partition];
            let mut bytes = vec![0; records * RECORD_BYTES + text];
            self.file.get_ref().read_exact_at(&mut bytes, offset)?;
            let text = bytes.split_off(records * RECORD_BYTES);
            let records = bytes.as_chunks().0.iter().map(from_bytes).collect();
            Ok((records, String::from_utf8(text).map_err(io::Error::other)?))
        };
        self.batches.iter().map(read).collect()
    }
}

/// Creates a file and removes its name.
pub(super) fn unnamed_file(directory: &Path) -> io::Result<File> {
    for attempt in 0..MAX_ATTEMPTS {
        let path = directory.join(format!(".upbeat-features.{}.{attempt}.part", std::process::id()));
        let opened = File::options().read(true).write(true).create_new(true).open(&path);
        // Processes of two containers may have the same id and share the directory.
        if opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
            continue;
        }
        let file = opened?;
        std::fs::remove_file(&path)?;
        return Ok(file);
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn to_bytes(record: &Record) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    let words = [record.customer, record.event, record.track, record.moment.to_bits()];
    for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    bytes
}

fn from_bytes(bytes: &[u8; RECORD_BYTES]) -> Record {
    let word = |index: usize| u64::from_le_bytes(bytes.as_chunks().0[index]);
    Record { customer: word(0), event: word(1), track: word(2), moment: Moment::from_bits(word(3)) }
}
