//! Which file or stream a path leads to, so that no output destroys an input.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::WrongCall;
use super::files::is_dash;

/// As many symbolic links are followed as the kernel follows.
const MAX_LINKS: u32 = 40;

/// Where the bytes of an output go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An open descriptor: `-`, `/dev/stdout`, `/dev/fd/3`, or a link to one.
    Descriptor(i32),
    /// The path without symbolic links; there may be no file yet.
    Path(PathBuf),
}

/// Follows all symbolic links of the path of an output; the last one may lead to a file that is not there yet.
///
/// # Errors
/// There is no such directory, or links without end.
pub(super) fn resolve(path: &Path) -> anyhow::Result<Place> {
    if is_dash(path) {
        return Ok(Place::Descriptor(1));
    }
    let descriptors = Path::new("/proc/self/fd").canonicalize().ok();
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Some(name) = path.file_name().map(ToOwned::to_owned) else {
            return Ok(Place::Path(path));
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory =
            parent.canonicalize().with_context(|| format!("there is no directory {}", parent.display()))?;
        if Some(&directory) == descriptors.as_ref()
            && let Some(number) =
                name.to_str().and_then(|name| name.parse().ok()).filter(|&number| number >= 0)
        {
            return Ok(Place::Descriptor(number));
        }
        let mut whole = directory.join(&name);
        match whole.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => path = directory.join(whole.read_link()?),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {
                if path.as_os_str().as_bytes().ends_with(b"/") {
                    // `OUT/` names a directory, whether it is there or not.
                    whole.push("");
                }
                return Ok(Place::Path(whole));
            }
        }
    }
    anyhow::bail!("too many symbolic links");
}

/// What makes two paths the same file, however they are written.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    /// Device and inode.
    File(u64, u64),
    /// Of a file that is not there yet.
    Path(PathBuf),
}

/// Compares every output with every input and with the other outputs.
///
/// Streams are compared with each other only: a terminal or a pipe can be read and written. Any number of outputs may go
/// to the null device.
///
/// # Errors
/// A [`WrongCall`] with both names.
pub(crate) fn refuse_overlaps(inputs: &[&Path], outputs: &[&Path]) -> anyhow::Result<()> {
    let identities: Vec<_> = outputs.iter().map(|path| output_identity(path)).collect();
    for (position, (output, identity)) in outputs.iter().zip(&identities).enumerate() {
        let Some((identity, is_stream)) = identity else { continue };
        let input =
            inputs.iter().find(|input| !is_stream && input_identity(input).as_ref() == Some(identity));
        if let Some(input) = input {
            return Err(WrongCall(format!(
                "{} is an input, and the output {} would destroy it; name another file",
                shown(input, "standard input"),
                shown(output, "standard output")
            ))
            .into());
        }
        let same =
            |other: &Option<(Identity, bool)>| other.as_ref().is_some_and(|(other, _)| other == identity);
        if let Some(other) = identities[..position].iter().position(same) {
            return Err(WrongCall(format!(
                "the outputs {} and {} are the same file; name two",
                shown(outputs[other], "standard output"),
                shown(output, "standard output")
            ))
            .into());
        }
    }
    Ok(())
}

fn shown(path: &Path, dash: &str) -> String {
    if is_dash(path) { dash.to_owned() } else { path.display().to_string() }
}

/// The identity of an output and whether it is a stream; none for the null device, and where nothing can be known, which
/// opening the output will tell.
fn output_identity(path: &Path) -> Option<(Identity, bool)> {
    let metadata = match resolve(path).ok()? {
        Place::Descriptor(1) => metadata_of(io::stdout()).ok()?,
        Place::Descriptor(number) => Path::new(&format!("/proc/self/fd/{number}")).metadata().ok()?,
        Place::Path(path) => match path.metadata() {
            Ok(metadata) => metadata,
            Err(_) => return Some((Identity::Path(path), false)),
        },
    };
    let null = || Path::new("/dev/null").metadata().is_ok_and(|null| null.rdev() == metadata.rdev());
    if metadata.file_type().is_char_device() && null() {
        return None;
    }
    Some((identity(&metadata), !holds_data(&metadata)))
}

/// None for streams, and where there is no such file, which reading it will tell.
fn input_identity(path: &Path) -> Option<Identity> {
    let metadata = if is_dash(path) { metadata_of(io::stdin()) } else { path.metadata() };
    metadata.ok().filter(holds_data).map(|metadata| identity(&metadata))
}

fn metadata_of(stream: impl AsFd) -> io::Result<Metadata> {
    File::from(stream.as_fd().try_clone_to_owned()?).metadata()
}

/// Whether writing would destroy something, unlike with a pipe or a terminal.
fn holds_data(metadata: &Metadata) -> bool {
    metadata.is_file() || metadata.file_type().is_block_device()
}

fn identity(metadata: &Metadata) -> Identity {
    Identity::File(metadata.dev(), metadata.ino())
}
