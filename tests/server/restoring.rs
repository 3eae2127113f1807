//! `upbeat backup` and `upbeat restore` with what they cannot use: a sentence, and nothing is changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::backups::{
    Elsewhere, assert_done, assert_refused, assert_same, backup, count, loaded, names, restore, said, state,
};
use super::durability::{Kept, journal, kill};
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

#[test]
fn restore_without_tombstones_asks_for_the_choice() {
    let backup = Backup::new();
    let (copy, place) = (backup.copy(), backup.place());
    let output = upbeat().arg("restore").arg(&copy).arg("--data-dir").arg(&place).output().expect("it runs");
    assert_refused(&output, &["tombstones", "--forget-erasures"]);
    assert!(!place.exists());
}

#[test]
fn restore_that_is_killed_at_any_moment_leaves_no_directory_or_a_whole_one() {
    let backup = Backup::new();
    let (copy, place) = (backup.copy(), backup.place());
    let (mut killed_amid, mut delay) = (0, Duration::from_millis(10));
    for _ in 0..12 {
        let mut command = upbeat();
        command.arg("restore").arg(&copy).arg("--data-dir").arg(&place).arg("--forget-erasures");
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
