//! A backup on a disk: its files, and `backup.json`, which says what belongs to it.
//!
//! `backup.json` is `{"backup": {…}, "sha256": "…"}`: the digest is that of the text of `backup`, so that a changed byte is found
//! there, too.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use upbeat_engine::tombstones::{self, file::TombstoneFile};
use upbeat_journal::disk::ReadOnlyDisk;
use upbeat_journal::is_file_name;
use upbeat_server::runtime::is_model_copy;

use super::progress::Progress;

/// The file that says what belongs to a backup.
pub(super) const MANIFEST: &str = "backup.json";

/// The file that says who was erased, and not who they are.
pub(super) const TOMBSTONES: &str = "tombstones";

/// The version of the format that this program writes.
const VERSION: u32 = 2;

/// Longer ones are none that this program writes: a backup has a file for each 64 KiB at least.
const MOST_MANIFEST_BYTES: u64 = 256 << 20;

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// What belongs to a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// The version of the format.
    pub(super) version: u32,
    /// Whether all files are there and were checked.
    pub(super) finished: bool,
    /// The fingerprint of the server.
    pub(super) server: String,
    /// When it was taken.
    pub(super) taken: String,
    /// Above all positions in it.
    pub(super) position: u64,
    /// The snapshot in it, if there is one.
    pub(super) snapshot: Option<String>,
    /// Whether it was asked for with everything that the log keeps for looking back.
    pub(super) history: bool,
    /// The name that the server has for it while it is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// Its files.
    pub(super) files: Vec<BackedUp>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackedUp {
    /// Its name.
    pub(super) name: String,
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// The SHA-256 of all of them, in hexadecimal digits, once the file is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    backup: Box<RawValue>,
    sha256: String,
}

impl Manifest {
    /// One of a backup that is read from a server, with nothing of it there yet.
    pub(super) fn new(
        server: String,
        taken: String,
        position: u64,
        snapshot: Option<String>,
        history: bool,
    ) -> Self {
        let (version, finished, id, files) = (VERSION, false, None, Vec::new());
        Self { version, finished, server, taken, position, snapshot, history, id, files }
    }

    /// The text of the file.
    pub(super) fn text(&self) -> anyhow::Result<String> {
        let backup = serde_json::value::to_raw_value(self)?;
        let sha256 = hex(&Sha256::digest(backup.get()));
        Ok(serde_json::to_string(&Sealed { backup, sha256 })? + "\n")
    }

    /// Writes the file into a directory, durably and at once: a process that is killed leaves the former one or this one.
    pub(super) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let path = directory.join(MANIFEST);
        let new = directory.join(format!("{MANIFEST}.part"));
        let write = || {
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(self.text().map_err(io::Error::other)?.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            File::open(directory)?.sync_all()
        };
        write().with_context(|| format!("{}: cannot be written", path.display()))
    }

