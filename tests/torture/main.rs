//! What was acknowledged survives: the real binary under load, its power cut at any instant, killed at any moment, its disk
//! full or failing.
//!
//! Nothing here looks into the program. A preloaded library (`trace_disk.c`) writes down what it does to its disk, so that
//! the directory can be rebuilt as a loss of power may have left it; a ledger notes what was sent and what was answered,
//! and when; a second process is started on what is left, and asked.
//!
//! The short form runs with the other tests. `just torture` runs the long form: `ROUNDS` says how long, `SEED` which. `just soak`
//! loads one server for many minutes, `just chaos` does everything to one at random.

#[path = "../shared/lines.rs"]
mod lines;
#[path = "../shared/skipped.rs"]
mod skipped;
#[path = "../shared/split_mix.rs"]
mod split_mix;

mod account;
mod campaigns;
mod catalogue;
mod customers;
mod dice;
mod inode;
mod inspect;
mod ledger;
mod load;
mod machine;
mod moment;
mod preload;
mod process;
mod trace;
mod usage;
mod wire;

mod careless;
mod chaos;
mod damaged;
mod evictions;
mod failing;
mod full;
mod honest;
mod kills;
mod power;
mod settings;
mod soak;

/// How long the long form is, if it is asked for: losses of power by 300, kills by 100, failures one by one.
fn rounds() -> Option<u64> {
    number("ROUNDS")
}

/// Where chance begins.
fn seed() -> u64 {
    number("SEED").unwrap_or(1)
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; a whole number is needed")))
}
