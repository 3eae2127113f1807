//! The power goes while the real binary works.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use crate::damaged::{Flipped, flipped_faults};
use crate::dice::Dice;
use crate::inspect;
use crate::ledger::{Book, Deed};
use crate::load::{Client, work};
use crate::machine::{Image, Machine};
use crate::moment::{Moment, work_until_killed};
use crate::preload::{Control, Kind, Of, Watch, Word};
use crate::process::{Place, Server, folder};
use crate::trace::{Change, Instant, Trace};

const CLIENTS: u64 = 8;

/// How much is done.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// Requests of each client in one life of the server.
    requests: usize,
    /// Processes that are killed before that, in one life.
    kills: usize,
    /// Losses of power that are tried in one life.
    cuts: usize,
    /// Lives; each begins with what a loss of power left of the one before.
    lives: usize,
    /// What the disk lies about.
    lie: Option<Word>,
    /// What an acknowledgement waits for.
    mode: Mode,
    /// Directories with changed bits that are tried for each loss.
    flips: usize,
}

/// `durability`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Ack,
    Interval,
}

const SHORT: Size = Size { requests: 60, kills: 1, cuts: 12, lives: 2, lie: None, mode: Mode::Ack, flips: 1 };

/// What was found.
#[derive(Debug, Default)]
struct Found {
    images: usize,
    acknowledged: usize,
    unknown_impressions: usize,
    /// Acknowledgements that came so late before the power went that nothing was promised for them yet.
    early: usize,
    flipped: Flipped,
    /// Lost impressions whose confirmations were accepted.
    confirmed_late: usize,
    faults: Vec<String>,
}

/// `journal.interval` of [`Mode::Interval`].
const INTERVAL_MS: Instant = 10;

/// With `durability = "interval"`: up to when what was acknowledged must be there after a loss of power at `at`.
///
/// What may be lost was acknowledged within one interval before the last acknowledgement, and that one was given after its
/// request was sent. So it does not matter how slow the disk and the clients are, and the clock is that of the machine.
fn promised_until(deeds: &[Vec<Deed>], at: Instant) -> Instant {
    let answered = deeds.iter().flatten().filter(|deed| deed.answered.is_some_and(|answered| answered <= at));
    let last = answered.filter(|deed| deed.is_promise()).map(|deed| deed.sent).max().unwrap_or(0);
    last.saturating_sub(INTERVAL_MS * 1_000_000)
}

/// Instants at which the power goes: any, and those at which most is at stake.
fn instants(trace: &Trace, deeds: &[Vec<Deed>], count: usize, dice: &mut Dice) -> Vec<Instant> {
    let first = trace.calls.iter().map(|call| call.start).min().expect("calls");
    let last = trace.calls.last().expect("calls").end;
    let answers: Vec<Instant> = deeds.iter().flatten().filter_map(|deed| deed.answered).collect();
    let is_rare = |change: &Change| {
        !matches!(change, Change::Write { .. } | Change::Sync(_) | Change::Exists(..) | Change::Begun)
    };
    let (rare, common): (Vec<_>, Vec<_>) = trace.calls.iter().partition(|call| is_rare(&call.change));
    let mut instants: Vec<Instant> = (0..count)
        .map(|cut| match cut % 4 {
            0 => first + dice.below(last - first),
            1 => answers[dice.place(answers.len())],
            2 => {
                let call = common[dice.place(common.len())];
                call.start + dice.below(call.end - call.start + 2)
            }
            _ => {
                let call = rare[dice.place(rare.len())];
                [call.start + 1, call.end, call.end + 1][dice.place(3)]
            }
        })
        .collect();
    instants.sort_unstable();
    instants
}

/// Starts the binary on what a loss of power left, and returns what is wrong with it.
fn faults_of(image: &Image, book: &Book, root: &Path, lost: &AtomicUsize) -> Vec<String> {
    let place = Place::below(root);
    image.write(place.watched());
    let server = match Server::start(&place, None) {
        Ok(server) => server,
        Err(ended) => return vec![format!("it does not start: {}: {}", ended.status, ended.stderr)],
    };
    let (held, mut faults) = inspect::faults(&server, book);
    if faults.is_empty() {
        let (count, refused) = inspect::lost_faults(&server, book, &held);
        lost.fetch_add(count, Ordering::Relaxed);
        faults.extend(refused);
    }
    if !faults.is_empty() {
        faults.push(server.stderr());
    }
    faults
}

