//! Rewriting history: what goes, what stays, and what is left where it fails or the machine stops.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::disk::simulated::{Call, SimulatedDisk};
use crate::disk::{Disk, File};
use crate::{
    HistoryFile, Opened, Options, Record, Rewrite, RewriteError, Rewritten, Start, check, history_covers,
    log_files, oldest, oldest_whole, open, read, repair,
};

use super::{memories, random};

/// Three groups of the small ones fill a file.
const OPTIONS: Options = Options { segment_bytes: 16 << 10, group_bytes: 4 << 10, sync: true };

/// A log of several files by two processes: each fifth record is secret, and some are of units.
fn log() -> Arc<SimulatedDisk> {
    let disk = Arc::new(SimulatedDisk::new(1, 1 << 22));
    for life in 0..2 {
        let mut visitor = |_: Record<'_>| Ok(());
        let opened =
            open(Arc::clone(&disk), OPTIONS, Start::BEGINNING, memories(), random(life + 1), &mut visitor);
        let Opened { mut writer, mut lanes, positions, .. } = opened.unwrap();
        for number in 0..30_u64 {
            let text = if number % 5 == 0 { "secret" } else { "public" };
            let unit = (number % 7 == 0).then(|| positions.begin_unit().unwrap());
            let of = unit.as_ref().map_or(0, crate::Unit::number);
            lanes[0].publish(1, of, 6, |into| into.copy_from_slice(text.as_bytes()));
            unit.map(|unit| unit.commit(&mut lanes[1]));
            writer.step().unwrap();
        }
        writer.step().unwrap();
        disk.kill();
    }
    for (index, file) in log_files(&*disk, None).unwrap().iter().enumerate() {
        disk.set_modified(&file.name, 1000 + index as u64);
    }
    disk
}

/// Payloads by position, of all that is there.
fn payloads(disk: &Arc<SimulatedDisk>) -> BTreeMap<u64, (u16, String)> {
    let mut seen = BTreeMap::new();
    let mut visitor = |record: Record<'_>| {
        seen.insert(record.position, (record.kind, String::from_utf8(record.payload.to_vec()).unwrap()));
        Ok(())
    };
    read(&**disk, oldest(&**disk).unwrap(), &mut visitor).unwrap();
    seen
}

/// Secret ones of the first process go, those of the second become other ones.
fn rule(record: Record<'_>) -> Result<Rewrite, String> {
    Ok(match record.payload {
        b"secret" if record.position < 30 => Rewrite::Drop,
        b"secret" => Rewrite::Replace(2, b"a longer text than it was".to_vec()),
        _ => Rewrite::Keep,
    })
}

/// Rewrites all history.
fn rewrite(disk: &Arc<SimulatedDisk>, needed_from: u64) -> Result<Vec<Rewritten>, RewriteError> {
    let mut all = Vec::new();
    for file in log_files(&**disk, Some(needed_from)).unwrap() {
        let opened = HistoryFile::open(&**disk, &file)?;
        assert_eq!(opened.is_some(), file.history, "{}", file.name);
        let Some(opened) = opened else { continue };
        let rewritten = opened.rewrite(&**disk, (0, false), &mut rule, &mut |_| true)?;
        all.push(rewritten.expect("it goes on"));
    }
    Ok(all)
}

/// A file by its name; `None` if it is no history.
fn opened(
    disk: &Arc<SimulatedDisk>,
    needed_from: Option<u64>,
    name: &str,
) -> Option<HistoryFile<<SimulatedDisk as Disk>::File>> {
    let files = log_files(&**disk, needed_from).unwrap();
    HistoryFile::open(&**disk, files.iter().find(|file| file.name == name).unwrap()).unwrap()
}

fn contains(disk: &SimulatedDisk, name: &str, text: &[u8]) -> bool {
    disk.contents(name).windows(text.len()).any(|some| some == text)
}

