//! What commands write: files whole or not at all, streams directly, and never over an input.
//!
//! Every output is opened by [`open`] before the work begins, so that a wrong name or a missing permission is told at
//! once and not after hours of training.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Display};
use std::fs::{File, Metadata, Permissions};
use std::io::{self, BufWriter, ErrorKind, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use tempfile::NamedTempFile;

use super::files::is_dash;
use super::interrupt;
use super::place::{Place, resolve};

pub(crate) use super::place::refuse_overlaps;

/// Bytes of the buffer of an output.
const WRITE_BUFFER: usize = 256 << 10;

/// Opens the outputs of a command, after a check that none of them is one of its inputs or another output.
///
/// `-` is standard input or output. A file that exists is replaced when its output is finished, under the same name,
/// mode and owner; a symbolic link stays and its target is replaced. A stream (`/dev/stdout`, `/dev/fd/3`, a fifo) is
/// written to directly.
///
/// # Errors
/// An output is also an input or another output, or cannot be written.
pub(crate) fn open(inputs: &[&Path], outputs: &[&Path]) -> anyhow::Result<Vec<Output>> {
    refuse_overlaps(inputs, outputs)?;
    outputs.iter().map(|path| Output::open(path)).collect()
}

/// [`open`] for a command with one output.
///
/// # Errors
/// As those of [`open`].
pub(crate) fn open_one(inputs: &[&Path], output: &Path) -> anyhow::Result<Output> {
    refuse_overlaps(inputs, &[output])?;
    Output::open(output)
}

/// The check of [`open`] for a command that only prints: its standard output may be a file, too.
///
/// # Errors
/// Standard output is one of the inputs.
pub(crate) fn check(inputs: &[&Path]) -> anyhow::Result<()> {
    refuse_overlaps(inputs, &[Path::new("-")])
}

/// An opened output. Dropped before [`Output::finish`], it leaves a file as it was.
pub(crate) struct Output {
    writer: BufWriter<Sink>,
    /// None for a stream.
    replacement: Option<Replacement>,
}

/// A temporary file and the file that it replaces.
struct Replacement {
    temporary: NamedTempFile,
    target: PathBuf,
    /// The bytes are copied into the present file, since another file could not have its owner.
    copied: bool,
}

impl Output {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let name = if is_dash(path) { "standard output".to_owned() } else { path.display().to_string() };
        let at = || format!("{name}: cannot be written");
        let (file, replacement) = match resolve(path).with_context(at)? {
            Place::Descriptor(number) => (duplicate(number).with_context(at)?, None),
            Place::Path(target) => open_path(&target).with_context(at)?,
        };
        Ok(Self { writer: BufWriter::with_capacity(WRITE_BUFFER, Sink { file, name }), replacement })
    }

    /// Gives `work` the writer of this output.
    ///
    /// # Errors
    /// What `work` fails with.
    pub(crate) fn write(
        &mut self,
        work: impl FnOnce(&mut (dyn Write + Send)) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        work(&mut self.writer)
    }

    /// Writes the rest and, for a file, gives it its name: only now does the name have the new content, and all of it.
    /// The data have reached the disk before.
    ///
    /// # Errors
    /// The rest cannot be written, or the file cannot be replaced.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        self.writer.flush()?;
        let Some(replacement) = self.replacement.take() else { return Ok(()) };
        let path = replacement.temporary.path().to_owned();
        let finished = replacement.finish();
        interrupt::forget(&path);
        finished.with_context(|| format!("{}: cannot be written", self.writer.get_ref().name))
    }

    /// [`Output::write`] and [`Output::finish`] in one.
    pub(crate) fn write_all(mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.write(|out| Ok(out.write_all(bytes)?))?;
        self.finish()
    }
}

/// Whether a path leads to an open descriptor, as `-` and `/dev/stdout` do: no file can be written beside it.
pub(crate) fn is_descriptor(path: &Path) -> bool {
    matches!(resolve(path), Ok(Place::Descriptor(_)))
}

/// The directory of the file that an output leads to; none for a stream.
pub(crate) fn directory(path: &Path) -> Option<PathBuf> {
    match resolve(path) {
        Ok(Place::Path(path)) if !path.exists() || path.is_file() => path.parent().map(Path::to_owned),
        _ => None,
    }
}

/// Prints to standard output.
///
/// # Errors
/// Standard output cannot be written; where its reader closed it, [`is_closed`] says so.
pub(crate) fn print(text: impl Display) -> anyhow::Result<()> {
    let file = duplicate(1).context("standard output: cannot be written")?;
    let mut sink = Sink { file, name: "standard output".to_owned() };
    Ok(sink.write_all(text.to_string().as_bytes())?)
}

/// Writes a line, or several, to standard error. Control characters that a file, a name or a server brought in are
/// escaped, because a terminal would obey them. Where writing fails there is nobody left to tell, and the work goes on.
pub(crate) fn note(lines: impl Display) {
    let lines = lines.to_string();
    let lines: Vec<_> = lines.split('\n').map(escaped).collect();
    let _ = writeln!(io::stderr().lock(), "{}", lines.join("\n"));
}

/// A text with its control characters, line ends among them, as Rust and JSON escape them: `\n`, `\u{1b}`.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Whether a failure is only that the reader of an output closed it, as `head` does. A connection that breaks is none.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    let closed = |failure: &SystemError| failure.0.kind() == ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<SystemError>().is_some_and(closed))
}

