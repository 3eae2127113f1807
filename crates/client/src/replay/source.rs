//! Rows of a file, in batches that one request carries.

use std::io::{self, Read};
use std::path::Path;

use upbeat_ingest::decode::csv::{self, Begin, Layout, Refusal, RowReader};
use upbeat_ingest::file::Text;

/// A batch is closed when its rows reach this many bytes, well below what a server takes.
const MAX_BATCH_BYTES: usize = 4 << 20;
/// Bytes read at a time.
const READ_BYTES: usize = 64 << 10;
/// The place of the time among the columns of both kinds.
const TIME_COLUMN: usize = 3;

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

    fn layout(self) -> Layout {
        Layout::of(match self {
            Self::Plays => csv::Kind::Plays,
            Self::Clicks => csv::Kind::Clicks,
        })
    }
}

/// Rows for one request, and the lines they come from.
#[derive(Debug)]
pub struct Batch {
    /// What the rows are.
    pub kind: Kind,
    /// The file's name for messages.
    pub file: String,
    /// The rows, each closed by LF, after the file's header if it has one.
    pub body: Vec<u8>,
    /// The line on which each row in `body` begins, from 1; the header is not one of them.
    pub lines: Vec<u64>,
    /// Rows that are not sent.
    pub refused: Vec<RefusedRow>,
    /// Bytes of the file that this batch covers.
    pub read_bytes: u64,
    /// Time of the first row as written; orders batches of two files.
    time: Vec<u8>,
}

/// A row that is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// Its first line and its last, from 1.
    pub lines: (u64, u64),
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for RefusedRow {
    /// The line, the lines if there are several, and the reason.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&csv::report(self.lines, &self.reason))
    }
}

/// A file or standard input, read row by row, as the server reads the rows of a body.
pub struct Source {
    kind: Kind,
    file: String,
    reader: Box<dyn Read + Send>,
    /// Whether to send what is there instead of waiting for a full batch.
    live: bool,
    bytes: Option<u64>,
    batch_rows: usize,
    /// What was read and belongs to later rows: less than a row and one read.
    buffer: Vec<u8>,
    /// Whether nothing follows what was read.
    ended: bool,
    /// The columns, as far as they are known, and how the buffer begins.
    layout: Layout,
    begin: Begin,
    /// Line ends before the buffer.
    lines: u64,
    next: Option<Batch>,
    /// Why nothing more can be read; told once the rows before it were given away.
    failure: Option<io::Error>,
}

impl Source {
    /// Opens `path`, plain or compressed with gzip or zstd; `-` is standard input. A batch has at most `batch_rows` rows, at least 1.
    ///
    /// What is not a plain file is read as it comes: its batches hold what is there.
    ///
    /// # Errors
    /// The file cannot be opened, is a folder, or is not text.
    pub fn open(kind: Kind, path: &Path, batch_rows: usize) -> Result<Self, SourceError> {
        let name = if path.as_os_str() == "-" { "stdin".to_owned() } else { path.display().to_string() };
        let failed = |source| SourceError { file: name.clone(), source };
        let text = Text::open(path).map_err(failed)?;
        let bytes = text.length();
        let source = match text {
            Text::Plain(file) => Self::new(kind, &name, Box::new(file), batch_rows),
            Text::Compressed(text) => Self::new(kind, &name, text, batch_rows),
            // A pipe or a device may have a pause after any row.
            Text::Stream(text) => Self::new(kind, &name, text, batch_rows).live(),
        };
        Ok(Self { bytes, ..source })
    }

    fn new(kind: Kind, file: &str, reader: Box<dyn Read + Send>, batch_rows: usize) -> Self {
        Self {
            kind,
            file: file.to_owned(),
            reader,
            live: false,
            bytes: None,
            batch_rows,
            buffer: Vec::new(),
            ended: false,
            layout: kind.layout(),
            begin: Begin::FILE,
            lines: 0,
            next: None,
            failure: None,
        }
    }

    fn live(mut self) -> Self {
        self.live = true;
        self
    }

