//! Work to be counted under `valgrind --tool=callgrind`: run it with two counts, and subtract.
//!
//! ```text
//! instructions cached|recomputed|apply COUNT
//! ```

use upbeat_engine_benches::{NOW_MS, Order, Population, apply, decide, nth_customer, round_ns};

/// Few, since it runs fifty times as slowly as usual; caches do not change the count.
const CUSTOMERS: u64 = 500;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (what, count) = (arguments.next(), arguments.next().and_then(|text| text.parse::<u64>().ok()));
    let (Some(what), Some(count)) = (what, count) else {
        eprintln!("usage: instructions cached|recomputed|apply COUNT");
        std::process::exit(2);
    };
    let population = Population { customers: CUSTOMERS, plays: 40, order: Order::Even };
    let engine = population.engine(1);
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
