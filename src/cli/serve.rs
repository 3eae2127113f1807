//! `upbeat serve`: the server.

use std::process::ExitCode;

/// Run the server
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
