//! Rows of a file, in batches that one request carries.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// A batch is closed when its rows reach this many bytes, well below what a server takes.
const MAX_BATCH_BYTES: usize = 4 << 20;
/// Longer lines are not sent: no event is this long.
const MAX_LINE_BYTES: usize = 64 << 10;

/// What the rows of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `event id, customer, track, time, mobile 0|1, zip`.
    Plays,
    /// `event id, customer, ad, time`.
    Clicks,
}

/// A file or standard input that cannot be opened or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {file}")]
pub struct SourceError {
    /// The file's name for messages.
    pub file: String,
    /// What the system says.
    pub source: io::Error,
}

impl Kind {
    /// Where rows of this kind are posted.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Plays => "/events?kind=plays",
            Self::Clicks => "/events?kind=clicks",
        }
    }
}

/// Rows for one request, and the lines they come from.
#[derive(Debug)]
pub struct Batch {
    /// What the rows are.
    pub kind: Kind,
    /// The file's name for messages.
    pub file: String,
    /// The rows, each closed by LF.
    pub body: Vec<u8>,
    /// Line number of each row in `body`, from 1.
    pub lines: Vec<u64>,
    /// Line numbers, from 1, of lines that are not sent, with the reason.
    pub refused: Vec<(u64, &'static str)>,
    /// Bytes of the file that this batch covers.
    pub read_bytes: u64,
    /// Time of the first row as written; orders batches of two files.
    time: Vec<u8>,
}

/// A file or standard input, read row by row.
pub struct Source {
    kind: Kind,
    file: String,
    reader: BufReader<Box<dyn Read + Send>>,
    /// Whether to send what is there instead of waiting for a full batch.
    live: bool,
    bytes: Option<u64>,
    batch_rows: usize,
    line: u64,
    next: Option<Batch>,
}

impl Source {
    /// Opens `path`; `-` is standard input. A batch has at most `batch_rows` rows, at least 1.
    ///
    /// What is not a plain file is read as it comes: its batches hold what is there.
    ///
    /// # Errors
    /// The file cannot be opened, or is a folder.
    pub fn open(kind: Kind, path: &Path, batch_rows: usize) -> Result<Self, SourceError> {
        if path.as_os_str() == "-" {
            return Ok(Self::new(kind, "stdin", Box::new(io::stdin()), batch_rows).live());
        }
        let name = path.display().to_string();
        let failed = |source| SourceError { file: name.clone(), source };
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(failed(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")));
        }
        let mut source = Self::new(kind, &name, Box::new(file), batch_rows);
        if about.is_file() {
            source.bytes = Some(about.len());
            return Ok(source);
        }
        // A pipe or a device may have a pause after any row.
        Ok(source.live())
    }

    fn new(kind: Kind, file: &str, reader: Box<dyn Read + Send>, batch_rows: usize) -> Self {
        Self {
            kind,
            file: file.to_owned(),
            reader: BufReader::with_capacity(MAX_LINE_BYTES, reader),
            live: false,
            bytes: None,
            batch_rows,
            line: 0,
            next: None,
        }
    }

    fn live(mut self) -> Self {
        self.live = true;
        self
    }

    /// The file's length in bytes, where it has one.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// The file's name for messages.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The file's name for messages, and the line of the first row that no batch has given away; none at the end, and
    /// where a stream has given nothing more so far.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn first_unsent(&mut self) -> Result<Option<(&str, u64)>, SourceError> {
        if self.next.is_none() && !self.live {
            self.next = self.read_batch()?;
        }
        let line = self.next.as_ref().and_then(|batch| {
            let refused = batch.refused.iter().map(|(line, _)| line);
            batch.lines.iter().chain(refused).min().copied()
        });
        Ok(line.map(|line| (self.file.as_str(), line)))
    }

    /// Reads the next batch; none at the end.
    fn read_batch(&mut self) -> Result<Option<Batch>, SourceError> {
        let mut batch = Batch {
            kind: self.kind,
            file: self.file.clone(),
            body: Vec::new(),
            lines: Vec::new(),
            refused: Vec::new(),
            read_bytes: 0,
            time: Vec::new(),
        };
        let mut line = Vec::new();
        while batch.lines.len() < self.batch_rows && batch.body.len() < MAX_BATCH_BYTES {
            let waits = self.live && !self.reader.buffer().contains(&b'\n');
            if waits && !(batch.lines.is_empty() && batch.refused.is_empty()) {
                break;
            }
            line.clear();
            let (read, whole) = read_line(&mut self.reader, &mut line)
                .map_err(|source| SourceError { file: self.file.clone(), source })?;
            if read == 0 {
                break;
            }
            self.line += 1;
            batch.read_bytes += read;
            batch.add(self.line, &line, whole);
        }
        Ok((batch.read_bytes > 0).then_some(batch))
    }
}

impl Batch {
    fn add(&mut self, number: u64, line: &[u8], whole: bool) {
        let line = if number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        let row = line.trim_ascii_end();
        if !whole {
            let reason = "the line is longer than 65536 bytes";
            self.refused.push((number, reason));
        } else if memchr::memchr_iter(b'"', row).count() % 2 == 1 {
            // Were it sent, the rows after it would be read as part of its field.
            self.refused.push((number, "a quote is not closed"));
        } else if !row.is_empty() {
            if self.time.is_empty() {
                self.time = time(row).to_vec();
            }
            self.body.extend_from_slice(row);
            self.body.push(b'\n');
            self.lines.push(number);
        }
    }
}

/// The fourth field, where both kinds of rows have the time; as text it sorts like a time.
fn time(row: &[u8]) -> &[u8] {
    let field = row.split(|&byte| byte == b',').nth(3).unwrap_or_default();
    field.trim_ascii().strip_prefix(b"\"").unwrap_or(field)
}

/// Reads a line with its LF into `line`, at most [`MAX_LINE_BYTES`] of it; returns how many bytes were
/// read and whether all of them were kept.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<(u64, bool)> {
    let limit = MAX_LINE_BYTES as u64;
    let mut read = reader.take(limit).read_until(b'\n', line)? as u64;
    let mut whole = true;
    let mut rest = Vec::new();
    while read >= limit && line.last() != Some(&b'\n') && rest.last() != Some(&b'\n') {
        rest.clear();
        let more = reader.take(limit).read_until(b'\n', &mut rest)? as u64;
        if more == 0 {
            break;
        }
        read += more;
        whole = false;
    }
    Ok((read, whole))
}