    /// Whether more may come after any pause: it is standard input, a pipe or a device.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// The length in bytes of what will be read, where that is known.
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
            let refused = batch.refused.iter().map(|row| &row.lines.0);
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
        loop {
            self.take_rows(&mut batch);
            let is_empty = batch.lines.is_empty() && batch.refused.is_empty();
            if self.ended || (self.live && !is_empty) || self.is_full(&batch) {
                break;
            }
            if let Err(error) = self.failure.take().map_or_else(|| self.read_more(), Err) {
                if is_empty {
                    return Err(SourceError { file: self.file.clone(), source: error });
                }
                self.failure = Some(error);
                break;
            }
        }
        Ok((batch.read_bytes > 0).then_some(batch))
    }

    fn is_full(&self, batch: &Batch) -> bool {
        batch.lines.len().max(batch.refused.len()) >= self.batch_rows || batch.body.len() >= MAX_BATCH_BYTES
    }

    /// Moves rows that end in the buffer to a batch, until it is full.
    fn take_rows(&mut self, batch: &mut Batch) {
        let mut rows = RowReader::block(&self.buffer, self.layout.clone(), self.begin, self.ended);
        let mut lines = rows.line_count();
        while !self.is_full(batch) {
            let Some(row) = rows.row() else { break };
            match row {
                Ok(row) => {
                    if batch.lines.is_empty() {
                        let header = rows.layout().header_line().map(|line| [&line[..], b"\n"].concat());
                        batch.body = header.unwrap_or_default();
                        batch.time = rows.column(&row, TIME_COLUMN).unwrap_or_default().trim_ascii().to_vec();
                    }
                    batch.lines.push(self.lines + lines.at(row.start));
                    batch.body.extend_from_slice(&self.buffer[row]);
                    batch.body.push(b'\n');
                }
                Err(Refusal { row, reason }) => {
                    let (first, last) = lines.of(&row);
                    batch.refused.push(RefusedRow { lines: (self.lines + first, self.lines + last), reason });
                }
            }
        }
        let taken = rows.position();
        batch.read_bytes += taken as u64;
        self.lines += rows.lines();
        (self.begin, self.layout) = (rows.end(), rows.layout().clone());
        self.buffer.drain(..taken);
    }

    /// Reads what is there, or waits for it.
    fn read_more(&mut self) -> io::Result<()> {
        let before = self.buffer.len();
        self.buffer.resize(before + READ_BYTES, 0);
        let read = loop {
            match self.reader.read(&mut self.buffer[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        self.ended = read? == 0;
        Ok(())
    }
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

    /// A row that is sent: the line where it begins, and its bytes.
    type SentRow = (u64, Vec<u8>);

    /// All rows of a file in batches of two, the lines of those that are refused, and how many bytes were read.
    fn rows(text: &[u8], read_bytes: usize) -> (Vec<SentRow>, Vec<(u64, u64)>, u64) {
        struct Slow(io::Cursor<Vec<u8>>, usize);
        impl Read for Slow {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let most = buffer.len().min(self.1);
                self.0.read(&mut buffer[..most])
            }
        }
        let reader = Slow(io::Cursor::new(text.to_vec()), read_bytes);
        let mut sources = [Source::new(Kind::Plays, "file", Box::new(reader), 2)];
        let (mut rows, mut refused, mut read) = (Vec::new(), Vec::new(), 0);
        while let Some(batch) = oldest_batch(&mut sources).unwrap() {
            let mut reader = RowReader::new(&batch.body, Kind::Plays.layout());
            for line in batch.lines {
                let row = reader.row().expect("a row").expect("the server splits it alike");
                rows.push((line, batch.body[row].to_vec()));
            }
            assert!(reader.row().is_none(), "a row that was not counted");
            refused.extend(batch.refused.into_iter().map(|row| row.lines));
            read += batch.read_bytes;
        }
        (rows, refused, read)
    }

    #[test]
    fn unclosed_quote_and_overlong_line_leave_other_rows_intact() {
        let text = format!("a\n0,\"open\n{}\nb\n", "x".repeat(3 * READ_BYTES));
        for read_bytes in [100, 4097, READ_BYTES] {
            let (rows, refused, read) = rows(text.as_bytes(), read_bytes);
            assert_eq!(rows, [(1, b"a".to_vec()), (4, b"b".to_vec())]);
            assert_eq!((&refused[..], read), (&[(2, 2), (3, 3)][..], text.len() as u64));
        }
    }

    #[test]
    fn row_with_a_quoted_line_end_is_sent_as_one() {
        for end in ["\n", "\r\n", "\r"] {
            let text = "a,\"b\nc\"\nd\n\"e\nf\",g\nh,\"i\nj\n\"k\"\n".replace('\n', end);
            for read_bytes in [1, 2, 3, 100] {
                let (rows, refused, read) = rows(text.as_bytes(), read_bytes);
                let wanted = [(1, "a,\"b\nc\""), (3, "d"), (4, "\"e\nf\",g"), (7, "j"), (8, "\"k\"")];
                let wanted = wanted.map(|(line, row)| (line, row.replace('\n', end).into_bytes()));
                assert_eq!(rows, wanted, "{end:?} {read_bytes}");
                assert_eq!((&refused[..], read), (&[(6, 6)][..], text.len() as u64));
            }
        }
    }

    #[test]
    fn each_batch_of_a_file_with_a_header_has_it() {
        let text = "\"event_id\",customer_id,track_id,time,mobile\n1,2,3,4,0\n2,2,3,4,0\n3,2,3,4,0\n";
        let header = "\"event_id\",\"customer_id\",\"track_id\",\"time\",\"mobile\"\n";
        let bodies = bodies(vec![source(Kind::Plays, text, 2)]);
        assert_eq!(bodies, [format!("{header}1,2,3,4,0\n2,2,3,4,0\n"), format!("{header}3,2,3,4,0\n")]);
    }

    #[test]
    fn rows_before_a_fault_of_the_file_are_given_away_before_it_is_told() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("a bad sector"))
            }
        }
        let reader = io::Cursor::new("a\nb\nc").chain(Broken);
        let mut sources = [Source::new(Kind::Plays, "file", Box::new(reader), 10)];
        assert_eq!(oldest_batch(&mut sources).unwrap().unwrap().lines, [1, 2]);
        assert!(oldest_batch(&mut sources).is_err());
    }

    #[test]
    fn row_of_blanks_that_the_server_counts_is_sent_as_it_is() {
        let (rows, refused, _) = rows(b"a\n\x0c\n \t\nb \n", 100);
        assert_eq!(rows, [(1, b"a".to_vec()), (2, b"\x0c".to_vec()), (4, b"b ".to_vec())]);
        assert!(refused.is_empty());
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
