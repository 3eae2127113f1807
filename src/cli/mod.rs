//! The command line: one file or folder a role, and what several roles share.

pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod evaluate;
pub(crate) mod features;
pub(crate) mod files;
pub(crate) mod health;
mod interrupt;
mod logging;
pub(crate) mod model;
pub(crate) mod predict;
mod progress;
pub(crate) mod replay;
pub(crate) mod serve;
pub(crate) mod simulate;
pub(crate) mod train;

use clap::{Parser, Subcommand};

/// Decides, in the beat before a track starts, whether this listener should hear the ad.
#[derive(Parser)]
#[command(name = "upbeat", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) role: Role,
}

#[derive(Subcommand)]
pub(crate) enum Role {
    Demo(demo::Args),
    Serve(serve::Args),
    Features(features::Args),
    Train(train::Args),
    Predict(predict::Args),
    Evaluate(evaluate::Args),
    Model(model::Args),
    Simulate(simulate::Args),
    Replay(replay::Args),
    Health(health::Args),
    Completions(completions::Args),
}
