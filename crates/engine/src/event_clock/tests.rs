use proptest::prelude::*;
use upbeat_core::event::{EventKind, Id, Time};

use super::*;

const WINDOW_DAYS: i64 = 28;

fn clock() -> EventClock {
    EventClock::new(Clock::Event, Window { plays: 10, days: WINDOW_DAYS as u32 })
}

fn send(clock: &EventClock, customer: u64, day: i64) {
    let kind = EventKind::click(Id::Number(1));
    let (id, time) = (Id::Number(1), Time::from_unix_ms(day * DAY_MS));
    let event = Event { customer: Id::Number(customer), id, time, kind };
    clock.advance(clock.sighting(&event).expect("the event clock"));
}

/// The day that the clock shows after events of these customers on these days.
fn day_after(events: &[(u64, i64)]) -> i64 {
    let clock = clock();
    events.iter().for_each(|(customer, day)| send(&clock, *customer, *day));
    clock.now_ms().expect("an event was sent") / DAY_MS
}

#[test]
fn jump_waits_for_another_customer() {
    for (events, expected, why) in [
        (&[(1, 0), (2, 1)][..], 1, "a step"),
        (&[(1, 0), (2, 1), (3, 400)], 1, "one row far ahead"),
        (&[(1, 0), (2, 1), (3, 400), (3, 400), (3, 405)], 1, "one customer far ahead"),
        (&[(1, 0), (2, 1), (3, 400), (1, 429)], 1, "another, but not near"),
        (&[(1, 0), (2, 1), (3, 400), (1, 428)], 428, "confirmed by a later event"),
        (&[(1, 0), (2, 1), (3, 400), (1, 372)], 400, "confirmed by an earlier event"),
        (&[(1, 0), (2, 1), (3, 4000), (3, 400), (1, 401)], 401, "another jump does not hide it"),
        (&[(1, 0), (2, 1), (3, 40), (1, 20), (2, 2)], 40, "no longer far ahead"),
        (&[(1, 0), (2, 1), (3, 29)], 29, "not more than the window's days"),
        (&[(1, 0), (2, 1), (3, 30)], 1, "more than the window's days"),
    ] {
        assert_eq!(day_after(events), expected, "{why}");
    }
}

#[test]
fn first_event_with_a_wrong_date_does_not_hold_the_clock() {
    for (events, expected, why) in [
        (&[(1, 4000)][..], 4000, "nothing else is known"),
        (&[(1, 4000), (2, 0)], 0, "another customer was heard of"),
        (&[(1, 4000), (1, 4001), (1, 4002), (2, 0), (3, 1), (2, 2)], 2, "a device with a wrong clock"),
        (&[(1, 4000), (2, 0), (3, 4001)], 4001, "unless it is confirmed"),
        (
            &[(1, 100), (2, 101), (3, 0)],
            101,
            "a late event does not move a clock that two customers agree on",
        ),
        (
            &[(1, 100), (1, 120), (1, 140), (2, 90)],
            140,
            "steps of one customer count as its own first event does",
        ),
        (&[(1, 100), (1, 0)], 100, "a customer's own old events say nothing of their new ones"),
    ] {
        assert_eq!(day_after(events), expected, "{why}");
    }
}

#[test]
fn jumps_that_wait_are_bounded_and_do_not_keep_later_ones_from_being_confirmed() {
    let clock = clock();
    send(&clock, 1, 0);
    send(&clock, 2, 1);
    for number in 0..1000 {
        send(&clock, 3, 1000 + 100 * number);
    }
    assert_eq!(clock.now_ms(), Some(DAY_MS));
    assert!(clock.doubts.lock().expect("no panic").waiting.len() <= MOST_WAITING);
    assert_eq!(clock.status().unconfirmed, 1000);
    send(&clock, 4, 60);
    send(&clock, 5, 60);
    assert_eq!(clock.now_ms(), Some(60 * DAY_MS));
}

#[test]
fn wall_clock_is_not_moved_by_events() {
    let clock = EventClock::new(Clock::Wall, Window::default());
    let kind = EventKind::click(Id::Number(1));
    let event = Event { customer: Id::Number(1), id: Id::Number(1), time: Time::from_unix_ms(5), kind };
    assert_eq!(clock.sighting(&event), None);
    assert_eq!(clock.now_ms(), None);
}

proptest! {
    /// Events of many customers on days without gaps, and one row with a wrong date anywhere among them.
    #[test]
    fn one_wrong_date_moves_nothing_wherever_it_comes(
        days in prop::collection::vec(0i64..20, 2..40),
        wrong_day in 60i64..30_000,
        place in any::<prop::sample::Index>(),
    ) {
        let mut events: Vec<_> = days.iter().enumerate().map(|(number, day)| (number as u64, *day)).collect();
        let expected = *days.iter().max().expect("two days");
        events.insert(place.index(events.len() + 1), (1_000_000, wrong_day));
        prop_assert_eq!(day_after(&events), expected);
    }
}
