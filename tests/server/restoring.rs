//! `upbeat backup` and `upbeat restore` with what they cannot use: a sentence, and nothing is changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::backups::{
    Elsewhere, assert_done, assert_refused, assert_same, backup, count, loaded, names, restore, restore_with,
    said, state,
};
use super::durability::{Kept, journal, kill};
use super::listeners::{likely, membership};
use super::support::*;

/// A backup, and the folder it is in.
struct Backup {
    folder: tempfile::TempDir,
    state: Vec<(serde_json::Value, serde_json::Value)>,
}

impl Backup {
    fn new() -> Self {
        let kept = Kept::new();
        let server = loaded(&kept, &[]);
        let folder = tempfile::tempdir().expect("a folder");
        assert_done(&backup(&server, &folder.path().join("copy"), &[]));
        let state = state(&server);
        kill(server);
        Self { folder, state }
    }

    fn copy(&self) -> PathBuf {
        self.folder.path().join("copy")
    }

    /// A place where nothing is.
    fn place(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    #[track_caller]
    fn refused(&self, what: &[&str]) {
        assert_refused(&restore(&self.copy(), &self.place()), what);
        assert!(!self.place().exists() && !self.folder.path().join("data.partial").exists());
    }
}

#[test]
fn backup_that_misses_a_file_or_has_one_byte_changed_is_refused() {
    let backup = Backup::new();
    let copy = backup.copy();
    let all = names(&copy);
    assert!(all.len() > 4, "{all:?}");
    for name in &all {
        let path = copy.join(name);
        let bytes = fs::read(&path).expect("a file");
        fs::remove_file(&path).expect("it is there");
        backup.refused(&[name]);

        // Of a large file some: its head, its middle, its end, and where others may look least.
        let length = bytes.len();
        let stride = (length / 5).max(1);
        for at in (0..length).step_by(stride).chain([7, 4096, length - 2]).filter(|at| *at < length) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x01;
            fs::write(&path, &changed).expect("written");
            backup.refused(&[name]);
        }
        fs::write(&path, &bytes[..length - 2]).expect("written");
        backup.refused(&[name]);
        fs::write(&path, [&bytes[..], b"x"].concat()).expect("written");
        backup.refused(&[name]);
        fs::write(&path, &bytes).expect("written");
    }
    // One too many.
    let segment = all.iter().find(|name| name.starts_with("segment-")).expect("a file of the log");
    fs::copy(copy.join(segment), copy.join("segment-000000000099")).expect("a copy");
    backup.refused(&["segment-000000000099", "not of the backup"]);
    fs::remove_file(copy.join("segment-000000000099")).expect("it is there");
    fs::write(copy.join("notes.txt"), "of the operator").expect("written");
    assert_done(&restore(&copy, &backup.place()));
}

#[test]
fn restore_refuses_every_place_that_holds_something_and_leaves_it_as_it_was() {
    let backup = Backup::new();
    let kept = Kept::new();
    let live = loaded(&kept, &[]);
    let before = state(&live);
    let directory = PathBuf::from(kept.directory());
    let copy = backup.copy();
    assert_refused(
        &restore(&copy, &directory),
        &["in use by process", &live.id().to_string(), "nothing was changed"],
    );
    assert_same(&live, &before);
    kill(live);
    let held = names(&directory);
    assert_refused(&restore(&copy, &directory), &["it holds", "empty or not there", "nothing was changed"]);
    assert_eq!(names(&directory), held);

    let place = backup.place();
    fs::write(&place, "text").expect("written");
    assert_refused(&restore(&copy, &place), &["no directory"]);
    assert_eq!(fs::read(&place).expect("a file"), b"text");
    fs::remove_file(&place).expect("it is there");
    symlink(backup.folder.path(), &place).expect("a link");
    assert_refused(&restore(&copy, &place), &["it is a link"]);
    fs::remove_file(&place).expect("it is there");
    let beside = backup.folder.path().join("data.partial");
    fs::create_dir(&beside).expect("a directory");
    fs::write(beside.join("thesis.tex"), "text").expect("written");
    assert_refused(&restore(&copy, &place), &["thesis.tex", "move it away"]);
    assert_eq!(names(&beside).len(), 1);
    fs::remove_dir_all(&beside).expect("it is there");

    // No backup, and none that is to be found.
    assert_refused(&restore(&directory, &place), &["backup.json"]);
    assert_refused(&restore(&backup.folder.path().join("nowhere"), &place), &["nowhere"]);
    assert!(!place.exists());
    // An empty one is taken, and so is one that a directory has to be made for.
    fs::create_dir(&place).expect("a directory");
    assert_done(&restore(&copy, &place));
    assert_done(&restore(&copy, &backup.folder.path().join("new/data")));
}

/// Whoever was deleted, as a file.
fn tombstones(server: &Server) -> String {
    let answer = server.admin_get("/tombstones");
    assert_eq!(answer.status, 200);
    answer.text()
}

