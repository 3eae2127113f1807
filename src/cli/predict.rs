//! `upbeat predict`: labels and decision values.

use std::process::ExitCode;

/// Write label and decision value of every row
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
