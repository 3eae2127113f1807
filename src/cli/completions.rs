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
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "upbeat", &mut script);
    super::output::print(String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
