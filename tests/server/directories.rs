//! A data directory that cannot be used: what is said of it, and that nothing in it is changed, by a start and by each command.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use super::durability::Kept;
use super::listeners::play;
use super::skipped::skipped;
use super::support::*;

/// A directory of a server that has stopped, with two snapshots and without the beginning of its log.
struct Template(Kept);

impl Template {
    fn new() -> Self {
        let kept = Kept::new();
        let environment = [
            ("UPBEAT_JOURNAL_SEGMENT_BYTES", "64KiB"),
            ("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "192KiB"),
            ("UPBEAT_RETENTION_EVENTS_BYTES", "1B"),
        ];
        let mut server = kept.start_with(&environment);
        for round in 0..3_u64 {
            let rows = (0..4500).map(|row| play(&format!("{}", row % 30), 10_000 * round + row, 60) + "\n");
            server.load("/events", NDJSON, rows.collect::<String>());
            let snapshots = (round + 1) as f64;
            until("a snapshot is written", || server.metric("upbeat_journal_snapshots_total") >= snapshots);
        }
        // Some segments behind the newest snapshot.
        let rows = (0..3000).map(|row| play(&format!("{}", row % 30), 50_000 + row, 60) + "\n");
        server.load("/events", NDJSON, rows.collect::<String>());
        server.signal("TERM");
        server.ended();
        Self(kept)
    }

    /// A copy of it in `folder`.
    fn copy(&self, folder: &Path) -> PathBuf {
        let copy = folder.join("data");
        std::fs::create_dir(&copy).expect("a folder");
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o700)).expect("it is ours");
        for entry in std::fs::read_dir(self.0.directory()).expect("a directory") {
            let entry = entry.expect("an entry");
            // What was made ahead is for that server alone, and models are no part of the log.
            if entry.file_name().to_string_lossy().starts_with("spare") || entry.path().is_dir() {
                continue;
            }
            std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("a copy");
        }
        copy
    }
}

/// Names of a directory's files that begin so, in order.
fn names(directory: &Path, what: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
    let mut names: Vec<_> = names.filter(|name| name.starts_with(what)).collect();
    names.sort();
    names
}

/// All below a path with sizes, bytes, modes and times, but for the lock, which whoever looks takes.
fn listing(path: &Path) -> BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        let mut bytes = Vec::new();
        let mut time = (metadata.mtime(), metadata.mtime_nsec());
        if metadata.is_dir() {
            // The name of the lock may be new in it.
            time = (0, 0);
            let entries = std::fs::read_dir(&path).expect("a directory");
            open.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if metadata.is_file() {
            bytes = std::fs::read(&path).expect("a file");
        }
        if path.file_name().is_none_or(|name| name != "lock") {
            all.insert(path, (metadata.mode(), time.0, time.1, bytes));
        }
    }
    all
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc: u32, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

/// A file system in memory, or another view of a directory, until this is dropped.
struct Mount(CString);

impl Mount {
    /// `None` where the kernel does not let this user mount.
    fn tmpfs(at: &Path, bytes: u64) -> Option<Self> {
        Self::call(c"tmpfs", at, c"tmpfs", 0, &CString::new(format!("size={bytes}")).expect("text"))
    }

    /// Has a directory seen as one that is only read.
    fn read_only(at: &Path) -> Option<Self> {
        let from = CString::new(at.as_os_str().as_bytes()).expect("a path");
        let mount = Self::call(&from, at, c"none", libc::MS_BIND, c"")?;
        let flags = libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY;
        let again = Self::call(&from, at, c"none", flags, c"")?;
        std::mem::forget(again);
        Some(mount)
    }

