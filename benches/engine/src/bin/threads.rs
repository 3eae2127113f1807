//! Decisions of two threads compared with those of one, without HTTP.
//!
//! ```text
//! threads CUSTOMERS DECISIONS REPEATS
//! ```
//!
//! Each repeat times DECISIONS cached decisions on one thread, then as many on each of two threads at once, about customers
//! in an order like chance. Prints one JSON object: nanoseconds a decision of the one thread, and how many times as many
//! decisions a second the two make, a number a repeat, and the median ratio. The budget is 1.9.

use std::sync::{Arc, Barrier};
use std::thread;

use upbeat_engine::Engine;
use upbeat_engine_benches::{NOW_MS, Order, Population, count_as_event_loop, decision_ns, round_ns};

fn main() {
    upbeat_engine_benches::keep_on_huge_pages();
    let arguments: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [customers @ (1..), decisions @ (1..), repeats @ (1..)] = arguments[..] else {
        eprintln!("usage: threads CUSTOMERS DECISIONS REPEATS");
        std::process::exit(2);
    };
    let engine = Population { customers, plays: 10, order: Order::Even }.engine(2);
    // All counts are cached.
    round_ns(&engine, customers, NOW_MS);
    let (mut one_ns, mut ratios) = (Vec::new(), Vec::new());
    for repeat in 0..repeats {
        let alone = on_threads(&engine, 1, customers, decisions, repeat);
        let both = on_threads(&engine, 2, customers, decisions, repeat);
        one_ns.push(alone);
        ratios.push(2.0 * alone / both);
    }
    let mut sorted = ratios.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    println!(
        r#"{{"customers":{customers},"decisions":{decisions},"one_ns":{one_ns:.1?},"ratio":{ratios:.3?},"median":{median:.3}}}"#
    );
}

/// Nanoseconds a decision on each of so many threads at once, of the slowest.
fn on_threads(engine: &Arc<Engine>, threads: u64, customers: u64, decisions: u64, repeat: u64) -> f64 {
    let start = Barrier::new(threads as usize);
    thread::scope(|scope| {
        let deciding: Vec<_> = (0..threads)
            .map(|thread| {
                let start = &start;
                scope.spawn(move || {
                    count_as_event_loop();
                    start.wait();
                    decision_ns(engine, customers, decisions, (repeat << 8 | thread) << 32, NOW_MS)
                })
            })
            .collect();
        deciding.into_iter().map(|thread| thread.join().expect("no panic")).fold(0.0, f64::max)
    })
}
