//! Fixtures of the unit tests.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use upbeat_core::event::Zone;
use upbeat_engine::{Engine, LogState, storage};
use upbeat_journal::Memory;
use upbeat_journal::disk::simulated::SimulatedDisk;

use crate::config::Config;
use crate::runtime::{App, Log};

/// The shortest request for a decision.
pub(crate) const DECISION: &[u8] = b"GET /should-show-ad/48 HTTP/1.1\r\nhost: a\r\n\r\n";

/// An app without customers, whose clock stands still.
pub(crate) fn app() -> Arc<App> {
    Arc::new(App::new(Config::default(), Zone::utc(), || 1_700_000_000_000))
}

/// Opens an engine on an empty simulated disk, whose log the test writes by itself.
pub(crate) fn opened(engine: &Engine, disk: &Arc<SimulatedDisk>) -> storage::Opened<SimulatedDisk> {
    let mut number = 0;
    let random = Box::new(move || {
        number += 1;
        number
    });
    let lanes = vec![Memory::anonymous(4096 + (1 << 20))];
    let journal = upbeat_journal::Options { segment_bytes: 1 << 20, group_bytes: 64 << 10, sync: true };
    let options = storage::Options { journal, threads: 1 };
    storage::open(engine, Arc::clone(disk), lanes, options, random, &|_| {}).expect("a new directory")
}

/// A log that a test moves by hand.
#[derive(Debug)]
pub(crate) struct FakeLog {
    next: AtomicU64,
    durable: AtomicU64,
    state: Mutex<LogState>,
    is_backed_up: AtomicBool,
}

impl FakeLog {
    pub(crate) fn new(next: u64, durable: u64) -> Arc<Self> {
        let state = Mutex::new(LogState::Accepting);
        Arc::new(Self {
            next: AtomicU64::new(next),
            durable: AtomicU64::new(durable),
            state,
            is_backed_up: AtomicBool::new(false),
        })
    }

    pub(crate) fn set_next(&self, position: u64) {
        self.next.store(position, Ordering::SeqCst);
    }

    pub(crate) fn back_up(&self) {
        self.is_backed_up.store(true, Ordering::SeqCst);
    }

    pub(crate) fn set_durable(&self, position: u64) {
        self.durable.store(position, Ordering::SeqCst);
    }
}

impl Log for FakeLog {
    fn next(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    fn durable(&self) -> u64 {
        self.durable.load(Ordering::SeqCst)
    }

    fn state(&self) -> LogState {
        *self.state.lock().expect("no panic under it")
    }

    fn set_state(&self, state: LogState) {
        *self.state.lock().expect("no panic under it") = state;
    }

    fn is_backed_up(&self) -> bool {
        self.is_backed_up.load(Ordering::SeqCst)
    }
}

/// The same app, whose answers wait for `log`.
pub(crate) fn app_with_log(log: &Arc<FakeLog>) -> Arc<App> {
    let app = App::new(Config::default(), Zone::utc(), || 1_700_000_000_000);
    Arc::new(app.with_log(Arc::<FakeLog>::clone(log)))
}
