//! What a directory holds, counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use upbeat_core::event::Time;
use upbeat_journal::disk::Disk;
use upbeat_journal::snapshot::find;
use upbeat_journal::{Record, oldest, record_bytes, stored};

use super::OpenError;
use super::dump::dump_snapshot;
use crate::campaigns::KeptCampaigns;
use crate::log::{Entry, Started, kind};

/// Records of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// How many there are.
    pub records: u64,
    /// Bytes that they take in the log.
    pub bytes: u64,
}

/// The newest sound snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotStats {
    /// The name of its file.
    pub name: String,
    /// In bytes.
    pub bytes: u64,
    /// Customers in it.
    pub customers: u64,
}

/// What a directory holds. It takes the same memory whatever that is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// The log has positions from here on and below.
    pub positions: (u64, u64),
    /// Its groups.
    pub groups: u64,
    /// Its records by [`Entry::name`].
    pub records: BTreeMap<&'static str, Count>,
    /// The times of the oldest and the newest event in the log.
    pub events: Option<(Time, Time)>,
    /// `None` where there is no sound one.
    pub snapshot: Option<SnapshotStats>,
    /// The position of the record of the last start in the log, and with what that process ran.
    pub started: Option<(u64, Box<Started>)>,
    /// The version of the campaigns that runs; `None` where no process of a version with several has begun.
    pub campaigns: Option<Box<KeptCampaigns>>,
    /// From this position on records are needed for recovery; `None` if all of them are.
    pub needed_from: Option<u64>,
}

/// Counts what a directory holds: all of its log, and the newest sound snapshot. Changes nothing.
///
/// # Errors
/// It cannot be read: see [`OpenError`].
pub fn stats<D: Disk>(disk: Arc<D>) -> Result<Stats, OpenError> {
    let mut stats = Stats::default();
    let found = find(Arc::clone(&disk))?;
    stats.needed_from = found.snapshots.log_needed_from();
    let mut start = oldest(&*disk).map_err(upbeat_journal::OpenError::from)?;
    if let Some(snapshot) = &found.newest {
        start.reached = snapshot.reached();
        let mut customers = 0;
        dump_snapshot(snapshot, &mut |entry| {
            // Each customer ends with it.
            customers += u64::from(matches!(entry, Entry::LastEvent { .. }));
            if let Entry::Campaigns(kept) = entry {
                stats.campaigns = Some(kept);
            }
            Ok(())
        })?;
        let (name, bytes) = (snapshot.name().to_owned(), snapshot.bytes());
        stats.snapshot = Some(SnapshotStats { name, bytes, customers });
    }
    let mut refused = None;
    let read = upbeat_journal::read(&*disk, start, &mut |record: Record<'_>| {
        stats.count(&record).map_err(|error| {
            let text = error.to_string();
            refused = Some(OpenError::Record { position: record.position, error });
            text
        })
    });
    if let Some(refused) = refused {
        return Err(refused);
    }
    let log = read.map_err(upbeat_journal::OpenError::from)?;
    let name = Entry::DECIDED;
    if let Some(decided) = stats.records.get_mut(name) {
        // They are packed: what one takes by itself is not what it takes.
        let read = upbeat_journal::read_groups(&*disk, start, |group| {
            let of = stored(group.records).filter(|stored| stored.kind == kind::DECIDED);
            decided.bytes += of.map(|stored| stored.bytes as u64).sum::<u64>();
            Ok(())
        });
        read.map_err(upbeat_journal::OpenError::from)?;
    }
    stats.groups = log.groups;
    stats.positions = (start.from, log.next.position);
    Ok(stats)
}

impl Stats {
    fn count(&mut self, record: &Record<'_>) -> Result<(), upbeat_core::encoding::DecodeError> {
        let entry = Entry::decode(record.kind, record.payload)?;
        let count = self.records.entry(entry.name()).or_default();
        count.records += 1;
        if record.kind != kind::DECIDED {
            count.bytes += record_bytes(record.payload.len()) as u64;
        }
        match entry {
            Entry::Event { event, .. } => {
                let time = event.time;
                let (first, last) = self.events.get_or_insert((time, time));
                if time.unix_ms < first.unix_ms {
                    *first = time;
                }
                if time.unix_ms > last.unix_ms {
                    *last = time;
                }
            }
            Entry::Started(started) => self.started = Some((record.position, started)),
            // The log may begin before the snapshot.
            Entry::Campaigns(kept) => {
                let known = self.campaigns.as_ref().map_or(0, |known| known.version.version);
                if kept.version.version > known {
                    self.campaigns = Some(kept);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
