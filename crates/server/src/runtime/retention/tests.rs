use super::*;

const FOREVER: Bound = Bound { bytes: u64::MAX, not_before_ms: 0 };

/// A file of 100 bytes on the disk, of which records of events and decisions take so much, written in its turn.
fn files(of: &[(u64, u64)]) -> Vec<(u64, Contents)> {
    let contents = |(index, (events, decisions)): (usize, &(u64, u64))| {
        let (events, decisions) = (*events, *decisions);
        let of = Contents {
            disk: 100,
            events,
            decisions,
            only_events: 10 + events,
            only_decisions: 10 + decisions,
        };
        (1000 + index as u64, of)
    };
    of.iter().enumerate().map(contents).collect()
}

fn bytes(bytes: u64) -> Bound {
    Bound { bytes, ..FOREVER }
}

fn since(not_before_ms: u64) -> Bound {
    Bound { not_before_ms, ..FOREVER }
}

#[test]
fn everything_stays_within_both_bounds() {
    let all = files(&[(80, 10), (80, 10), (80, 10)]);
    assert_eq!(plan(&all, FOREVER, FOREVER), Plan { first: 0, events: 0, decisions: 0 });
    assert_eq!(plan(&[], FOREVER, FOREVER), Plan { first: 0, events: 0, decisions: 0 });
}

#[test]
fn events_and_decisions_go_by_their_own_sizes_and_the_newest_stay() {
    let all = files(&[(30, 30), (30, 30), (30, 30), (30, 30)]);
    // Each takes half of a file; without the events the decisions take 40 bytes of it.
    assert_eq!(plan(&all, bytes(100), FOREVER), Plan { first: 0, events: 2, decisions: 0 });
    assert_eq!(plan(&all, bytes(100), bytes(140)), Plan { first: 1, events: 2, decisions: 1 });
    assert_eq!(plan(&all, FOREVER, bytes(99)), Plan { first: 0, events: 0, decisions: 3 });
    assert_eq!(plan(&all, bytes(1), bytes(1)), Plan { first: 4, events: 4, decisions: 4 });
}

#[test]
fn events_and_decisions_go_by_their_own_ages() {
    let all = files(&[(30, 30), (30, 30), (30, 30)]);
    assert_eq!(plan(&all, since(1002), since(1001)), Plan { first: 1, events: 2, decisions: 1 });
    assert_eq!(plan(&all, since(1000), since(2000)), Plan { first: 0, events: 0, decisions: 3 });
    assert_eq!(plan(&all, since(2000), since(2000)), Plan { first: 3, events: 3, decisions: 3 });
}

#[test]
fn file_is_no_younger_than_a_later_one() {
    let mut all = files(&[(30, 30), (30, 30), (30, 30)]);
    all[0].0 = 9000;
    assert_eq!(plan(&all, since(1002), since(1002)), Plan { first: 2, events: 2, decisions: 2 });
}

#[test]
fn file_with_nothing_to_keep_is_removed_unless_one_before_it_has_something() {
    // Events go by size, and there are decisions in the second file alone.
    let all = files(&[(60, 0), (30, 30), (60, 0), (60, 0)]);
    assert_eq!(plan(&all, bytes(100), FOREVER), Plan { first: 1, events: 3, decisions: 0 });
    let none = files(&[(60, 0), (60, 0), (60, 0)]);
    assert_eq!(plan(&none, bytes(100), FOREVER), Plan { first: 2, events: 2, decisions: 0 });
}

#[test]
fn files_that_are_kept_take_no_more_than_both_bounds_allow() {
    let mut number = 7_u64;
    let mut below = |bound: u64| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (number >> 33) % bound
    };
    for _ in 0..2000 {
        let count = below(12) as usize;
        let of: Vec<_> = (0..count).map(|_| (below(3) * below(40), below(3) * below(40))).collect();
        let all = files(&of);
        let (events, decisions) = (bytes(below(600)), bytes(below(600)));
        let plan = plan(&all, events, decisions);
        let taken: u64 = all
            .iter()
            .enumerate()
            .skip(plan.first)
            .map(|(index, (_, of))| {
                let (with_events, with_decisions) = (index >= plan.events, index >= plan.decisions);
                match (with_events || of.events == 0, with_decisions || of.decisions == 0) {
                    (true, true) => of.disk,
                    (true, false) => of.only_events,
                    (false, true) => of.only_decisions,
                    (false, false) => 10,
                }
            })
            .sum();
        assert!(taken <= events.bytes + decisions.bytes, "{plan:?} of {all:?}: {taken}");
    }
}
