//! A spinner on standard error while training; nothing at all when that is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shows what is being done and for how long. Uses no colour, so `NO_COLOR` is honoured.
pub(super) struct Progress {
    spinner: ProgressBar,
}

impl Progress {
    /// Starts to spin, when standard error is a terminal.
    pub(super) fn start() -> Self {
        let spinner = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {msg}") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(120));
        Self { spinner }
    }

    /// Says what is being done now.
    pub(super) fn step(&self, what: &str) {
        self.spinner.set_message(what.to_owned());
    }

    /// A line on standard error that stays, whether that is a terminal or not.
    pub(super) fn say(&self, line: &str) {
        self.spinner.suspend(|| eprintln!("{line}"));
    }

    /// Takes the spinner away.
    pub(super) fn finish(&self) {
        self.spinner.finish_and_clear();
    }
}
