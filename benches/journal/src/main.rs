//! The log beside stores that could have been it, and the ways to lay out its segments: `cargo run --release -- DIR [RECORDS]`.
//!
//! Every candidate gets the same records and makes the same numbers of them durable at once. They take turns, a few commits
//! each, so that a disk that is slow for a while is slow for all; the disk's own write and sync of as many bytes has its
//! turn, too.

mod candidates;
mod layouts;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Bytes of a record's payload: about an event's.
const PAYLOAD: usize = 64;

/// What is measured of one candidate.
#[derive(Default)]
struct Measured {
    /// Of each commit.
    times: Vec<Duration>,
}

impl Measured {
    /// The time of which a share of the commits takes less.
    fn percentile(&mut self, share: f64) -> Duration {
        self.times.sort_unstable();
        self.times[((self.times.len() - 1) as f64 * share) as usize]
    }

    fn seconds(&self) -> f64 {
        self.times.iter().sum::<Duration>().as_secs_f64()
    }
}

/// Something that makes records durable.
trait Candidate {
    fn name(&self) -> &'static str;

    /// Makes `records` durable, all together; returns when they are.
    fn commit(&mut self, records: &[[u8; PAYLOAD]]);
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().expect("DIR: a directory on the disk to be measured"));
    let records: usize = arguments.next().map_or(40_000, |text| text.parse().expect("a number of records"));
    std::fs::create_dir_all(&directory).expect("DIR can be made");
    let directory = directory.join(format!("upbeat-journal-bench-{}", std::process::id()));
    layouts::run(&directory.join("layouts"));
    for at_once in [1, 32, 1_000] {
        compare(&directory.join(format!("at-once-{at_once}")), at_once, records);
    }
    std::fs::remove_dir_all(&directory).expect("the bench's own directory can be removed");
}

fn compare(directory: &std::path::Path, at_once: usize, records: usize) {
    std::fs::create_dir_all(directory).expect("a directory of the bench's own");
    let mut candidates = candidates::all(directory);
    let mut measured: Vec<Measured> = candidates.iter().map(|_| Measured::default()).collect();
    let commits = (records / at_once).clamp(60, 2_000);
    let turn = 10;
    let mut made = 0_u64;
    for _ in 0..commits / turn {
        let batches: Vec<Vec<[u8; PAYLOAD]>> = (0..turn)
            .map(|_| {
                let record = |_| {
                    made += 1;
                    let mut payload = [7; PAYLOAD];
                    payload[..8].copy_from_slice(&made.to_le_bytes());
                    payload
                };
                (0..at_once).map(record).collect()
            })
            .collect();
        for (candidate, measured) in candidates.iter_mut().zip(&mut measured) {
            for batch in &batches {
                let start = Instant::now();
                candidate.commit(batch);
                measured.times.push(start.elapsed());
            }
        }
    }
    println!("\n### {at_once} of {PAYLOAD} bytes at once, {} commits each\n", commits / turn * turn);
    println!("| | records/s | median, µs | p99, µs |");
    println!("|---|---:|---:|---:|");
    for (candidate, measured) in candidates.iter().zip(&mut measured) {
        let rate = (measured.times.len() * at_once) as f64 / measured.seconds();
        let (median, late) = (measured.percentile(0.5), measured.percentile(0.99));
        println!("| {} | {rate:.0} | {} | {} |", candidate.name(), median.as_micros(), late.as_micros());
    }
}
