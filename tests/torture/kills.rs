//! The process is killed at any moment, again and again, on one directory.

use crate::dice::Dice;
use crate::inspect;
use crate::ledger::{Book, Deed};
use crate::load::Client;
use crate::machine::Image;
use crate::moment::{Deaths, Moment, work_until_killed};
use crate::preload::{Control, Watch, Word};
use crate::process::{Place, Server, compact, folder};
use crate::trace;

const CLIENTS: u64 = 8;

/// So many shows more are paid in each round, which is fewer than are wanted.
const SHOWS_A_ROUND: i64 = 5;

/// All customers are looked at once in so many rounds, in the others those to whom something happened.
const ROUNDS_PER_REVIEW: u64 = 10;

/// What became of the rounds.
#[derive(Debug, Default)]
struct Tally {
    under_load: Deaths,
    in_starts: Deaths,
    in_compactions: Deaths,
    /// Those that came to their end.
    compactions: usize,
    rows: usize,
    impressions: usize,
    unknown_impressions: usize,
    tracks: usize,
}

struct Rounds {
    dice: Dice,
    place: Place,
    control: Control,
    clients: Vec<Client>,
    book: Book,
    tally: Tally,
}

impl Rounds {
    fn start(&mut self) -> Server {
        let moment = Moment::drawn(&mut self.dice);
        if let Moment::Call { from_start: true, .. } = moment {
            moment.arm(&self.control);
        }
        let watch =
            Watch { directory: self.place.watched().to_owned(), trace: None, control: Some(&self.control) };
        let started = Server::start(&self.place, Some(&watch));
        let death = self.control.take_death();
        let ended = match started {
            Ok(server) if death.is_none() => return server,
            // It was ready, and is in the call that it does not survive.
            Ok(server) => server.ended(),
            Err(ended) => ended,
        };
        assert!(ended.was_killed(), "it starts after a kill: {ended:?}");
        self.tally.in_starts.count(death);
        let again = Server::start(&self.place, Some(&watch));
        again.unwrap_or_else(|ended| panic!("it starts after a kill in its start: {ended:?}"))
    }

    /// Compacts the directory of a killed server, and is killed amid that, nearly always.
    fn compact(&mut self) {
        Moment::of_compaction(&mut self.dice).arm(&self.control);
        let watch =
            Watch { directory: self.place.watched().to_owned(), trace: None, control: Some(&self.control) };
        let ended = compact(&self.place, &watch);
        let death = self.control.take_death();
        assert_eq!(ended, death.is_none(), "it is killed, or ends");
        self.tally.in_compactions.count(death);
        self.tally.compactions += usize::from(ended);
    }

    fn faults(&mut self, server: &Server) -> Vec<String> {
        let (held, mut faults) = inspect::faults(server, &self.book);
        self.tally.rows += self.book.promised().len();
        let (impressions, unknown) = self.book.impressions();
        self.tally.impressions += impressions;
        self.tally.unknown_impressions += unknown;
        faults.append(&mut self.book.take_faults());
        faults.extend(self.clients.iter_mut().flat_map(|client| std::mem::take(&mut client.faults)));
        if !faults.is_empty() {
            faults.push(server.stderr());
        }
        self.tally.tracks += self.book.catalogue.promised();
        self.book.take_over(&held, &inspect::tracks(server, &self.book), &inspect::spending(server));
        faults
    }
}

fn run(seed: u64, rounds: u64) -> Tally {
    let folder = folder();
    let root = folder.path().canonicalize().expect("a path");
    let mut all = Rounds {
        dice: Dice::part(seed, 99),
        place: Place::below(&root),
        control: Control::new(&root.join("control")),
        clients: (0..CLIENTS).map(|number| Client::new(seed, number)).collect(),
        book: Book::default(),
        tally: Tally::default(),
    };
    all.control.set(Word::SyncUs, 1500);
    for round in 0..=rounds {
        // What there was before is spent.
        all.place.set_budgets(SHOWS_A_ROUND * (round as i64 + 1));
        let server = all.start();
        if round % ROUNDS_PER_REVIEW == 0 || round == rounds {
            all.book.wake();
        }
        let faults = all.faults(&server);
        if !faults.is_empty() {
            // Nothing in it changes while it is copied.
            server.kill();
            let kept = Image::read(&root).keep(&format!("kills-{seed}-{round}"));
            panic!("seed {seed}, after {round} kills, kept as {kept}: {}", faults.join("\n"));
        }
        if round % 100 == 99 {
            eprintln!("kills: {} rounds, {:?}", round + 1, all.tally);
        }
        if round == rounds {
            break;
        }
        all.book.rest();
        // Every other kill falls within a snapshot, a rename or a removal.
        let moment =
            if round % 2 == 0 { Moment::of_upkeep(&mut all.dice) } else { Moment::drawn(&mut all.dice) };
        let death = work_until_killed(server, &mut all.clients, moment, &all.control, true);
        all.tally.under_load.count(death);
        let deeds: Vec<Vec<Deed>> = all.clients.iter_mut().map(Client::take_deeds).collect();
        // Every fifth time the memory of the lanes ends with the process, as that of a container does.
        let lanes = round % 5 != 4;
        if !lanes {
            all.place.new_lanes();
        }
        // Without the lanes a directory is not compacted before a server has read it.
        if lanes && round % 3 == 0 {
            all.compact();
        }
        all.book.enter(&deeds, trace::Instant::MAX, lanes);
    }
    all.tally
}

#[test]
fn kill_at_any_moment_takes_nothing_that_was_acknowledged_or_counted() {
    let rounds = crate::rounds().map_or(25, |rounds| rounds * 100);
    let tally = run(crate::seed(), rounds);
    eprintln!("kills: {rounds} rounds: {tally:?}");
    let deaths = &tally.under_load;
    let in_upkeep = deaths.in_snapshots() + deaths.in_renames() + deaths.in_removals();
    assert!(tally.in_compactions.all() > 3, "{tally:?}");
    assert!(in_upkeep as u64 >= rounds.div_ceil(2), "half of the kills and more: {tally:?}");
    assert!(deaths.in_snapshots() > 0 && deaths.in_renames() > 0, "{tally:?}");
    assert!(tally.rows > 1000 && tally.impressions > 20 && tally.tracks > 50, "{tally:?}");
}
