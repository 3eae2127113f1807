//! What is done to a server under load.

use std::time::{Duration, Instant};

use super::{Run, copies};
use crate::dice::Dice;
use crate::inspect::metric;
use crate::moment::Moment;
use crate::preload::{Watch, Word};
use crate::process::{Ended, Server, compact};
use crate::usage::Sample;
use crate::wire::TIMEOUT;

/// What a server is left of space, at most, when its disk is about to run full.
const LEFT: u64 = 96 << 10;

/// A call in which a process shall be killed is not waited for longer.
const LONGEST: Duration = Duration::from_millis(1500);

/// Something that is done to a server while its clients work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// SIGTERM, and the same program again.
    Stop,
    /// SIGTERM, and another program of the same tag.
    Upgrade,
    /// SIGTERM and a second signal.
    StopTwice,
    /// SIGTERM, and the directory compacted.
    Compact,
    Kill,
    /// Killed within a call that changes its directory.
    KillInCall,
    /// The memory of the lanes ends with the process.
    KillWithLanes,
    /// SIGSTOP, and after a time SIGCONT.
    Pause,
    /// Killed while it is stopped by SIGSTOP.
    KillPaused,
    /// SIGTERM while it is stopped by SIGSTOP.
    StopPaused,
    /// The disk runs full, and has space again.
    Fill,
    /// Killed while its disk is full, and started before there is space.
    KillFull,
    /// SIGTERM while its disk is full.
    StopFull,
    /// A backup, which is restored into a second directory.
    Backup,
    /// A backup that is killed under way; the next one goes on with it.
    KillBackup,
    /// The server is killed while a backup is under way.
    KillInBackup,
    /// The server erases from its files who was deleted.
    Erase,
}

impl Action {
    pub const ALL: [Self; 17] = [
        Self::Stop,
        Self::Upgrade,
        Self::StopTwice,
        Self::Compact,
        Self::Kill,
        Self::KillInCall,
        Self::KillWithLanes,
        Self::Pause,
        Self::KillPaused,
        Self::StopPaused,
        Self::Fill,
        Self::KillFull,
        Self::StopFull,
        Self::Backup,
        Self::KillBackup,
        Self::KillInBackup,
        Self::Erase,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "SIGTERM",
            Self::Upgrade => "another binary",
            Self::StopTwice => "two signals",
            Self::Compact => "compaction",
            Self::Kill => "kill -9",
            Self::KillInCall => "kill -9 in a call",
            Self::KillWithLanes => "kill -9 and lanes lost",
            Self::Pause => "SIGSTOP",
            Self::KillPaused => "SIGSTOP, kill -9",
            Self::StopPaused => "SIGSTOP, SIGTERM",
            Self::Fill => "full disk",
            Self::KillFull => "full disk, kill -9",
            Self::StopFull => "full disk, SIGTERM",
            Self::Backup => "backup and restore",
            Self::KillBackup => "backup killed",
            Self::KillInBackup => "backup, kill -9",
            Self::Erase => "erasure from files",
        }
    }

    /// Does it, and enters in the ledger what the clients did; the server that runs afterwards.
    pub fn act(self, run: &mut Run, server: Server) -> Server {
        let left = run.under_load(server, |run, server| {
            run.work_a_while();
            match self {
                Self::Stop | Self::Upgrade | Self::Compact => stop(run, server),
                Self::StopTwice => stop_twice(run, server),
                Self::Kill | Self::KillWithLanes => {
                    server.kill();
                    None
                }
                Self::KillInCall => kill_in_call(run, server),
                Self::Pause => {
                    pause(run, &server);
                    run.work_a_while();
                    Some(server)
                }
                Self::KillPaused => {
                    server.signal(libc::SIGSTOP);
                    run.work_a_while();
                    server.kill();
                    None
                }
                Self::StopPaused => {
                    server.signal(libc::SIGSTOP);
                    server.signal(libc::SIGTERM);
                    std::thread::sleep(run.form.pause);
                    server.signal(libc::SIGCONT);
                    ended_in_order(server.ended());
                    None
                }
                Self::Fill => {
                    fill(run, &server);
                    run.work_a_while();
                    empty(run, &server);
                    run.work_a_while();
                    Some(server)
                }
                Self::KillFull => {
                    fill(run, &server);
                    run.work_a_while();
                    server.kill();
                    None
                }
                Self::StopFull => {
                    fill(run, &server);
                    run.work_a_while();
                    stop_full(run, server)
                }
                Self::Backup => {
                    copies::back_up(run, &server);
                    run.work_a_while();
                    Some(server)
                }
                Self::KillBackup => {
                    let backup = copies::begin(run, &server);
                    run.work_a_while();
                    copies::interrupt(run, backup, true);
                    run.work_a_while();
                    Some(server)
                }
                Self::KillInBackup => {
                    let backup = copies::begin(run, &server);
                    run.work_a_while();
                    server.kill();
                    copies::interrupt(run, backup, false);
                    None
                }
                Self::Erase => Some(server),
            }
        });
        run.enter(left.as_ref(), self != Self::KillWithLanes);
        if matches!(self, Self::Stop | Self::Upgrade | Self::Compact | Self::StopPaused) {
            run.tally.cut_by_stops += run.tally.cut;
        }
        match self {
            Self::Erase => wait_for_erasure(run, left.as_ref().expect("it runs")),
            Self::KillWithLanes => run.place.new_lanes(),
            Self::Compact => {
                assert!(compact(&run.place, &Watch::default()), "it ends");
                run.look_for_erased(&run.place.data.clone());
            }
            Self::KillFull => start_full(run),
            _ => {}
        }
        run.control.set(Word::Space, 0);
        match (left, self) {
            (Some(server), _) => server,
            (None, Self::Upgrade) => {
                run.is_other = !run.is_other;
                run.start()
            }
            (None, Self::Stop) => run.start(),
            (None, _) => run.start_again(),
        }
    }
}

