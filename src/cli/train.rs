//! `upbeat train`: from feature vectors to a model.

use std::process::ExitCode;

/// Train a model on feature vectors
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