fn delete(server: &Server, customer: &str) {
    let answer = server.ask("DELETE", &server.admin, &format!("/customers/{customer}"), &[], b"");
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// Names of files below a directory that hold these bytes.
fn files_with(directory: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(files_with(&entry, bytes));
        } else if fs::read(&entry).expect("a file").windows(bytes.len()).any(|window| window == bytes) {
            found.push(entry);
        }
    }
    found
}

#[test]
fn customer_who_was_deleted_after_the_backup_stays_deleted_where_the_tombstones_are_newer() {
    const EARLY: &str = "was-deleted-before-the-backup";
    const LATE: &str = "was-deleted-after-the-backup";
    let kept = Kept::new();
    let server = loaded(&kept, &[]);
    server.load("/events", NDJSON, likely(EARLY) + &likely(LATE) + &likely("stays"));
    assert_eq!(server.decide(LATE)["show"], true);
    delete(&server, EARLY);
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy");
    assert_done(&backup(&server, &copy, &[]));
    assert!(!files_with(&copy, LATE.as_bytes()).is_empty(), "the backup has them");
    delete(&server, LATE);
    let newer = folder.path().join("newer");
    fs::write(&newer, tombstones(&server)).expect("written");
    kill(server);

    // As of the backup alone they are back, which is said; who was deleted before it is not.
    let old = Elsewhere::new();
    let done = restore(&copy, &old.directory());
    assert_done(&done);
    assert!(said(&done).contains("has come back: delete them again"), "{}", said(&done));
    let server = old.0.start();
    assert_eq!(server.held(LATE)["plays"].as_array().expect("a list").len(), 24);
    server.admin_get(&format!("/customers/{EARLY}")).problem(404, "customer-not-found");
    kill(server);

    let new = Elsewhere::new();
    let done = restore_with(&copy, &new.directory(), &["--tombstones", &newer.display().to_string()]);
    assert_done(&done);
    assert!(said(&done).contains("1 deletions since then"), "{}", said(&done));
    assert!(said(&done).contains("1 customers of the backup are erased"), "{}", said(&done));
    for id in [EARLY, LATE] {
        let found = files_with(&new.directory(), id.as_bytes());
        assert!(found.is_empty(), "{id} is still in {found:?}");
    }
    assert!(!files_with(&new.directory(), b"stays").is_empty(), "others are there");
    assert_done(&journal(&["check", &new.directory().display().to_string()]));
    let server = new.0.start();
    server.admin_get(&format!("/customers/{LATE}")).problem(404, "customer-not-found");
    assert_eq!(server.held("stays")["plays"].as_array().expect("a list").len(), 24);
    assert_eq!(server.decide("shown")["reason"], "capped");
    // Old input that is sent again does not bring them back.
    let report = server.post("/events", NDJSON, likely(LATE)).ok();
    assert_eq!((&report["accepted"], &report["erased"]), (&0.into(), &24.into()), "{report}");
    kill(server);

    let forgotten = Elsewhere::new();
    let done = restore_with(&copy, &forgotten.directory(), &["--forget-erasures"]);
    assert_done(&done);
    assert!(said(&done).contains("has come back"), "{}", said(&done));
    // Said twice, it means nothing.
    let both = ["--tombstones", "x", "--forget-erasures"];
    assert_eq!(restore_with(&copy, &folder.path().join("data"), &both).status.code(), Some(2));
}

