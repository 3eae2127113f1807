//! A progress bar on standard error while training; nothing at all when that is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use upbeat_svm::{Fixed, Progress};

/// Shows the stage, its progress and the time since the start. Uses no colour, so `NO_COLOR` is honoured.
pub(super) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// Starts the spinner, when standard error is a terminal.
    pub(super) fn start() -> Self {
        let bar = ProgressBar::new_spinner();
        // The tick is a thread, whose end a short training would have to wait for.
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { bar }
    }

    /// Writes a line to standard error above the bar, whether that is a terminal or not.
    pub(super) fn print(&self, line: &str) {
        self.bar.suspend(|| crate::cli::output::note(line));
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn stage(&self, what: &str, total: Option<u64>) {
        let template = match total {
            Some(_) => "{spinner} {elapsed:>4} {prefix} {wide_bar} {human_pos}/{human_len}, {eta} left",
            None => "{spinner} {elapsed:>4} {prefix} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_prefix(what.to_owned());
        self.bar.set_message("");
        self.bar.set_position(0);
        self.bar.set_length(total.unwrap_or(0));
    }

    fn advance(&self, more: u64) {
        self.bar.inc(more);
    }

    fn solving(&self, iterations: u64, violation: f64) {
        self.bar
            .set_message(format!("iteration {iterations}, conditions violated by {}", Fixed(violation, 4)));
    }
}
