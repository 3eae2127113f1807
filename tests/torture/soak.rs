//! Mixed load for a long time: what the process takes stays as it is.
//!
//! The short form lasts 20 seconds; `just soak` lasts as many minutes as it is told, by `MINUTES`.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::inspect;
use crate::ledger::Book;
use crate::load::Client;
use crate::process::{Place, Server};
use crate::trace;
use crate::usage::Sample;

const CLIENTS: u64 = 8;

/// Requests of a client between two entries in the ledger.
const REQUESTS: usize = 100;

/// What is not flat. After the first third, in which the server fills up, the highest of the second half of what is left may be
/// above the highest of its first half by: of the resident set a 20th and 4 MiB, 4 open files, of the files of the log a third and
/// 4, of the directory a third and 2 MiB. What grew all the time would be half as much again.
fn what_grows(samples: &[Sample]) -> Vec<String> {
    let samples = &samples[samples.len() / 3..];
    let (first, second) = samples.split_at(samples.len() / 2);
    let (first, second) = (Sample::most(first), Sample::most(second));
    let bounds = [
        ("resident set (KiB)", first.resident_kib, second.resident_kib, first.resident_kib / 20 + 4096),
        ("open files", first.open_files, second.open_files, 4),
        ("files of the log", first.segments, second.segments, first.segments / 3 + 4),
        ("directory (KiB)", first.directory_kib, second.directory_kib, first.directory_kib / 3 + 2048),
    ];
    let grows = bounds.into_iter().filter(|(_, first, second, room)| *second > first + room);
    grows.map(|(name, first, second, _)| format!("{name}: {first} at most, then {second}")).collect()
}

#[test]
fn growth_is_found_out() {
    let usual = |second: u64| Sample {
        resident_kib: 60_000 + second % 3 * 500,
        open_files: 40 + second % 4,
        segments: 5 + second % 3,
        directory_kib: 20_000 + second % 3 * 1000,
        ..Sample::default()
    };
    let samples = |grow: fn(&mut Sample, u64)| -> Vec<Sample> {
        let sample = |second| {
            let mut sample = usual(second);
            grow(&mut sample, second);
            sample
        };
        (0..60).map(sample).collect()
    };
    assert!(what_grows(&samples(|_, _| {})).is_empty());
    let grown: [fn(&mut Sample, u64); 4] = [
        |sample, second| sample.resident_kib += 600 * second,
        |sample, second| sample.open_files += second / 3,
        |sample, second| sample.segments += second,
        |sample, second| sample.directory_kib += 1500 * second,
    ];
    for grow in grown {
        assert_eq!(what_grows(&samples(grow)).len(), 1);
    }
    let fills_up = |sample: &mut Sample, second: u64| sample.resident_kib -= 50_000 / (1 + second);
    assert!(what_grows(&samples(fills_up)).is_empty(), "what fills up in the first third is flat");
}

/// Sends what clients do until `stop` is set, and enters it.
fn load(server: &Server, mut client: Client, book: &Mutex<Book>, stop: &AtomicBool) -> Vec<String> {
    while !stop.load(Ordering::Relaxed) {
        client.work(&server.data, &server.admin, REQUESTS, stop);
        let mut book = book.lock().expect("no panic under it");
        book.enter(&[client.take_deeds()], trace::Instant::MAX, true);
        book.forget_past();
    }
    client.faults
}

#[test]
fn memory_files_and_disk_stay_as_they_are_under_load() {
    let minutes = crate::number("MINUTES");
    let seconds = minutes.map_or(20, |minutes| minutes * 60);
    // Long ones on a disk.
    let folder = match minutes {
        Some(_) => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder"),
        None => crate::process::folder(),
    };
    let mut place = Place::below(folder.path());
    let lanes = crate::process::folder();
    place.lanes = lanes.path().to_owned();
    let config = fs::read_to_string(&place.config).expect("the configuration");
    let (segment, snapshot, customers) =
        if minutes.is_some() { ("1MiB", "4MiB", 400) } else { ("64KiB", "192KiB", 12) };
    let config = config.replace("64KiB", segment).replace("128KiB", snapshot).replace("256KiB", snapshot);
    fs::write(&place.config, config).expect("the configuration");

    let server = Server::start(&place, None).unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
    let (book, stop) = (Mutex::new(Book::default()), AtomicBool::new(false));
    let mut samples = Vec::new();
    let mut faults = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let client = Client::tidy(crate::seed(), number, customers);
                let (server, book, stop) = (&server, &book, &stop);
                scope.spawn(move || load(server, client, book, stop))
            })
            .collect();
        let begun = Instant::now();
        eprintln!(
            "{:>8} {:>12} {:>6} {:>9} {:>14} {:>10}",
            "second", "resident KiB", "files", "segments", "directory KiB", "snapshots"
        );
        for second in 1..=seconds {
            let due = Duration::from_secs(second).saturating_sub(begun.elapsed());
            std::thread::sleep(due);
            let sample = Sample::of(server.id(), &place.data).expect("the process runs");
            let snapshots = inspect::metric(&server, "upbeat_journal_snapshots_total");
            eprintln!("{second:>8} {sample} {snapshots:>10}");
            samples.push(sample);
        }
        stop.store(true, Ordering::Relaxed);
        let ends = clients.into_iter().flat_map(|client| client.join().expect("the client ends"));
        ends.collect::<Vec<String>>()
    });
    let snapshots = inspect::metric(&server, "upbeat_journal_snapshots_total");
    server.kill();
    let mut book = book.into_inner().expect("no panic under it");
    faults.append(&mut book.take_faults());
    let server = Server::start(&place, None).unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
    faults.extend(inspect::faults(&server, &book).1);
    let (rows, shown) = (book.promised().len(), book.impressions().0);
    eprintln!(
        "soak: {seconds} s, {snapshots} snapshots, {rows} rows and {shown} impressions held at the end"
    );
    assert!(faults.is_empty(), "{}\n{}", faults.join("\n"), server.stderr());
    assert!(snapshots >= 6 && rows > 100, "enough was done: {snapshots} snapshots, {rows} rows");
    let grows = what_grows(&samples);
    assert!(grows.is_empty(), "what the server takes is not flat: {}", grows.join("; "));
}
