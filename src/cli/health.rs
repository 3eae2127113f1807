//! `upbeat health`: ask a running server whether it is ready.

use std::process::ExitCode;
use std::time::Duration;

use upbeat_client::Client;

/// Ask a running server whether it is ready (for container health checks)
///
/// Exit status 0 when it answers 200, 1 with the reason on stderr when not.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  upbeat health
  upbeat health --url http://127.0.0.1:8080/healthz --timeout 500ms")]
pub(crate) struct Args {
    /// What to ask
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/readyz")]
    url: String,
    /// How long to wait for the answer, such as 2s or 500ms
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = timeout)]
    timeout: Duration,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = Client::new(&args.url, args.timeout)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(client.get(""))?;
    anyhow::ensure!(answer.status == 200, "{} answered {}: {}", args.url, answer.status, answer.detail());
    Ok(ExitCode::SUCCESS)
}

fn timeout(text: &str) -> Result<Duration, String> {
    let refusal = "give a time from 1ms to 1h, such as 2s or 500ms";
    let parsed = text.parse::<jiff::SignedDuration>();
    match parsed.map(Duration::try_from) {
        Ok(Ok(time)) if (Duration::from_millis(1)..=Duration::from_secs(3_600)).contains(&time) => Ok(time),
        _ => Err(refusal.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeout_has_a_unit_and_is_in_range() {
        assert_eq!(timeout("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(timeout("500ms"), Ok(Duration::from_millis(500)));
        for text in ["", "2", "0s", "-1s", "2h", "soon"] {
            assert!(timeout(text).is_err(), "{text}");
        }
    }
}
