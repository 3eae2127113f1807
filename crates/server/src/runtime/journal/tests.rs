//! The journal's thread turn by turn, on a simulated disk and with instants that the tests choose.

mod unshown;

use std::sync::Mutex;

use mio::{Poll, Token, Waker};
use upbeat_journal::disk::simulated::{Call, Dice, SimulatedDisk};
use upbeat_journal::{LaneWriter, Making, Memory, Options, Positions, Start};

use super::*;
use crate::runtime::durability::{Barrier, Fate, Log, Waiter, Waits};

const EVERY: Duration = Duration::from_millis(200);
const HOLD: Duration = Duration::from_secs(15);

struct OneLog {
    positions: Positions,
    state: Mutex<LogState>,
}

impl Log for OneLog {
    fn next(&self) -> u64 {
        self.positions.next()
    }

    fn durable(&self) -> u64 {
        self.positions.durable()
    }

    fn state(&self) -> LogState {
        *self.state.lock().expect("no panic under it")
    }

    fn set_state(&self, state: LogState) {
        *self.state.lock().expect("no panic under it") = state;
    }

    fn is_backed_up(&self) -> bool {
        false
    }
}

/// A journal that has not started its thread, with one lane and one event loop that waits.
struct Bench {
    journal: Journal<SimulatedDisk>,
    disk: SimulatedDisk,
    lane: LaneWriter,
    durability: Arc<Durability>,
    waiter: Arc<Waiter>,
    poll: Poll,
    metrics: crate::metrics::Metrics,
    start: Instant,
}

fn open(disk: &SimulatedDisk, records: &mut Vec<Vec<u8>>) -> upbeat_journal::Opened<SimulatedDisk> {
    open_with(disk, 64 << 10, records)
}

fn open_with(
    disk: &SimulatedDisk,
    lane_bytes: usize,
    records: &mut Vec<Vec<u8>>,
) -> upbeat_journal::Opened<SimulatedDisk> {
    let mut dice = Dice::new(7);
    let options = Options { segment_bytes: 64 << 10, group_bytes: 16 << 10, sync: true };
    let memories = vec![Memory::anonymous(4096 + lane_bytes)];
    let mut visit = |record: upbeat_journal::Record<'_>| {
        records.push(record.payload.to_vec());
        Ok(())
    };
    let random = Box::new(move || dice.draw());
    upbeat_journal::open(disk.clone(), options, Start::BEGINNING, memories, random, &mut visit)
        .expect("a log")
}

impl Bench {
    fn new() -> Self {
        Self::with_lane(64 << 10)
    }

    fn with_lane(bytes: usize) -> Self {
        let disk = SimulatedDisk::new(1, 1 << 30);
        let mut opened = open_with(&disk, bytes, &mut Vec::new());
        let log = OneLog { positions: opened.positions, state: Mutex::new(LogState::Accepting) };
        let durability = Arc::new(Durability::new(Arc::new(log), Waits::Always));
        let poll = Poll::new().expect("a poller");
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).expect("a waker"));
        let metrics = crate::metrics::Metrics::new(Arc::clone(&crate::tests::app().engine), Arc::default());
        let counted = metrics.journal.clone();
        let journal = Journal::new(opened.writer, Arc::clone(&durability), counted, (EVERY, HOLD));
        let start = journal.stepped;
        let (lane, waiter) = (opened.lanes.remove(0), durability.join(&waker));
        Self { journal, disk, lane, durability, waiter, poll, metrics, start }
    }

    /// Publishes a record; the barrier that it is below.
    fn publish(&mut self, payload: &[u8]) -> Barrier {
        assert!(self.lane.has_room(1, payload.len()));
        self.lane.publish(1, 0, payload.len(), |into| into.copy_from_slice(payload));
        self.durability.barrier().expect("it is not durable yet")
    }

    /// A turn so long after the start.
    fn turn(&mut self, after: Duration) -> Duration {
        self.journal.turn(self.start + after)
    }

    fn awaits(&self, barrier: Barrier) {
        assert!(self.durability.wake_at(&self.waiter, barrier));
    }

    fn is_woken(&mut self) -> bool {
        let mut events = mio::Events::with_capacity(1);
        self.poll.poll(&mut events, Some(Duration::ZERO)).expect("a poller");
        !events.is_empty()
    }

    fn recovered(&self) -> Vec<Vec<u8>> {
        self.disk.lose_power();
        let mut records = Vec::new();
        open(&self.disk, &mut records);
        records
    }

    fn metric(&self, line: &str) -> bool {
        let text = self.metrics.render(crate::metrics::Format::Classic).expect("text");
        text.lines().any(|other| other == line)
    }
}

