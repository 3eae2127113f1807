//! `upbeat completions`: shell completions.

use std::process::ExitCode;

use clap::CommandFactory;

/// Print completions for a shell
///
/// Example: upbeat completions bash > /etc/bash_completion.d/upbeat
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The shell to print completions for
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    clap_complete::generate(args.shell, &mut super::Cli::command(), "upbeat", &mut std::io::stdout().lock());
    Ok(ExitCode::SUCCESS)
}
