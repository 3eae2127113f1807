//! Where the lanes lie: in memory that outlives the process, if there is such.
//!
//! A lane in a tmpfs is there when the process is killed, and the next one reads what had not reached the log. So the log
//! need be synced only as often as a loss of power may cost impressions. Where the lanes end with the process, the log is
//! written each millisecond instead.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use upbeat_journal::Memory;
use upbeat_journal::disk::{LaneDirectory, LaneFiles, map_lanes};

use super::data_dir::FileSystem;

/// Bytes before the ring of a lane.
const HEAD_BYTES: usize = 4096;

/// Bytes of the rings of all lanes together.
const ALL_BYTES: usize = 32 << 20;

/// The smallest and the largest ring.
const LEAST_BYTES: usize = 1 << 20;
const MOST_BYTES: usize = 8 << 20;

/// The process namespace of the machine itself (Linux, `PROC_PID_INIT_INO`).
const MACHINE_NAMESPACE: &str = "pid:[4026531836]";

/// Why the lanes cannot lie where they should.
#[derive(Debug, thiserror::Error)]
pub enum LanesError {
    /// They cannot be made.
    #[error("lanes_dir {}: {error}; name a directory in a tmpfs that the user of this process may write", path.display())]
    Io {
        /// The directory, or a file in it.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// What a killed process left cannot be read.
    #[error(
        "the lanes in {} cannot be read ({error}), and a process that was killed may have left impressions and events there \
         that are nowhere else: have them readable, or remove that directory to go on without them", path.display()
    )]
    Former {
        /// Where they lie.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The directory is on a disk.
    #[error("lanes_dir {} is not in a tmpfs: a decision could wait there for a disk; name one such as /dev/shm, or leave lanes_dir empty", path.display())]
    NotMemory {
        /// The directory.
        path: PathBuf,
    },
    /// The last process has left its lanes in another place.
    #[error("the last server was killed and left what was not in its log yet in {}, and lanes_dir is another now: start with \
        lanes_dir = {:?}, or remove the former if what is in it may be lost", former.display(), place(former))]
    Elsewhere {
        /// Where they lie.
        former: PathBuf,
    },
    /// Somebody else has made the directory.
    #[error("lanes_dir {} is no directory of this user's alone: remove it, or name another lanes_dir", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
}

fn place(lanes: &Path) -> &Path {
    lanes.parent().unwrap_or(lanes)
}

/// The memory of the lanes.
pub(super) struct Lanes {
    pub(super) memories: Vec<Memory>,
    /// Where they lie if they outlive the process; `None` if they end with it.
    pub(super) path: Option<PathBuf>,
    /// There was no such place before: no process has left anything in it.
    pub(super) is_new: bool,
}

impl Lanes {
    /// Memory for `count` lanes or more of the data directory `data`: where `configured` says, or where it outlives the
    /// process.
    ///
    /// # Errors
    /// See [`LanesError`]. A place that was not configured is done without instead, unless a former process may have left
    /// records there.
    pub(super) fn open(configured: &Path, data: &Path, count: usize) -> Result<Self, LanesError> {
        if !configured.as_os_str().is_empty() {
            return Self::in_directory(configured, data, count);
        }
        let Some(place) = outliving() else { return Ok(Self::of_process(count)) };
        Self::in_place(&place, data, count)
    }

