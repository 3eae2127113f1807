//! What a log costs and how long recovery takes, as one JSON object; progress goes to stderr.
//!
//! ```text
//! recovery fill DIRECTORY CUSTOMERS PLAYS
//! recovery open DIRECTORY CUSTOMERS THREADS
//! recovery store DIRECTORY CUSTOMERS PLAYS
//! recovery decide DIRECTORY CUSTOMERS DECISIONS
//! ```
//!
//! `fill` fills an engine with and without a log, reads the log again, and leaves the directory, which must not be there yet,
//! with two snapshots and no history, as a server leaves it that keeps none. `open` recovers from it. `store` leaves one with a
//! snapshot, in less time, and measures nothing. `decide` makes so many decisions that show nothing on one, and writes no snapshot: the
//! next `open` reads them again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use upbeat_engine::Engine;
use upbeat_engine::storage::{self, Opened, Options};
use upbeat_engine_benches::{
    NOW_MS, Order, Population, apply, count_as_event_loop, decide, engine, mix, run_campaigns,
};
use upbeat_journal::disk::RealDisk;
use upbeat_journal::{Memory, Retention, remove_history};

/// As a server on two cores has.
const THREADS: u64 = 2;

/// Bytes of a lane's ring.
const LANE_BYTES: usize = 8 << 20;

/// Decisions that are logged at a time: a lane has room for them.
const DECISIONS_AT_A_TIME: u64 = 20_000;

/// A campaign that scores everybody and shows to nobody.
const NOBODY: &str =
    "[[campaign]]\nid = \"nobody\"\nad = \"AD\"\nmin_plays = 1\nthreshold = { score = 1e9 }\n";

fn open(engine: &Engine, directory: &Path, threads: usize) -> Opened<RealDisk> {
    let journal = upbeat_journal::Options { segment_bytes: 64 << 20, group_bytes: 8 << 20, sync: true };
    let lanes = (0..=THREADS).map(|_| Memory::anonymous(4096 + LANE_BYTES)).collect();
    let mut numbers = 0;
    let random = move || {
        numbers += 1;
        mix(numbers)
    };
    let disk = Arc::new(RealDisk::new(directory));
    storage::open(engine, disk, lanes, Options { journal, threads }, Box::new(random), &|_| {})
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
}

/// Fills an engine; events that find no room in the log are sent again until they do.
fn fill(population: &Population, engine: &Engine) -> Duration {
    let begun = Instant::now();
    population.fill(engine, THREADS);
    begun.elapsed()
}

