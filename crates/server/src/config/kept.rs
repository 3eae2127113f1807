//! Settings of what is kept on the disk.

use serde::{Deserialize, Serialize};

use super::{Bytes, Duration};

/// What an answer to events waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// That what it says is on the disk.
    Ack,
    /// Nothing, unless what was acknowledged within the last [`Journal::interval`] is not on the disk.
    Interval,
    /// Nothing: the log is written and never synced.
    Off,
}

/// How the log is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Journal {
    /// With [`Durability::Interval`], the time of which acknowledgements may be lost with the power.
    pub interval: Duration,
    /// Bytes of one file of the log.
    pub segment_bytes: Bytes,
    /// Bytes of log after which a snapshot is made, so that a start has no more to read.
    pub snapshot_bytes: Bytes,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(100),
            segment_bytes: Bytes(64 << 20),
            snapshot_bytes: Bytes(512 << 20),
        }
    }
}

/// How decisions are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Decisions {
    /// Impressions that were counted at most so long ago may be lost with the power.
    pub sync_interval: Duration,
    /// Decisions that showed nothing, too, where they are at most so old.
    pub unshown_interval: Duration,
}

impl Default for Decisions {
    fn default() -> Self {
        Self { sync_interval: Duration::from_millis(50), unshown_interval: Duration::from_secs(30) }
    }
}

/// Backups that are read over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// Files of a backup that nobody has read for so long are held no longer.
    pub expire: Duration,
}

impl Default for Backup {
    fn default() -> Self {
        Self { expire: Duration::from_secs(3600) }
    }
}

/// What is kept for how long.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Events in the log that snapshots cover already.
    pub events: Retained,
    /// Shown ads in the same log.
    pub decisions: Retained,
}

/// Bounds of a history, whichever ends first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retained {
    /// Days after which it is removed.
    pub days: u32,
    /// Bytes beyond which the oldest is removed.
    pub bytes: Bytes,
}

impl Default for Retained {
    fn default() -> Self {
        Self { days: 7, bytes: Bytes(4 << 30) }
    }
}
