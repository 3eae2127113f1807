//! The same histories, many more: `cargo test --release -p upbeat-journal torture -- --ignored --nocapture`, with the seeds in
//! `UPBEAT_SEEDS`, as `0..1000000`.

use std::sync::atomic::{AtomicU64, Ordering};

use super::lives::history;

#[test]
#[ignore = "long; just torture runs it"]
fn torture_of_many_histories() {
    let range = std::env::var("UPBEAT_SEEDS").unwrap_or_else(|_| "0..10000".to_owned());
    let (first, end) = range.split_once("..").expect("UPBEAT_SEEDS is FIRST..END");
    let (first, end): (u64, u64) = (first.parse().expect("a seed"), end.parse().expect("a seed"));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(first);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    history(seed);
                    if (seed + 1).is_multiple_of(50_000) {
                        eprintln!("{} histories", seed + 1 - first);
                    }
                }
            });
        }
    });
    eprintln!("{} histories from seed {first} on: nothing lost, doubled, divided or invented", end - first);
}