#[test]
fn tombstones_of_another_server_damaged_older_or_missing_are_refused() {
    let kept = Kept::new();
    let server = loaded(&kept, &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let (copy, place) = (folder.path().join("copy"), folder.path().join("data"));
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let older = file("older", &tombstones(&server));
    assert_done(&backup(&server, &copy, &[]));
    delete(&server, "48");
    let newer = tombstones(&server);
    kill(server);
    let other = Kept::new();
    let other = loaded(&other, &[]);
    let foreign = file("foreign", &tombstones(&other));
    kill(other);
    let refused = |path: &str, what: &[&str]| {
        assert_refused(&restore_with(&copy, &place, &["--tombstones", path]), what);
        assert!(!place.exists());
    };
    refused(&foreign, &["foreign", "these tombstones are of server"]);
    refused(&older, &["older", "name a newer file"]);
    for at in [1, newer.len() / 2, newer.len() - 3] {
        let mut damaged = newer.clone().into_bytes();
        damaged[at] ^= 0x01;
        let damaged = file("damaged", &String::from_utf8(damaged).expect("text"));
        refused(&damaged, &["damaged"]);
    }
    refused(&file("cut", &newer[..newer.len() - 10]), &["cut", "line"]);
    refused(&folder.path().join("nowhere").display().to_string(), &["nowhere"]);
    // In place of the backup's own, where it looks like damage.
    let own = fs::read(copy.join("tombstones")).expect("a file");
    fs::write(copy.join("tombstones"), &newer).expect("written");
    assert_refused(&restore(&copy, &place), &["tombstones", "--tombstones"]);
    fs::write(copy.join("tombstones"), own).expect("written");

    // A backup that has none.
    without_tombstones(&copy);
    assert_refused(&restore(&copy, &place), &["no file tombstones", "--forget-erasures"]);
    assert!(!place.exists());
    assert_done(&restore_with(&copy, &place, &["--forget-erasures"]));
}

/// Makes a backup one of a server that gave no tombstones.
fn without_tombstones(copy: &Path) {
    let path = copy.join("backup.json");
    let sealed: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    let mut manifest = sealed["backup"].clone();
    manifest["files"].as_array_mut().expect("a list").retain(|file| file["name"] != "tombstones");
    let text = manifest.to_string();
    let digest: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(path, format!("{{\"backup\":{text},\"sha256\":\"{digest}\"}}")).expect("written");
    fs::remove_file(copy.join("tombstones")).expect("it is there");
}

#[test]
fn restore_that_is_killed_at_any_moment_leaves_no_directory_or_a_whole_one() {
    let backup = Backup::new();
    let (copy, place) = (backup.copy(), backup.place());
    let (mut killed_amid, mut delay) = (0, Duration::from_millis(10));
    for _ in 0..12 {
        let mut command = upbeat();
        command.arg("restore").arg(&copy).arg("--data-dir").arg(&place);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        std::thread::sleep(delay);
        let has_ended = child.try_wait().expect("a child").is_some();
        let _ = child.kill();
        child.wait().expect("it ends");
        if has_ended || place.exists() {
            break;
        }
        killed_amid += 1;
        delay += Duration::from_millis(25);
    }
    assert!(killed_amid > 0);
    if !place.exists() {
        assert_done(&restore(&copy, &place));
    }
    assert_done(&journal(&["check", &place.display().to_string()]));
    assert!(!backup.folder.path().join("data.partial").exists());
    let elsewhere = Elsewhere::new();
    fs::rename(&place, elsewhere.directory()).expect("the same disk");
    assert_same(&elsewhere.0.start(), &backup.state);
}

#[test]
fn backup_says_what_it_cannot_use_and_makes_nothing() {
    let kept = Kept::new();
    let server = loaded(&kept, &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy");
    let from = |url: &str, to: &Path| {
        upbeat().args(["backup", "--from", url, "-o"]).arg(to).output().expect("it runs")
    };
    let data = format!("http://{}", server.data);
    assert_refused(&from(&data, &copy), &[&data, "data listener", "admin listener"]);
    let in_memory = Server::start();
    assert_refused(&backup(&in_memory, &copy, &[]), &["keeps nothing on a disk"]);
    assert_refused(&from("http://127.0.0.1:1", &copy), &["cannot reach"]);
    assert_refused(&from("ftp://127.0.0.1", &copy), &["http://"]);
    assert!(!copy.exists());

    fs::create_dir(&copy).expect("a directory");
    fs::write(copy.join("thesis.tex"), "text").expect("written");
    assert_refused(&backup(&server, &copy, &[]), &["thesis.tex", "no backup"]);
    fs::remove_file(copy.join("thesis.tex")).expect("it is there");
    assert_done(&backup(&server, &copy, &[]));
    let before = names(&copy);
    assert_refused(&backup(&server, &copy, &[]), &["holds a backup already", "another directory"]);
    assert_eq!(names(&copy), before);
    assert_refused(&backup(&server, &copy.join("backup.json"), &[]), &["no directory"]);
    assert_eq!(count(Path::new(&kept.directory()), "backup-"), 0);
    let help =
        upbeat().args(["backup", "--from", &data, "-o", "x", "--rate", "1"]).output().expect("it runs");
    assert_eq!(help.status.code(), Some(2), "{}", said(&help));
}

/// A backup of the first version of its format.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/golden/backups/1")
}

const BY_EVENTS: [(&str, &str); 2] = [("UPBEAT_CLOCK", "event"), ("UPBEAT_JOURNAL_SEGMENT_BYTES", "64KiB")];

#[test]
fn backup_of_every_released_version_is_restored() {
    let elsewhere = Elsewhere::new();
    assert_done(&restore(&golden(), &elsewhere.directory()));
    let server = elsewhere.0.start_with(&BY_EVENTS);
    assert_eq!(server.held("shown")["plays"].as_array().expect("a list").len(), 24);
    assert_eq!(server.reason("shown"), "capped");
    assert_eq!(server.reason("50"), "already_gold");
    server.admin_get("/customers/deleted").problem(404, "customer-not-found");
    assert!(tombstones(&server).contains("\"count\":1"), "{}", tombstones(&server));
}

#[test]
#[ignore = "writes tests/server/golden/backups anew: for a new version of the format alone"]
fn write_a_backup_of_this_version() {
    let kept = Kept::new();
    let server = kept.start_with(&BY_EVENTS);
    server.load("/events", NDJSON, likely("shown") + &likely("deleted"));
    server.load("/events", JSON, membership("50", 1, "gold", 60));
    assert_eq!(server.decide("shown")["show"], true);
    delete(&server, "deleted");
    let _ = fs::remove_dir_all(golden());
    assert_done(&backup(&server, &golden(), &["--no-history"]));
}
