//! Opens the files and models that a command names, `-` among them, and writes files whole or not at all.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::interrupt;
use super::progress::Progress;
use upbeat_svm::Model;

/// No more than this is read of a model file; [`Model::read`] refuses it as too long.
const MAX_MODEL_BYTES: u64 = (64 << 20) + 1;

/// Bytes of the buffer of a file that is written.
const WRITE_BUFFER: usize = 256 << 10;

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

/// Gives `write` a writer to `path`, or to standard output for `-`.
///
/// A file is written under a temporary name, synced and renamed, so that its own name always has the whole old or the
/// whole new content; a failure leaves nothing behind. A path that is not a plain file (`/dev/stdout`, a pipe) is written
/// to directly.
pub(crate) fn write_to(
    path: &Path,
    write: impl FnOnce(&mut (dyn Write + Send)) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if is_dash(path) {
        let mut output = BufWriter::new(io::stdout());
        write(&mut output)?;
        return Ok(output.flush()?);
    }
    let at = || format!("{}: cannot be written", path.display());
    if path.metadata().is_ok_and(|data| !data.is_file()) {
        let mut output = BufWriter::new(File::options().write(true).open(path).with_context(at)?);
        write(&mut output)?;
        return output.flush().with_context(at);
    }
    let temporary = TemporaryFile::for_path(path);
    let mut output = BufWriter::with_capacity(WRITE_BUFFER, File::create(&temporary.path).with_context(at)?);
    write(&mut output)?;
    output.flush().with_context(at)?;
    output.get_ref().sync_all().with_context(at)?;
    temporary.rename(path).with_context(at)
}

/// Whether `path` can be written, as far as its directory shows. To be called before long work.
///
/// # Errors
/// There is no such directory, or the path is one.
pub(crate) fn check_place(path: &Path) -> anyhow::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
        anyhow::bail!("{}: cannot be written: there is no directory {}", path.display(), directory.display());
    }
    if path.is_dir() {
        anyhow::bail!("{}: cannot be written: it is a directory; name a file in it", path.display());
    }
    Ok(())
}

/// Whether two paths lead to the same file, which need not be there yet.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let whole = || Some(parent.unwrap_or(Path::new(".")).canonicalize().ok()?.join(path.file_name()?));
        path.canonicalize().ok().or_else(whole).unwrap_or_else(|| path.to_owned())
    };
    place(one) == place(other)
}

/// A file that is removed unless it was renamed.
struct TemporaryFile {
    path: PathBuf,
}

impl TemporaryFile {
    /// A name in the same directory, so that the rename cannot cross file systems.
    fn for_path(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let path = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
        interrupt::remove_at_signal(&path);
        Self { path }
    }

    fn rename(mut self, to: &Path) -> io::Result<()> {
        // A symbolic link is followed: the link stays and its target is replaced.
        std::fs::rename(&self.path, to.canonicalize().as_deref().unwrap_or(to))?;
        interrupt::keep(&self.path);
        self.path.clear();
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // There is no further remedy for a file that cannot be removed.
            let _ = std::fs::remove_file(&self.path);
            interrupt::keep(&self.path);
        }
    }
}

/// Whether a failure is only that the reader of the output closed it, as `head` does.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(broken))
}
