//! `upbeat replay`: send recorded events to a running server.

use std::process::ExitCode;

/// Send recorded plays and clicks to a running server
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