    /// Where nothing was configured.
    fn in_place(place: &Path, data: &Path, count: usize) -> Result<Self, LanesError> {
        match Self::in_directory(place, data, count) {
            Err(error @ LanesError::Former { .. }) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "the lanes end with the process");
                Ok(Self::of_process(count))
            }
            opened => opened,
        }
    }

    /// Lanes that end with the process.
    pub(super) fn of_process(count: usize) -> Self {
        let bytes = HEAD_BYTES + ring_bytes(count);
        Self { memories: (0..count).map(|_| Memory::anonymous(bytes)).collect(), path: None, is_new: true }
    }

    fn in_directory(place: &Path, data: &Path, count: usize) -> Result<Self, LanesError> {
        let failed = |path: &Path, error| LanesError::Io { path: path.to_owned(), error };
        let metadata = fs::metadata(data).map_err(|error| failed(data, error))?;
        let path = std::path::absolute(place).map_err(|error| failed(place, error))?.join(name(&metadata));
        let is_new = match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&path, error)),
            made => made.is_ok(),
        };
        // In a directory that all users may write, somebody else may have been first.
        let made = fs::symlink_metadata(&path).map_err(|error| failed(&path, error))?;
        // SAFETY: the call has no preconditions.
        let user = unsafe { libc::geteuid() };
        if !made.is_dir() || made.uid() != user || made.mode() & 0o077 != 0 {
            return Err(LanesError::NotOurs { path });
        }
        if FileSystem::of(&path).map_err(|error| failed(&path, error))? != FileSystem::Memory {
            let _ = fs::remove_dir(&path);
            return Err(LanesError::NotMemory { path: place.to_owned() });
        }
        let memories = Self::map(&LaneDirectory::new(&path), &path, count)?;
        Ok(Self { memories, path: Some(path), is_new })
    }

    /// Maps the lanes in `path`. Where that fails and no process left any, nothing stays that looks like such.
    fn map(files: &impl LaneFiles, path: &Path, count: usize) -> Result<Vec<Memory>, LanesError> {
        map_lanes(files, count, HEAD_BYTES + ring_bytes(count)).map_err(|failure| {
            let (path, error) = (path.to_owned(), failure.error);
            if failure.of_former {
                return LanesError::Former { path, error };
            }
            remove(&path);
            LanesError::Io { path, error }
        })
    }
}

/// Where the last process left lanes, by what the data directory says; where they are gone a line in the log says so.
pub(super) fn former(former: Option<&Path>) -> Option<PathBuf> {
    if let Some(former) = former.filter(|former| !former.exists()) {
        tracing::warn!(
            lanes = %former.display(),
            "the last process did not end in order, and what it may have left in its lanes is not here, as after a restart of the \
             machine or on another one: ads that it counted last may be lost, and nothing that the log had acknowledged"
        );
    }
    former.map(Path::to_owned)
}

/// Removes the lanes of a process that has ended in order: nothing is left in them.
pub(super) fn remove(path: &Path) {
    // What stays is overwritten by the next process, and gone with the next start of the machine.
    let _ = fs::remove_dir_all(path);
}

/// The name of the lanes of a data directory: of the directory itself, whatever it is called, so that a renamed one keeps its
/// lanes and a copied one does not take those of another.
fn name(data: &fs::Metadata) -> String {
    format!("upbeat-{:x}-{:x}", data.dev(), data.ino())
}

/// Whether these lanes are of the data directory `data`, and there.
pub(super) fn are_of(lanes: &Path, data: &Path) -> bool {
    let name = fs::metadata(data).map(|metadata| name(&metadata));
    lanes.is_dir() && name.is_ok_and(|name| lanes.ends_with(name))
}

/// Gives the lanes that a killed server left for the data directory `from` to `to`, which has its records now; where they lie then.
/// `None` if there are none of that directory.
///
/// # Errors
/// They cannot be moved, and are where they were.
pub fn move_lanes(lanes: &Path, from: &Path, to: &Path) -> io::Result<Option<PathBuf>> {
    if !are_of(lanes, from) {
        return Ok(None);
    }
    let moved = place(lanes).join(name(&fs::metadata(to)?));
    fs::rename(lanes, &moved)?;
    Ok(Some(moved))
}

fn ring_bytes(count: usize) -> usize {
    let share = ALL_BYTES / count.max(1);
    // The largest power of two that is not above the share.
    (1 << share.max(1).ilog2()).clamp(LEAST_BYTES, MOST_BYTES)
}

/// A directory in memory that outlives this process.
fn outliving() -> Option<PathBuf> {
    // Under systemd, RuntimeDirectoryPreserve has it outlive the service.
    if let Some(directory) = std::env::var_os("RUNTIME_DIRECTORY")
        && let Some(first) = directory.to_str().and_then(|text| text.split(':').next())
        && !first.is_empty()
    {
        return Some(PathBuf::from(first));
    }
    let shared = Path::new("/dev/shm");
    (!is_container() && shared.is_dir()).then(|| shared.to_owned())
}

