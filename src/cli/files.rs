//! Opens the files and models that a command names, `-` among them.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context;

use super::progress::Progress;
use upbeat_ingest::file::Text;
use upbeat_svm::Model;

/// No more than this is read of a model file; [`Model::read`] refuses it as too long.
const MAX_MODEL_BYTES: u64 = (64 << 20) + 1;

/// Bytes that are read from a file at a time.
const READ_BUFFER: usize = 256 << 10;

/// Whether a path is `-`: standard input or output.
pub(crate) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The path as messages show it.
pub(crate) fn shown(path: &Path) -> String {
    if is_dash(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// Opens a file of text, or standard input for `-`; decompresses what begins as gzip or zstd data does.
///
/// # Errors
/// It cannot be opened, is a folder, or holds UTF-16: a sentence that says what to do instead.
pub(crate) fn open_text(path: &Path) -> anyhow::Result<Text> {
    Text::open(path).with_context(|| format!("{}: cannot be opened", shown(path)))
}

/// As [`open_text`], to be read in one go.
pub(crate) fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    Ok(buffered(open_text(path)?))
}

fn buffered(text: Text) -> Box<dyn BufRead> {
    match text {
        Text::Plain(file) => Box::new(BufReader::with_capacity(READ_BUFFER, file)),
        Text::Compressed(text) | Text::Stream(text) => Box::new(BufReader::with_capacity(READ_BUFFER, text)),
    }
}

/// `text`, with a progress bar that follows what has been read.
pub(crate) fn with_progress(text: Text) -> impl BufRead {
    let progress = Progress::bytes(text.length());
    Observed { input: buffered(text), progress, unreported: 0 }
}

/// As [`open`], with a progress bar that follows what has been read.
pub(crate) fn open_with_progress(path: &Path) -> anyhow::Result<impl BufRead> {
    Ok(with_progress(open_text(path)?))
}

/// Bytes read between two updates of the progress bar: each reads the clock, which would be slow for every line.
const PROGRESS_STEP: usize = 64 << 10;

struct Observed {
    input: Box<dyn BufRead>,
    progress: Progress,
    unreported: usize,
}

impl Observed {
    #[inline]
    fn count(&mut self, bytes: usize) {
        self.unreported += bytes;
        if self.unreported >= PROGRESS_STEP {
            self.progress.add(self.unreported as u64);
            self.unreported = 0;
        }
    }
}

impl Read for Observed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.count(count);
        Ok(count)
    }
}

impl BufRead for Observed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.input.consume(count);
        self.count(count);
    }
}

/// Reads and checks a model file with one of Upbeat's windows, or standard input for `-`.
pub(crate) fn read_model(path: &Path) -> anyhow::Result<Model> {
    let mut bytes = Vec::new();
    open(path)?
        .take(MAX_MODEL_BYTES)
        .read_to_end(&mut bytes)
        .with_context(|| format!("{}: cannot be read", shown(path)))?;
    upbeat_core::model::read(&bytes).with_context(|| shown(path))
}
