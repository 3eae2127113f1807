//! The data directory: made, checked and locked before anything in it is read.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::backups::is_pin_name;
use upbeat_journal::{LOCK_NAME, LockError, LockFile, SPARE_NAMES, is_file_name};

/// Why a data directory is not used. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It cannot be made or read.
    #[error("data directory {}: {error}; name one that the user of this process may write, with --data-dir DIR, or keep nothing with --in-memory", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Something else lies there.
    #[error("data directory {}: {what}; name a directory of Upbeat's own with --data-dir DIR", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// Another user owns it.
    #[error("data directory {} belongs to user {owner}, and this process runs as user {user}: start it as that user, or give the directory to this one", path.display())]
    OtherUser {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user of this process.
        user: u32,
    },
    /// A file in it is another user's, and this one may not use it.
    #[error("{} belongs to user {owner}, and this process runs as user {user} and may not use it: start it as that user, or give \
        all files to this one with chown -R {user} {}", file.display(), file.parent().unwrap_or(file).display())]
    FileOfOtherUser {
        /// The file.
        file: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user of this process.
        user: u32,
    },
    /// It is on a network file system.
    #[error("data directory {} is on {kind}, a network file system, where what is called synced may be on no disk: name a local directory, or set allow_network_file_system = true", path.display())]
    Network {
        /// The directory.
        path: PathBuf,
        /// The name of the file system.
        kind: &'static str,
    },
    /// Another process uses it.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// A directory that this process alone uses while this lives.
#[derive(Debug)]
pub(super) struct DataDir {
    pub(super) path: PathBuf,
    pub(super) lock: LockFile,
}

impl DataDir {
    /// Makes the directory if it is not there, for this user alone, and locks it.
    ///
    /// # Errors
    /// See [`DataDirError`].
    pub(super) fn open(path: &Path, allow_network: bool) -> Result<Self, DataDirError> {
        let io = |error| DataDirError::Io { path: path.to_owned(), error };
        if let Ok(to) = fs::read_link(path)
            && !path.exists()
        {
            let what = format!("it is a link to {}, which is not there", to.display());
            return Err(DataDirError::Foreign { path: path.to_owned(), what });
        }
        make(path).map_err(io)?;
        let metadata = fs::metadata(path).map_err(io)?;
        if !metadata.is_dir() {
            return Err(DataDirError::Foreign {
                path: path.to_owned(),
                what: "it is no directory".to_owned(),
            });
        }
        check_owner(path, metadata.uid())?;
        check_contents(path)?;
        check_owners(path)?;
        match FileSystem::of(path).map_err(io)? {
            FileSystem::Network(kind) if !allow_network => {
                return Err(DataDirError::Network { path: path.to_owned(), kind });
            }
            FileSystem::Memory => tracing::warn!(
                data_dir = %path.display(),
                "the data directory is in memory: what is acknowledged outlives the process, and not the machine"
            ),
            _ => {}
        }
        let lock = LockFile::take(path)?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(
                data_dir = %path.display(),
                mode = format!("{mode:o}"),
                "other users may look into the data directory: chmod 700 keeps them out"
            );
        }
        Ok(Self { path: path.to_owned(), lock })
    }
}

/// Makes a directory for this user alone, and those above it that are missing, with names that outlive a loss of power.
pub(super) fn make(path: &Path) -> io::Result<()> {
    let Some(above) = above(path) else { return Ok(()) };
    if !above.exists() {
        make(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        // It may be a file, which the caller says better.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made?,
    }
    // Also where it was there: a process that was killed between the two leaves a name in the cache alone.
    match File::open(above).and_then(|above| above.sync_all()) {
        // One that may not be read was not made by this user.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// The directory above a path; `None` above the root.
pub(super) fn above(path: &Path) -> Option<&Path> {
    path.parent().map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above })
}

/// # Errors
/// The directory is another user's. The administrator may use it all the same.
fn check_owner(path: &Path, owner: u32) -> Result<(), DataDirError> {
    // SAFETY: the call has no preconditions.
    let user = unsafe { libc::geteuid() };
    if owner == user || user == 0 {
        return Ok(());
    }
    Err(DataDirError::OtherUser { path: path.to_owned(), owner, user })
}

/// # Errors
/// A file of ours is another user's, as where a command was run by the administrator, or a service runs as another user than
/// before: each of them may not be used by this one.
fn check_owners(path: &Path) -> Result<(), DataDirError> {
    let io = |error| DataDirError::Io { path: path.to_owned(), error };
    // SAFETY: the call has no preconditions.
    let user = unsafe { libc::geteuid() };
    for entry in fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_ours = is_file_name(&name) || SPARE_NAMES.contains(&&*name) || name == LOCK_NAME;
        // One that is not there any longer is nobody's.
        let Some(owner) = entry.metadata().ok().filter(|_| is_ours).map(|metadata| metadata.uid()) else {
            continue;
        };
        let file = entry.path();
        if owner != user && !may_use(&file).map_err(io)? {
            return Err(DataDirError::FileOfOtherUser { file, owner, user });
        }
    }
    Ok(())
}

