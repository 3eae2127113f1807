//! The command line: one file or folder a role, and what several roles share.

mod backed_up;
pub(crate) mod backtest;
pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod consistency;
mod decision_log;
pub(crate) mod demo;
pub(crate) mod evaluate;
pub(crate) mod export;
pub(crate) mod features;
pub(crate) mod files;
pub(crate) mod health;
mod interrupt;
pub(crate) mod journal;
mod label;
pub(crate) mod learn_job;
mod logging;
pub(crate) mod model;
pub(crate) mod output;
mod place;
pub(crate) mod predict;
mod progress;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod restore;
pub(crate) mod serve;
pub(crate) mod simulate;
pub(crate) mod train;

use clap::{Parser, Subcommand};

/// A call that was wrong in itself: exit status 2, as where a flag is unknown.
#[derive(Debug)]
pub(crate) struct WrongCall(String);

impl std::fmt::Display for WrongCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongCall {}

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
    Report(report::Args),
    Model(model::Args),
    Simulate(simulate::Args),
    Replay(replay::Args),
    Journal(journal::Args),
    Export(export::Args),
    Backtest(backtest::Args),
    CheckConsistency(consistency::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Health(health::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    LearnJob(learn_job::Args),
}
