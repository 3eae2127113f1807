//! `upbeat model`: show, check, import and export model files.

use std::process::ExitCode;

/// Show, check, import or export model files
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
