//! `upbeat health`: ask a running server whether it is ready.

use std::process::ExitCode;

/// Ask a running server whether it is ready (for container health checks)
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
