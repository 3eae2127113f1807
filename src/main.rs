//! The `upbeat` binary: one match over the roles of the command line.

mod cli;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Role};

/// Runs the role named on the command line.
///
/// Exit status: 0 done; 1 the work failed (message on stderr); 2 the call itself was wrong.
fn main() -> ExitCode {
    let result = match Cli::parse().role {
        Role::Demo(args) => cli::demo::run(args),
        Role::Serve(args) => cli::serve::run(args),
        Role::Features(args) => cli::features::run(args),
        Role::Train(args) => cli::train::run(args),
        Role::Predict(args) => cli::predict::run(args),
        Role::Evaluate(args) => cli::evaluate::run(args),
        Role::Model(args) => cli::model::run(args),
        Role::Simulate(args) => cli::simulate::run(args),
        Role::Replay(args) => cli::replay::run(args),
        Role::Health(args) => cli::health::run(args),
        Role::Completions(args) => cli::completions::run(args),
    };
    match result {
        Ok(status) => status,
        // The reader of the output closed it, as `head` does.
        Err(error) if cli::files::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("upbeat: {error:#}");
            ExitCode::FAILURE
        }
    }
}
