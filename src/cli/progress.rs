//! Progress bars on stderr, for work that takes longer than a second.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;

/// A bar that appears after a second, if stderr is a terminal, and disappears when it is dropped. It has
/// no colours.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    visible: bool,
}

impl Progress {
    /// A bar towards `total` of `what`, such as "plays".
    pub(crate) fn new(total: u64, what: &'static str) -> Self {
        let bar = Self::with_template(Some(total), "{wide_bar} {human_pos}/{human_len} {msg}, {eta} left");
        bar.bar.set_message(what);
        bar
    }

    /// A bar towards the end of a file of `total` bytes, if it is known.
    pub(crate) fn bytes(total: Option<u64>) -> Self {
        let template = if total.is_some() {
            "{wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left"
        } else {
            "{spinner} {bytes}, {bytes_per_sec}"
        };
        Self::with_template(total, template)
    }

    fn with_template(total: Option<u64>, template: &str) -> Self {
        let style = ProgressStyle::with_template(template).expect("templates are constant");
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        bar.set_style(style);
        Self { bar, started: Instant::now(), visible: false }
    }

    /// Advances the bar by `more`.
    pub(crate) fn add(&mut self, more: u64) {
        self.bar.inc(more);
        if !self.visible && self.started.elapsed() >= Duration::from_secs(1) {
            self.visible = true;
            // It remains hidden where stderr is no terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Writes one line to stderr, above the bar: a line end in a row's message does not begin another.
    pub(crate) fn note(&self, line: &str) {
        self.bar.suspend(|| output::note(output::escaped(line)));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
