//! When a process under load is killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::load::{Client, work};
use crate::preload::{Control, Kind, Word};
use crate::process::Server;

/// A call that is reached late is not waited for.
const LONGEST: Duration = Duration::from_millis(1500);

/// When the process is killed.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// After a time under load.
    Time(Duration),
    /// In the n-th call of a kind: before it, after it, or with half of its bytes written.
    Call { kind: Kind, number: u64, when: u64, from_start: bool },
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
        Self::Call { kind, number: 1 + dice.below(most), when: dice.below(3), from_start }
    }

    pub fn arm(self, control: &Control) {
        if let Self::Call { kind, number, when, .. } = self {
            control.set(Word::KillWhen, when);
            control.set(Word::KillAfter, number);
            control.set(Word::KillIn, kind as u64);
        }
    }
}

/// Load until the process is killed; whether that was in the call that the moment names.
pub fn work_until_killed(
    mut server: Server,
    clients: &mut [Client],
    moment: Moment,
    control: &Control,
) -> bool {
    let stop = AtomicBool::new(false);
    let (data, admin) = (server.data.clone(), server.admin.clone());
    moment.arm(control);
    let longest = if let Moment::Time(time) = moment { time } else { LONGEST };
    let by_call = std::thread::scope(|scope| {
        let stop = &stop;
        let work = scope.spawn(move || work(clients, &data, &admin, usize::MAX, stop));
        let begun = Instant::now();
        while begun.elapsed() < longest && !server.has_ended() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let by_call = server.has_ended();
        server.kill();
        // Clients that are between two requests need not find out.
        stop.store(true, Ordering::Relaxed);
        work.join().expect("the clients end");
        by_call
    });
    control.set(Word::KillIn, 0);
    by_call
}
