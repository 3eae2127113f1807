//! One directory, two sockets that stay open, and server after server on them under load: stopped and killed in turn. `just
//! restarts` does the same a hundred times with the release.

use std::collections::BTreeSet;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::durability::Kept;
use super::fallible::{Client, Failure};
use super::listeners::play;
use super::passed::{listener, with_sockets};
use super::support::{Server, until};

const CLIENTS: u64 = 6;

/// Events of a customer, fewer than a window holds.
const A_CUSTOMER: u64 = 40;

/// How often the ad may be shown to a customer.
const CAP: usize = 3;

/// So many answers come between two restarts, so that each meets clients at work.
const ANSWERS_BETWEEN: u64 = 60;

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stop,
    Kill,
    /// Killed, and the next one amid its start.
    KillTwice,
}

/// What all clients and the restarts share.
#[derive(Default)]
struct Course {
    answers: AtomicU64,
    /// Counted before the signal is sent.
    kills: AtomicU64,
    /// The same, counted once the process has ended.
    killed: AtomicU64,
    /// The restart under way, or the last one, and whether it began by a kill.
    is_after_kill: AtomicBool,
    is_over: AtomicBool,
}

/// One customer, as a client knows them.
#[derive(Default)]
struct Customer {
    events: BTreeSet<u64>,
    shown: Vec<String>,
    /// Decisions that ended without an answer: each may have counted.
    unheard: usize,
}

/// One client, which sends one request after the other.
struct Worker<'a> {
    course: &'a Course,
    client: Client,
    customers: Vec<Customer>,
    /// Processes that were gone before the connection was opened.
    killed_before: u64,
    cut: u64,
    faults: Vec<String>,
    /// After a stop, after a kill.
    longest: [Duration; 2],
}

impl Worker<'_> {
    /// Asks once. A connection may end without an answer if a server was killed since it was opened, and nothing else may
    /// go wrong.
    fn once(&mut self, ask: impl FnOnce(&mut Client) -> Result<(u16, Value), Failure>) -> Option<Value> {
        if !self.client.is_open() {
            self.killed_before = self.course.killed.load(Ordering::SeqCst);
        }
        match ask(&mut self.client) {
            Ok((200, body)) => {
                self.course.answers.fetch_add(1, Ordering::Relaxed);
                return Some(body);
            }
            Ok((status, body)) => self.note_fault(format!("answered {status}: {body}")),
            Err(Failure::Exchange(_)) if self.course.kills.load(Ordering::SeqCst) > self.killed_before => {
                self.cut += 1;
            }
            Err(failure) => self.note_fault(failure.to_string()),
        }
        None
    }

    fn work(&mut self, client: u64) {
        let mut number = 0;
        while !self.course.is_over.load(Ordering::Relaxed) {
            let customer = name(client, number / A_CUSTOMER);
            if number.is_multiple_of(A_CUSTOMER) {
                self.customers.push(Customer::default());
            }
            let begun = Instant::now();
            self.send(&play(&customer, number, 60));
            self.note_wait(begun);
            self.customers.last_mut().expect("one").events.insert(number);
            number += 1;
            let begun = Instant::now();
            let decided = self.once(|client| client.get(&format!("/should-show-ad/{customer}")));
            self.note_wait(begun);
            let known = self.customers.last_mut().expect("one");
            match decided {
                Some(decision) if decision["show"] == json!(true) => {
                    known.shown.push(decision["decision_id"].as_str().expect("an id").to_owned());
                }
                Some(_) => {}
                None => known.unheard += 1,
            }
        }
    }

    /// Sends an event until it is acknowledged.
    fn send(&mut self, event: &str) {
        let cut = self.cut;
        while self.faults.is_empty() {
            let Some(report) = self.once(|client| client.post_event(event)) else { continue };
            let counts = (report["accepted"].as_u64(), report["duplicates"].as_u64());
            let is_repeated = self.cut > cut;
            if counts != (Some(1), Some(0)) && !(is_repeated && counts == (Some(0), Some(1))) {
                self.note_fault(format!("an event sent {} times: {report}", self.cut - cut + 1));
            }
            return;
        }
    }

    /// Ends the test: what went wrong is told at its end.
    fn note_fault(&mut self, fault: String) {
        self.faults.push(fault);
        self.course.is_over.store(true, Ordering::Relaxed);
    }

    fn note_wait(&mut self, begun: Instant) {
        let longest = &mut self.longest[usize::from(self.course.is_after_kill.load(Ordering::Relaxed))];
        *longest = begun.elapsed().max(*longest);
    }
}

fn name(client: u64, customer: u64) -> String {
    format!("client-{client}-{customer}")
}

/// What is wrong with a customer.
fn faults(known: &Customer, held: &Value) -> Vec<String> {
    let list = |name: &str| held[name].as_array().expect("a list").clone();
    let plays = list("plays");
    let there: BTreeSet<u64> = plays.iter().map(|play| play["event_id"].as_u64().expect("an id")).collect();
    let mut faults = Vec::new();
    if there != known.events || plays.len() != there.len() {
        faults.push(format!("{:?} were acknowledged, and there are {plays:?}", known.events));
    }
    let impressions = list("impressions");
    let ids: Vec<&str> = impressions.iter().filter_map(|each| each["decision_id"].as_str()).collect();
    if impressions.len() > CAP || known.shown.len() > CAP {
        faults.push(format!("shown more than {CAP} times: {:?}, and counted {ids:?}", known.shown));
    }
    let missing: Vec<_> = known.shown.iter().filter(|id| !ids.contains(&id.as_str())).collect();
    if !missing.is_empty() {
        faults.push(format!("ads that were shown are not counted: {missing:?}"));
    }
    if ids.len() > known.shown.len() + known.unheard {
        faults.push(format!("nobody was told of some of {ids:?}"));
    }
    faults
}

