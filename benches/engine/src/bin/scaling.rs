//! Nanoseconds per decision against size, without HTTP.
//!
//! ```text
//! scaling customers|plays|vectors SIZE REPEATS
//! ```
//!
//! - `customers`: SIZE customers of 10 plays, in an order like chance.
//! - `plays`: customers of SIZE plays each, as many as make two million plays, at most 50,000.
//! - `vectors`: 10,000 customers of 40 plays, under an RBF model with SIZE support vectors.
//!
//! Prints one JSON object: nanoseconds with the counts cached and with the window counted again, a number a repeat.

use upbeat_engine_benches::{
    NOW_MS, Order, Population, decision_ns, default_model, promote, rbf_model, resident_bytes, round_ns,
};

/// Decisions that are timed at once, at most.
const DECISIONS: u64 = 1_000_000;

fn main() {
    upbeat_engine_benches::keep_on_huge_pages();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (what, size, repeats) = match &arguments[..] {
        [what, size, repeats] => (what.as_str(), size.parse().unwrap_or(0), repeats.parse().unwrap_or(0)),
        _ => ("", 0, 0),
    };
    let (customers, plays): (u64, u64) = match what {
        "customers" => (size, 10),
        "plays" => ((2_000_000 / size.max(1)).clamp(1, 50_000), size),
        "vectors" => (10_000, 40),
        _ => (0, 0),
    };
    if customers == 0 || plays == 0 || repeats == 0 {
        eprintln!("usage: scaling customers|plays|vectors SIZE REPEATS");
        std::process::exit(2);
    }
    let model = || if what == "vectors" { rbf_model(size) } else { default_model() };
    let population = Population { customers, plays, order: Order::Even };
    let engine = population.engine(2);
    promote(&engine, model());
    let (mut cached, mut recomputed) = (Vec::new(), Vec::new());
    for repeat in 0..repeats {
        // The work is the same however few there are: rounds are repeated until they can be timed.
        let rounds = (100_000 / customers).max(1);
        // A play leaves each window, or is in it again: nothing that is cached is valid.
        let round = |round: i64| round_ns(&engine, customers, NOW_MS + (2 + round % 2) * population.gap_ms());
        recomputed.push((0..rounds as i64).map(round).sum::<f64>() / rounds as f64);
        round_ns(&engine, customers, NOW_MS);
        cached.push(decision_ns(&engine, customers, DECISIONS, repeat << 32, NOW_MS));
    }
    println!(
        r#"{{"size":{size},"customers":{customers},"plays":{plays},"resident":{},"cached_ns":{cached:?},"recomputed_ns":{recomputed:?}}}"#,
        resident_bytes()
    );
}