#[test]
fn nothing_is_looked_for_while_nothing_is_published_and_a_record_ends_that() {
    let mut bench = Bench::new();
    let barrier = bench.publish(b"first");
    bench.turn(EVERY);
    assert!(bench.durability.fate(barrier) == Fate::Durable);
    assert!(bench.turn(EVERY + MS) <= SHORTEST_SLEEP, "more may come");
    assert!(!bench.journal.is_idle);
    bench.turn(EVERY + MARK_AFTER);
    let later = EVERY + BUSY_PERIOD;
    while bench.turn(later).is_zero() {}
    assert!(bench.turn(later) >= LONG_SLEEP && bench.journal.is_idle);
    // A record that comes before the thread sleeps keeps it awake; one that comes later has its event loop wake it.
    let barrier = bench.publish(b"second");
    bench.durability.sleep(Duration::from_secs(3600), true, || false);
    assert!(bench.turn(later + MS) <= EVERY && !bench.journal.is_idle);
    bench.turn(later + EVERY + MS);
    assert!(bench.durability.fate(barrier) == Fate::Durable);
}

#[test]
fn event_loop_wakes_a_thread_that_sleeps_long_only_where_something_is_published() {
    let mut bench = Bench::new();
    let durability = Arc::clone(&bench.durability);
    let (asleep, slept) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        durability.serve();
        durability.sleep(Duration::from_secs(3600), true, || {
            asleep.send(()).expect("the test waits");
            false
        });
    });
    slept.recv().expect("it sleeps");
    bench.durability.wake_from_long_sleep();
    assert!(!thread.is_finished());
    bench.publish(b"a record");
    bench.durability.wake_from_long_sleep();
    thread.join().expect("it is woken");
}

