//! The proof that the proof works: a small log that does something wrong is found out, one that does not is not.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::dice::Dice;
use crate::machine::{Image, Machine};
use crate::preload::{Control, Watch, Word, appender};
use crate::trace::{Instant, Trace};

const RECORD: usize = 700;
const RECORDS: usize = 25;

/// A record that was acknowledged: its number, and when its write began and its acknowledgement was sent.
struct Acknowledged {
    number: usize,
    begun: Instant,
    at: Instant,
}

struct Run {
    trace: Trace,
    acknowledged: Vec<Acknowledged>,
    left: Image,
}

fn run(fault: &str, failing_sync: u64) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a path");
    let (directory, traced) = (root.join("watched"), root.join("trace"));
    std::fs::create_dir(&directory).expect("a directory");
    let control = Control::new(&root.join("control"));
    control.set(Word::SyncUs, 300);
    control.set(Word::FailSync, failing_sync);
    let mut command = Command::new(appender());
    command.arg(directory.join("log")).arg(RECORDS.to_string()).arg(fault);
    let watch = Watch { directory: directory.clone(), trace: Some(traced.clone()), control: Some(&control) };
    watch.apply(&mut command);
    let output = command.output().expect("the appender runs");
    let lines = String::from_utf8(output.stdout).expect("text");
    let acknowledged = lines.lines().map(|line| {
        let mut words = line.split(' ').map(|word| word.parse().expect("a number"));
        let mut word = || words.next().expect("three numbers");
        Acknowledged { number: word() as usize, begun: word(), at: word() }
    });
    let acknowledged = acknowledged.collect();
    Run { trace: Trace::read(&traced, &directory), acknowledged, left: Image::read(&directory) }
}

/// The records that a reader finds.
fn recovered(image: &Image) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for (path, bytes) in &image.files {
        let name = path.file_name().expect("a name").to_str().expect("text");
        let Some(segment) = name.strip_prefix("segment-") else { continue };
        let first = segment.parse::<usize>().expect("a number") * 10;
        for (index, record) in bytes.chunks(RECORD).enumerate() {
            let number = first + index;
            let mut whole = vec![b'a' + (number % 26) as u8; RECORD];
            let digits = number.to_string();
            whole[..digits.len()].copy_from_slice(digits.as_bytes());
            whole[digits.len()] = 0;
            if record == whole {
                found.insert(number);
            }
        }
    }
    found
}

/// The first cut, of so many, at which an acknowledged record is missing or one is there that was not begun.
fn first_fault(run: &Run, cuts: u64) -> Option<u64> {
    let mut dice = Dice::new(1);
    let last = run.acknowledged.last()?.at;
    let first = run.trace.calls.first()?.start;
    let mut instants: Vec<Instant> = (0..cuts)
        .map(|cut| match cut % 2 {
            0 => first + dice.below(last - first + 1_000_000),
            _ => run.acknowledged[dice.place(run.acknowledged.len())].at,
        })
        .collect();
    instants.sort_unstable();
    let mut machine = Machine::new(&run.trace, &Image::default());
    instants.into_iter().zip(1..).find_map(|(at, cut)| {
        machine.advance(at);
        let found = recovered(&machine.lose_power(at, &mut dice));
        let missing =
            run.acknowledged.iter().any(|record| record.at <= at && !found.contains(&record.number));
        let invented =
            run.acknowledged.iter().any(|record| record.begun > at && found.contains(&record.number));
        (missing || invented).then_some(cut)
    })
}

#[test]
fn careful_log_loses_nothing_at_any_cut() {
    let run = run("none", 0);
    assert_eq!(run.acknowledged.len(), RECORDS);
    assert_eq!(Machine::new(&run.trace, &Image::default()).finish(), run.left);
    assert_eq!(first_fault(&run, 500), None);
}

#[test]
fn each_careless_log_is_found_out() {
    for fault in ["forget_parent", "forget_names", "forget_file", "acknowledge_early", "sync_before_write"] {
        let run = run(fault, 0);
        assert_eq!(run.acknowledged.len(), RECORDS, "{fault}");
        assert_eq!(Machine::new(&run.trace, &Image::default()).finish(), run.left, "{fault}");
        let found = first_fault(&run, 500);
        assert!(found.is_some(), "a log that does {fault} loses no record at 500 cuts");
    }
}

#[test]
fn sync_that_is_tried_again_after_a_failure_is_found_out() {
    // The first syncs are those of a segment's making.
    let careful = run("none", 5);
    assert!(careful.acknowledged.len() < RECORDS, "a sync failed");
    assert_eq!(first_fault(&careful, 500), None);
    let careless = run("retry_sync", 5);
    assert_eq!(careless.acknowledged.len(), RECORDS);
    assert!(first_fault(&careless, 500).is_some(), "a sync that failed is taken for one that worked");
}

#[test]
fn files_that_were_there_before_are_part_of_what_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a path");
    let (directory, traced) = (root.join("watched"), root.join("trace"));
    std::fs::create_dir_all(directory.join("below")).expect("a directory");
    std::fs::write(directory.join("below/old"), "0123456789").expect("a file");
    let base = Image::read(&directory);
    let script = format!(
        "cd {} && printf abc >> below/old && mv below/old below/new && echo x > y",
        directory.display()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    Watch { directory: directory.clone(), trace: Some(traced.clone()), control: None }.apply(&mut command);
    assert!(command.status().expect("a shell").success());
    let trace = Trace::read(&traced, &directory);
    let mut machine = Machine::new(&trace, &base);
    let finished = machine.finish();
    assert_eq!(finished, Image::read(&directory));
    assert_eq!(finished.files[Path::new("below/new")], b"0123456789abc");
}

#[test]
fn page_cache_of_a_dead_process_is_not_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a path");
    let (directory, traced) = (root.join("watched"), root.join("trace"));
    std::fs::create_dir(&directory).expect("a directory");
    let watch = Watch { directory: directory.clone(), trace: Some(traced.clone()), control: None };
    for script in ["printf abc > a", "printf abc > b && sync -d b && sync ."] {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("cd {} && {script}", directory.display())]);
        watch.apply(&mut command);
        assert!(command.status().expect("a shell").success());
    }
    let trace = Trace::read(&traced, &directory);
    let mut machine = Machine::new(&trace, &Image::default());
    assert_eq!(machine.finish(), Image::read(&directory));
    let mut dice = Dice::new(3);
    let at = trace.calls.last().expect("calls").end;
    let images: Vec<Image> = (0..100).map(|_| machine.lose_power(at, &mut dice)).collect();
    assert!(images.iter().all(|image| image.files[Path::new("b")] == b"abc"), "what was synced is there");
    let first = |image: &Image| image.files.get(Path::new("a")).cloned();
    assert!(images.iter().any(|image| first(image) != Some(b"abc".to_vec())), "what was not may be lost");
}
