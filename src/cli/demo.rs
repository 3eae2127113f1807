//! `upbeat demo`: everything at once on simulated listeners.

use std::process::ExitCode;

/// Everything at once on simulated listeners, nothing to install
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
