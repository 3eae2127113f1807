//! Snapshots: files that hold the state of whoever keeps the log, so that only the log's end has to be read.
//!
//! A snapshot is named by the position S from which on records are applied to its state. It is written under another name,
//! read back, checked, and gets its own name only once the log is durable past everything in it. The newest two
//! are kept, and the log from the older one's S on: where one is found damaged, the other and the log give the same state.
//!
//! ```text
//! magic u64 | checksum u32 (CRC-32C of what follows, up to 64) | version u32 | salt u64 | S u64 | zeros up to 64 | blocks
//! ```
//!
//! A block:
//!
//! ```text
//! magic u32 | checksum u32 (CRC-32C of what follows, with the payload) | salt u64 | number u64 | kind u32 | length u32 | payload
//! ```
//!
//! The last block is of another kind; its payload is `E u64 | number of blocks u64 | bytes of the file before it u64`, and the
//! file ends with it.

mod read;
mod write;

use std::io;

pub use read::{Found, Snapshot, Snapshots, find};
pub use write::{Check, Checked, Checking, SnapshotWriter};

/// The most bytes of a block's payload.
pub const MOST_BLOCK_BYTES: usize = 1 << 20;

/// The version of the format that this program writes.
pub const VERSION: u32 = 1;

const MAGIC: u64 = u64::from_le_bytes(*b"UBSNAPSH");
const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"UBB1");
const HEAD: usize = 64;
const BLOCK_HEAD: usize = 32;
const DATA: u32 = 0;
const LAST: u32 = 1;
const LAST_BYTES: usize = 24;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk failed.
    #[error("{file}: {error}")]
    Disk {
        /// The file.
        file: String,
        /// What the system said.
        error: io::Error,
    },
    /// There is not enough space to begin.
    #[error("a snapshot needs {needed} bytes, and {free} are free")]
    Space {
        /// In bytes.
        needed: u64,
        /// In bytes.
        free: u64,
    },
    /// What is read is not what was written.
    #[error("{file}, byte {offset}: {problem}")]
    Damaged {
        /// The file.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong there.
        problem: &'static str,
    },
    /// A newer program wrote it.
    #[error("{file} has version {version} of the format, and this program reads up to {VERSION}")]
    Newer {
        /// The file.
        file: String,
        /// Its version.
        version: u32,
    },
}

fn at<T>(file: &str, result: io::Result<T>) -> Result<T, SnapshotError> {
    result.map_err(|error| SnapshotError::Disk { file: file.to_owned(), error })
}

pub(crate) fn name(from: u64) -> String {
    format!("snapshot-{from:020}")
}

fn unfinished_name(from: u64) -> String {
    format!("snapshot-{from:020}.tmp")
}

fn digits(text: &str) -> Option<u64> {
    (text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// The position in the name of a snapshot.
pub(crate) fn position(name: &str) -> Option<u64> {
    digits(name.strip_prefix("snapshot-")?)
}

/// Whether this is the name of a snapshot that was not finished.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.strip_prefix("snapshot-").and_then(|rest| rest.strip_suffix(".tmp")).and_then(digits).is_some()
}

fn encode_head(salt: u64, from: u64) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&MAGIC.to_le_bytes());
    head[12..16].copy_from_slice(&VERSION.to_le_bytes());
    head[16..24].copy_from_slice(&salt.to_le_bytes());
    head[24..32].copy_from_slice(&from.to_le_bytes());
    let checksum = crc32c::crc32c(&head[12..]);
    head[8..12].copy_from_slice(&checksum.to_le_bytes());
    head
}

/// The head of a block with this payload, its checksum included.
fn encode_block_head(salt: u64, number: u64, kind: u32, payload: &[u8]) -> [u8; BLOCK_HEAD] {
    let mut head = [0; BLOCK_HEAD];
    head[..4].copy_from_slice(&BLOCK_MAGIC.to_le_bytes());
    head[8..16].copy_from_slice(&salt.to_le_bytes());
    head[16..24].copy_from_slice(&number.to_le_bytes());
    head[24..28].copy_from_slice(&kind.to_le_bytes());
    head[28..32].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&head[8..]), payload);
    head[4..8].copy_from_slice(&checksum.to_le_bytes());
    head
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}
