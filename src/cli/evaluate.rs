//! `upbeat evaluate`: how good a model is on labelled rows.

use std::process::ExitCode;

/// Measure a model on labelled rows
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
