//! The file of tombstones: what has to be kept beside a backup, so that what was erased after it does not come back with it.
//!
//! It is text: a line of JSON, a line for each tombstone in the order of digests, and a checksum of all lines before.
//!
//! ```text
//! {"format":"upbeat-tombstones","version":1,"server":"8d2c…","taken":"2026-11-26T23:00:00.000Z","count":1}
//! 0f1e2d3c4b5a69788796a5b4c3d2e1f0 1700000000000
//! crc32c 1a2b3c4d
//! ```

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use upbeat_core::event::Time;

use super::Tombstone;

const FORMAT: &str = "upbeat-tombstones";
const VERSION: u64 = 1;

/// What a file of tombstones holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TombstoneFile {
    /// Whose they are: [`Engine::server_fingerprint`](crate::Engine::server_fingerprint).
    pub server: String,
    /// When they were taken, as in RFC 3339.
    pub taken: String,
    /// The tombstones, in the order of their digests. The file says nothing of when they were made and of the log they are in, so
    /// these are 0.
    pub tombstones: Vec<Tombstone>,
}

/// The first line, but for the format and the version, which are looked at first.
#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u64,
    server: String,
    taken: String,
    count: usize,
}

/// The part of the first line that every version has.
#[derive(Deserialize)]
struct Kind {
    format: String,
    version: u64,
}