#[test]
fn events_are_refused_while_there_is_no_space_for_the_next_file_and_taken_again_when_there_is() {
    let mut bench = Bench::new();
    let mut maker = bench.journal.writer.spare_maker();
    bench.disk.set_capacity(64 << 10);
    assert_eq!(maker.step(1 << 20).expect("a full disk is no failure"), Making::NoSpace);
    bench.turn(EVERY);
    assert_eq!(bench.durability.log_state(), LogState::Reserve);
    // What is left of the present file is for impressions, and they are durable.
    let barrier = bench.publish(b"an impression");
    assert_eq!(bench.durability.fate(barrier), Fate::Pending);
    bench.turn(2 * EVERY);
    assert_eq!(bench.durability.fate(barrier), Fate::Durable);
    assert_eq!(bench.durability.log_state(), LogState::Reserve);
    bench.disk.set_capacity(1 << 30);
    while maker.step(1 << 20).expect("there is space") != Making::Ready {}
    bench.turn(3 * EVERY);
    assert_eq!(bench.durability.log_state(), LogState::Accepting);
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn record_that_somebody_waits_for_is_written_at_once_and_wakes_them() {
    let mut bench = Bench::new();
    let barrier = bench.publish(b"a play");
    bench.awaits(barrier);
    assert_eq!(bench.durability.fate(barrier), Fate::Pending);
    assert_eq!(bench.turn(MS), Duration::ZERO, "more may have come meanwhile");
    assert_eq!(bench.durability.fate(barrier), Fate::Durable);
    assert!(bench.is_woken());
    assert!(bench.metric("upbeat_journal_groups_total 1") && bench.metric("upbeat_journal_records_total 1"));
    assert_eq!(bench.recovered(), [b"a play"]);
}

#[test]
fn record_that_nobody_waits_for_is_written_when_its_time_is_over() {
    let mut bench = Bench::new();
    let barrier = bench.publish(b"a show");
    assert!(!bench.turn(MS).is_zero());
    assert!(!bench.turn(EVERY - MS).is_zero());
    assert_eq!(bench.durability.fate(barrier), Fate::Pending);
    bench.turn(EVERY);
    assert_eq!(bench.durability.fate(barrier), Fate::Durable);
}

#[test]
fn everything_that_is_due_is_written_where_one_group_has_no_room_for_it() {
    let mut bench = Bench::new();
    // More than a group, and what is left of it fills less than an eighth of the lane.
    let mut barrier = bench.publish(&[1; 3000]);
    for _ in 0..6 {
        barrier = bench.publish(&[1; 3000]);
    }
    let mut turns = 0;
    while bench.turn(EVERY).is_zero() {
        turns += 1;
        assert!(turns < 10, "it comes to an end");
    }
    assert!(turns > 1, "one group is not enough");
    assert_eq!(bench.durability.fate(barrier), Fate::Durable);
}

#[test]
fn lane_that_fills_is_collected_early() {
    let mut bench = Bench::new();
    let first = bench.publish(b"a show");
    assert!(!bench.turn(MS).is_zero());
    for _ in 0..20 {
        bench.publish(&[7; 512]);
    }
    assert_eq!(bench.turn(MS), Duration::ZERO);
    assert_eq!(bench.durability.fate(first), Fate::Durable);
}

#[test]
fn mark_is_written_once_when_nothing_more_comes() {
    let mut bench = Bench::new();
    let barrier = bench.publish(b"a play");
    bench.awaits(barrier);
    bench.turn(MS);
    let calls = bench.disk.calls();
    bench.turn(MS + MARK_AFTER - MS);
    assert_eq!(bench.disk.calls(), calls, "more may come");
    bench.turn(MS + MARK_AFTER);
    let marked = bench.disk.calls();
    assert!(marked > calls);
    bench.turn(MS + 2 * MARK_AFTER);
    assert_eq!(bench.disk.calls(), marked);
}

#[test]
fn full_disk_tells_who_waits_and_heals_by_itself_without_losing_the_group() {
    let mut bench = Bench::new();
    bench.disk.fail_after(Call::Write, 0, libc::ENOSPC);
    let barrier = bench.publish(b"a play");
    bench.awaits(barrier);
    bench.turn(MS);
    assert_eq!(bench.durability.log_state(), LogState::Full);
    assert!(bench.is_woken());
    assert_eq!(bench.durability.fate(barrier), Fate::Unknown);
    assert_eq!(bench.turn(2 * MS), FIRST_RETRY - MS, "it is left alone for a while");
    assert_eq!(bench.durability.log_state(), LogState::Full);
    bench.turn(MS + FIRST_RETRY);
    assert_eq!(bench.durability.log_state(), LogState::Accepting);
    assert_eq!(bench.durability.fate(barrier), Fate::Durable);
    assert_eq!(bench.recovered(), [b"a play"], "once");
}

#[test]
fn full_disk_is_tried_less_and_less_often() {
    let mut bench = Bench::new();
    bench.publish(b"a play");
    let (mut now, mut pauses) = (EVERY, Vec::new());
    for _ in 0..10 {
        bench.disk.fail_after(Call::Write, 0, libc::ENOSPC);
        bench.turn(now);
        let pause = bench.turn(now);
        pauses.push(pause);
        now += pause;
    }
    assert_eq!(pauses[0], FIRST_RETRY);
    assert!(pauses.windows(2).all(|pair| pair[1] == (2 * pair[0]).min(LONGEST_RETRY)), "{pauses:?}");
    assert_eq!(pauses[9], LONGEST_RETRY);
}

#[test]
fn failed_sync_is_final() {
    let mut bench = Bench::new();
    bench.disk.fail_after(Call::Sync, 0, libc::EIO);
    let barrier = bench.publish(b"a play");
    bench.awaits(barrier);
    bench.turn(MS);
    assert_eq!(bench.durability.log_state(), LogState::Failed);
    assert!(bench.is_woken());
    let calls = bench.disk.calls();
    for after in [10, 1000, 100_000] {
        bench.turn(after * MS);
    }
    assert_eq!(bench.disk.calls(), calls, "it is never tried again");
    assert_eq!(bench.durability.fate(barrier), Fate::Unknown);
    assert!(!bench.journal.end(), "the end tells that not everything is durable");
}

#[test]
fn failure_that_is_not_of_the_disk_is_told_once_to_who_waits() {
    let mut bench = Bench::new();
    let barrier = bench.publish(b"a play");
    bench.awaits(barrier);
    bench.durability.set_log_state(LogState::Failed);
    assert!(!bench.turn(MS).is_zero());
    assert!(bench.is_woken());
    assert_eq!(bench.durability.fate(barrier), Fate::Unknown);
    assert!(!bench.turn(2 * MS).is_zero());
    assert!(!bench.is_woken());
}

#[test]
fn end_makes_durable_what_nobody_waited_for() {
    let mut bench = Bench::new();
    bench.publish(b"a show");
    for _ in 0..60 {
        bench.publish(&[7; 512]);
    }
    assert!(bench.journal.end());
    assert_eq!(bench.durability.barrier(), None);
    assert_eq!(bench.recovered().len(), 61);
}

#[test]
fn thread_serves_who_waits_and_ends_when_it_is_told() {
    let Bench { journal, disk, mut lane, durability, waiter, mut poll, .. } = Bench::new();
    let running = journal.start().expect("a thread");
    let mut events = mio::Events::with_capacity(1);
    for _ in 0..3 {
        lane.publish(1, 0, 3, |into| into.copy_from_slice(b"abc"));
        if let Some(barrier) = durability.barrier() {
            while durability.wake_at(&waiter, barrier) {
                poll.poll(&mut events, Some(Duration::from_secs(60))).expect("a poller");
            }
            assert_eq!(durability.fate(barrier), Fate::Durable);
        }
    }
    lane.publish(1, 0, 3, |into| into.copy_from_slice(b"end"));
    assert!(running.stop());
    disk.lose_power();
    let mut records = Vec::new();
    open(&disk, &mut records);
    assert_eq!(records.len(), 4);
}

#[test]
fn log_whose_thread_panics_has_failed_and_all_who_wait_are_told() {
    let Bench { mut lane, durability, waiter, mut poll, .. } = Bench::new();
    lane.publish(1, 0, 3, |into| into.copy_from_slice(b"abc"));
    let barrier = durability.barrier().expect("it is not durable yet");
    assert!(durability.wake_at(&waiter, barrier));
    let fails = FailsByPanic(Arc::clone(&durability));
    let panicked = thread::spawn(move || {
        let _fails = fails;
        panic!("a defect");
    });
    assert!(panicked.join().is_err());
    let mut events = mio::Events::with_capacity(1);
    poll.poll(&mut events, Some(Duration::ZERO)).expect("a poller");
    assert!(!events.is_empty());
    assert_eq!(durability.fate(barrier), Fate::Unknown);
    assert_eq!(durability.log_state(), LogState::Failed);
}
