//! A disk whose syncs are timed.

use std::io;
use std::time::Instant;

use upbeat_journal::disk::{Disk, File};

use crate::metrics::JournalMetrics;

/// A disk that counts the seconds of each sync of a file.
pub(super) struct TimedDisk<D> {
    disk: D,
    metrics: JournalMetrics,
}

impl<D> TimedDisk<D> {
    /// Times the syncs of `disk`.
    pub(super) fn new(disk: D, metrics: JournalMetrics) -> Self {
        Self { disk, metrics }
    }

    fn timed<F>(&self, file: io::Result<F>) -> io::Result<TimedFile<F>> {
        file.map(|file| TimedFile { file, metrics: self.metrics.clone() })
    }
}

impl<D: Disk> Disk for TimedDisk<D> {
    type File = TimedFile<D::File>;

    fn names(&self) -> io::Result<Vec<String>> {
        self.disk.names()
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Self::File> {
        self.timed(self.disk.create(name, bytes))
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        self.timed(self.disk.open(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_names()
    }

    fn free(&self) -> io::Result<u64> {
        self.disk.free()
    }
}

/// A file of it.
pub(super) struct TimedFile<F> {
    file: F,
    metrics: JournalMetrics,
}

impl<F: File> File for TimedFile<F> {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(at, into)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(at, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        let started = Instant::now();
        let synced = self.file.sync();
        self.metrics.sync_seconds.observe(started.elapsed());
        synced
    }

    fn drop_cache(&self) {
        self.file.drop_cache();
    }

    fn space(&self) -> io::Result<u64> {
        self.file.space()
    }

    fn modified_ms(&self) -> io::Result<u64> {
        self.file.modified_ms()
    }

    fn set_modified_ms(&self, ms: u64) -> io::Result<()> {
        self.file.set_modified_ms(ms)
    }

    fn release(&self, from: u64) -> io::Result<()> {
        self.file.release(from)
    }
}