/// Why a file is none of tombstones that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It is something else.
    #[error(
        "line 1: this is no file of tombstones, which begins with {{\"format\":\"upbeat-tombstones\"; give the answer of GET /tombstones"
    )]
    Other,
    /// A newer program wrote it.
    #[error(
        "line 1: the file has version {0} and this program reads {VERSION}: a newer program wrote it, use that one"
    )]
    Newer(u64),
    /// It ends too early.
    #[error("line {line}: the file ends here, without {missing}: it was not copied whole; take it again")]
    Truncated {
        /// The last line, from 1 on.
        line: usize,
        /// What should follow.
        missing: &'static str,
    },
    /// A line is none that is written.
    #[error("line {line}: {problem}; the file is damaged, take it again")]
    Damaged {
        /// Which line, from 1 on.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

fn damaged(line: usize, problem: impl ToString) -> FileError {
    FileError::Damaged { line, problem: problem.to_string() }
}

/// The text of a file with these tombstones, of the server with this fingerprint, taken at `taken_ms` (Unix milliseconds).
#[must_use]
pub fn write(server: &str, taken_ms: i64, tombstones: &[Tombstone]) -> String {
    let mut sorted: Vec<(u128, i64)> =
        tombstones.iter().map(|of| (u128::from_be_bytes(of.digest), of.erased_until_ms)).collect();
    sorted.sort_unstable();
    let taken = rfc3339(taken_ms);
    let mut text = format!(
        "{{\"format\":\"{FORMAT}\",\"version\":{VERSION},\"server\":\"{server}\",\"taken\":\"{taken}\",\"count\":{}}}\n",
        sorted.len()
    );
    text.reserve(sorted.len() * 48);
    for (digest, erased_until_ms) in sorted {
        // Nothing that is written to a string fails.
        let _ = writeln!(text, "{digest:032x} {erased_until_ms}");
    }
    let checksum = crc32c::crc32c(text.as_bytes());
    let _ = writeln!(text, "crc32c {checksum:08x}");
    text
}

/// An instant as in RFC 3339, at UTC.
fn rfc3339(unix_ms: i64) -> String {
    let time = Time::from_parts(unix_ms, 0, true).unwrap_or(Time::from_unix_ms(0));
    time.to_string()
}

/// Reads a file.
///
/// # Errors
/// It is another file, of a newer version, cut off or damaged: see [`FileError`], which names the line.
pub fn read(text: &str) -> Result<TombstoneFile, FileError> {
    let first = text.lines().next().unwrap_or_default();
    let kind: Kind = serde_json::from_str(first).map_err(|_| FileError::Other)?;
    match kind {
        Kind { format, .. } if format != FORMAT => return Err(FileError::Other),
        Kind { version, .. } if version != VERSION => return Err(FileError::Newer(version)),
        Kind { .. } => {}
    }
    let lines = text.lines().count();
    if !text.ends_with('\n') {
        return Err(FileError::Truncated { line: lines, missing: "the end of the line" });
    }
    let last_at = text[..text.len() - 1].rfind('\n').map_or(0, |end| end + 1);
    let (content, last) = text.split_at(last_at);
    let Some(checksum) = last.trim_end_matches('\n').strip_prefix("crc32c ") else {
        return Err(FileError::Truncated { line: lines, missing: "the line with the checksum" });
    };
    let header: Header = serde_json::from_str(first).map_err(|error| damaged(1, error))?;
    let mut tombstones: Vec<Tombstone> = Vec::new();
    for (index, line) in content.lines().enumerate().skip(1) {
        let tombstone = tombstone(line).ok_or_else(|| {
            damaged(index + 1, "expected 32 hexadecimal digits, a blank and a time in milliseconds")
        })?;
        if tombstones.last().is_some_and(|before| before.digest >= tombstone.digest) {
            return Err(damaged(index + 1, "the digest does not follow the one before"));
        }
        tombstones.push(tombstone);
    }
    if tombstones.len() != header.count {
        let found = tombstones.len();
        return Err(damaged(
            lines,
            format_args!("line 1 says {} tombstones, and there are {found}", header.count),
        ));
    }
    if checksum != format!("{:08x}", crc32c::crc32c(content.as_bytes())) {
        return Err(damaged(lines, "the checksum is not that of the lines before"));
    }
    Ok(TombstoneFile { server: header.server, taken: header.taken, tombstones })
}

/// Reads a line in the form in which it is written, and no other.
fn tombstone(line: &str) -> Option<Tombstone> {
    let (digest, erased_until) = line.split_once(' ')?;
    let number = u128::from_str_radix(digest, 16).ok()?;
    let erased_until_ms: i64 = erased_until.parse().ok()?;
    let is_own = format!("{number:032x} {erased_until_ms}") == line;
    is_own.then_some(Tombstone { digest: number.to_be_bytes(), erased_until_ms, made_ms: 0, position: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tombstones() -> Vec<Tombstone> {
        let of = |(first, erased_until_ms): (u8, i64)| Tombstone {
            digest: [first, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
            erased_until_ms,
            made_ms: 0,
            position: 0,
        };
        [(0, 1_700_000_000_000), (7, -1), (0xff, i64::MIN)].into_iter().map(of).collect()
    }

    fn text() -> String {
        let mut shuffled = tombstones();
        shuffled.reverse();
        write("0123456789abcdef", 1_700_000_000_000, &shuffled)
    }

    #[test]
    fn file_reads_back_as_written_in_the_order_of_digests() {
        let text = text();
        assert!(
            text.starts_with(
                "{\"format\":\"upbeat-tombstones\",\"version\":1,\"server\":\"0123456789abcdef\",\
                 \"taken\":\"2023-11-14T22:13:20Z\",\"count\":3}\n\
                 000102030405060708090a0b0c0d0e0f 1700000000000\n"
            ),
            "{text}"
        );
        let read = read(&text).expect("it was written");
        assert_eq!(read.server, "0123456789abcdef");
        assert_eq!((read.taken.as_str(), read.tombstones), ("2023-11-14T22:13:20Z", tombstones()));
        let none = write("0123456789abcdef", 0, &[]);
        assert_eq!(super::read(&none).expect("it was written").tombstones, []);
    }

    #[test]
    fn file_that_was_cut_or_changed_anywhere_is_refused_with_a_line() {
        let text = text();
        for length in 0..text.len() {
            let error = read(&text[..length]).expect_err("it is cut").to_string();
            assert!(error.starts_with("line "), "{length}: {error}");
        }
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let error = read(&changed).expect_err("it is changed").to_string();
            assert!(error.starts_with("line "), "{at}: {error}");
        }
        let lines: Vec<&str> = text.lines().collect();
        let without_one = [&lines[..2], &lines[3..]].concat().join("\n") + "\n";
        assert!(read(&without_one).expect_err("one is missing").to_string().contains("there are 2"));
    }

    #[test]
    fn file_of_a_newer_version_and_another_file_are_refused_as_such() {
        let newer = text().replace("\"version\":1", "\"version\":2");
        assert_eq!(read(&newer), Err(FileError::Newer(2)));
        for other in ["", "\n", "{}", "{\"format\":\"x\",\"version\":1}\n", "plays\n1,2\n"] {
            assert_eq!(read(other), Err(FileError::Other), "{other:?}");
        }
    }
}