fn ended_in_order(ended: Ended) {
    assert!(ended.status.success(), "a stop ends with {}: {}", ended.status, ended.stderr);
}

fn stop(run: &mut Run, server: Server) -> Option<Server> {
    let begun = Instant::now();
    server.signal(libc::SIGTERM);
    ended_in_order(server.ended());
    run.tally.longest_stop = run.tally.longest_stop.max(begun.elapsed());
    None
}

/// The second signal ends it at once: well before the drain is over, where it comes at once.
fn stop_twice(run: &mut Run, server: Server) -> Option<Server> {
    server.signal(libc::SIGTERM);
    std::thread::sleep(Duration::from_millis(run.dice.below(400)));
    server.signal([libc::SIGTERM, libc::SIGINT][run.dice.place(2)]);
    let ended = server.ended();
    let code = ended.status.code();
    // It may have ended in order before.
    assert!(
        [Some(128 + libc::SIGTERM), Some(128 + libc::SIGINT), Some(0)].contains(&code),
        "two signals end it with {}: {}",
        ended.status,
        ended.stderr
    );
    run.tally.ended_at_once += usize::from(code != Some(0));
    None
}

fn kill_in_call(run: &mut Run, mut server: Server) -> Option<Server> {
    let moment =
        if run.dice.one_in(2) { Moment::of_upkeep(&mut run.dice) } else { Moment::drawn(&mut run.dice) };
    moment.arm(&run.control);
    let begun = Instant::now();
    while begun.elapsed() < LONGEST && !server.has_ended() {
        std::thread::sleep(Duration::from_millis(1));
    }
    server.kill();
    run.tally.killed_in_calls += usize::from(run.control.take_death().is_some());
    None
}

fn pause(run: &mut Run, server: &Server) {
    server.signal(libc::SIGSTOP);
    std::thread::sleep(run.form.pause);
    server.signal(libc::SIGCONT);
}

const ACCEPTING: &str = "upbeat_journal_state{state=\"accepting\"}";

/// Lets the disk run full, and waits until the server has noticed.
fn fill(run: &mut Run, server: &Server) {
    let there = Sample::of(server.id(), &run.place.data).expect("the process runs").directory_kib << 10;
    run.control.set(Word::Space, there + run.dice.below(LEFT));
    run.until("the disk runs full", server, || metric(server, ACCEPTING) == 0);
}

fn empty(run: &mut Run, server: &Server) {
    run.control.set(Word::Space, 0);
    run.until("the log goes on once there is space", server, || metric(server, ACCEPTING) == 1);
}

/// A stop makes durable what it can; with status 1 where that was not all, and then the next start finds the rest in the lanes.
fn stop_full(run: &mut Run, server: Server) -> Option<Server> {
    server.signal(libc::SIGTERM);
    let ended = server.ended();
    assert!(
        matches!(ended.status.code(), Some(0 | 1)),
        "a stop on a full disk ends with {}: {}",
        ended.status,
        ended.stderr
    );
    run.tally.stops_with_status_1 += usize::from(!ended.status.success());
    None
}

/// A start without space is refused with a sentence, or serves.
fn start_full(run: &mut Run) {
    let begun = Instant::now();
    match run.try_start() {
        Ok(server) => server.kill(),
        Err(ended) => {
            let is_refused = ended.status.code() == Some(1) && ended.stderr.contains("space");
            assert!(is_refused, "a start on a full disk is refused with a sentence: {ended:?}");
            run.tally.refused_starts += 1;
        }
    }
    assert!(begun.elapsed() < TIMEOUT, "it does not wait for space");
}

/// What files hold of those who were deleted is gone within the deadline from the last deletion on.
fn wait_for_erasure(run: &mut Run, server: &Server) {
    let begun = Instant::now();
    run.until("what was deleted is erased", server, || metric(server, "upbeat_erase_pending") == 0);
    let took = begun.elapsed();
    run.tally.longest_erasure = run.tally.longest_erasure.max(took);
    if took > run.form.erase_deadline {
        run.faults.push(format!("erasures were pending for {took:?}"));
    }
    run.look_for_erased(&run.place.data.clone());
}

/// All actions in an order by chance, again and again: none is left out for long.
pub struct Deck {
    dice: Dice,
    left: Vec<Action>,
}

impl Deck {
    pub fn new(dice: Dice) -> Self {
        Self { dice, left: Vec::new() }
    }

    pub fn draw(&mut self) -> Action {
        if self.left.is_empty() {
            self.left = Action::ALL.to_vec();
        }
        let place = self.dice.place(self.left.len());
        self.left.swap_remove(place)
    }
}
