//! How far acknowledgements run ahead of the disk where they do not wait for it.
//!
//! A log that is synced at intervals promises to lose no more than the last of them, and a disk that is slower than those who
//! post would break that: their events would pile up in the lanes. So answers wait after all while what was acknowledged some
//! time ago is not durable yet, until everything is that was acknowledged.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Keeps all acknowledgements of what is not durable within twice a time.
#[derive(Debug)]
pub(crate) struct Ahead {
    longest: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Everything that was acknowledged at `since` or before lies below this position.
    oldest: u64,
    since: Instant,
    /// Everything that was acknowledged without waiting lies below this one.
    newest: u64,
}

impl Ahead {
    /// Nothing was acknowledged yet.
    pub(super) fn new(longest: Duration, now: Instant) -> Self {
        Self { longest, state: Mutex::new(State { oldest: 0, since: now, newest: 0 }) }
    }

    /// Whether what lies below `next` is acknowledged at `now` without waiting, where everything below `durable` is durable.
    /// `look` gives the three; it is called once, and so that their order is that of the calls.
    pub(super) fn may_run(&self, look: impl FnOnce() -> (u64, u64, Instant)) -> bool {
        // Nothing that panics runs under this lock.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, durable, now) = look();
        let is_in_time = now <= state.since + self.longest;
        if durable >= state.newest || (durable >= state.oldest && is_in_time) {
            (state.oldest, state.since) = (next, now);
        } else if !is_in_time {
            return false;
        }
        state.newest = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LONGEST: Duration = Duration::from_millis(10);

    #[test]
    fn answers_wait_where_the_disk_is_behind_and_no_longer_than_it_is() {
        let begun = Instant::now();
        let ahead = Ahead::new(LONGEST, begun);
        let asked = |next, durable, ms| ahead.may_run(|| (next, durable, begun + Duration::from_millis(ms)));
        assert!(asked(5, 1, 3));
        assert!(asked(6, 1, 13), "ten milliseconds after the first");
        assert!(!asked(7, 1, 14), "the first is not durable yet");
        assert!(!asked(8, 5, 15), "the first is, and the second may be as old");
        assert!(asked(9, 6, 16), "all that was acknowledged is");
        assert!(asked(10, 9, 60), "after a pause in which the disk caught up");
        assert!(!asked(11, 9, 71));
        assert!(asked(12, 10, 72));
    }

    proptest! {
        #[test]
        fn acknowledgements_of_what_is_not_durable_lie_within_twice_the_time(
            steps in prop::collection::vec((0_u64..4, 0_u64..6, 0_u64..12), 1..200),
        ) {
            let begun = Instant::now();
            let ahead = Ahead::new(LONGEST, begun);
            let (mut next, mut durable, mut now) = (1, 1, begun);
            let mut acknowledged = Vec::new();
            for (published, synced, ms) in steps {
                next += published;
                durable = next.min(durable + synced);
                now += Duration::from_millis(ms);
                if ahead.may_run(|| (next, durable, now)) {
                    let oldest = acknowledged.iter().find(|(position, _)| *position > durable);
                    if let Some((_, at)) = oldest {
                        prop_assert!(now - *at <= 2 * LONGEST);
                    }
                    acknowledged.push((next, now));
                }
            }
        }
    }
}