/// Whether this process may read and write a file.
fn may_use(file: &Path) -> io::Result<bool> {
    let name = std::ffi::CString::new(file.as_os_str().as_encoded_bytes())?;
    // SAFETY: the name ends with a zero and lives until the call returns.
    let denied =
        unsafe { libc::faccessat(libc::AT_FDCWD, name.as_ptr(), libc::R_OK | libc::W_OK, libc::AT_EACCESS) };
    Ok(denied == 0 || io::Error::last_os_error().kind() != ErrorKind::PermissionDenied)
}

/// # Errors
/// There are files, and none of them is Upbeat's: to write here would be a slip of somebody's hand.
fn check_contents(path: &Path) -> Result<(), DataDirError> {
    let io = |error| DataDirError::Io { path: path.to_owned(), error };
    let mut foreign = None;
    for entry in fs::read_dir(path).map_err(io)? {
        let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
        if is_file_name(&name) {
            return Ok(());
        }
        // What a directory of ours may have before it has any of the log; others have such files, too.
        let is_common = [LOCK_NAME, "lost+found"].contains(&&*name)
            || SPARE_NAMES.contains(&&*name)
            || is_pin_name(&name);
        if !is_common {
            foreign.get_or_insert(name);
        }
    }
    let Some(name) = foreign else { return Ok(()) };
    let what = format!("it holds {name:?} and no file of Upbeat's");
    Err(DataDirError::Foreign { path: path.to_owned(), what })
}

/// What kind of file system a path is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileSystem {
    /// On a disk of this machine, as far as is known.
    Local,
    /// In the machine's memory.
    Memory,
    /// On another machine.
    Network(&'static str),
}

impl FileSystem {
    /// # Errors
    /// The system does not say.
    #[cfg(target_os = "linux")]
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
        let mut of = std::mem::MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: the name ends with a zero, and the kernel fills the structure when it returns 0.
        let of = unsafe {
            if libc::statfs(name.as_ptr(), of.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            of.assume_init()
        };
        Ok(Self::by_magic(of.f_type as u32))
    }

    /// By the number that Linux has for it (linux/magic.h, and the file systems' own sources).
    fn by_magic(magic: u32) -> Self {
        match magic {
            0x0102_1994 | 0x8584_58f6 => Self::Memory,
            0x6969 => Self::Network("NFS"),
            0x517b | 0xff53_4d42 | 0xfe53_4d42 => Self::Network("SMB"),
            0x00c3_6400 => Self::Network("Ceph"),
            0x5346_414f | 0x6b41_4653 => Self::Network("AFS"),
            0x0102_1997 => Self::Network("9P"),
            0x7375_7245 => Self::Network("Coda"),
            0x0bd0_0bd0 => Self::Network("Lustre"),
            0x4750_4653 => Self::Network("GPFS"),
            0x7461_636f => Self::Network("OCFS2"),
            0x0116_1970 => Self::Network("GFS2"),
            0x1983_0326 => Self::Network("BeeGFS"),
            _ => Self::Local,
        }
    }

    /// Other systems are not asked.
    ///
    /// # Errors
    /// None.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_path: &Path) -> io::Result<Self> {
        Ok(Self::Local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[test]
    fn directory_is_made_for_this_user_alone_and_used_by_one_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/data");
        let first = DataDir::open(&path, false).expect("a directory");
        assert_eq!((mode(&path), mode(&path.join(LOCK_NAME))), (0o700, 0o600));
        let message = DataDir::open(&path, false).expect_err("it is in use").to_string();
        assert!(message.contains(&std::process::id().to_string()), "{message}");
        drop(first);
        DataDir::open(&path, false).expect("it is free again");
    }

    #[test]
    fn directory_of_something_else_is_refused_and_stays_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("thesis.tex"), "text").expect("a file");
        let message = DataDir::open(folder.path(), false).expect_err("it is not ours").to_string();
        assert!(message.contains("thesis.tex") && message.contains("--data-dir"), "{message}");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        let file = folder.path().join("thesis.tex");
        let message = DataDir::open(&file, false).expect_err("it is a file").to_string();
        assert!(message.contains("no directory"), "{message}");
        let below = file.join("data");
        let message = DataDir::open(&below, false).expect_err("it is below a file").to_string();
        assert!(message.contains("--in-memory"), "{message}");
    }

    #[test]
    fn foreign_file_beside_ours_and_a_new_file_system_are_no_obstacle() {
        for names in [&["notes.txt", "segment-000000000001"][..], &["lost+found"]] {
            let folder = tempfile::tempdir().expect("a folder");
            for name in names {
                fs::write(folder.path().join(name), "").expect("a file");
            }
            DataDir::open(folder.path(), false).expect("a directory");
        }
    }

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        assert_eq!(FileSystem::by_magic(0x6969), FileSystem::Network("NFS"));
        assert_eq!(FileSystem::by_magic(0xfe53_4d42), FileSystem::Network("SMB"));
        assert_eq!(FileSystem::by_magic(0x0102_1994), FileSystem::Memory);
        for local in [0xef53, 0x5846_5342, 0x9123_683e, 0x794c_7630] {
            assert_eq!(FileSystem::by_magic(local), FileSystem::Local);
        }
    }
}
