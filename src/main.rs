//! The `upbeat` binary: one match over the roles of the command line.

// Both panic where the stream cannot be written; cli::output prints.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use cli::{Cli, Role, WrongCall, output};

/// Runs the role named on the command line.
///
/// Exit status: 0 done, also where the reader of the output had enough and closed it; 1 the work failed (message on
/// stderr); 2 the call itself was wrong; 128 and the signal's number where a signal ended it.
fn main() -> ExitCode {
    let role = match Cli::try_parse() {
        Ok(cli) => cli.role,
        Err(message) => return end(explain(&message)),
    };
    end(match role {
        Role::Demo(args) => cli::demo::run(args),
        Role::Serve(args) => cli::serve::run(args),
        Role::Features(args) => cli::features::run(args),
        Role::Train(args) => cli::train::run(args),
        Role::Predict(args) => cli::predict::run(args),
        Role::Evaluate(args) => cli::evaluate::run(args),
        Role::Report(args) => cli::report::run(args),
        Role::Model(args) => cli::model::run(args),
        Role::Simulate(args) => cli::simulate::run(args),
        Role::Replay(args) => cli::replay::run(args),
        Role::Journal(args) => cli::journal::run(args),
        Role::Export(args) => cli::export::run(args),
        Role::Backtest(args) => cli::backtest::run(args),
        Role::CheckConsistency(args) => cli::consistency::run(args),
        Role::Backup(args) => cli::backup::run(args),
        Role::Restore(args) => cli::restore::run(args),
        Role::Health(args) => cli::health::run(args),
        Role::Completions(args) => cli::completions::run(args),
        Role::LearnJob(args) => cli::learn_job::run(args),
    })
}

/// The exit status of a result, with the message of an error.
fn end(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(status) => status,
        // The reader of the output closed it, as `head` does.
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(format_args!("upbeat: {error:#}"));
            if error.is::<WrongCall>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// Prints the help that was asked for, or what is wrong with the call.
fn explain(message: &clap::Error) -> anyhow::Result<ExitCode> {
    match message.print() {
        Ok(()) => Ok(ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(2))),
        // There is nobody left to tell.
        Err(_) if message.use_stderr() => Ok(ExitCode::from(2)),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error).context("standard output: cannot be written"),
    }
}
