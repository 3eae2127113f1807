#![doc = include_str!("../README.md")]

pub mod config;
pub mod gate;
pub mod metrics;
pub mod runtime;

mod admin;
mod api;
mod wire;

pub use admin::OPENAPI_YAML;
pub use api::{Kind, Problem, event_line, id_value};
#[cfg(feature = "fuzzing")]
pub use wire::fuzzing::check_head;

#[cfg(test)]
mod tests;
