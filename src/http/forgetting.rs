//! Goes round all customers, part by part, and has the silent ones forgotten.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::app::App;

/// No more often than this: a turn looks through as many parts as are due.
const SHORTEST_TURN: Duration = Duration::from_millis(10);

/// Runs until it is dropped; every part is looked through once in `limits.forget_every`.
pub(super) async fn forget_silent_customers(app: Arc<App>) {
    let parts = app.engine.parts();
    let round = app.config.limits.forget_every.get().max(SHORTEST_TURN);
    let turn = (round / u32::try_from(parts).unwrap_or(u32::MAX)).max(SHORTEST_TURN);
    let turns = (round.as_nanos() / turn.as_nanos()).max(1) as usize;
    let mut clock = tokio::time::interval(turn);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut part = 0;
    loop {
        clock.tick().await;
        for _ in 0..parts.div_ceil(turns) {
            app.engine.forget_silent(part, app.wall_ms());
            part = (part + 1) % parts;
            // One part takes less than a tenth of a millisecond; decisions come between two of them.
            tokio::task::yield_now().await;
        }
    }
}
