//! A directory as it is at one moment, which is read and never changed.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use super::{Disk, File, RealDisk, RealFile};
use crate::files::is_file_name;

/// The files that a directory has at one moment, which every call that would change one refuses to do.
///
/// The files of the log and the snapshots are opened at once, so that they can be read to the end where a process that uses the
/// directory removes or renames them meanwhile. They may grow.
#[derive(Debug)]
pub struct ReadOnlyDisk {
    names: Vec<String>,
    files: HashMap<String, ReadOnlyFile>,
}

impl ReadOnlyDisk {
    /// What a directory has now. A file that is removed between listing and opening is none of it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let entries = directory.read_dir()?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        let listed = entries.collect::<io::Result<Vec<_>>>()?.into_iter().flatten();
        let disk = RealDisk::new(directory);
        let (mut names, mut files) = (Vec::new(), HashMap::new());
        for name in listed {
            if is_file_name(&name) {
                let file = match disk.open_to_read(&name) {
                    Ok(file) => file,
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    // That of no file, but of the process.
                    Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                        return Err(error);
                    }
                    Err(error) => return Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
                };
                files.insert(name.clone(), ReadOnlyFile(Arc::new(file)));
            }
            names.push(name);
        }
        Ok(Self { names, files })
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::Error::new(ErrorKind::ReadOnlyFilesystem, "the directory is only read"))
}

impl Disk for ReadOnlyDisk {
    type File = ReadOnlyFile;

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.names.clone())
    }

    fn create(&self, _name: &str, _bytes: u64) -> io::Result<ReadOnlyFile> {
        refused()
    }

    fn open(&self, name: &str) -> io::Result<ReadOnlyFile> {
        self.files.get(name).cloned().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        refused()
    }

    fn sync_names(&self) -> io::Result<()> {
        refused()
    }

    fn free(&self) -> io::Result<u64> {
        Ok(0)
    }
}

/// A file of it.
#[derive(Debug, Clone)]
pub struct ReadOnlyFile(Arc<RealFile>);

impl File for ReadOnlyFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(at, into)
    }

    fn write_at(&self, _at: u64, _bytes: &[u8]) -> io::Result<()> {
        refused()
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }

    fn space(&self) -> io::Result<u64> {
        self.0.space()
    }

    fn release(&self, _from: u64) -> io::Result<()> {
        refused()
    }

    fn modified_ms(&self) -> io::Result<u64> {
        self.0.modified_ms()
    }

    fn set_modified_ms(&self, _ms: u64) -> io::Result<()> {
        refused()
    }
}