/// Of the next batches of all sources, the one whose first row is the oldest; none at the end.
///
/// # Errors
/// A source that cannot be read.
pub fn oldest_batch(sources: &mut [Source]) -> Result<Option<Batch>, SourceError> {
    for source in &mut *sources {
        if source.next.is_none() {
            source.next = source.read_batch()?;
        }
    }
    let time = |source: &Source| source.next.as_ref().map(|batch| batch.time.clone());
    let waiting = sources.iter_mut().filter(|source| source.next.is_some());
    let oldest = waiting.min_by_key(|source| time(source));
    Ok(oldest.and_then(|source| source.next.take()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(kind: Kind, text: &'static str, batch_rows: usize) -> Source {
        Source::new(kind, "file", Box::new(text.as_bytes()), batch_rows)
    }

    fn bodies(mut sources: Vec<Source>) -> Vec<String> {
        let mut bodies = Vec::new();
        while let Some(batch) = oldest_batch(&mut sources).unwrap() {
            bodies.push(String::from_utf8(batch.body).unwrap());
        }
        bodies
    }

    #[test]
    fn rows_keep_their_line_numbers_past_blank_lines_crlf_and_bom() {
        let mut sources = [source(Kind::Plays, "\u{feff}a\r\n\r\n\nb\nc", 10)];
        let batch = oldest_batch(&mut sources).unwrap().unwrap();
        assert_eq!(batch.body, b"a\nb\nc\n");
        assert_eq!(batch.lines, [1, 4, 5]);
        assert_eq!(batch.read_bytes, 12);
        assert!(oldest_batch(&mut sources).unwrap().is_none());
    }

    #[test]
    fn older_batch_of_two_files_is_sent_first() {
        let plays = "0,1,2,\"2014-01-01 00:00:00\",1,\"1\"\n\
                     1,1,2,\"2014-01-03 00:00:00\",1,\"1\"\n";
        let clicks = "0,1,\"ADV\",\"2014-01-02 00:00:00\"\n\
                      1,1,\"ADV\",\"2014-01-04 00:00:00\"\n";
        let bodies = bodies(vec![source(Kind::Clicks, clicks, 1), source(Kind::Plays, plays, 1)]);
        let days: Vec<&str> = bodies.iter().map(|body| &body[body.find("2014").unwrap()..][8..10]).collect();
        assert_eq!(days, ["01", "02", "03", "04"]);
    }

    #[test]
    fn unclosed_quote_and_overlong_line_leave_other_rows_intact() {
        let text = format!("a\n0,\"open\n{}\nb\n", "x".repeat(3 * MAX_LINE_BYTES));
        let mut sources = [Source::new(Kind::Plays, "file", Box::new(io::Cursor::new(text.clone())), 10)];
        let batch = oldest_batch(&mut sources).unwrap().unwrap();
        assert_eq!(batch.body, b"a\nb\n");
        assert_eq!(batch.lines, [1, 4]);
        let refused: Vec<u64> = batch.refused.iter().map(|(line, _)| *line).collect();
        assert_eq!(refused, [2, 3]);
        assert_eq!(batch.read_bytes, text.len() as u64);
    }

    #[test]
    fn batches_have_the_requested_number_of_rows() {
        let bodies = bodies(vec![source(Kind::Plays, "a\nb\nc\nd\ne\n", 2)]);
        assert_eq!(bodies, ["a\nb\n", "c\nd\n", "e\n"]);
    }

    #[test]
    fn live_source_does_not_wait_for_a_full_batch() {
        let chunks = io::Cursor::new("a\nb\n").chain(io::Cursor::new("c\n"));
        let source = Source::new(Kind::Plays, "stdin", Box::new(chunks), 10).live();
        assert_eq!(bodies(vec![source]), ["a\nb\n", "c\n"]);
    }
}
