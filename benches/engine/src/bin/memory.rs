//! Resident bytes of a store full of customers.
//!
//! ```text
//! memory CUSTOMERS PLAYS THREADS
//! ```
//!
//! Applies PLAYS plays a customer on the average, random customers in the order of time, and one membership each. Prints
//! one JSON object: resident bytes a customer, those a play beyond 128 a customer, what the engine itself counts, and what
//! is resident once all are idle and evicted.

use std::time::Instant;

use upbeat_engine_benches::{Order, Population, engine, evict_idle, resident_bytes};

fn main() {
    let arguments: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [customers, plays, threads] = arguments[..] else {
        eprintln!("usage: memory CUSTOMERS PLAYS THREADS");
        std::process::exit(2);
    };
    upbeat_engine_benches::keep_on_huge_pages();
    let population = Population { customers, plays, order: Order::Random };
    let empty = resident_bytes();
    let engine = engine(customers);
    let start = Instant::now();
    population.fill(&engine, threads);
    let seconds = start.elapsed().as_secs_f64();
    let resident = resident_bytes();
    let per_customer = resident as f64 / customers as f64;
    let per_play = (resident as f64 - 128.0 * customers as f64) / population.events() as f64;
    let (counted, held) = (engine.profile_bytes(), engine.customer_count());
    let evicted = evict_idle(&engine);
    let left = resident_bytes();
    println!(
        r#"{{"customers":{customers},"plays":{plays},"seconds":{seconds:.3},"empty":{empty},"resident":{resident},"per_customer":{per_customer:.1},"per_play":{per_play:.2},"held":{held},"counted":{counted},"evicted":{evicted},"left":{left}}}"#
    );
}
