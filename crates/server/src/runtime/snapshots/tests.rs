use std::sync::atomic::AtomicBool;

use upbeat_core::event::{Event, EventKind, Id, Time, Zone};
use upbeat_journal::Writer;
use upbeat_journal::disk::simulated::{Call, SimulatedDisk};

use super::*;
use crate::config::{Bytes, Config};
use crate::tests::opened;

/// An engine that is kept on a simulated disk, whose log is written by the test.
struct Bench {
    snapshots: Snapshots<SimulatedDisk>,
    disk: SimulatedDisk,
    writer: Writer<Arc<SimulatedDisk>>,
    app: Arc<App>,
}

/// The log has to grow by so much.
const SNAPSHOT_BYTES: usize = 10_000;

impl Bench {
    fn new() -> Self {
        let mut config = Config::default();
        config.journal.snapshot_bytes = Bytes(SNAPSHOT_BYTES as u64);
        let app = Arc::new(App::new(config, Zone::utc(), || 1_700_000_000_000));
        let disk = SimulatedDisk::new(1, 1 << 30);
        let shared = Arc::new(disk.clone());
        let opened = opened(&app.engine, &shared);
        let snapshots =
            Snapshots::new(opened.snapshotter, shared, Arc::clone(&app), (0, opened.writer.rotation()));
        let mut bench = Self { snapshots, disk, writer: opened.writer, app };
        bench.play("48");
        bench
    }

    /// A play, durable.
    fn play(&mut self, customer: &str) {
        let event = Event {
            id: Id::Number(1),
            customer: Id::Text(customer.into()),
            time: Time::from_unix_ms(1_699_999_000_000),
            kind: EventKind::Play { track: Id::Number(7), mobile: true },
        };
        self.app.engine.apply(event, 1_700_000_000_000).expect("it is taken");
        while self.app.engine.durable() < self.app.engine.barrier() {
            self.writer.step().expect("a good disk");
        }
    }

    /// The log grows as the journal's thread counts it.
    fn grow(&self, bytes: usize) {
        self.app.metrics.journal.count_group(bytes, 1);
    }

    fn turn(&mut self, stops: bool) {
        self.snapshots.turn(&AtomicBool::new(stops));
    }

    /// The names of finished snapshots, and of files that are none.
    fn files(&self) -> (Vec<String>, usize) {
        let names = self.disk.names().expect("a good disk");
        let (unfinished, finished): (Vec<_>, Vec<_>) = names
            .into_iter()
            .filter(|name| name.starts_with("snapshot"))
            .partition(|name| name.ends_with(".tmp"));
        (finished, unfinished.len())
    }

    fn failed(&self) -> u64 {
        self.app.metrics.journal.snapshots_failed.get()
    }
}

#[test]
fn snapshot_is_written_when_the_log_has_grown_by_so_much_and_then_not_before_it_has_again() {
    let mut bench = Bench::new();
    bench.grow(SNAPSHOT_BYTES - 1);
    bench.turn(false);
    assert_eq!(bench.files(), (vec![], 0));
    bench.grow(1);
    bench.turn(false);
    let (first, _) = bench.files();
    assert_eq!((first.len(), bench.failed()), (1, 0));
    bench.grow(SNAPSHOT_BYTES - 1);
    bench.turn(false);
    assert_eq!(bench.files(), (first.clone(), 0));
    bench.play("49");
    bench.grow(1);
    bench.turn(false);
    assert_eq!(bench.files().0.len(), 2);
}

#[test]
fn snapshot_is_written_when_small_groups_take_much_space_though_their_records_do_not() {
    let mut bench = Bench::new();
    let journal = &bench.app.config.journal;
    let groups = (journal.snapshot_bytes.0 + 32 * journal.segment_bytes.0) / 4096;
    bench.snapshots.grown = i64::try_from(groups).expect("a number");
    (0..groups).for_each(|_| bench.grow(1));
    bench.turn(false);
    assert_eq!(bench.files(), (vec![], 0));
    bench.grow(1);
    bench.turn(false);
    assert_eq!(bench.files().0.len(), 1);
    bench.play("49");
    bench.turn(false);
    assert_eq!(bench.files().0.len(), 1);
}

#[test]
fn snapshot_is_given_up_at_a_stop_and_leaves_nothing() {
    let mut bench = Bench::new();
    bench.grow(SNAPSHOT_BYTES);
    bench.turn(true);
    assert_eq!((bench.files(), bench.failed()), ((vec![], 0), 0), "it is no failure");
    assert!(bench.snapshots.retry.at.is_none());
    bench.turn(false);
    assert_eq!(bench.files().0.len(), 1);
}

#[test]
fn snapshot_that_failed_is_counted_and_tried_again_later() {
    for call in [Call::Create, Call::Write, Call::Sync, Call::Rename] {
        let mut bench = Bench::new();
        bench.grow(SNAPSHOT_BYTES);
        bench.disk.fail_after(call, 0, libc::EIO);
        bench.turn(false);
        assert_eq!((bench.files(), bench.failed()), ((vec![], 0), 1), "{call:?}");
        bench.turn(false);
        assert_eq!((bench.files().0.len(), bench.failed()), (0, 1), "not at once: {call:?}");
        bench.snapshots.retry.at = Some(Instant::now());
        bench.turn(false);
        assert_eq!((bench.files().0.len(), bench.failed()), (1, 1), "{call:?}");
        assert!(bench.snapshots.retry.at.is_none());
    }
}

#[test]
fn snapshot_that_lacked_space_is_not_begun_before_there_is_enough_and_then_at_once() {
    let mut bench = Bench::new();
    bench.grow(SNAPSHOT_BYTES);
    // Besides what is there: room for the snapshot, and not for two files of the log.
    bench.disk.set_capacity((1 << 20) + (1 << 20));
    let before = bench.disk.names().expect("a good disk");
    for _ in 0..2 {
        bench.turn(false);
        assert_eq!((bench.disk.names().expect("a good disk"), bench.failed()), (before.clone(), 1));
    }
    bench.disk.set_capacity(1 << 30);
    bench.turn(false);
    assert_eq!((bench.files().0.len(), bench.failed()), (1, 1));
    assert!(bench.snapshots.retry.at.is_none() && bench.snapshots.retry.lacked.is_none());
}

#[test]
fn snapshot_that_filled_the_disk_is_tried_again_once_more_is_free() {
    let mut bench = Bench::new();
    bench.grow(SNAPSHOT_BYTES);
    bench.disk.fail_after(Call::Write, 0, libc::ENOSPC);
    for _ in 0..2 {
        bench.turn(false);
        assert_eq!((bench.files(), bench.failed()), ((vec![], 0), 1));
    }
    bench.disk.set_capacity(2 << 30);
    bench.turn(false);
    assert_eq!((bench.files().0.len(), bench.failed()), (1, 1));
}

#[test]
fn pace_is_that_of_so_many_bytes_a_second_and_the_log_is_waited_for() {
    let second = Duration::from_secs(1);
    assert_eq!(pause(BYTES_PER_S, 0, Duration::ZERO), second);
    assert_eq!(pause(BYTES_PER_S, 0, second / 4), second * 3 / 4);
    assert_eq!(pause(BYTES_PER_S, 0, 2 * second), Duration::ZERO, "the disk is slower");
    assert_eq!(
        pause(BYTES_PER_S, BYTES_PER_S, 2 * second),
        LOG_PAUSE,
        "nothing is written, the log is waited for"
    );
}