#[test]
fn rewritten_history_has_all_but_what_went_and_reads_checks_and_repairs_as_before() {
    const NEEDED_FROM: u64 = 55;
    let disk = log();
    let before = payloads(&disk);
    let files = log_files(&*disk, Some(NEEDED_FROM)).unwrap();
    let history: Vec<_> = files.iter().filter(|file| file.history).collect();
    assert!(history.len() > 8 && history.len() < files.len());
    let rewritten = rewrite(&disk, NEEDED_FROM).unwrap();
    assert!(rewritten.iter().any(|file| file.dropped > 0) && rewritten.iter().any(|file| file.replaced > 0));

    let after = payloads(&disk);
    for (position, (kind, text)) in &before {
        let now = after.get(position).map(|(kind, text)| (*kind, text.as_str()));
        let is_history = history.iter().any(|file| file.name == file_of(&disk, *position));
        let expected = match text.as_str() {
            "secret" if is_history && *position < 30 => None,
            "secret" if is_history => Some((2, "a longer text than it was")),
            text => Some((*kind, text)),
        };
        assert_eq!(now, expected, "position {position}");
    }
    for (index, file) in files.iter().enumerate() {
        assert_eq!(contains(&disk, &file.name, b"secret"), !file.history && before_has(&disk, &file.name));
        let now = disk.open(&file.name).unwrap();
        assert_eq!(now.modified_ms().unwrap(), 1000 + index as u64, "{} is as old as it was", file.name);
    }
    assert!(rewrite(&disk, NEEDED_FROM).unwrap().iter().all(|file| !file.is_changed()), "nothing is left");

    // All that reads a log takes it.
    let report = check(&disk).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    let mut visitor = |_: Record<'_>| Ok(());
    read(&*disk, Start { from: NEEDED_FROM, reached: NEEDED_FROM }, &mut visitor).unwrap();
    let to = Arc::new(SimulatedDisk::new(3, 1 << 22));
    repair(&disk, &*to, random(5)).unwrap();
    assert_eq!(payloads(&to), after);
    let opened = open(Arc::clone(&disk), OPTIONS, Start::BEGINNING, memories(), random(9), &mut visitor);
    assert!(opened.unwrap().positions.next() > *before.keys().last().unwrap());
}

fn before_has(disk: &Arc<SimulatedDisk>, name: &str) -> bool {
    contains(disk, name, b"secret")
}

/// The file whose groups hold a position now, or held it before it was dropped: by the floor of the next one.
fn file_of(disk: &Arc<SimulatedDisk>, position: u64) -> String {
    let segments = crate::files::open_segments(&**disk).unwrap();
    let used: Vec<_> = segments.iter().filter(|segment| segment.used).collect();
    let later = used.iter().skip(1).position(|segment| segment.head.unwrap().floor > position);
    used[later.unwrap_or(used.len() - 1)].name.clone()
}

#[test]
fn log_is_whole_from_behind_the_last_file_that_lost_records_to_retention() {
    let disk = log();
    let whole = || oldest_whole(&*disk).unwrap().from;
    let files = crate::files::open_segments(&*disk).unwrap();
    rewrite(&disk, 40).unwrap();
    assert_eq!(whole(), 1, "as if those that were erased had never been");
    let file = opened(&disk, Some(40), &files[2].name).unwrap();
    let mut drop_all = |_: Record<'_>| Ok(Rewrite::Drop);
    let mut drop_odd = |record: Record<'_>| {
        Ok(if record.position.is_multiple_of(2) { Rewrite::Keep } else { Rewrite::Drop })
    };
    assert!(file.rewrite(&*disk, (0, true), &mut drop_odd, &mut |_| true).unwrap().unwrap().is_changed());
    let used = files[3..].iter().find(|file| file.used).unwrap();
    assert_eq!(whole(), used.head.unwrap().floor);
    assert_eq!(oldest(&*disk).unwrap().from, 1);
    // What is left would pass for all that happened.
    let begins = whole();
    let checked = |from: u64| {
        let segments = crate::files::open_segments(&*disk).unwrap();
        crate::check::check_whole(&segments, Start { from, reached: 1 })
    };
    for from in [1, begins - 1] {
        assert!(
            matches!(checked(from), Err(crate::RecoveryError::Missing { begins: told, .. }) if told == begins)
        );
    }
    checked(begins).unwrap();
    // Rewritten again for somebody who was erased it is no more whole than before.
    let file = opened(&disk, Some(40), &files[2].name).unwrap();
    assert!(file.rewrite(&*disk, (0, false), &mut drop_all, &mut |_| true).unwrap().unwrap().is_changed());
    assert_eq!(whole(), used.head.unwrap().floor);
}

#[test]
fn file_of_which_nothing_goes_is_not_written() {
    let disk = log();
    let name = "segment-000000000001";
    let file = opened(&disk, Some(40), name).unwrap();
    disk.fail_after(Call::Create, 0, libc::EIO);
    let kept = file.rewrite(&*disk, (0, false), &mut |_| Ok(Rewrite::Keep), &mut |_| true).unwrap().unwrap();
    assert!(!kept.is_changed());
    assert_eq!(kept.bytes.0, kept.bytes.1);
}

