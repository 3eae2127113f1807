use upbeat_core::event::{Event, EventKind, Id, Time, Zone};
use upbeat_engine::storage::Snapshotter;
use upbeat_journal::Writer;
use upbeat_journal::disk::simulated::{Call, SimulatedDisk};

use super::*;
use crate::config::{self, Config};
use crate::tests::opened;

/// The wall clock of all of these.
const NOW_MS: i64 = 1_700_000_000_000;
const MINUTE: Duration = Duration::from_secs(60);
const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;
const ERASED: &str = "customer-to-erase";

/// An engine that is kept on a simulated disk, whose log and snapshots are written by the test.
struct Bench {
    erasing: Erasing<SimulatedDisk>,
    snapshotter: Snapshotter<SimulatedDisk>,
    disk: SimulatedDisk,
    writer: Writer<Arc<SimulatedDisk>>,
    app: App,
    began: Instant,
}

impl Bench {
    /// With a deadline of four minutes, and two customers.
    fn new() -> Self {
        let config = Config { erase_deadline: config::Duration::from_secs(240), ..Config::default() };
        let app = App::new(config, Zone::utc(), || NOW_MS);
        let disk = SimulatedDisk::new(1, 1 << 30);
        let shared = Arc::new(disk.clone());
        let opened = opened(&app.engine, &shared);
        let erasing = Erasing::new(shared, opened.writer.rotation(), 0);
        let (snapshotter, writer, began) = (opened.snapshotter, opened.writer, Instant::now());
        let mut bench = Self { erasing, snapshotter, disk, writer, app, began };
        for customer in ["who-stays", ERASED] {
            let event = Event {
                id: Id::Number(1),
                customer: Id::Text(customer.into()),
                time: Time::from_unix_ms(NOW_MS - 1000),
                kind: EventKind::Play { track: Id::Number(7), mobile: true },
            };
            bench.app.engine.apply(event, NOW_MS).expect("it is taken");
        }
        bench.step();
        bench
    }

    fn step(&mut self) {
        while self.app.engine.durable() < self.app.engine.barrier() {
            self.writer.step().expect("a good disk");
        }
        self.writer.step().expect("a good disk");
    }

    /// Deletes the one at a time of the wall clock.
    fn erase(&mut self, made_ms: i64) {
        assert_eq!(self.app.engine.remove(&Id::Text(ERASED.into()), made_ms), Ok(true));
        self.step();
    }

    /// So many turns as all of it takes, so long after the beginning.
    fn turns(&mut self, after: Duration) {
        for _ in 0..8 {
            let needed_from = self.snapshotter.log_needed_from();
            if self.erasing.turn(&self.app, needed_from, self.began + after, &mut |_| true) {
                let written = self.snapshotter.write(&self.app.engine, &mut |_| true);
                written.expect("a good disk").expect("it is not given up");
                self.erasing.note_snapshot();
            }
            self.step();
        }
    }

    /// Whether a file has the bytes of an id.
    fn holds(&self, id: &str) -> bool {
        let names = self.disk.names().expect("a good disk");
        names.iter().any(|name| self.disk.contents(name).windows(id.len()).any(|some| some == id.as_bytes()))
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.app.metrics.render(crate::metrics::Format::Classic).expect("text");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.expect("the metric is there").parse().expect("a number")
    }
}

#[test]
fn log_holds_a_deleted_customer_until_half_of_the_deadline_and_not_after_though_the_wall_clock_stands() {
    for made_ms in [NOW_MS, NOW_MS + 30_000] {
        let mut bench = Bench::new();
        bench.erase(made_ms);
        bench.turns(Duration::ZERO);
        bench.turns(MINUTE);
        assert!(bench.holds(ERASED), "many are done at once");
        assert_eq!(bench.metric("upbeat_erase_pending"), 1.0);
        assert_eq!(bench.metric("upbeat_erase_oldest_timestamp_seconds"), made_ms as f64 / 1000.0);
        bench.turns(2 * MINUTE);
        assert!(!bench.holds(ERASED) && bench.holds("who-stays"));
        assert_eq!(bench.app.engine.pending_erasures(), None);
        bench.turns(3 * MINUTE);
        assert_eq!(bench.metric("upbeat_erase_pending"), 0.0);
        assert_eq!(bench.metric("upbeat_erase_oldest_timestamp_seconds"), 0.0);
    }
}

#[test]
fn deletion_of_a_former_process_is_as_old_as_the_wall_clock_says() {
    let mut bench = Bench::new();
    bench.erase(NOW_MS - 3 * 60_000);
    bench.turns(Duration::ZERO);
    assert!(!bench.holds(ERASED));
}

#[test]
fn deletion_that_is_ahead_of_a_wall_clock_that_was_set_back_is_done_at_once() {
    let mut bench = Bench::new();
    bench.erase(NOW_MS + YEAR_MS);
    bench.turns(Duration::ZERO);
    assert!(!bench.holds(ERASED));
}

#[test]
fn erasure_that_fails_is_counted_told_as_overdue_and_tried_again() {
    for call in [Call::Create, Call::Rename] {
        let mut bench = Bench::new();
        bench.erase(NOW_MS);
        // Two snapshots before, by the same calls.
        bench.disk.fail_after(call, if call == Call::Create { 3 } else { 2 }, libc::EIO);
        bench.turns(Duration::ZERO);
        bench.turns(3 * MINUTE);
        assert!(bench.holds(ERASED) && bench.app.engine.pending_erasures().is_some(), "{call:?}");
        assert_eq!(bench.app.metrics.journal.history_failed.get(), 1, "{call:?}");
        assert_eq!(bench.metric("upbeat_erase_overdue"), 0.0);
        bench.turns(3 * MINUTE);
        assert!(bench.holds(ERASED), "not at once: {call:?}");
        bench.turns(5 * MINUTE);
        assert_eq!(bench.metric("upbeat_erase_overdue"), 0.0, "it is done");
        assert!(!bench.holds(ERASED), "{call:?}");
    }
}

#[test]
fn erasure_that_lacked_space_is_tried_again_once_there_is_enough() {
    let mut bench = Bench::new();
    bench.erasing.spare = 1 << 40;
    bench.erase(NOW_MS);
    bench.turns(Duration::ZERO);
    bench.turns(2 * MINUTE);
    bench.turns(2 * MINUTE);
    assert!(bench.holds(ERASED));
    assert_eq!(bench.app.metrics.journal.history_failed.get(), 1, "it is not tried in vain");
    bench.erasing.spare = 0;
    bench.disk.set_capacity(1 << 42);
    bench.turns(2 * MINUTE);
    assert!(!bench.holds(ERASED));
}

#[test]
fn erasure_past_its_deadline_is_told() {
    let mut bench = Bench::new();
    bench.erase(NOW_MS);
    bench.erasing.retry.at = Some(bench.began + 10 * MINUTE);
    bench.turns(Duration::ZERO);
    bench.turns(4 * MINUTE);
    assert_eq!(bench.metric("upbeat_erase_overdue"), 0.0);
    bench.turns(5 * MINUTE);
    assert_eq!(bench.metric("upbeat_erase_overdue"), 1.0);
    bench.turns(11 * MINUTE);
    bench.turns(11 * MINUTE);
    assert_eq!(bench.metric("upbeat_erase_overdue"), 0.0);
}