/// A life of the server under load, some of its processes killed, and the losses of power in it. Returns what one of them left, and its book.
fn life(
    seed: u64,
    number: usize,
    size: Size,
    base: &Image,
    before: &Book,
    found: &mut Found,
) -> (Image, Book) {
    let folder = folder();
    let root = folder.path().canonicalize().expect("a path");
    let place = Place::below(&root);
    base.write(place.watched());
    if size.mode == Mode::Interval {
        let config = fs::read_to_string(&place.config).expect("the configuration");
        let config = config.replace("[journal]\n", &format!("[journal]\ninterval = \"{INTERVAL_MS}ms\"\n"));
        fs::write(&place.config, format!("durability = \"interval\"\n{config}")).expect("it is written");
    }
    let mut dice = Dice::part(seed, 1000 + number as u64);
    let control = Control::new(&root.join("control"));
    let sync_us = match size.mode {
        Mode::Ack => [200, 2000, 8000][dice.place(3)],
        // Nearly each takes longer than an interval.
        Mode::Interval => 40_000,
    };
    control.set(Word::SyncUs, sync_us);
    if let Some(lie) = size.lie {
        control.set(lie, 1);
    }
    let watch = Watch {
        directory: place.watched().to_owned(),
        trace: Some(root.join("trace")),
        control: Some(&control),
    };
    let start = || Server::start(&place, Some(&watch)).unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
    if !place.data.exists() {
        // Killed between the making of the directory and the sync of its name: the next process finds a directory that is
        // not on the disk.
        control.kill_in(Kind::MakeDirectory, Of::Any, 1, 1);
        let killed = Server::start(&place, Some(&watch)).expect_err("it is killed");
        assert!(killed.was_killed(), "{killed:?}");
        assert_eq!(control.take_death(), Some((Kind::MakeDirectory, Of::Other)));
    }
    let first = CLIENTS * number as u64;
    let mut clients: Vec<Client> = (first..first + CLIENTS).map(|client| Client::new(seed, client)).collect();
    for _ in 0..size.kills {
        let moment = Moment::drawn(&mut dice);
        work_until_killed(start(), &mut clients, moment, &control, false);
    }
    let server = start();
    work(&mut clients, &server.data, &server.admin, size.requests, &AtomicBool::new(false));
    // So that the mark of the last durable group is written, too.
    std::thread::sleep(std::time::Duration::from_millis(120));
    server.stop();
    for client in &mut clients {
        found.faults.append(&mut client.faults);
    }
    let deeds: Vec<Vec<Deed>> = clients.iter_mut().map(Client::take_deeds).collect();

    let trace = Trace::read(&root.join("trace"), place.watched());
    let whole = Machine::new(&trace, base).finish();
    let difference = whole.difference(&Image::read(place.watched()));
    assert_eq!(difference, None, "the trace explains all that is in the directory");

    let instants = instants(&trace, &deeds, size.cuts, &mut dice);
    let chosen = dice.place(instants.len());
    let mut next = None;
    let mut machine = Machine::new(&trace, base);
    let (sender, receiver) = sync_channel::<(usize, Instant, Image, Book)>(2);
    let receiver = Mutex::new(receiver);
    let results = Mutex::new(Vec::new());
    let flipped = Mutex::new(Flipped::default());
    let lost = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Ok((cut, at, image, book)) = { receiver.lock().expect("the receiver").recv() } {
                    let root = root.join(format!("cut-{cut}"));
                    fs::create_dir(&root).expect("a directory");
                    let mut faults = faults_of(&image, &book, &root, &lost);
                    let mut dice = Dice::part(seed ^ at, cut as u64);
                    for flip in 0..size.flips {
                        let root = root.join(format!("flip-{flip}"));
                        fs::create_dir(&root).expect("a directory");
                        let mut count = Flipped::default();
                        faults.extend(flipped_faults(&image, &book, &root, &mut dice, &mut count));
                        let mut flipped = flipped.lock().expect("the counts");
                        flipped.recovered += count.recovered;
                        flipped.refused += count.refused;
                    }
                    if faults.is_empty() {
                        fs::remove_dir_all(&root).expect("it is removed");
                    } else {
                        let kept = image.keep(&format!("{seed}-{number}-{cut}"));
                        let all = faults.join("\n  ");
                        let told = format!(
                            "seed {seed}, life {number}, cut {cut} at {at}, kept as {kept}:\n  {all}"
                        );
                        results.lock().expect("the results").push(told);
                    }
                }
            });
        }
        for (cut, at) in instants.into_iter().enumerate() {
            machine.advance(at);
            let image = machine.lose_power(at, &mut dice);
            let mut book = before.clone();
            let until = match size.mode {
                Mode::Ack => at,
                Mode::Interval => promised_until(&deeds, at),
            };
            found.early += book.enter_promised(&deeds, at, until, false);
            found.faults.extend(book.take_faults());
            found.images += 1;
            found.acknowledged += book.promised().len();
            found.unknown_impressions += book.impressions().1;
            if cut == chosen {
                next = Some((image.clone(), book.clone()));
            }
            sender.send((cut, at, image, book)).expect("it is taken");
        }
        drop(sender);
    });
    found.confirmed_late += lost.into_inner();
    let flipped = flipped.into_inner().expect("the counts");
    found.flipped.recovered += flipped.recovered;
    found.flipped.refused += flipped.refused;
    found.faults.append(&mut results.into_inner().expect("the results"));
    next.expect("one of the cuts")
}

