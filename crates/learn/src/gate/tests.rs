//! The gate's rules with tables, and how often it promotes, with simulated listeners.

mod better;
mod given_up;
mod no_better;
mod plenty;
mod rules;
mod world;
