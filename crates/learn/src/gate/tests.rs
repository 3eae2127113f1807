//! The gate's rules with tables, and how often it promotes, with simulated listeners.

mod better;
mod no_better;
mod rules;
mod world;