    fn call(
        from: &std::ffi::CStr,
        at: &Path,
        kind: &std::ffi::CStr,
        flags: libc::c_ulong,
        data: &std::ffi::CStr,
    ) -> Option<Self> {
        let at = CString::new(at.as_os_str().as_bytes()).expect("a path");
        // SAFETY: the strings live until the call returns.
        let done =
            unsafe { libc::mount(from.as_ptr(), at.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) };
        (done == 0).then_some(Self(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // SAFETY: the string lives until the call returns.
        unsafe { libc::umount2(self.0.as_ptr(), libc::MNT_DETACH) };
    }
}

const SERVE: &str = "serve";
const CHECK: &str = "check";
const DUMP: &str = "dump";
const STATS: &str = "stats";
const REPAIR: &str = "repair";
const COMPACT: &str = "compact";
const ALL: [&str; 6] = [SERVE, CHECK, DUMP, STATS, REPAIR, COMPACT];

/// Whether a server has got so far with a directory that it makes files ahead.
fn is_serving(directory: &Path) -> bool {
    directory.join("spare").exists()
}

/// Has `what` done with a directory, by another user if one is named.
fn run(what: &str, directory: &Path, lanes: &Path, user: Option<u32>) -> Output {
    let mut command = upbeat();
    if what == SERVE {
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir"]);
        command.env("UPBEAT_LANES_DIR", lanes).env("UPBEAT_JOURNAL_SEGMENT_BYTES", "1MiB");
    } else {
        command.args(["journal", what]);
        command.args((what == COMPACT).then_some("--yes"));
    }
    if let Some(user) = user {
        command.uid(user);
    }
    // Files, since what is dumped is more than a pipe holds.
    let [mut stdout, mut stderr] = [(); 2].map(|()| tempfile::tempfile().expect("a file"));
    let copy = |file: &File| Stdio::from(file.try_clone().expect("a descriptor"));
    let mut child =
        command.arg(directory).stdout(copy(&stdout)).stderr(copy(&stderr)).spawn().expect("it runs");
    // One that is not refused serves for ever.
    let deadline = Instant::now() + TIMEOUT;
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() > deadline || (what == SERVE && is_serving(directory)) {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut output = child.wait_with_output().expect("it has ended");
    for (file, bytes) in [(&mut stdout, &mut output.stdout), (&mut stderr, &mut output.stderr)] {
        file.rewind().expect("a file");
        file.read_to_end(bytes).expect("a file");
    }
    output
}

/// A directory, and what has to stay while it is looked at.
type Made = Option<(PathBuf, Option<Mount>)>;

/// A directory that cannot be used.
struct Case {
    name: &'static str,
    /// Makes it in an empty folder; `None` where this machine does not allow it. What is returned beside it is dropped at the end.
    make: fn(&Template, &Path) -> Made,
    /// Who refuses it.
    refused_by: &'static [&'static str],
    /// What each says.
    says: &'static [&'static str],
    /// What a start says besides.
    start_says: &'static [&'static str],
    user: Option<u32>,
}

const COMMANDS: &[&str] = &["upbeat journal check", "upbeat journal repair"];

/// A user without rights: nobody.
const NOBODY: u32 = 65534;

fn remove(directory: &Path, names: &[String]) {
    for name in names {
        std::fs::remove_file(directory.join(name)).expect("it is there");
    }
}

