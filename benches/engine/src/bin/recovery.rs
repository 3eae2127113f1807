//! What a log costs and how long recovery takes: filling with and without a log, reading the log again, writing a
//! snapshot, recovering from it. Everything in one run, in a directory that is removed at the end.
//!
//! ```text
//! recovery DIRECTORY [CUSTOMERS [PLAYS]]
//! ```

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use upbeat_engine::Engine;
use upbeat_engine::storage::{self, Opened, Options};
use upbeat_engine_benches::{Order, Population, engine, mix};
use upbeat_journal::Memory;
use upbeat_journal::disk::RealDisk;

/// As a server on two cores has.
const THREADS: u64 = 2;

/// Bytes of a lane's ring.
const LANE_BYTES: usize = 8 << 20;

fn open(engine: &Engine, directory: &Path, threads: usize) -> Opened<RealDisk> {
    let journal = upbeat_journal::Options { segment_bytes: 256 << 20, group_bytes: 8 << 20, sync: true };
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
    std::thread::scope(|scope| {
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
    println!("{what}: {seconds:.2} s, {:.2} M {unit}/s", of as f64 / seconds / 1e6);
}

fn bytes_in(directory: &Path, prefix: &str) -> u64 {
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    let of = |entry: std::io::Result<std::fs::DirEntry>| entry.ok().map(|entry| (entry.file_name(), entry));
    let files = entries.filter_map(of).filter(|(name, _)| name.to_string_lossy().starts_with(prefix));
    files.filter_map(|(_, entry)| entry.metadata().ok()).map(|of| of.len()).sum()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("usage: recovery DIRECTORY [CUSTOMERS [PLAYS]]");
    let mut number = |default| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (customers, plays) = (number(1_000_000), number(40));
    upbeat_engine_benches::keep_on_huge_pages();
    let directory = Path::new(&directory);
    std::fs::create_dir(directory).expect("a directory that is not there yet");
    let population = Population { customers, plays, order: Order::Even };
    let events = population.events() + customers;

    let unlogged = engine(customers);
    let in_memory = fill(&population, &unlogged);
    say("fill, in memory", in_memory, events, "events");
    drop(unlogged);

    let logged = engine(customers);
    let mut opened = open(&logged, directory, THREADS as usize);
    let took = fill_logged(&population, &logged, &mut opened);
    say("fill, every event durable", took, events, "events");
    println!("  {:.2} of in memory", in_memory.as_secs_f64() / took.as_secs_f64());
    println!("  {:.1} bytes of log an event", bytes_in(directory, "segment") as f64 / events as f64);
    let kept = (logged.customer_count(), logged.counters().plays_kept());
    drop((logged, opened));

    let replayed = engine(customers);
    let begun = Instant::now();
    let mut opened = open(&replayed, directory, THREADS as usize);
    let took = begun.elapsed();
    say("replay of the log", took, events, "events");
    println!("  {:.2} of the rate of the fill in memory", in_memory.as_secs_f64() / took.as_secs_f64());
    assert_eq!((replayed.customer_count(), replayed.counters().plays_kept()), kept, "something is missing");

    let begun = Instant::now();
    let mut writer = opened.writer;
    while replayed.durable() < replayed.barrier() {
        writer.step().expect("the disk is good");
    }
    let written = opened.snapshotter.write(&replayed, &mut |_| true).expect("the disk is good");
    let written = written.expect("it is not given up");
    say("snapshot", begun.elapsed(), population.events(), "plays");
    println!("  {:.2} bytes a kept play", written.bytes as f64 / kept.1 as f64);
    drop((replayed, writer));

    for threads in [1, THREADS as usize] {
        let recovered = engine(customers);
        let begun = Instant::now();
        let opened = open(&recovered, directory, threads);
        say(&format!("recovery with {threads} threads"), begun.elapsed(), population.events(), "plays");
        assert!(opened.recovered.snapshot_bytes > 0, "the snapshot is not used");
        assert_eq!(
            (recovered.customer_count(), recovered.counters().plays_kept()),
            kept,
            "something is missing"
        );
    }
    std::fs::remove_dir_all(directory).expect("it is ours");
}