/// Whether this process is in a container, whose memory ends with it.
fn is_container() -> bool {
    let namespace = fs::read_link("/proc/self/ns/pid");
    let is_machine = namespace.is_ok_and(|namespace| namespace == Path::new(MACHINE_NAMESPACE));
    !is_machine || ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory in a tmpfs.
    #[cfg(target_os = "linux")]
    fn in_memory() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").expect("Linux has one")
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn lanes_of_a_former_process_are_found_whatever_their_number_and_size() {
        let place = in_memory();
        let data = tempfile::tempdir().expect("a folder");
        let many = Lanes::open(place.path(), data.path(), 40).expect("lanes");
        let path = many.path.clone().expect("they outlive the process");
        assert_eq!(fs::metadata(&path).expect("a directory").mode() & 0o777, 0o700);
        let sizes = |lanes: &Lanes| lanes.memories.iter().map(Memory::len).collect::<Vec<_>>();
        let before = sizes(&many);
        drop(many);
        let few = Lanes::open(place.path(), data.path(), 3).expect("lanes");
        assert_eq!((few.path.as_deref(), sizes(&few)), (Some(&*path), before));
        remove(&path);
        let few = Lanes::open(place.path(), data.path(), 3).expect("lanes");
        assert_eq!(sizes(&few), [HEAD_BYTES + MOST_BYTES; 3]);
        let other = tempfile::tempdir().expect("a folder");
        assert_ne!(Lanes::open(place.path(), other.path(), 1).expect("lanes").path, few.path);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn configured_place_on_a_disk_or_of_another_is_refused() {
        let data = tempfile::tempdir().expect("a folder");
        if FileSystem::of(data.path()).expect("a file system") == FileSystem::Local {
            let error = Lanes::open(data.path(), data.path(), 1).err().expect("a disk");
            assert!(matches!(error, LanesError::NotMemory { .. }), "{error}");
        }
        let place = in_memory();
        let path = Lanes::open(place.path(), data.path(), 1).expect("lanes").path.expect("a path");
        let mut open_to_all = fs::metadata(&path).expect("a directory").permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut open_to_all, 0o777);
        fs::set_permissions(&path, open_to_all).expect("it is ours");
        let error = Lanes::open(place.path(), data.path(), 1).err().expect("anybody may write there");
        assert!(matches!(error, LanesError::NotOurs { .. }), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn lanes_of_a_killed_process_that_cannot_be_mapped_are_not_done_without() {
        use upbeat_journal::disk::simulated::{Call, SimulatedDisk};

        let (place, data) = (in_memory(), tempfile::tempdir().expect("a folder"));
        let path = Lanes::in_place(place.path(), data.path(), 2).expect("lanes").path.expect("a path");
        let second = LaneDirectory::new(&path).path(1);
        fs::remove_file(&second).expect("it is there");
        // Neither a file nor an end.
        std::os::unix::fs::symlink(&second, &second).expect("a link to itself");
        let error = Lanes::in_place(place.path(), data.path(), 2).err().expect("it cannot be read");
        assert!(matches!(error, LanesError::Former { .. }), "{error}");
        assert!(LaneDirectory::new(&path).path(0).exists(), "it may hold what is nowhere else");

        let files = SimulatedDisk::new(1, 1 << 20);
        for (call, calls, of_former) in [(Call::MapLane, 1, false), (Call::OpenLane, 1, true)] {
            let gone = place.path().join("of-nobody");
            fs::create_dir(&gone).expect("a folder");
            files.lose_lanes();
            files.fail_after(call, calls, libc::EIO);
            let error = Lanes::map(&files, &gone, 3).expect_err("the second fails");
            assert_eq!(matches!(error, LanesError::Former { .. }), of_former, "{error}");
            assert_eq!(gone.exists(), of_former);
        }
    }

    #[test]
    fn rings_are_powers_of_two_and_share_the_memory() {
        for count in 1..200 {
            let bytes = ring_bytes(count);
            assert!(bytes.is_power_of_two() && (LEAST_BYTES..=MOST_BYTES).contains(&bytes));
            assert!(count * bytes <= ALL_BYTES || bytes == LEAST_BYTES);
        }
    }
}