/// Fills an engine whose log is written by a thread of its own; the time until all of it is durable.
fn fill_logged(population: &Population, engine: &Engine, opened: &mut Opened<RealDisk>) -> Duration {
    let filled = AtomicBool::new(false);
    let mut maker = opened.writer.spare_maker();
    std::thread::scope(|scope| {
        // As a server has it, and at the server's pace.
        scope.spawn(|| {
            while !filled.load(Ordering::Acquire) {
                maker.step(1 << 20).expect("the disk is good");
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let writing = scope.spawn(|| {
            while !filled.load(Ordering::Acquire) || engine.durable() < engine.barrier() {
                opened.writer.step().expect("the disk is good");
            }
        });
        let begun = Instant::now();
        population.fill(engine, THREADS);
        filled.store(true, Ordering::Release);
        writing.join().expect("it does not panic");
        begun.elapsed()
    })
}

fn say(what: &str, took: Duration, of: u64, unit: &str) {
    let seconds = took.as_secs_f64();
    eprintln!("{what}: {seconds:.2} s, {:.2} M {unit}/s", of as f64 / seconds / 1e6);
}

fn bytes_in(directory: &Path, prefix: &str) -> u64 {
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    let of = |entry: std::io::Result<std::fs::DirEntry>| entry.ok().map(|entry| (entry.file_name(), entry));
    let files = entries.filter_map(of).filter(|(name, _)| name.to_string_lossy().starts_with(prefix));
    files.filter_map(|(_, entry)| entry.metadata().ok()).map(|of| of.len()).sum()
}

/// Writes until everything that was published is on the disk.
fn write_all(engine: &Engine, opened: &mut Opened<RealDisk>) {
    while engine.durable() < engine.barrier() {
        opened.writer.step().expect("the disk is good");
    }
}

/// The numbers of customers and of kept plays: what a recovery must find again.
fn held(engine: &Engine) -> (usize, usize) {
    (engine.customer_count(), engine.counters().plays_kept())
}

fn fill_and_read(directory: &Path, population: &Population) {
    std::fs::create_dir(directory).expect("a directory that is not there yet");
    let (customers, events) = (population.customers, population.events() + population.customers);

    let unlogged = engine(customers);
    let in_memory = fill(population, &unlogged);
    say("fill, in memory", in_memory, events, "events");
    let kept = held(&unlogged);
    drop(unlogged);

    let logged = engine(customers);
    let mut opened = open(&logged, directory, THREADS as usize);
    let durable = fill_logged(population, &logged, &mut opened);
    say("fill, every event on the disk", durable, events, "events");
    let log_bytes = bytes_in(directory, "segment");
    drop((logged, opened));

    let replayed = engine(customers);
    let begun = Instant::now();
    let mut opened = open(&replayed, directory, THREADS as usize);
    let replay = begun.elapsed();
    say("replay of the log", replay, events, "events");
    assert_eq!(held(&replayed), kept, "something is missing");

    // Two are kept, and a third is written beside them: the most is seen just before the oldest is removed.
    let (mut most, mut snapshot) = (0, Duration::ZERO);
    for number in 1..=3 {
        // A record in between, so that each is of a position of its own.
        apply(&replayed, population.later(number));
        write_all(&replayed, &mut opened);
        let begun = Instant::now();
        let mut look = |_| {
            most = most.max(bytes_in(directory, "snapshot"));
            true
        };
        let written = opened.snapshotter.write(&replayed, &mut look).expect("the disk is good");
        written.expect("it is not given up");
        snapshot = begun.elapsed();
    }
    say("snapshot", snapshot, population.events(), "plays");
    let retention = Retention { bytes: 0, not_before_ms: u64::MAX };
    remove_history(&RealDisk::new(directory), opened.snapshotter.log_needed_from(), retention)
        .expect("the disk is good");
    let (customers, plays) = held(&replayed);
    println!(
        r#"{{"events":{events},"customers":{customers},"plays":{plays},"fill_s":{:.3},"durable_s":{:.3},"replay_s":{:.3},"snapshot_s":{:.3},"log_bytes":{log_bytes},"two_snapshots_bytes":{},"most_bytes":{most}}}"#,
        in_memory.as_secs_f64(),
        durable.as_secs_f64(),
        replay.as_secs_f64(),
        snapshot.as_secs_f64(),
        bytes_in(directory, "snapshot"),
    );
}

fn store(directory: &Path, population: &Population) {
    std::fs::create_dir(directory).expect("a directory that is not there yet");
    let logged = engine(population.customers);
    let mut opened = open(&logged, directory, THREADS as usize);
    fill_logged(population, &logged, &mut opened);
    let written = opened.snapshotter.write(&logged, &mut |_| true).expect("the disk is good");
    written.expect("it is not given up");
    let retention = Retention { bytes: 0, not_before_ms: u64::MAX };
    remove_history(&RealDisk::new(directory), opened.snapshotter.log_needed_from(), retention)
        .expect("the disk is good");
}

/// Logs decisions about all customers in turn.
fn log_decisions(directory: &Path, customers: u64, decisions: u64) {
    let engine = engine(customers);
    let mut opened = open(&engine, directory, THREADS as usize);
    run_campaigns(&engine, NOBODY);
    count_as_event_loop();
    let (before, begun) = (bytes_in(directory, "segment"), Instant::now());
    for number in 0..decisions {
        assert!(!decide(&engine, mix(number) % customers, NOW_MS + number as i64 / 1000), "it is shown");
        if number % DECISIONS_AT_A_TIME == 0 {
            write_all(&engine, &mut opened);
        }
    }
    write_all(&engine, &mut opened);
    let seconds = begun.elapsed().as_secs_f64();
    let unlogged = engine.counters().unlogged();
    assert_eq!(unlogged, 0, "the log had no room for some");
    let bytes = bytes_in(directory, "segment") - before;
    println!(r#"{{"decisions":{decisions},"seconds":{seconds:.3},"log_bytes":{bytes}}}"#);
}

fn recover(directory: &Path, customers: u64, threads: usize) {
    let recovered = engine(customers);
    let begun = Instant::now();
    let opened = open(&recovered, directory, threads);
    let seconds = begun.elapsed().as_secs_f64();
    assert!(opened.recovered.snapshot_bytes > 0, "the snapshot is not used");
    let (customers, plays) = held(&recovered);
    let records = opened.recovered.records;
    println!(r#"{{"customers":{customers},"plays":{plays},"records":{records},"seconds":{seconds:.4}}}"#);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u64>().ok());
    let (Some(what), Some(directory), Some(customers), Some(last)) =
        (arguments.first(), arguments.get(1), number(2), number(3))
    else {
        eprintln!(
            "usage: recovery fill|store DIRECTORY CUSTOMERS PLAYS | recovery open DIRECTORY CUSTOMERS THREADS | \
             recovery decide DIRECTORY CUSTOMERS DECISIONS"
        );
        std::process::exit(2);
    };
    upbeat_engine_benches::keep_on_huge_pages();
    let directory = Path::new(directory);
    let population = Population { customers, plays: last, order: Order::Even };
    match &**what {
        "fill" => fill_and_read(directory, &population),
        "store" => store(directory, &population),
        "decide" => log_decisions(directory, customers, last),
        _ => recover(directory, customers, last as usize),
    }
}