#[test]
fn restarts_under_load_refuse_no_connection_and_lose_nothing() {
    let count = std::env::var("RESTARTS").map_or(12, |text| text.parse().expect("a number"));
    let (kept, data, admin) = (Kept::new(), listener(), listener());
    let (directory, lanes) = (kept.directory(), kept.lanes.path().display().to_string());
    let cap = CAP.to_string();
    let environment = [
        ("UPBEAT_LANES_DIR", &*lanes),
        ("UPBEAT_SHUTDOWN_DRAIN", "50ms"),
        ("UPBEAT_CAMPAIGN_MIN_PLAYS", "1"),
        ("UPBEAT_CAMPAIGN_THRESHOLD", "-1000000000.0"),
        ("UPBEAT_CAMPAIGN_CAP_IMPRESSIONS", &cap),
        ("UPBEAT_JOURNAL_SEGMENT_BYTES", "1MiB"),
        ("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "128KiB"),
    ];
    let sockets: [(&str, &dyn AsRawFd); 2] = [("data", &data), ("admin", &admin)];
    let flags = ["--data-dir", &*directory];
    let start = || Server::spawn(with_sockets(&sockets), &flags, &environment);
    let address = data.local_addr().expect("an address").to_string();

    let course = Course::default();
    let mut server = start();
    let mut workers: Vec<Worker> = (0..CLIENTS)
        .map(|client| Worker {
            course: &course,
            client: Client::new(&address, client.is_multiple_of(2)),
            customers: Vec::new(),
            killed_before: 0,
            cut: 0,
            faults: Vec::new(),
            longest: [Duration::ZERO; 2],
        })
        .collect();
    std::thread::scope(|scope| {
        // A panic here ends the clients, too.
        let _over = Over(&course.is_over);
        for (number, worker) in (0..).zip(&mut workers) {
            scope.spawn(move || worker.work(number));
        }
        let at_work = || {
            let before = course.answers.load(Ordering::Relaxed);
            until("clients are answered", || {
                let is_over = course.is_over.load(Ordering::Relaxed);
                is_over || course.answers.load(Ordering::Relaxed) > before + ANSWERS_BETWEEN
            });
            !course.is_over.load(Ordering::Relaxed)
        };
        for restart in 0..count {
            let end = [End::Stop, End::Kill, End::Stop, End::KillTwice][restart % 4];
            if !at_work() {
                break;
            }
            course.is_after_kill.store(end != End::Stop, Ordering::Relaxed);
            if end == End::Stop {
                server.signal("TERM");
                assert_eq!(server.ended().code(), Some(0), "{}", server.whole_stderr());
            } else {
                course.kills.fetch_add(1, Ordering::SeqCst);
                server.signal("KILL");
                server.ended();
                course.killed.fetch_add(1, Ordering::SeqCst);
            }
            if end == End::KillTwice {
                let mut command = with_sockets(&sockets);
                command.args(["serve"]).args(flags).envs(environment);
                // SAFETY: the call may be made between fork and exec. The kernel ends it should this process end first.
                unsafe {
                    command.pre_exec(|| {
                        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                        Ok(())
                    })
                };
                let mut amid =
                    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
                std::thread::sleep(Duration::from_millis(7 * (restart as u64 % 16)));
                course.kills.fetch_add(1, Ordering::SeqCst);
                amid.kill().expect("it is ours");
                amid.wait().expect("it is ours");
                course.killed.fetch_add(1, Ordering::SeqCst);
            }
            server = start();
        }
        at_work();
    });

    let of_workers = |count: &dyn Fn(&Worker) -> usize| workers.iter().map(count).sum::<usize>();
    let longest =
        [0, 1].map(|kind| workers.iter().map(|worker| worker.longest[kind]).max().unwrap_or_default());
    let (kills, cut) = (course.kills.load(Ordering::SeqCst), of_workers(&|worker| worker.cut as usize));
    let events = of_workers(&|worker| worker.customers.iter().map(|customer| customer.events.len()).sum());
    let shown = of_workers(&|worker| worker.customers.iter().map(|customer| customer.shown.len()).sum());
    let mut wrong: Vec<String> = Vec::new();
    for (client, worker) in (0..).zip(&mut workers) {
        wrong.append(&mut worker.faults);
        for (number, known) in (0..).zip(&worker.customers) {
            wrong.extend(faults(known, &server.held(&name(client, number))));
        }
    }
    eprintln!(
        "restarts: {count} of them with {kills} kills, {events} events, {shown} ads shown; {cut} requests were cut by kills; \
         the longest wait of a client was {} ms over a stop and {} ms over a kill",
        longest[0].as_millis(),
        longest[1].as_millis()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cut as u64 <= kills * CLIENTS, "a kill cuts one request of each client at most");
    assert!(events > 100 && shown > 10, "{events} events, {shown} ads");
}

/// Ends the clients.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
