//! When jobs begin by themselves.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use upbeat_core::campaign::Mode;
use upbeat_engine::Clock;

use super::super::app::App;
use super::jobs::SCHEDULE;

/// How often the clock is looked at: a clock of events may pass weeks in minutes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Begins a job for each campaign, which judges and trains where the campaign learns and watches where it does not, each time that `learn.every` is over by the clock of decisions.
pub(in crate::runtime) async fn schedule(app: Arc<App>) {
    if app.kept().is_none() {
        return;
    }
    let mut interval = tokio::time::interval(LOOK_EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due = Due { every_ms: app.config.learn.every_ms(), last: Vec::new() };
    loop {
        interval.tick().await;
        // Before the first event nobody knows what time it is.
        let is_known = app.config.clock == Clock::Wall || app.engine.event_clock().now_ms.is_some();
        if !is_known {
            continue;
        }
        let now_ms = app.engine.now_ms(app.wall_ms());
        let current = app.engine.running();
        for planned in &current.plan.campaigns {
            let before =
                || app.learning().with_registry(|registry| registry.of(&planned.id).and_then(|of| of.job_ms));
            // One that is only watched waits for its first job: at a start there is nothing to be seen yet.
            let before = || before().or_else(|| (planned.mode == Mode::Frozen).then_some(now_ms));
            if due.look(planned.slot.0, now_ms, before) {
                app.learning().queue().push(&planned.id, SCHEDULE, app.wall_ms());
            }
        }
    }
}

/// When a job was last begun for each campaign.
struct Due {
    every_ms: i64,
    /// By the campaigns' numbers.
    last: Vec<Option<i64>>,
}

impl Due {
    /// Whether a job is due now, which is taken to begin then. A clock that jumps ahead by several periods makes one due, and one that
    /// went back begins its period there. `before` says when an earlier process began one.
    fn look(&mut self, slot: u16, now_ms: i64, before: impl FnOnce() -> Option<i64>) -> bool {
        let slot = usize::from(slot);
        if self.last.len() <= slot {
            self.last.resize(slot + 1, None);
        }
        let last = self.last[slot].or_else(before);
        match last {
            Some(last) if now_ms < last => {
                self.last[slot] = Some(now_ms);
                false
            }
            Some(last) if now_ms.saturating_sub(last) < self.every_ms => {
                self.last[slot] = Some(last);
                false
            }
            _ => {
                self.last[slot] = Some(now_ms);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_is_due_at_once_and_then_once_a_period_whatever_the_clock_does() {
        let mut due = Due { every_ms: 100, last: Vec::new() };
        assert!(due.look(3, 1_000, || None), "there was none yet");
        assert!(!due.look(3, 1_099, || panic!("it is known by now")));
        assert!(due.look(3, 1_100, || None));
        assert!(due.look(3, 9_000, || None), "a jump of many periods");
        assert!(!due.look(3, 9_001, || None), "makes one job");
        assert!(!due.look(3, 5_000, || None), "a clock that went back");
        assert!(!due.look(3, 5_099, || None));
        assert!(due.look(3, 5_100, || None));
        assert!(due.look(1, 5_100, || None), "each campaign has its own");
    }

    #[test]
    fn period_goes_on_over_a_restart() {
        let mut due = Due { every_ms: 100, last: Vec::new() };
        assert!(!due.look(0, 1_050, || Some(1_000)));
        assert!(due.look(0, 1_100, || Some(1_000)));
    }
}
