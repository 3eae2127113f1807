#![doc = include_str!("../README.md")]

pub mod config;
pub mod gate;
pub mod metrics;
pub mod runtime;

mod admin;
mod api;
mod wire;

pub use admin::OPENAPI_YAML;
pub use api::{Kind, Problem};

#[cfg(test)]
mod tests;