fn cut(path: &Path) {
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("it is ours");
    let bytes = file.metadata().expect("a file").len();
    file.set_len(bytes / 2).expect("it is cut");
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { name: "a newer version of the log", refused_by: &ALL, says: &["segment-", "version 9", "this program"], start_says: &[], user: None,
        make: |template, folder| {
            let data = template.copy(folder);
            let path = data.join(names(&data, "segment-").last().expect("a segment"));
            let mut bytes = std::fs::read(&path).expect("a segment");
            bytes[12] = 9;
            let checksum = crc32c(&bytes[12..128]);
            bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
            std::fs::write(&path, bytes).expect("it is ours");
            Some((data, None))
        } },
    Case { name: "a newer version of a snapshot", refused_by: &ALL, says: &["snapshot-", "version 9", "this program"], start_says: &[], user: None,
        make: |template, folder| {
            let data = template.copy(folder);
            let path = data.join(names(&data, "snapshot-").last().expect("a snapshot"));
            let mut bytes = std::fs::read(&path).expect("a snapshot");
            bytes[12] = 9;
            let checksum = crc32c(&bytes[12..64]);
            bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
            std::fs::write(&path, bytes).expect("it is ours");
            Some((data, None))
        } },
    Case { name: "a newer version of what is in a snapshot", refused_by: &[SERVE, CHECK, DUMP, STATS, COMPACT], says: &["version 200", "a newer program wrote it"], start_says: &[], user: None,
        make: |template, folder| {
            // After the head of 64 bytes lies that of the first block; its payload begins with a kind and the version.
            const BLOCK: usize = 64;
            const PAYLOAD: usize = BLOCK + 32;
            let data = template.copy(folder);
            // All of them: an older one would be taken otherwise.
            for name in names(&data, "snapshot-") {
                let path = data.join(name);
                let mut bytes = std::fs::read(&path).expect("a snapshot");
                let length = u32::from_le_bytes(bytes[PAYLOAD - 4..PAYLOAD].try_into().expect("four bytes")) as usize;
                bytes[PAYLOAD + 1] = 200;
                let checksum = crc32c(&bytes[BLOCK + 8..PAYLOAD + length]);
                bytes[BLOCK + 4..BLOCK + 8].copy_from_slice(&checksum.to_le_bytes());
                std::fs::write(&path, bytes).expect("it is ours");
            }
            Some((data, None))
        } },
    Case { name: "Redis", refused_by: &ALL, says: &["no file of Upbeat's"], start_says: &["--data-dir"], user: None,
        make: |_, folder| {
            let data = foreign(folder, &["dump.rdb", "appendonly.aof"]);
            std::fs::create_dir(data.join("appendonlydir")).expect("a folder");
            Some((data, None))
        } },
    Case { name: "RocksDB", refused_by: &ALL, says: &["no file of Upbeat's"], start_says: &["--data-dir"], user: None,
        make: |_, folder| Some((foreign(folder, &["CURRENT", "LOCK", "MANIFEST-000001", "000004.log", "000005.sst"]), None)) },
    Case { name: "Prometheus, which has a lock file, too", refused_by: &ALL, says: &["no file of Upbeat's"], start_says: &["--data-dir"], user: None,
        make: |_, folder| Some((foreign(folder, &["lock", "queries.active", "wal-00000000"]), None)) },
    Case { name: "ZooKeeper, which has snapshots, too", refused_by: &ALL, says: &["no file of Upbeat's"], start_says: &["--data-dir"], user: None,
        make: |_, folder| Some((foreign(folder, &["snapshot.0", "log.1"]), None)) },
    Case { name: "a foreign file with the name of one of ours", refused_by: &ALL, says: &["segment-000000000900", "no file of ours", "move it away"], start_says: COMMANDS, user: None,
        make: |template, folder| {
            let data = template.copy(folder);
            std::fs::write(data.join("segment-000000000900"), vec![7; 9000]).expect("a file");
            Some((data, None))
        } },
    Case { name: "half copied: a segment in the middle is missing", refused_by: &ALL, says: &["segment-"], start_says: COMMANDS, user: None,
        make: |template, folder| {
            let data = template.copy(folder);
            let segments = names(&data, "segment-");
            remove(&data, &segments[segments.len() - 2..segments.len() - 1]);
            Some((data, None))
        } },
    Case { name: "half copied: snapshots alone", refused_by: &ALL, says: &["last files are missing"], start_says: COMMANDS, user: None,
        make: |template, folder| {
            let data = template.copy(folder);
            remove(&data, &names(&data, "segment-"));
            Some((data, None))
        } },
    Case { name: "half copied: the newest segment alone", refused_by: &[SERVE, CHECK, REPAIR, COMPACT], says: &["segment-"], start_says: COMMANDS, user: None,
        make: |template, folder| {
            let data = template.copy(folder);
            let segments = names(&data, "segment-");
            remove(&data, &segments[..segments.len() - 1]);
            remove(&data, &names(&data, "snapshot-"));
            Some((data, None))
        } },
    Case { name: "half copied: cut snapshots and no beginning of the log", refused_by: &[SERVE, CHECK, REPAIR, COMPACT], says: &["snapshot-", "byte"], start_says: COMMANDS, user: None,
        make: |template, folder| {
            let data = template.copy(folder);
            names(&data, "snapshot-").iter().for_each(|name| cut(&data.join(name)));
            Some((data, None))
        } },
    Case { name: "half copied: the newest segment is cut", refused_by: &[SERVE, CHECK, REPAIR, COMPACT], says: &["segment-", "is cut"], start_says: COMMANDS, user: None,
        make: |template, folder| {
            let data = template.copy(folder);
            cut(&data.join(names(&data, "segment-").last().expect("a segment")));
            Some((data, None))
        } },
    Case { name: "read-only", refused_by: &[SERVE, REPAIR, COMPACT], says: &["Read-only file system", "writ"], start_says: &[], user: None,
        make: |template, folder| {
            let data = template.copy(folder);
            let mount = Mount::read_only(&data)?;
            Some((data, Some(mount)))
        } },
    Case { name: "a full disk", refused_by: &[SERVE], says: &["bytes", "free"], start_says: &["journal.segment_bytes"], user: None,
        make: |_, folder| {
            let mount = Mount::tmpfs(folder, 1 << 20)?;
            std::fs::write(folder.join("ballast"), vec![0; 700 << 10]).expect("it fits");
            let data = folder.join("data");
            std::fs::create_dir(&data).expect("a folder");
            Some((data, Some(mount)))
        } },
    Case { name: "a full disk below an old directory", refused_by: &[SERVE, COMPACT], says: &["bytes", "free"], start_says: &[], user: None,
        make: |template, folder| {
            let mount = Mount::tmpfs(folder, 4 << 20)?;
            let data = template.copy(folder);
            let held: u64 = std::fs::read_dir(&data).expect("a directory").map(|file| file.expect("a file").metadata().expect("a file").blocks() * 512).sum();
            std::fs::write(folder.join("ballast"), vec![0; ((4 << 20) - held - (300 << 10)) as usize]).expect("it fits");
            Some((data, Some(mount)))
        } },
    Case { name: "another user's", refused_by: &ALL, says: &["user"], start_says: &["belongs to user 0", "runs as user 65534"], user: Some(NOBODY),
        make: |template, folder| {
            // SAFETY: the call has no preconditions.
            if unsafe { libc::geteuid() } != 0 {
                return None;
            }
            Some((template.copy(folder), None))
        } },
    Case { name: "a file", refused_by: &ALL, says: &["no directory"], start_says: &["--data-dir"], user: None,
        make: |_, folder| {
            let path = folder.join("data");
            std::fs::write(&path, "text").expect("a file");
            Some((path, None))
        } },
    Case { name: "below a file", refused_by: &ALL, says: &["Not a directory"], start_says: &["--data-dir"], user: None,
        make: |_, folder| {
            let path = folder.join("file");
            std::fs::write(&path, "text").expect("a file");
            Some((path.join("data"), None))
        } },
    Case { name: "a link to nothing", refused_by: &ALL, says: &["link", "gone"], start_says: &["--data-dir"], user: None,
        make: |_, folder| {
            let path = folder.join("data");
            symlink(folder.join("gone"), &path).expect("a link");
            Some((path, None))
        } },
    Case { name: "a link to a file", refused_by: &ALL, says: &["no directory"], start_says: &["--data-dir"], user: None,
        make: |_, folder| {
            let path = folder.join("data");
            std::fs::write(folder.join("file"), "text").expect("a file");
            symlink(folder.join("file"), &path).expect("a link");
            Some((path, None))
        } },
];

