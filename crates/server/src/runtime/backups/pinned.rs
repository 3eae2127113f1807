//! The files of one backup: hard links in a directory of their own, which outlive the removal and the renaming of what they
//! are links of.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use upbeat_journal::disk::RealDisk;
use upbeat_journal::{CopiedFile, Copy, LogEnd, RecoveryError, files_of_copy, is_file_name};

use crate::runtime::campaigns::{files_for_backup, is_model_copy};

/// What the name of such a directory begins with; 16 hexadecimal digits follow.
const PREFIX: &str = "backup-";

/// Whether this is the name of a directory that holds the files of a backup.
pub(in crate::runtime) fn is_pin_name(name: &str) -> bool {
    let digits = name.strip_prefix(PREFIX);
    digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Removes what an earlier process held for backups.
///
/// # Errors
/// The directory cannot be read, or one of these cannot be removed.
pub(in crate::runtime) fn remove_pins(data_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data_dir)? {
        let entry = entry?;
        if is_pin_name(&entry.file_name().to_string_lossy()) && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// A directory of hard links, removed when dropped.
#[derive(Debug)]
pub(super) struct PinDirectory {
    data_dir: PathBuf,
    path: PathBuf,
}

impl Drop for PinDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            let path = self.path.display();
            tracing::warn!("{path}: {error}: what was held for a backup takes space until the next start");
        }
    }
}

impl PinDirectory {
    /// Makes the directory, and links all files of the log, all snapshots and all copies of models that there are.
    ///
    /// # Errors
    /// The file system has no hard links, or failed.
    pub(super) fn make(data_dir: &Path, id: &str) -> io::Result<Self> {
        let path = data_dir.join(format!("{PREFIX}{id}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        let made = Self { data_dir: data_dir.to_owned(), path };
        made.link()?;
        Ok(made)
    }

    /// Links the files that have come since.
    ///
    /// # Errors
    /// As of [`PinDirectory::make`].
    fn link(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.data_dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // A snapshot that is being written.
            if !is_file_name(&name) || name.ends_with(".tmp") {
                continue;
            }
            self.link_one(&self.data_dir.join(&name), &name)?;
        }
        for (file, name) in files_for_backup(&self.data_dir)? {
            self.link_one(&file, &name)?;
        }
        Ok(())
    }

    fn link_one(&self, file: &Path, name: &str) -> io::Result<()> {
        match fs::hard_link(file, self.path.join(name)) {
            // It was removed meanwhile, as history is; or was linked before.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) => Ok(()),
            linked => linked,
        }
    }

    /// Keeps what a copy needs of a log that has had this end since the directory was made, and nothing else.
    ///
    /// # Errors
    /// The disk failed, or part of what is needed is not there.
    pub(super) fn choose(&self, end: &LogEnd, history: bool) -> Result<Copy, RecoveryError> {
        let at = |error| RecoveryError::Disk { file: self.path.display().to_string(), error };
        self.link().map_err(at)?;
        let mut copy = files_of_copy(&RealDisk::new(&self.path), end, history)?;
        let mut models = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(at)? {
            let entry = entry.map_err(at)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_model_copy(&name) {
                let bytes = entry.metadata().map_err(at)?.len();
                models.push(CopiedFile { name, bytes, size: bytes });
            } else if !copy.files.iter().any(|file| file.name == name) {
                fs::remove_file(entry.path()).map_err(at)?;
            }
        }
        models.sort_by(|one, other| one.name.cmp(&other.name));
        copy.files.extend(models);
        Ok(copy)
    }

    /// The path of a file of it.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Reads `bytes` bytes of a file from `from` on.
///
/// # Errors
/// The disk failed, or the file is shorter.
pub(super) fn read(path: &Path, from: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut into = vec![0; bytes];
    File::open(path)?.read_exact_at(&mut into, from)?;
    Ok(into)
}

/// The SHA-256 of bytes, in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_outlive_removal_and_are_removed_with_their_directory() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["segment-000000000001", "snapshot-00000000000000000007", "lock", "spare"] {
            fs::write(folder.path().join(name), name).expect("a file");
        }
        fs::write(folder.path().join("snapshot-00000000000000000009.tmp"), "").expect("a file");
        let pinned = PinDirectory::make(folder.path(), "00000000000000aa").expect("hard links");
        let first = pinned.path_of("segment-000000000001");
        fs::remove_file(folder.path().join("segment-000000000001")).expect("it is there");
        assert_eq!(read(&first, 2, 5).expect("it is held"), b"gment");
        assert_eq!(fs::read_dir(&pinned.path).expect("a directory").count(), 2);
        let path = pinned.path.clone();
        assert!(is_pin_name(&path.file_name().expect("a name").to_string_lossy()));
        drop(pinned);
        assert!(!path.exists() && folder.path().join("snapshot-00000000000000000007").exists());
    }

    #[test]
    fn pins_of_an_earlier_process_are_removed_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["backup-00000000000000aa", "backup-of-mine", "backup-00000000000000a"] {
            fs::create_dir(folder.path().join(name)).expect("a directory");
        }
        fs::write(folder.path().join("backup-00000000000000bb"), "").expect("a file");
        remove_pins(folder.path()).expect("they are removed");
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["backup-00000000000000a", "backup-00000000000000bb", "backup-of-mine"]);
    }

    #[test]
    fn digest_is_that_of_the_standard() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
