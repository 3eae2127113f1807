//! The command line: one file per role, one match over them.

mod blocks;
mod completions;
mod demo;
mod evaluate;
mod features;
mod files;
mod health;
mod in_order;
mod interrupt;
mod logging;
mod model;
mod predict;
mod progress;
mod replay;
mod report;
mod serve;
mod simulate;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Decides, in the beat before a track starts, whether this listener should hear the ad.
#[derive(Parser)]
#[command(name = "upbeat", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
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

/// Runs the role named on the command line.
///
/// Exit status: 0 done; 1 the work failed (message on stderr); 2 the call itself was wrong.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.role {
        Role::Demo(args) => demo::run(args),
        Role::Serve(args) => serve::run(args),
        Role::Features(args) => features::run(args),
        Role::Train(args) => train::run(args),
        Role::Predict(args) => predict::run(args),
        Role::Evaluate(args) => evaluate::run(args),
        Role::Model(args) => model::run(args),
        Role::Simulate(args) => simulate::run(args),
        Role::Replay(args) => replay::run(args),
        Role::Health(args) => health::run(args),
        Role::Completions(args) => completions::run(args),
    };
    match result {
        Ok(status) => status,
        // The reader of our output went away, as `head` does.
        Err(error) if files::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("upbeat: {error:#}");
            ExitCode::FAILURE
        }
    }
}
