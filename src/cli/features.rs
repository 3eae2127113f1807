//! `upbeat features`: from play and click files to feature vectors.

use std::process::ExitCode;

/// Turn plays and clicks into feature vectors (libSVM text)
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
