//! What a budget adds to a show: the cost is held in one account for all threads.
//!
//! ```text
//! cargo bench --manifest-path benches/engine/Cargo.toml --target-dir target/benches --bench budgets
//! ```
//!
//! Every decision shows the ad, of one campaign, to a customer of their own; so nothing but the account is shared. A paced one shows it
//! to one in ten. Times are of the processor, of all threads together, by decision, the best of several: with more threads than
//! cores they should stay as they are, since nobody waits but for the account.

use std::hint::black_box;

use upbeat_core::event::Id;
use upbeat_engine_benches::{NOW_MS, Order, Population, count_as_event_loop, run_campaigns};

const CUSTOMERS: u64 = 64_000;
const ROUNDS: i64 = 24;
const REPEATS: usize = 5;

fn campaign(budgets: &str) -> String {
    format!(
        "[[campaign]]\nid = \"bench\"\nad = \"BENCH\"\nthreshold = {{ score = -1e9 }}\nmin_plays = 1\n\
         impression_cost = 0.02\n{budgets}"
    )
}

fn main() {
    let population = Population { customers: CUSTOMERS, plays: 2, order: Order::Even };
    println!("{:<30}{:>8}{:>14}", "budget", "threads", "CPU ns");
    for (name, budgets) in [
        ("none", ""),
        ("daily", "daily_budget = 900000.0\n"),
        ("daily and total", "daily_budget = 900000.0\ntotal_budget = 900000.0\n"),
        ("daily, paced, one in ten", "daily_budget = 900000.0\npacing = \"even\"\n"),
        ("used up, nothing shown", "daily_budget = 0.01\n"),
    ] {
        for threads in [1, 2, 64] {
            let best = (0..REPEATS).map(|_| ns_a_show(population, budgets, threads)).fold(f64::MAX, f64::min);
            println!("{name:<30}{threads:>8}{best:>14.0}");
        }
    }
}

/// The processor's time of a decision in a new engine, in nanoseconds.
fn ns_a_show(population: Population, budgets: &str, threads: u64) -> f64 {
    let engine = population.engine(2);
    run_campaigns(&engine, &campaign(budgets));
    engine.tick(NOW_MS);
    let before = cpu_ns();
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
    (cpu_ns() - before) as f64 / (CUSTOMERS * ROUNDS as u64) as f64
}

/// What all threads of this process have taken of the processor, those that have ended among them: in steps of ten milliseconds.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // The name of the program, in parentheses, may have spaces.
    let fields = stat.rsplit_once(')').expect("a name").1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    ticks * 10_000_000
}