#[test]
fn rewriting_that_fails_or_is_given_up_leaves_the_file_as_it_was_and_the_next_start_a_clean_directory() {
    let name = "segment-000000000001";
    let rewrite = |disk: &Arc<SimulatedDisk>, pace: &mut dyn FnMut(u64) -> bool| {
        opened(disk, Some(40), name).unwrap().rewrite(&**disk, (0, false), &mut rule, pace)
    };
    let disk = log();
    let old = disk.contents(name);
    for paces in 0..9 {
        let mut left = 0..paces;
        let given_up = rewrite(&disk, &mut |_| left.next().is_some()).unwrap();
        assert!(given_up.is_none() && disk.contents(name) == old, "after {paces}");
        assert!(disk.names().unwrap().iter().all(|name| !name.ends_with(".tmp")));
    }
    for call in [Call::Create, Call::Write, Call::Sync, Call::Read, Call::Rename] {
        let disk = log();
        let calls = if call == Call::Read { 12 } else { 0 };
        let history = opened(&disk, Some(40), name).unwrap();
        disk.fail_after(call, calls, libc::EIO);
        history.rewrite(&*disk, (0, false), &mut rule, &mut |_| true).unwrap_err();
        assert_eq!(disk.contents(name), old, "{call:?}");
        assert!(rewrite(&disk, &mut |_| true).unwrap().unwrap().is_changed(), "{call:?}: again");
    }
    disk.set_capacity(1 << 10);
    assert!(matches!(rewrite(&disk, &mut |_| true), Err(RewriteError::Space { .. })));
    disk.set_capacity(1 << 22);
    // Killed: its leftover is told as such, and the next start removes it.
    let leftover = "segment-000000000001.tmp";
    disk.create(leftover, 8192).unwrap();
    let report = check(&disk).unwrap();
    assert!(report.is_sound() && report.findings.len() == 1 && crate::is_file_name(leftover), "{report:?}");
    let mut visitor = |_: Record<'_>| Ok(());
    open(Arc::clone(&disk), OPTIONS, Start::BEGINNING, memories(), random(9), &mut visitor).unwrap();
    assert!(!disk.names().unwrap().iter().any(|name| name == leftover));
}

#[test]
fn damaged_history_is_not_rewritten_and_what_is_needed_never_is() {
    let disk = log();
    let name = "segment-000000000001";
    disk.damage(name, |bytes| bytes[2 * 4096 + 70] ^= 1);
    let before = disk.contents(name);
    let file = opened(&disk, Some(40), name).unwrap();
    let refused = file.rewrite(&*disk, (0, false), &mut rule, &mut |_| true).unwrap_err().to_string();
    assert!(refused.contains(name) && refused.contains("group 2 is damaged"), "{refused}");
    assert_eq!(disk.contents(name), before);
    for needed_from in [None, Some(1)] {
        assert!(opened(&disk, needed_from, name).is_none());
    }
}

#[test]
fn history_covers_what_its_last_group_passed_where_the_next_file_begins_with_records() {
    let disk = log();
    let files = crate::files::open_segments(&*disk).unwrap();
    // Within the second process: files that were full are followed by ones that begin with records.
    for later in &files[files.len() - 5..] {
        let floor = later.head.unwrap().floor;
        let covers = |position| history_covers(&*disk, Some(floor), position).unwrap();
        assert!(covers(floor - 2) && !covers(floor + 5), "{}", later.name);
    }
}

#[test]
fn rotation_begins_a_new_file_and_what_was_durable_becomes_history() {
    let disk = Arc::new(SimulatedDisk::new(1, 1 << 22));
    let mut visitor = |_: Record<'_>| Ok(());
    let opened = open(Arc::clone(&disk), OPTIONS, Start::BEGINNING, memories(), random(1), &mut visitor);
    let Opened { mut writer, mut lanes, positions, .. } = opened.unwrap();
    lanes[0].publish(1, 0, 6, |into| into.copy_from_slice(b"secret"));
    writer.step().unwrap();
    let needed_from = positions.next();
    assert!(log_files(&*disk, Some(needed_from)).unwrap().iter().all(|file| !file.history));
    let covers = |position| history_covers(&*disk, Some(needed_from), position).unwrap();
    assert!(!covers(needed_from - 1));
    let rotation = writer.rotation();
    let number = rotation.ask();
    assert!(!rotation.is_done(number));
    writer.step().unwrap();
    assert!(rotation.is_done(number), "a step is enough, although nothing is published");
    let history: Vec<_> =
        log_files(&*disk, Some(needed_from)).unwrap().into_iter().filter(|file| file.history).collect();
    assert_eq!(history.len(), 1);
    assert!(covers(needed_from - 1) && !covers(needed_from), "what comes is not in it");
    assert!(!history_covers(&*disk, None, 1).unwrap(), "there is none where all of it is needed");
    assert!(contains(&disk, &history[0].name, b"secret"));

    // With files made ahead it waits for one: the present file has room where the disk has none.
    let mut spare = writer.spare_maker();
    disk.set_capacity(disk.contents(&history[0].name).len() as u64 * 2 + 4096);
    spare.step(1 << 20).unwrap();
    let number = rotation.ask();
    lanes[0].publish(1, 0, 6, |into| into.copy_from_slice(b"public"));
    writer.step().unwrap();
    assert!(!rotation.is_done(number) && positions.durable() == positions.next());
    disk.set_capacity(1 << 22);
    spare.step(1 << 20).unwrap();
    writer.step().unwrap();
    assert!(rotation.is_done(number));
}
