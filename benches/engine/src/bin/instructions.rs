//! Work to be counted under `valgrind --tool=callgrind`: run it with two counts, and subtract.
//!
//! ```text
//! instructions cached|recomputed|apply COUNT [memory|log [SHOWN]]
//! ```
//!
//! With `log` the engine has one, on a simulated disk that nobody writes to: it is left with room for all that is counted.
//! With SHOWN, so many of a thousand decisions show the ad: to the customers with the highest scores, each time.

use std::sync::Arc;

use upbeat_engine::Engine;
use upbeat_engine::storage::{self, Opened, Options};
use upbeat_engine_benches::{NOW_MS, Order, Population, apply, decide, nth_customer, round_ns};
use upbeat_journal::Memory;
use upbeat_journal::disk::simulated::SimulatedDisk;

/// Few, since it runs fifty times as slowly as usual; caches do not change the count.
const CUSTOMERS: u64 = 500;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (what, count) = (arguments.next(), arguments.next().and_then(|text| text.parse::<u64>().ok()));
    let (Some(what), Some(count)) = (what, count) else {
        eprintln!("usage: instructions cached|recomputed|apply COUNT [memory|log [SHOWN]]");
        std::process::exit(2);
    };
    let logged = arguments.next().is_some_and(|word| word == "log");
    let shown = arguments.next().and_then(|text| text.parse().ok());
    let population = Population { customers: CUSTOMERS, plays: 40, order: Order::Even };
    let engine = shown.map_or_else(|| population.engine(1), |shown| population.engine_that_shows(1, shown));
    let _opened = logged.then(|| open(&engine));
    round_ns(&engine, CUSTOMERS, NOW_MS);
    for number in 0..count {
        let customer = nth_customer(number, CUSTOMERS);
        match what.as_str() {
            "cached" => {
                std::hint::black_box(decide(&engine, customer, NOW_MS));
            }
            // Each round one play less, or more, is in the window.
            "recomputed" => {
                let moved = 1 + number / CUSTOMERS % 2;
                std::hint::black_box(decide(&engine, customer, NOW_MS + moved as i64 * population.gap_ms()));
            }
            _ => apply(&engine, population.later(number)),
        }
    }
}

fn open(engine: &Engine) -> Opened<SimulatedDisk> {
    let journal = upbeat_journal::Options { segment_bytes: 1 << 20, group_bytes: 64 << 10, sync: true };
    let lanes = vec![Memory::anonymous(4096 + (64 << 20))];
    let (disk, options) = (Arc::new(SimulatedDisk::new(1, 1 << 30)), Options { journal, threads: 1 });
    storage::open(engine, disk, lanes, options, Box::new(|| 7), &|_| {}).expect("an empty directory")
}
