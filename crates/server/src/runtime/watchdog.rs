//! Tells the service manager that the process is alive, for as long as every event loop and the journal's thread go on: a
//! process that answers nothing any more is ended and started again by whoever watches it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::app::App;
use super::loops::EventLoops;

/// A task that ends with this.
pub(super) struct Watchdog(JoinHandle<()>);

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts telling, where somebody watches.
pub(super) fn start<G: Send + 'static>(app: &Arc<App>, loops: &Arc<EventLoops<G>>) -> Option<Watchdog> {
    let period = app.supervisor().watchdog_period()?;
    Some(Watchdog(tokio::spawn(watch(Arc::clone(app), Arc::downgrade(loops), period))))
}

/// Asks every thread in each period, and tells the manager if all of them answer within it. Loops that have ended are not
/// asked: a stop goes on without them.
async fn watch<G: Send + 'static>(app: Arc<App>, loops: Weak<EventLoops<G>>, period: Duration) {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let asked = loops.upgrade().map_or(Vec::new(), |loops| loops.ask_all());
        let all = async {
            for answer in asked {
                // A loop that has ended drops the question.
                let _ = answer.await;
            }
            app.durability().journal_goes_on().await;
        };
        match tokio::time::timeout(period, all).await {
            Ok(()) => app.supervisor().alive(),
            Err(_) => tracing::error!(
                ?period,
                "an event loop or the journal's thread stands still: the service manager's watchdog is not told that the \
                 process is alive"
            ),
        }
    }
}
