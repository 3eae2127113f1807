//! All that befalls a server in years, in any order: stopped, killed, paused, its disk full, replaced by another build, backed
//! up and restored beside itself.
//!
//! Clients post, delete and ask all the while, and a ledger notes what they were answered. After each action everything that
//! was promised is looked for, and files are searched for the ids of customers who were deleted. The short form does everything once; `just chaos` goes on for `MINUTES`, from `SEED`.

mod action;
mod copies;
mod tally;
mod traces;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::customers::Customers;
use crate::dice::Dice;
use crate::inspect;
use crate::ledger::{Book, Deed};
use crate::load::{Client, work};
use crate::machine::Image;
use crate::moment::Moment;
use crate::preload::{Control, Watch};
use crate::process::{Ended, Place, Server, binary};
use crate::trace;
use crate::usage::Sample;
use crate::wire::TIMEOUT;
use action::{Action, Deck};
use copies::Backup;
use tally::Tally;
use traces::{ids_below, traceable_id};

const CLIENTS: u64 = 8;

/// So many shows more are paid from each start on.
const SHOWS_A_START: i64 = 20;

/// How often what the server takes is looked at.
const SAMPLED_EVERY: Duration = Duration::from_millis(50);

/// All customers are looked at once in so many actions, after the others those to whom something happened.
const ACTIONS_PER_REVIEW: u64 = 12;

/// What the short form and the long one differ in.
#[derive(Debug, Clone, Copy)]
struct Form {
    /// The run ends with the first action after this time; the short form ends when everything was done once.
    lasts: Option<Duration>,
    /// A process that is stopped by SIGSTOP goes on after this time.
    pause: Duration,
    /// No file holds a customer longer than this after the deletion.
    erase_deadline: Duration,
    /// Customers that a client works with at once.
    customers: usize,
}

/// A run: a server on one directory, its clients, and the ledger.
struct Run {
    form: Form,
    seed: u64,
    dice: Dice,
    root: PathBuf,
    place: Place,
    control: Control,
    /// Another program of the same tag, by turns with the one under test.
    other: PathBuf,
    is_other: bool,
    clients: Vec<Client>,
    book: Book,
    /// The backup that was taken in the present action.
    backup: Option<Backup>,
    tally: Tally,
    samples: Vec<Sample>,
    faults: Vec<String>,
}

/// Keeps the directory of a run that fails, and says how to repeat it. To be dropped after the servers of the run.
struct Kept {
    root: PathBuf,
    lanes: PathBuf,
    seed: u64,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let keep =
                |path: &Path, name: &str| Image::read(path).keep(&format!("chaos-{}{name}", self.seed));
            let (kept, lanes) = (keep(&self.root, ""), keep(&self.lanes, "-lanes"));
            eprintln!(
                "chaos: kept as {kept} and {lanes}; repeat it with SEED={} MINUTES=… just chaos",
                self.seed
            );
        }
    }
}

/// Ends the load, however the action ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn client(seed: u64, number: u64, customers: usize) -> Client {
    Client::with(seed, number, Customers::new(number, traceable_id, customers, true))
}

