//! `upbeat simulate`: write a simulated history.

use std::process::ExitCode;

/// Write a simulated history of customers, tracks, plays and clicks
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
