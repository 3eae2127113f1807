//! Black-box tests of the server: the real binary, real HTTP, on ports of its own.

mod fallible;
#[path = "../shared/lines.rs"]
mod lines;
mod listeners;
#[path = "../shared/skipped.rs"]
mod skipped;
mod support;
mod wire;

mod atomic;
mod bad_input;
mod callers;
mod closing;
mod cloudevents;
mod compacting;
mod compression;
mod configuration;
mod csv_files;
mod decisions;
mod deploy;
mod descriptors;
mod directories;
mod durability;
mod earlier_formats;
mod echoes;
mod events;
mod exports;
mod formats;
mod golden;
mod history;
mod hostile;
mod hosts;
mod ids;
mod kernel_calls;
mod lifecycle;
mod limits;
mod live_and_batch;
mod logs;
mod looking;
mod memory;
mod metrics;
mod non_reading;
mod notifying;
mod parity;
mod passed;
mod problems;
mod profiles;
mod real_history;
mod refused_rows;
mod reloading;
mod requests;
mod restarts;
mod scraping;
mod snapshots;
mod stopping;
mod stops;