/// A file or stream whose errors name it.
struct Sink {
    file: File,
    name: String,
}

impl Sink {
    fn named(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), WriteError { name: self.name.clone(), cause: SystemError(error) })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.file.write(bytes) {
            // Writers try again, as they do after any interrupted call.
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            written => written.map_err(|error| self.named(error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The output of this name could not be written.
#[derive(Debug)]
struct WriteError {
    name: String,
    cause: SystemError,
}

impl Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: cannot be written", self.name)
    }
}

impl Error for WriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

/// Why an output could not be written: a type of its own, so that it is told from the failure of anything else, and not
/// the outermost, since errors of libraries hide that one where they are transparent.
#[derive(Debug)]
struct SystemError(io::Error);

impl Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for SystemError {}

/// Another handle of an open descriptor. Not the standard library's `stdout`: that takes a descriptor that cannot be
/// written for one that is closed on purpose, and drops the bytes.
fn duplicate(number: i32) -> io::Result<File> {
    let owned = if number == 1 {
        io::stdout().as_fd().try_clone_to_owned()?
    } else {
        // SAFETY: the number is not negative, and borrowed for this one call, which fails where it is not open.
        unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()?
    };
    let mut file = File::from(owned);
    // Writes nothing, and fails where the descriptor is only for reading.
    let _: usize = file.write(&[])?;
    Ok(file)
}

fn open_path(target: &Path) -> anyhow::Result<(File, Option<Replacement>)> {
    let present = match target.metadata() {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    if present.as_ref().is_some_and(Metadata::is_dir) || target.as_os_str().as_bytes().ends_with(b"/") {
        return Err(anyhow!("it is a directory; name a file in it"));
    }
    if present.is_some() {
        let file = File::options().write(true).open(target)?;
        if !present.as_ref().is_some_and(Metadata::is_file) {
            return Ok((file, None));
        }
        // That it opens was the question: a rename would replace a file that may not be written.
    }
    let directory = target.parent().unwrap_or(Path::new("/"));
    // Short, so that it fits where the target's name has the greatest length; in the same directory, so that the rename
    // cannot cross file systems. A new file gets the mode that the process's mask leaves, a present one is not opened to
    // others before its own mode is set.
    let mode = if present.is_some() { 0o600 } else { 0o666 };
    let create = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".upbeat-").suffix(".part").permissions(Permissions::from_mode(mode));
        builder.tempfile_in(directory)
    };
    let temporary = interrupt::create(create)
        .with_context(|| format!("a file beside it is needed, and {} takes none", directory.display()))?;
    let mut replacement = Replacement { temporary, target: target.to_owned(), copied: false };
    if let Some(present) = present {
        replacement.keep_mode_and_owner(&present)?;
    }
    Ok((replacement.temporary.as_file().try_clone()?, Some(replacement)))
}

impl Replacement {
    fn keep_mode_and_owner(&mut self, present: &Metadata) -> io::Result<()> {
        let file = self.temporary.as_file();
        let made = file.metadata()?;
        let owners = |metadata: &Metadata| (metadata.uid(), metadata.gid());
        if owners(&made) != owners(present) {
            let (user, group) = owners(present);
            self.copied = std::os::unix::fs::fchown(file, Some(user), Some(group)).is_err();
        }
        // After the owner, whose change clears some bits of the mode.
        if self.copied {
            Ok(())
        } else {
            file.set_permissions(Permissions::from_mode(present.mode() & 0o7777))
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        self.temporary.as_file().sync_all()?;
        let path = self.temporary.path().to_owned();
        if self.copied {
            return interrupt::complete(&path, || self.copy());
        }
        let Self { temporary, target, .. } = self;
        let renamed = interrupt::complete(&path, || temporary.persist(&target));
        match renamed {
            Ok(_) => sync_directory(&target),
            // A file that is mounted by itself, as containers do, can be written but not replaced.
            Err(error)
                if matches!(error.error.kind(), ErrorKind::ResourceBusy | ErrorKind::CrossesDevices) =>
            {
                let replacement = Self { temporary: error.file, target, copied: true };
                interrupt::complete(&path, || replacement.copy())
            }
            Err(error) => Err(error.error.into()),
        }
    }

    /// Copies the content into the present file. Where that fails the content stays in the temporary file, since the
    /// target then has neither the old nor the new.
    fn copy(mut self) -> anyhow::Result<()> {
        let copy = |from: &mut File, target: &Path| {
            from.rewind()?;
            let mut to = File::options().write(true).truncate(true).open(target)?;
            io::copy(from, &mut to)?;
            to.sync_all()
        };
        match copy(self.temporary.as_file_mut(), &self.target) {
            Ok(()) => Ok(()),
            Err(error) => {
                let (_, kept) = self.temporary.keep().map_err(|error| error.error)?;
                Err(error).with_context(|| format!("the new content is in {}", kept.display()))
            }
        }
    }
}

/// Makes a rename outlast a crash of the machine.
fn sync_directory(target: &Path) -> anyhow::Result<()> {
    let directory = target.parent().unwrap_or(Path::new("/"));
    match File::open(directory).and_then(|directory| directory.sync_all()) {
        // The file is there under its name; some file systems do not sync directories, some directories only take files.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        synced => Ok(synced?),
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // After a failure its buffered bytes are of no use, and the temporary file removes itself.
        if let Some(replacement) = self.replacement.take() {
            let path = replacement.temporary.path().to_owned();
            drop(replacement);
            interrupt::forget(&path);
        }
    }
}