impl Run {
    fn new(root: &Path, lanes: &Path, seed: u64, form: Form, other: PathBuf) -> Self {
        let mut place = Place::below(root);
        place.lanes = lanes.join("lanes");
        place.new_lanes();
        let config = std::fs::read_to_string(&place.config).expect("the configuration");
        let config = config.replace("drain = \"0s\"", "drain = \"300ms\"");
        let deadline_s = form.erase_deadline.as_secs();
        let config = format!("erase_deadline = \"{deadline_s}s\"\n{config}");
        std::fs::write(&place.config, config).expect("the configuration");
        Self {
            form,
            seed,
            dice: Dice::part(seed, 700),
            root: root.to_owned(),
            control: Control::new(&root.join("control")),
            place,
            other,
            is_other: false,
            clients: (0..CLIENTS).map(|number| client(seed, number, form.customers)).collect(),
            book: Book::default(),
            backup: None,
            tally: Tally::default(),
            samples: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Starts one of the two programs, or neither where there is no space.
    fn try_start(&mut self) -> Result<Server, Ended> {
        let program = if self.is_other { self.other.clone() } else { binary().to_owned() };
        let watch =
            Watch { directory: self.place.watched().to_owned(), trace: None, control: Some(&self.control) };
        let started = Server::start_as(&program, &self.place, Some(&watch));
        self.tally.starts += usize::from(started.is_ok());
        started
    }

    fn start(&mut self) -> Server {
        // What there was before is mostly spent.
        self.place.set_budgets(SHOWS_A_START * (self.tally.starts as i64 + 1));
        let begun = Instant::now();
        let server = self.try_start().unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
        self.tally.longest_start = self.tally.longest_start.max(begun.elapsed());
        server
    }

    /// Starts it after a kill; a start may be killed itself, and then the next one is not.
    fn start_again(&mut self) -> Server {
        self.is_other = self.dice.one_in(2);
        let moment = Moment::drawn(&mut self.dice);
        if !matches!(moment, Moment::Call { from_start: true, .. }) {
            return self.start();
        }
        moment.arm(&self.control);
        let started = self.try_start();
        let death = self.control.take_death();
        let ended = match started {
            Ok(server) if death.is_none() => return server,
            // It was ready, and is in the call that it does not survive.
            Ok(server) => server.ended(),
            Err(ended) => ended,
        };
        assert!(ended.was_killed(), "it starts: {ended:?}");
        self.tally.killed_starts += 1;
        self.start()
    }

    /// Has the clients work while `acts` does something to the server, which is `None` afterwards if that has ended; whether
    /// the lanes have outlived it. All that the clients did is then in the ledger.
    fn under_load(
        &mut self,
        server: Server,
        acts: impl FnOnce(&mut Self, Server) -> Option<Server>,
    ) -> Option<Server> {
        let mut clients = std::mem::take(&mut self.clients);
        let (data, admin, id) = (server.data.clone(), server.admin.clone(), server.id());
        let place = self.place.data.clone();
        let stop = AtomicBool::new(false);
        let samples = Mutex::new(std::mem::take(&mut self.samples));
        let left = std::thread::scope(|scope| {
            let ends = Ends(&stop);
            let (stop, samples, clients) = (&stop, &samples, &mut clients);
            let load = scope.spawn(move || work(clients, &data, &admin, usize::MAX, stop));
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let sample = Sample::of(id, &place);
                    samples.lock().expect("no panic under it").extend(sample);
                    std::thread::sleep(SAMPLED_EVERY);
                }
            });
            let left = acts(self, server);
            drop(ends);
            load.join().expect("the clients end");
            left
        });
        self.samples = samples.into_inner().expect("no panic under it");
        self.clients = clients;
        let cut: Vec<String> =
            self.clients.iter_mut().flat_map(|client| std::mem::take(&mut client.cut)).collect();
        if left.is_some() && !cut.is_empty() {
            self.faults.push(format!("a server that lives cut requests: {cut:?}"));
        }
        self.tally.cut = cut.len();
        left
    }

    /// Enters what the clients did; a backup that was taken meanwhile is restored beside the server that is left.
    fn enter(&mut self, left: Option<&Server>, lanes: bool) {
        let deeds: Vec<Vec<Deed>> = self.clients.iter_mut().map(Client::take_deeds).collect();
        self.tally.requests += deeds.iter().map(Vec::len).sum::<usize>();
        let backup = self.backup.take();
        if let Some((backup, server)) = backup.as_ref().zip(left) {
            copies::restore(self, server, backup, self.book.clone(), &deeds);
        }
        self.book.enter(&deeds, trace::Instant::MAX, lanes);
    }

    /// Looks for customers who were erased in all files of a directory, from which they must be gone. Others are in there, and
    /// are found: else the look would prove nothing.
    fn look_for_erased(&mut self, directory: &Path) {
        let erased: BTreeSet<&str> =
            self.clients.iter().flat_map(|client| client.customers.gone()).map(String::as_str).collect();
        let (found, present): (Vec<_>, Vec<_>) =
            ids_below(directory).into_iter().partition(|(id, _)| erased.contains(id.as_str()));
        let present: BTreeSet<String> = present.into_iter().map(|(id, _)| id).collect();
        let forms = [true, false].map(|is_decimal| {
            present
                .iter()
                .filter(|id| id.starts_with(|first: char| first.is_ascii_digit()) == is_decimal)
                .count()
        });
        self.tally.looks += 1;
        self.tally.erased_looked_for += erased.len();
        self.tally.present_found += present.len();
        if forms.contains(&0) {
            self.faults.push(format!("customers who are kept are not found: {present:?}"));
        }
        self.faults.extend(found.iter().map(|(id, file)| format!("{id}, who was erased, is in {file}")));
    }

    /// Looks for everything that was promised.
    fn check(&mut self, server: &Server, after: &str) {
        if self.tally.actions().is_multiple_of(ACTIONS_PER_REVIEW) {
            self.book.wake();
        }
        let (held, mut faults) = inspect::faults(server, &self.book);
        self.tally.looked_at += self.book.promised().len();
        self.tally.shown += self.book.impressions().0;
        faults.append(&mut self.book.take_faults());
        faults.append(&mut self.faults);
        faults.extend(self.clients.iter_mut().flat_map(|client| std::mem::take(&mut client.faults)));
        self.tally.erased = self.clients.iter().map(|client| client.customers.gone().len()).sum();
        self.tally.erased_again = self.clients.iter().map(|client| client.erased).sum();
        let number = self.tally.actions();
        if !faults.is_empty() {
            eprintln!("{}", self.tally);
            panic!(
                "seed {}, after {after}, action {number}:\n{}\n{}",
                self.seed,
                faults.join("\n"),
                server.stderr()
            );
        }
        self.book.take_over(&held, &inspect::tracks(server, &self.book), &inspect::spending(server));
        self.book.forget_past();
        self.book.rest();
        let samples = Sample::most(&std::mem::take(&mut self.samples));
        eprintln!("{number:>6} {after:<24} {samples}");
        self.tally.usage = Sample::most(&[self.tally.usage, samples]);
    }

    /// Waits for as long as the load lasts before or after something is done.
    fn work_a_while(&mut self) {
        let time = Duration::from_millis(100 + self.dice.below(500));
        std::thread::sleep(time);
    }

    /// Waits until something is so of a server.
    fn until(&self, what: &str, server: &Server, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}, in time: {}", server.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn run(root: &Path, lanes: &Path, seed: u64, form: Form, other: PathBuf) -> Tally {
    let begun = Instant::now();
    let mut run = Run::new(root, lanes, seed, form, other);
    let mut deck = Deck::new(Dice::part(seed, 701));
    let mut server = run.start();
    run.check(&server, "the start");
    let is_over = |tally: &Tally| match form.lasts {
        Some(lasts) => begun.elapsed() >= lasts,
        None => tally.actions() >= Action::ALL.len() as u64,
    };
    while !is_over(&run.tally) {
        let action = deck.draw();
        let action_begun = Instant::now();
        server = action.act(&mut run, server);
        run.tally.count(action, action_begun.elapsed());
        run.check(&server, action.name());
        if run.tally.actions().is_multiple_of(100) {
            eprintln!("{:>6} s {}", begun.elapsed().as_secs(), run.tally);
        }
    }
    // Whatever befell it, it ends in order and all of it is there at the next start.
    server.stop();
    let server = run.start();
    run.book.wake();
    run.check(&server, "the end");
    server.stop();
    run.tally
}

