//! What a budget adds to a show: the cost is held in one account for all threads.
//!
//! ```text
//! cargo bench --manifest-path benches/engine/Cargo.toml --target-dir target/benches --bench budgets
//! ```
//!
//! Every decision shows the ad, of one campaign, to a customer of their own; so nothing but the account is shared. Times are
//! of all threads together, by show, the best of several: with more threads than cores they should stay as they are.

use std::hint::black_box;
use std::time::Instant;

use upbeat_core::event::Id;
use upbeat_engine_benches::{NOW_MS, Order, Population, count_as_event_loop, run_campaigns};

const CUSTOMERS: u64 = 64_000;
const ROUNDS: i64 = 8;
const REPEATS: usize = 7;

fn campaign(budgets: &str) -> String {
    format!(
        "[[campaign]]\nid = \"bench\"\nad = \"BENCH\"\nthreshold = {{ score = -1e9 }}\nmin_plays = 1\n\
         impression_cost = 0.02\n{budgets}"
    )
}

fn main() {
    let population = Population { customers: CUSTOMERS, plays: 2, order: Order::Even };
    println!("{:<28}{:>8}{:>14}", "budget", "threads", "ns a show");
    for (name, budgets) in [
        ("none", ""),
        ("daily", "daily_budget = 900000.0\n"),
        ("daily and total", "daily_budget = 900000.0\ntotal_budget = 900000.0\n"),
        ("daily, paced", "daily_budget = 900000.0\npacing = \"even\"\n"),
        ("used up", "daily_budget = 0.01\n"),
    ] {
        for threads in [1, 2, 64] {
            let best = (0..REPEATS).map(|_| ns_a_show(population, budgets, threads)).fold(f64::MAX, f64::min);
            println!("{name:<28}{threads:>8}{best:>14.0}");
        }
    }
}

/// The time of a show in a new engine, in nanoseconds.
fn ns_a_show(population: Population, budgets: &str, threads: u64) -> f64 {
    let engine = population.engine(2);
    run_campaigns(&engine, &campaign(budgets));
    engine.tick(NOW_MS);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let engine = &engine;
            scope.spawn(move || {
                count_as_event_loop();
                for round in 0..ROUNDS {
                    for customer in (thread..CUSTOMERS).step_by(threads as usize) {
                        let now_ms = NOW_MS + round * 7;
                        black_box(engine.decide_once(&Id::Number(customer), false, now_ms));
                    }
                }
            });
        }
    });
    started.elapsed().as_nanos() as f64 / (CUSTOMERS * ROUNDS as u64) as f64
}
