//! Opens the files and models that a command names, `-` among them.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context;

use super::progress::Progress;
use upbeat_svm::Model;

/// No more than this is read of a model file; [`Model::read`] refuses it as too long.
const MAX_MODEL_BYTES: u64 = (64 << 20) + 1;

/// Whether a path is `-`: standard input or output.
pub(crate) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The path as messages show it.
pub(crate) fn shown(path: &Path) -> String {
    if is_dash(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// Opens a file, or standard input for `-`.
pub(crate) fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if is_dash(path) {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).with_context(|| format!("{}: cannot be opened", path.display()))?;
    Ok(Box::new(BufReader::with_capacity(256 << 10, file)))
}

/// As [`open`], with a progress bar that follows what has been read.
pub(crate) fn open_with_progress(path: &Path) -> anyhow::Result<impl BufRead> {
    let length = path.metadata().ok().filter(Metadata::is_file).map(|metadata| metadata.len());
    Ok(Observed { input: open(path)?, progress: Progress::bytes(length), unreported: 0 })
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
