//! When a process under load is killed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::load::{Client, work};
use crate::preload::{Control, Kind, Of, Word};
use crate::process::Server;
use crate::wire::TIMEOUT;

/// A call that is reached late is not waited for, unless it is a certain one.
const LONGEST: Duration = Duration::from_millis(1500);

/// When the process is killed.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// After a time under load.
    Time(Duration),
    /// In the n-th call of a kind on a kind of file: before it, after it, or with half of its bytes written.
    Call { kind: Kind, of: Of, number: u64, when: u64, from_start: bool },
    /// The same, and the load lasts until it is reached.
    Certain { kind: Kind, of: Of, number: u64, when: u64 },
}

impl Moment {
    /// Half of them fall into the making, renaming and removing of files: new segments, snapshots, history.
    pub fn drawn(dice: &mut Dice) -> Self {
        if dice.one_in(4) {
            return Self::Time(Duration::from_millis(20 + dice.below(400)));
        }
        let rare = [Kind::Create, Kind::Rename, Kind::Unlink, Kind::SyncNames, Kind::Allocate, Kind::Size];
        let (kind, most) = match dice.below(3) {
            0 => ([Kind::Write, Kind::Sync][dice.place(2)], 150),
            _ => (rare[dice.place(rare.len())], 8),
        };
        let from_start = dice.one_in(4);
        // A start makes few calls.
        let most = if from_start { 3 } else { most };
        Self::Call { kind, of: Of::Any, number: 1 + dice.below(most), when: dice.below(3), from_start }
    }

    /// One within a snapshot, in a rename, or in the removal of a file of the log: all of them happen again and again under
    /// load, so that each is reached.
    pub fn of_upkeep(dice: &mut Dice) -> Self {
        let (kind, of, most) = match dice.below(6) {
            0 => (Kind::Rename, Of::Any, 6),
            1 => (Kind::Rename, Of::Segment, 3),
            2 => (Kind::Unlink, Of::Segment, 3),
            // Made, written, synced, renamed, the one before the last removed.
            _ => (Kind::Any, Of::Snapshot, 14),
        };
        Self::Certain { kind, of, number: 1 + dice.below(most), when: dice.below(3) }
    }

    /// One within a compaction, which makes some forty calls.
    pub fn of_compaction(dice: &mut Dice) -> Self {
        let (kind, of, most) = match dice.below(5) {
            0 => (Kind::Rename, Of::Any, 3),
            1 => (Kind::Unlink, Of::Any, 6),
            2 => (Kind::Any, Of::Segment, 16),
            _ => (Kind::Any, Of::Snapshot, 16),
        };
        Self::Call { kind, of, number: 1 + dice.below(most), when: dice.below(3), from_start: true }
    }

    pub fn arm(self, control: &Control) {
        if let Self::Call { kind, of, number, when, .. } | Self::Certain { kind, of, number, when } = self {
            control.kill_in(kind, of, number, when);
        }
    }
}

/// Calls in which processes were killed.
#[derive(Default)]
pub struct Deaths(BTreeMap<(Kind, Of), usize>);

impl Deaths {
    pub fn count(&mut self, death: Option<(Kind, Of)>) {
        if let Some(call) = death {
            *self.0.entry(call).or_default() += 1;
        }
    }

    pub fn all(&self) -> usize {
        self.0.values().sum()
    }

    fn of(&self, is_one: fn(Kind, Of) -> bool) -> usize {
        self.0.iter().filter(|((kind, of), _)| is_one(*kind, *of)).map(|(_, count)| count).sum()
    }

    /// Those within a snapshot: it was made, written, synced, renamed, or an older one was removed.
    pub fn in_snapshots(&self) -> usize {
        self.of(|_, of| of == Of::Snapshot)
    }

    /// Those in other renames: a file that was made ahead takes its place.
    pub fn in_renames(&self) -> usize {
        self.of(|kind, of| kind == Kind::Rename && of != Of::Snapshot)
    }

    /// Those in the removal of files of the log.
    pub fn in_removals(&self) -> usize {
        self.of(|kind, of| kind == Kind::Unlink && of != Of::Snapshot)
    }
}

impl fmt::Debug for Deaths {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (snapshots, renames, removals) = (self.in_snapshots(), self.in_renames(), self.in_removals());
        let others = self.all() - snapshots - renames - removals;
        write!(
            to,
            "{snapshots} within snapshots, {renames} in other renames, {removals} in removals, {others} in other calls {:?}",
            self.0
        )
    }
}

/// Load until the process is killed; the call in which it was, if it was in one.
///
/// Where it `rotates`, that is not before the log has begun another file under this load.
pub fn work_until_killed(
    mut server: Server,
    clients: &mut [Client],
    moment: Moment,
    control: &Control,
    rotates: bool,
) -> Option<(Kind, Of)> {
    let stop = AtomicBool::new(false);
    let (data, admin) = (server.data.clone(), server.admin.clone());
    let longest = match moment {
        Moment::Time(time) => time,
        Moment::Call { .. } => LONGEST,
        Moment::Certain { .. } => TIMEOUT,
    };
    std::thread::scope(|scope| {
        let stop = &stop;
        let before = control.get(Word::Rotations);
        if !rotates {
            moment.arm(control);
        }
        let work = scope.spawn(move || work(clients, &data, &admin, usize::MAX, stop));
        let mut begun = Instant::now();
        if rotates {
            while control.get(Word::Rotations) == before {
                assert!(begun.elapsed() < TIMEOUT && !server.has_ended(), "no file of the log gets full");
                std::thread::sleep(Duration::from_millis(1));
            }
            moment.arm(control);
            begun = Instant::now();
        }
        while begun.elapsed() < longest && !server.has_ended() {
            std::thread::sleep(Duration::from_millis(1));
        }
        server.kill();
        // Clients that are between two requests need not find out.
        stop.store(true, Ordering::Relaxed);
        work.join().expect("the clients end");
    });
    let death = control.take_death();
    assert!(death.is_some() || !matches!(moment, Moment::Certain { .. }), "{moment:?} is not reached");
    death
}