fn run(seed: u64, size: Size) -> Found {
    let mut found = Found::default();
    let (mut image, mut book) = (Image::default(), Book::default());
    for number in 0..size.lives {
        let (left, entered) = life(seed, number, size, &image, &book, &mut found);
        if !found.faults.is_empty() {
            break;
        }
        // The next life begins with what the power left, as a server that was started on it says.
        let folder = folder();
        let place = Place::below(folder.path());
        left.write(place.watched());
        let server = Server::start(&place, None).unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
        let held = inspect::held(&server, &entered);
        let tracks = inspect::tracks(&server, &entered);
        let spending = inspect::spending(&server);
        drop(server);
        (image, book) = (left, entered);
        book.take_over(&held, &tracks, &spending);
    }
    found
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn assert_faultless(found: &Found) {
    assert!(found.faults.is_empty(), "{} faults:\n{}", found.faults.len(), found.faults.join("\n"));
}

#[test]
fn loss_of_power_takes_nothing_that_was_acknowledged() {
    let _one = ONE_AT_A_TIME.lock();
    let Some(rounds) = crate::rounds() else {
        let found = run(1, Size { cuts: 12, ..SHORT });
        assert_faultless(&found);
        assert_eq!(found.images, 24);
        assert!(found.acknowledged > 1000, "the cuts come after something was acknowledged: {found:?}");
        assert!(found.confirmed_late > 0, "impressions are lost, and confirmed: {found:?}");
        let late = found.confirmed_late;
        eprintln!("power: 24 losses, {late} lost ads confirmed; bits changed: {:?}", found.flipped);
        assert!(found.flipped.recovered > 2 && found.flipped.refused > 2, "{found:?}");
        return;
    };
    let (mut images, mut rows, mut unknown, mut flipped) = (0, 0, 0, Flipped::default());
    for round in 0..rounds {
        let found =
            run(crate::seed() + round, Size { requests: 200, kills: 2, cuts: 100, lives: 3, ..SHORT });
        assert_faultless(&found);
        images += found.images;
        rows += found.acknowledged;
        unknown += found.unknown_impressions;
        flipped.recovered += found.flipped.recovered;
        flipped.refused += found.flipped.refused;
        eprintln!(
            "power: {} rounds, {images} losses, {rows} acknowledged rows looked for, {unknown} impressions unknown; bits \
             changed after {:?}",
            round + 1,
            flipped
        );
    }
}

/// What is acknowledged at once may be lost with what came within an interval, however slow the disk is.
#[test]
fn loss_of_power_takes_only_what_came_since_the_last_interval() {
    let _one = ONE_AT_A_TIME.lock();
    for round in 0..crate::rounds().unwrap_or(1) {
        let cuts = if crate::rounds().is_some() { 50 } else { 10 };
        let size = Size { requests: 150, kills: 0, cuts, lives: 1, mode: Mode::Interval, flips: 0, ..SHORT };
        let found = run(crate::seed() + round + 100, size);
        assert_faultless(&found);
        let early = found.early;
        assert!(early > 0, "something is acknowledged that is not durable: {found:?}");
        assert!(found.acknowledged > 500, "the cuts come after something was synced: {found:?}");
        eprintln!(
            "interval: {} losses, {} rows looked for, {early} promised too early",
            found.images, found.acknowledged
        );
    }
}

/// Were the binary to promise before it has synced, or to forget a directory's sync, this is what would be found. When the power is lost
/// among the calls is left to chance, and where no file was new since the last snapshot nothing is missing: it takes some losses.
#[test]
fn disk_that_lies_about_its_syncs_is_found_out_within_forty_losses_of_power() {
    let _one = ONE_AT_A_TIME.lock();
    let size = Size { requests: 40, kills: 0, cuts: 8, lives: 1, flips: 0, ..SHORT };
    for lie in [Word::LieSync, Word::LieNames] {
        let is_found = |seed| !run(seed, Size { lie: Some(lie), ..size }).faults.is_empty();
        assert!((2..7).any(is_found), "{lie:?} loses nothing");
    }
}