/// A directory that another program fills.
fn foreign(folder: &Path, names: &[&str]) -> PathBuf {
    let data = folder.join("data");
    std::fs::create_dir(&data).expect("a folder");
    for name in names {
        std::fs::write(data.join(name), "REDIS0011 or something").expect("a file");
    }
    data
}

#[test]
fn directory_that_cannot_be_used_is_refused_with_a_message_and_nothing_in_it_is_changed() {
    let template = Template::new();
    let lanes = tempfile::tempdir_in(if cfg!(target_os = "linux") { "/dev/shm" } else { "/tmp" });
    let lanes = lanes.expect("a folder");
    for case in CASES {
        let folder = tempfile::tempdir().expect("a folder");
        // So that another user finds the way.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        let Some((data, mount)) = (case.make)(&template, folder.path()) else {
            skipped(format_args!("{}: this machine does not allow it", case.name));
            continue;
        };
        let before = listing(folder.path());
        for what in ALL {
            let output = run(what, &data, lanes.path(), case.user);
            let said = String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned();
            let name = format!("{}, {what}: {said}", case.name);
            assert!(listing(folder.path()) == before, "{name}: something was changed");
            assert!(!said.contains("panicked"), "{name}");
            if !case.refused_by.contains(&what) {
                continue;
            }
            assert_eq!(output.status.code(), Some(1), "{name}");
            let only = if what == SERVE { case.start_says } else { &[] };
            for says in case.says.iter().chain(only) {
                assert!(said.contains(says), "{says:?} is missing: {name}");
            }
            assert!(said.contains(&*data.display().to_string()), "it names the directory: {name}");
            let left = std::fs::read_dir(lanes.path()).expect("a folder").count();
            assert_eq!(left, 0, "no lanes are left of a server that did not start: {name}");
        }
        drop(mount);
    }
}

#[test]
fn directory_that_is_a_link_or_only_read_is_looked_at_and_foreign_files_stay() {
    let template = Template::new();
    let folder = tempfile::tempdir().expect("a folder");
    let data = template.copy(folder.path());
    std::fs::write(data.join("notes.txt"), "mine").expect("a file");
    let link = folder.path().join("link");
    symlink(&data, &link).expect("a link");
    let lanes = template.0.lanes.path().display().to_string();
    let server = Server::with(&["--data-dir", &link.display().to_string()], &[("UPBEAT_LANES_DIR", &lanes)]);
    assert_eq!(server.profiles(), 30);
    drop(server);
    assert_eq!(std::fs::read(data.join("notes.txt")).expect("a file"), b"mine");

    let Some(_mount) = Mount::read_only(&data) else {
        return skipped("this machine does not allow a mount");
    };
    for what in [CHECK, DUMP, STATS] {
        let output = run(what, &data, template.0.lanes.path(), None);
        assert_eq!(output.status.code(), Some(0), "{what}: {output:?}");
    }
}