    /// Reads the file of a directory.
    ///
    /// # Errors
    /// It is not there, damaged, or a newer program wrote it.
    pub(super) fn read(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join(MANIFEST);
        let name = path.display();
        let read = || {
            let mut text = String::new();
            File::open(&path)?.take(MOST_MANIFEST_BYTES).read_to_string(&mut text)?;
            io::Result::Ok(text)
        };
        let text = read().with_context(|| format!("{name}: cannot be read"))?;
        Self::parse(&text).with_context(|| name.to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let damaged = "it is damaged, or none that `upbeat backup` has written";
        let sealed: Sealed = serde_json::from_str(text).context(damaged)?;
        ensure!(
            hex(&Sha256::digest(sealed.backup.get())) == sealed.sha256,
            "{damaged}: its own digest is another"
        );
        let Versioned { version } = serde_json::from_str(sealed.backup.get()).context(damaged)?;
        ensure!(
            version <= VERSION,
            "it has version {version} of the format, and this program reads up to {VERSION}: take the one that wrote it, or a later"
        );
        let manifest: Self = serde_json::from_str(sealed.backup.get()).context(damaged)?;
        for file in &manifest.files {
            let is_ours = is_of_backup(&file.name) || file.name == TOMBSTONES;
            ensure!(is_ours, "{damaged}: it names {:?}", file.name);
        }
        Ok(manifest)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Whether a snapshot, a file of the log or a copy of a model has this name.
pub(super) fn is_of_backup(name: &str) -> bool {
    (is_file_name(name) && !name.ends_with(".tmp")) || is_model_copy(name)
}

/// Reads the text of a file of tombstones, which has to be of this server.
///
/// # Errors
/// It is damaged, or of another server.
pub(super) fn tombstones(name: &str, text: &str, server: &str) -> anyhow::Result<TombstoneFile> {
    let file = tombstones::file::read(text).with_context(|| name.to_owned())?;
    ensure!(
        file.server == server,
        "{name}: these tombstones are of server {}, and the backup is of server {server}: take those of its own server, with GET \
         /tombstones on its admin listener",
        file.server
    );
    Ok(file)
}

/// Hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Size and SHA-256 of a file.
///
/// # Errors
/// It cannot be read.
pub(super) fn digest(path: &Path, progress: &mut Progress) -> anyhow::Result<(u64, String)> {
    let read = |progress: &mut Progress| {
        let (mut file, mut sha256, mut bytes) = (File::open(path)?, Sha256::new(), 0);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let count = match file.read(&mut buffer) {
                Ok(0) => return io::Result::Ok((bytes, hex(&sha256.finalize()))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                count => count?,
            };
            sha256.update(&buffer[..count]);
            bytes += count as u64;
            progress.add(count as u64);
        }
    };
    read(progress).with_context(|| format!("{}: cannot be read", path.display()))
}

/// Reads all snapshots and all of the log in a directory, and sees to it that they end where the manifest says.
///
/// # Errors
/// Something is damaged or missing: every place.
pub(super) fn check(directory: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let name = directory.display();
    let disk = ReadOnlyDisk::new(directory).with_context(|| name.to_string())?;
    let report =
        upbeat_journal::check(&Arc::new(disk)).with_context(|| format!("{name}: the copy is not sound"))?;
    let findings: Vec<String> =
        report.findings.iter().filter(|finding| !finding.is_harmless()).map(ToString::to_string).collect();
    ensure!(findings.is_empty(), "{name}: the copy is not sound: {}", findings.join("; "));
    let snapshots: Vec<&str> = report.snapshots.iter().map(|(name, ..)| name.as_str()).collect();
    if snapshots != manifest.snapshot.as_deref().into_iter().collect::<Vec<_>>() {
        bail!("{name}: the copy has the snapshots {snapshots:?}, and {:?} belongs to it", manifest.snapshot);
    }
    let (ends, position) = (report.positions.1, manifest.position);
    ensure!(
        ends == position,
        "{name}: the log of the copy ends at position {ends}, and should at {position}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let snapshot = Some("snapshot-00000000000000000007".to_owned());
        let mut manifest =
            Manifest::new("0123456789abcdef".into(), "2026-11-26T03:00:00Z".into(), 9, snapshot, true);
        let name = "segment-000000000001".to_owned();
        manifest.files = vec![BackedUp { name, bytes: 4096, sha256: Some(hex(&Sha256::digest("x"))) }];
        manifest
    }

    #[test]
    fn manifest_is_read_as_it_was_written_and_with_any_byte_changed_it_is_not() {
        let text = manifest().text().expect("text");
        assert_eq!(Manifest::parse(&text).expect("it is sound"), manifest());
        for at in 0..text.len() - 1 {
            for mask in [0x01, 0x20] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= mask;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                assert!(Manifest::parse(&changed).is_err(), "byte {at}: {changed}");
            }
        }
        for length in 0..text.len() - 1 {
            assert!(Manifest::parse(&text[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn manifest_of_a_newer_program_and_one_that_names_other_places_are_refused() {
        let newer = Manifest { version: VERSION + 1, ..manifest() }.text().expect("text");
        assert!(Manifest::parse(&newer).expect_err("it is newer").to_string().contains("version 3"));
        for name in ["../segment-000000000001", "/etc/passwd", "lock", "segment-000000000001/x", ""] {
            let mut manifest = manifest();
            manifest.files[0].name = name.to_owned();
            assert!(Manifest::parse(&manifest.text().expect("text")).is_err(), "{name}");
        }
    }
}
