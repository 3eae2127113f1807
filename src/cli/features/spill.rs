//! Plays that do not fit in memory, in a file without a name.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::record::{Moment, PARTS, Parted, Record};

/// Bytes of a record in the file.
const RECORD_BYTES: usize = 32;

/// How many names are tried for the file.
const MAX_ATTEMPTS: u32 = 100;

/// Plays by part, written some at a time, read back a part at a time.
///
/// The file has no name any more once it is open: it is gone with the process, whatever ends that.
pub(super) struct Spill {
    file: BufWriter<File>,
    length: u64,
    /// For each time of writing, where its parts lie.
    batches: Vec<Vec<Piece>>,
}

/// The plays of one part from one time of writing: records, then the text beside them.
#[derive(Debug, Clone, Copy)]
struct Piece {
    offset: u64,
    records: usize,
    text: usize,
}

impl Spill {
    /// An empty file in `directory`.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let file = nameless(directory)?;
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), length: 0, batches: Vec::new() })
    }

    /// Writes all plays of some blocks, which follow those written before.
    pub(super) fn write(&mut self, blocks: &[Parted]) -> io::Result<()> {
        let mut pieces = Vec::with_capacity(PARTS);
        let (mut records, mut text) = (Vec::new(), String::new());
        for part in 0..PARTS {
            records.clear();
            text.clear();
            for block in blocks {
                block.part(part).append_to(&mut records, &mut text);
            }
            for record in &records {
                self.file.write_all(&to_bytes(record))?;
            }
            self.file.write_all(text.as_bytes())?;
            pieces.push(Piece { offset: self.length, records: records.len(), text: text.len() });
            self.length += (records.len() * RECORD_BYTES + text.len()) as u64;
        }
        self.batches.push(pieces);
        self.file.flush()
    }

    /// The plays of one part in the order they were written, and the text beside them.
    pub(super) fn read(&self, part: usize) -> io::Result<Vec<(Vec<Record>, String)>> {
        let read = |pieces: &Vec<Piece>| {
            let Piece { offset, records, text } = pieces[part];
            let mut bytes = vec![0; records * RECORD_BYTES + text];
            self.file.get_ref().read_exact_at(&mut bytes, offset)?;
            let text = bytes.split_off(records * RECORD_BYTES);
            let records = bytes.as_chunks().0.iter().map(from_bytes).collect();
            Ok((records, String::from_utf8(text).map_err(io::Error::other)?))
        };
        self.batches.iter().map(read).collect()
    }
}

/// Makes a file and takes its name away again.
fn nameless(directory: &Path) -> io::Result<File> {
    for attempt in 0..MAX_ATTEMPTS {
        let path = directory.join(format!(".upbeat-features.{}.{attempt}.part", std::process::id()));
        let opened = File::options().read(true).write(true).create_new(true).open(&path);
        // Processes of two containers may have one number and one directory.
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