/// `UPBEAT_OTHER_BINARY`, or the binary under test by another name.
fn other_binary(folder: &Path) -> PathBuf {
    if let Some(path) = std::env::var_os("UPBEAT_OTHER_BINARY") {
        return path.into();
    }
    let other = folder.join("upbeat-other");
    std::fs::hard_link(binary(), &other)
        .or_else(|_| std::fs::copy(binary(), &other).map(drop))
        .expect("the binary is copied");
    other
}

#[test]
fn whatever_befalls_a_server_it_keeps_what_it_promised() {
    let seed = crate::seed();
    let minutes = crate::number("MINUTES");
    let form = Form {
        lasts: minutes.map(|minutes| Duration::from_secs(minutes * 60)),
        pause: Duration::from_secs(if minutes.is_some() { 10 } else { 1 }),
        erase_deadline: Duration::from_secs(if minutes.is_some() { 20 } else { 6 }),
        customers: if minutes.is_some() { 40 } else { 12 },
    };
    let programs = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    // Long ones on a disk.
    let folder = match minutes {
        Some(_) => tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder"),
        None => crate::process::folder(),
    };
    let root = folder.path().canonicalize().expect("a path");
    let lanes = crate::process::folder();
    let _kept = Kept { root: root.clone(), lanes: lanes.path().to_owned(), seed };
    let tally = run(&root, lanes.path(), seed, form, other_binary(programs.path()));
    eprintln!("chaos: seed {seed}: {tally}");
    let faults = tally.faults();
    assert!(faults.is_empty(), "{}\n{tally}", faults.join("\n"));
}
