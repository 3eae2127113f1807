//! Progress bars on stderr, for work that takes longer than a second.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that appears after a second, if stderr is a terminal, and goes when it is dropped. It has
/// no colours.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    visible: bool,
}

impl Progress {
    /// A bar towards `total` of `what`, such as "plays".
    pub(crate) fn new(total: u64, what: &'static str) -> Self {
        let style = ProgressStyle::with_template(
            "{wide_bar} {human_pos}/{human_len} {msg}, {per_sec}, {eta} left",
        )
        .expect("the template is constant");
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        bar.set_style(style);
        bar.set_message(what);
        Self {
            bar,
            started: Instant::now(),
            visible: false,
        }
    }

    /// `more` of it are done.
    pub(crate) fn add(&mut self, more: u64) {
        self.bar.inc(more);
        if !self.visible && self.started.elapsed() >= Duration::from_secs(1) {
            self.visible = true;
            // Stays hidden where stderr is no terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
