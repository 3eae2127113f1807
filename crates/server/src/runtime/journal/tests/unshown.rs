//! Decisions that showed nothing, which wait for more of them.

use super::*;

/// A decision that showed nothing.
fn decide(bench: &mut Bench) -> Barrier {
    assert!(bench.lane.has_room(1, 31));
    bench.lane.publish(1, 0, 31, |into| into.fill(7));
    bench.durability.barrier().expect("it is not durable yet")
}

fn lag_seconds(bench: &Bench) -> f64 {
    bench.metrics.journal.sample_lag(1);
    let text = bench.metrics.render(crate::metrics::Format::Classic).expect("text");
    let line =
        text.lines().find(|line| line.starts_with("upbeat_journal_lag_seconds ")).expect("it is there");
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn decisions_alone_wait_for_more_of_them_and_anything_else_takes_them_along() {
    let mut bench = Bench::new();
    bench.journal.writer.pack(1);
    let barrier = decide(&mut bench);
    // Seen when a record may first be due.
    let mut now = EVERY;
    while now < EVERY + 2 * HOLD {
        let sleep = bench.turn(now);
        assert!(!sleep.is_zero() && sleep <= EVERY, "{now:?}: {sleep:?}");
        assert_eq!(bench.durability.fate(barrier), Fate::Pending);
        let lag = lag_seconds(&bench);
        let since_look = (bench.start + now).checked_sub(EVERY).map_or(0.0, |at| at.elapsed().as_secs_f64());
        assert!(lag <= since_look, "nothing waits that should not: {lag} {since_look}");
        now += sleep;
    }
    assert_eq!(now, EVERY + 2 * HOLD);
    let calls = bench.disk.calls();
    bench.turn(now);
    assert_eq!(bench.durability.fate(barrier), Fate::Durable);
    let written = bench.disk.calls();
    assert!(written > calls);
    bench.turn(now + MARK_AFTER);
    bench.turn(now + EVERY);
    assert_eq!(bench.disk.calls(), written, "their group has no mark");
    // Something else is written when its time is over, and they with it; and its group has one.
    let barrier = decide(&mut bench);
    bench.lane.publish(2, 0, 6, |into| into.copy_from_slice(b"a show"));
    bench.turn(now + 2 * EVERY);
    assert_eq!(bench.durability.fate(barrier), Fate::Durable);
    let written = bench.disk.calls();
    bench.turn(now + 2 * EVERY + MARK_AFTER);
    assert!(bench.disk.calls() > written);
    // Whoever waits does not wait for more of them, nor whoever wants to see them.
    let barrier = decide(&mut bench);
    bench.awaits(barrier);
    bench.turn(now + 2 * EVERY + 2 * MARK_AFTER);
    assert_eq!(bench.durability.fate(barrier), Fate::Durable);
    let barrier = decide(&mut bench);
    bench.durability.want_all();
    bench.turn(now + 2 * EVERY + 3 * MARK_AFTER);
    assert_eq!(bench.durability.fate(barrier), Fate::Durable);
    decide(&mut bench);
    assert!(bench.journal.end());
    assert_eq!(bench.recovered().len(), 6);
}

/// `cargo test -p upbeat-server --lib whole_blocks -- --nocapture` shows what they take.
#[test]
fn decisions_alone_are_written_in_whole_blocks_and_the_last_within_twice_the_time() {
    use std::io::Write;

    for (rate, seconds, most) in
        [(1, 900, 300.0), (5, 600, 45.0), (10, 600, 40.0), (100, 120, 40.0), (1000, 30, 40.0)]
    {
        let mut bench = Bench::with_lane(1 << 20);
        bench.journal.writer.pack(1);
        let (mut published, mut now) = (std::collections::VecDeque::new(), Duration::ZERO);
        let count = rate * seconds;
        for _ in 0..count {
            published.push_back((now, decide(&mut bench)));
            while bench.turn(now).is_zero() {}
            while published
                .front()
                .is_some_and(|(_, barrier)| bench.durability.fate(*barrier) == Fate::Durable)
            {
                published.pop_front();
            }
            let age = published.front().map_or(Duration::ZERO, |(at, _)| now - *at);
            assert!(age <= 2 * HOLD + 2 * EVERY + Duration::from_secs(1) / rate, "{age:?} at {now:?}");
            now += Duration::from_secs(1) / rate;
        }
        bench.turn(now + 2 * HOLD);
        bench.turn(now + 4 * HOLD);
        let each = bench.metrics.journal.file_bytes() as f64 / f64::from(count);
        let said = format!("{rate} decisions a second: {each:.1} bytes each at rest");
        let _ = writeln!(std::io::stderr(), "{said}");
        assert!(each <= most, "{said}");
    }
}

#[test]
fn decisions_that_make_a_large_group_wait_for_a_second_and_those_that_fill_a_lane_not_at_all() {
    let mut bench = Bench::with_lane(1 << 20);
    bench.journal.writer.pack(1);
    for _ in 0..1500 {
        decide(&mut bench);
    }
    let first = Barrier(2);
    let sleep = bench.turn(EVERY);
    assert!(!sleep.is_zero());
    bench.turn(EVERY + LONGEST_HOLD_OF_ENOUGH - MS);
    assert_eq!(bench.durability.fate(first), Fate::Pending);
    bench.turn(EVERY + LONGEST_HOLD_OF_ENOUGH);
    assert_eq!(bench.durability.fate(first), Fate::Durable);
    let mut last = first;
    for _ in 0..3000 {
        last = decide(&mut bench);
    }
    while bench.turn(EVERY + LONGEST_HOLD_OF_ENOUGH).is_zero() {}
    assert_eq!(bench.durability.fate(last), Fate::Durable);
}
