//! A directory as it is at one moment, which is read and never changed.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use super::{Disk, File, RealDisk, RealFile};
use crate::files::is_file_name;
use crate::{segment, snapshot};

/// The files that a directory has at one moment, which every call that would change one refuses to do.
///
/// The files of the log and the snapshots are opened at once, so that they can be read to the end where a process that uses the
/// directory removes or renames them meanwhile. They may grow.
#[derive(Debug)]
pub struct ReadOnlyDisk {
    names: Vec<String>,
    files: HashMap<String, ReadOnlyFile>,
}

/// How often the files are opened until none came or went meanwhile.
const TRIES: u32 = 20;

impl ReadOnlyDisk {
    /// What a directory has now: files of the log and snapshots that were there together. Where they come and go all the time, what is
    /// opened is without the oldest.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn new(directory: &Path) -> io::Result<Self> {
        Self::looked(directory, &mut || {})
    }

    /// `meanwhile` is called between each listing and opening.
    fn looked(directory: &Path, meanwhile: &mut dyn FnMut()) -> io::Result<Self> {
        for _ in 1..TRIES {
            let found = Self::opened(directory, meanwhile)?;
            let (is_file, names) = (|name: &&String| is_finished(name), listed(directory)?);
            if found.names.iter().filter(is_file).eq(names.iter().filter(is_file)) {
                return Ok(found);
            }
        }
        Self::opened(directory, meanwhile)
    }

    /// Opens what is listed. A file that is removed between listing and opening is none of it.
    fn opened(directory: &Path, meanwhile: &mut dyn FnMut()) -> io::Result<Self> {
        let disk = RealDisk::new(directory);
        let (mut names, mut files) = (Vec::new(), HashMap::new());
        let listed = listed(directory)?;
        meanwhile();
        // The newest first, since the oldest are removed first: so none is missing between two others.
        for name in listed.into_iter().rev() {
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
        names.reverse();
        Ok(Self { names, files })
    }
}

/// The names in a directory, in order.
fn listed(directory: &Path) -> io::Result<Vec<String>> {
    let entries = directory.read_dir()?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    let mut names: Vec<_> = entries.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect();
    names.sort_unstable();
    Ok(names)
}

/// Whether it is one of the log's or a snapshot, and not being made.
fn is_finished(name: &str) -> bool {
    segment::number(name).is_some() || snapshot::position(name).is_some()
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is found where the oldest file goes and a new one comes between so many listings and openings, and what is there then.
    fn found(changes: u64) -> (Vec<u64>, Vec<u64>) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |number: u64| directory.path().join(segment::name(number));
        (0..9).for_each(|number| fs::write(path(number), "").expect("a file"));
        let mut changed = 0;
        let found = ReadOnlyDisk::looked(directory.path(), &mut || {
            if changed < changes {
                fs::remove_file(path(changed)).expect("it is there");
                fs::write(path(9 + changed), "").expect("a file");
                changed += 1;
            }
        });
        let numbers = |names: &[String]| names.iter().filter_map(|name| segment::number(name)).collect();
        let there = numbers(&listed(directory.path()).expect("it can be read"));
        (numbers(&found.expect("it can be read").names), there)
    }

    #[test]
    fn files_that_come_and_go_meanwhile_are_opened_as_they_were_together() {
        for changes in [0, 1, 2, 10] {
            let (found, there) = found(changes);
            assert_eq!(found, there, "{changes} changes");
        }
        let (found, there) = found(u64::MAX);
        assert!(found.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{found:?} of {there:?}");
        assert_eq!(found.len(), 8, "{found:?} of {there:?}");
    }
}
