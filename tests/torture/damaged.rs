//! Directories that no crash leaves: they are refused, and nothing in them is changed.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::dice::Dice;
use crate::inspect;
use crate::ledger::Book;
use crate::load::{Client, work};
use crate::machine::Image;
use crate::process::{Place, Server, folder};
use crate::trace::Instant;

/// What a server left, and what must be in it.
fn left() -> (Image, Book) {
    let folder = folder();
    let place = Place::below(folder.path());
    // Without a snapshot, which would do instead of what is damaged.
    let config = std::fs::read_to_string(&place.config).expect("the configuration");
    std::fs::write(&place.config, config.replace("128KiB", "64MiB")).expect("it is written");
    let server = Server::start(&place, None).unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
    let mut clients: Vec<Client> = (0..2).map(|number| Client::new(5, number)).collect();
    work(&mut clients, &server.data, &server.admin, 120, &AtomicBool::new(false));
    server.kill();
    let deeds: Vec<_> = clients.iter_mut().map(Client::take_deeds).collect();
    let mut book = Book::default();
    book.enter(&deeds, Instant::MAX, true);
    (Image::read(place.watched()), book)
}

/// Files whose names begin so, oldest first.
fn named(image: &Image, start: &str) -> Vec<PathBuf> {
    let is_named = |path: &&PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy();
        name.starts_with(start) && !name.ends_with(".tmp")
    };
    image.files.keys().filter(is_named).cloned().collect()
}

/// The files of the log, oldest first.
fn segments(image: &Image) -> Vec<PathBuf> {
    named(image, "segment-")
}

/// What became of directories with changed bits.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Flipped {
    /// The server started and held everything.
    pub recovered: usize,
    /// The server refused the directory and left it as it was.
    pub refused: usize,
}

/// Changes some bits that were written.
fn flip(bytes: &mut [u8], dice: &mut Dice) -> bool {
    let written: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    if written.is_empty() {
        return false;
    }
    for _ in 0..=dice.below(3) {
        bytes[written[dice.place(written.len())]] ^= 1 << dice.below(8);
    }
    true
}

/// Starts the binary on what a loss of power left after bits were changed in one of its snapshots, in both, or in a file of the
/// log; returns what is wrong with what it makes of that.
pub fn flipped_faults(
    image: &Image,
    book: &Book,
    root: &Path,
    dice: &mut Dice,
    flipped: &mut Flipped,
) -> Vec<String> {
    let snapshots = named(image, "snapshot-");
    let mut segments = segments(image);
    segments.retain(|path| image.files[path].iter().any(|byte| *byte != 0));
    // The last group was acknowledged, perhaps, and nothing after it says so: damage there looks like a torn end, which is
    // said in the docs. It is in the last file, or, where that one has but a head, in the one before.
    segments.truncate(segments.len().saturating_sub(2));
    let mut damaged = image.clone();
    let (files, must_start) = match dice.below(4) {
        0 if snapshots.len() > 1 => (snapshots, false),
        0..2 if !snapshots.is_empty() => (vec![snapshots[dice.place(snapshots.len())].clone()], true),
        _ if !segments.is_empty() => (vec![segments[dice.place(segments.len())].clone()], false),
        _ => return Vec::new(),
    };
    for path in &files {
        if !flip(damaged.files.get_mut(path).expect("the file"), dice) {
            return Vec::new();
        }
    }
    let place = Place::below(root);
    damaged.write(place.watched());
    let mut faults = match Server::start(&place, None) {
        Ok(server) => {
            flipped.recovered += 1;
            let mut faults = inspect::faults(&server, book).1;
            faults.extend(server.stderr().contains("panicked").then(|| server.stderr()));
            faults
        }
        Err(ended) => {
            flipped.refused += 1;
            let told = format!("{}: {}", ended.status, ended.stderr);
            let mut after = Image::read(place.watched());
            let mut before = damaged;
            for image in [&mut before, &mut after] {
                image.files.retain(|path, _| !path.ends_with("lock"));
            }
            let is_clean = ended.status.code() == Some(1) && !ended.stderr.contains("panicked");
            [
                (!is_clean).then(|| format!("it is not refused in order: {told}")),
                must_start.then(|| format!("the other snapshot and the log are whole: {told}")),
                (before != after).then(|| "a directory that is refused is changed".to_owned()),
            ]
            .into_iter()
            .flatten()
            .collect()
        }
    };
    if !faults.is_empty() {
        faults.push(format!("bits are changed in {files:?}"));
    }
    faults
}

/// Whether the server refuses a directory, which it then has left as it was. If it does not, nothing is missing.
fn is_refused(image: &Image, book: &Book, next: &[PathBuf], what: &str) -> bool {
    let folder = folder();
    let place = Place::below(folder.path());
    image.write(place.watched());
    let ended = match Server::start(&place, None) {
        Ok(server) => {
            let faults = inspect::faults(&server, book).1;
            assert!(faults.is_empty(), "{what}: it starts, and {}", faults.join("\n"));
            return false;
        }
        Err(ended) => ended,
    };
    assert!(ended.status.code().is_some_and(|code| code != 0), "{what}: {ended:?}");
    // The file itself, or the next one where nothing of it is left.
    let named =
        next.iter().any(|path| ended.stderr.contains(&*path.file_name().expect("a name").to_string_lossy()));
    assert!(named, "{what}: the file is named: {}", ended.stderr);
    let (mut before, mut after) = (image.clone(), Image::read(place.watched()));
    // The lock is taken before anything is read.
    for image in [&mut before, &mut after] {
        image.files.retain(|path, _| !path.ends_with("lock"));
    }
    assert!(before == after, "{what}: nothing is changed");
    true
}

#[test]
fn damage_to_what_was_acknowledged_is_refused_and_named() {
    let (image, book) = left();
    let segments = segments(&image);
    assert!(segments.len() > 1, "the log has several files");
    let mut dice = Dice::new(crate::seed());
    let first = &segments[0];
    let used = image.files[first].iter().rposition(|byte| *byte != 0).expect("bytes");
    let bits = crate::rounds().unwrap_or(1) * 5;
    let is_written = |at: &usize| image.files[first][*at] != 0;
    let written: Vec<usize> = (4096..=used).filter(is_written).collect();
    let refused = (0..bits).filter(|_| {
        let (at, bit) = (written[dice.place(written.len())], 1 << dice.below(8));
        let mut damaged = image.clone();
        damaged.files.get_mut(first).expect("the file")[at] ^= bit;
        is_refused(&damaged, &book, &segments[..2], &format!("a bit of byte {at} of {used} is changed"))
    });
    assert_eq!(refused.count() as u64, bits, "each bit that was written matters");
    let mut cut = image.clone();
    cut.files.get_mut(first).expect("the file").truncate(used / 2);
    assert!(is_refused(&cut, &book, &segments[..2], "half of a file is gone"));
    let mut zeroed = image.clone();
    zeroed.files.get_mut(first).expect("the file")[4096..used].fill(0);
    assert!(is_refused(&zeroed, &book, &segments[..2], "the contents of a file are zeros"));
}
