use super::*;

const NOW: i64 = 1_700_000_000_000;
const YEAR_MS: i64 = 365 * DAY_MS;
const WINDOW_MS: i64 = 28 * DAY_MS;

/// So long after the start, with a wall clock that is so far ahead.
fn at(after_ms: i64, ahead_ms: i64) -> Instant {
    Instant { wall_ms: NOW + after_ms + ahead_ms, monotonic_ms: 5_000 + after_ms }
}

fn running() -> ClockGuard {
    ClockGuard::new(at(0, 0))
}

#[test]
fn leap_is_doubted_until_the_clock_is_back() {
    for ahead_ms in [HOUR_MS + 1, YEAR_MS, -HOUR_MS - 1, -YEAR_MS] {
        let guard = running();
        assert_eq!(guard.look(at(1000, ahead_ms)), Some(Change::Doubted { ahead_ms }));
        assert_eq!(guard.look(at(2000, ahead_ms)), None);
        assert!(guard.is_in_doubt());
        assert_eq!(guard.look(at(3000, 5)), Some(Change::Believed(Because::Back)));
        assert!(!guard.is_in_doubt());
    }
}

#[test]
fn small_steps_are_followed_and_a_long_pause_of_both_clocks_is_no_leap() {
    let guard = running();
    for step in 1..100 {
        assert_eq!(guard.look(at(step * 60_000, step * (HOUR_MS / 2))), None, "step {step}");
    }
    assert_eq!(guard.look(at(YEAR_MS, 50 * HOUR_MS)), None);
    assert!(!guard.is_in_doubt());
}

#[test]
fn clock_that_stays_is_believed_after_a_day_and_another_leap_begins_the_day_again() {
    let guard = running();
    guard.look(at(0, YEAR_MS));
    assert_eq!(guard.look(at(DAY_MS - 1, YEAR_MS)), None);
    assert_eq!(guard.look(at(DAY_MS, 2 * YEAR_MS)), None, "it leapt again");
    assert_eq!(guard.look(at(2 * DAY_MS - 1, 2 * YEAR_MS)), None);
    assert_eq!(guard.look(at(2 * DAY_MS, 2 * YEAR_MS)), Some(Change::Believed(Because::Time)));
    assert_eq!(guard.look(at(2 * DAY_MS + 1, 2 * YEAR_MS)), None, "it is what is expected now");
}

#[test]
fn events_of_three_more_customers_near_the_new_time_confirm_it() {
    let guard = running();
    guard.look(at(0, -YEAR_MS));
    assert_eq!(guard.near_ms(), Some(i64::MAX), "all events are dated later than a time long ago");
    let guard = running();
    assert_eq!((guard.near_ms(), guard.count(at(0, 0), 100)), (None, None));
    guard.look(at(0, YEAR_MS));
    assert_eq!(guard.near_ms(), Some(NOW + YEAR_MS - HOUR_MS));
    for (customers, change) in [(7, None), (9, None), (10, Some(Change::Believed(Because::Confirmed)))] {
        assert_eq!(guard.count(at(1, YEAR_MS), customers), change, "{customers} customers");
    }
}

#[test]
fn start_is_doubted_beyond_what_the_directory_lets_expect() {
    let start = |ahead_ms: i64, newest_ms: Option<i64>| {
        ClockGuard::new(at(0, ahead_ms)).look_at_start(at(0, ahead_ms), newest_ms, WINDOW_MS, None)
    };
    assert_eq!(start(YEAR_MS, None), None, "nothing is known of an empty directory");
    for ahead_ms in [0, WINDOW_MS, -HOUR_MS] {
        assert_eq!(start(ahead_ms, Some(NOW)), None, "{ahead_ms}");
    }
    for ahead_ms in [WINDOW_MS + 1, YEAR_MS, -HOUR_MS - 1] {
        assert_eq!(start(ahead_ms, Some(NOW)), Some(Change::Doubted { ahead_ms }));
    }
    let guard = ClockGuard::new(at(0, YEAR_MS));
    guard.look_at_start(at(0, YEAR_MS), Some(NOW), WINDOW_MS, None);
    assert_eq!(guard.look(at(1000, YEAR_MS)), None);
    assert_eq!(guard.look(at(2000, DAY_MS)), Some(Change::Believed(Because::Back)));
}

#[test]
fn start_within_a_doubt_does_not_believe_what_was_written_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = || Some(folder.path().to_owned());
    let file = folder.path().join(FILE);
    let guard = ClockGuard::new(at(0, 0));
    assert_eq!(guard.look_at_start(at(0, 0), Some(NOW), WINDOW_MS, directory()), None);
    assert_eq!(guard.look(at(0, 0)), None);
    guard.look(at(1000, YEAR_MS));
    assert!(file.exists());
    let again = ClockGuard::new(at(5000, YEAR_MS));
    let newest_ms = Some(NOW + YEAR_MS);
    let change = again.look_at_start(at(5000, YEAR_MS), newest_ms, WINDOW_MS, directory());
    assert!(matches!(change, Some(Change::Doubted { .. })), "{change:?}");
    assert_eq!(again.look(at(6000, 0)), Some(Change::Believed(Because::Back)));
    assert!(!file.exists());
    let change = ClockGuard::new(at(7000, 0)).look_at_start(at(7000, 0), newest_ms, WINDOW_MS, directory());
    assert!(change.is_some(), "the customers know of a later time");
}
