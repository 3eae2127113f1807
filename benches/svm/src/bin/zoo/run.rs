//! Solves the cases of sets, with what peers came to kept between runs.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::case::{Case, Machine, Penalty, Reply, Side, in_child};
use crate::peers::Peer;
use crate::sets::{SETS, Set, named};
use crate::verdict::{Judged, Verdict, judge};

/// C of every set.
const CS: [f64; 5] = [1e-4, 1e-2, 1.0, 100.0, 1e5];
/// What is minimised: on every set, and on those that kernels are tried on.
const LINEAR: [(Machine, Penalty, bool); 7] = [
    (Machine::Linear, Penalty::Hinge, false),
    (Machine::Linear, Penalty::Hinge, true),
    (Machine::Linear, Penalty::SquaredHinge, false),
    (Machine::Linear, Penalty::SquaredHinge, true),
    (Machine::Linear, Penalty::Logistic, false),
    (Machine::Linear, Penalty::Logistic, true),
    (Machine::LinearSmo, Penalty::Hinge, false),
];
const KERNELS: [(Machine, Penalty, bool); 6] = [
    (Machine::Rbf, Penalty::Hinge, false),
    (Machine::Poly, Penalty::Hinge, false),
    (Machine::Sigmoid, Penalty::Hinge, false),
    (Machine::Rbf, Penalty::SquaredHinge, false),
    (Machine::Poly, Penalty::SquaredHinge, false),
    (Machine::Sigmoid, Penalty::SquaredHinge, false),
];
/// Small sets of different kinds, for the test command.
const QUICK: [&str; 8] = [
    "three-rows",
    "separable",
    "shares-rounded",
    "constant-rows",
    "duplicated-columns",
    "sparse-weights",
    "noise",
    "scale-1e150",
];

/// Where results are kept.
pub fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    target.join("zoo")
}

fn file_of(set: &Set) -> PathBuf {
    folder().join(format!("{}.jsonl", set.name))
}

/// What is kept of a set; nothing where it was not run.
pub fn kept_of(set: &Set) -> Result<Vec<Judged>, String> {
    let file = file_of(set);
    let text = fs::read_to_string(&file).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.is_empty()).map(serde_json::from_str);
    lines
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{}: {error}; run zoo on the set again", file.display()))
}

/// What to run.
pub struct Options {
    sets: Vec<&'static Set>,
    limit_s: u64,
    seed: u64,
    /// The part of a machine's name that it has to have.
    machines: String,
    /// How many sets are run at a time.
    jobs: usize,
    /// Whether sets are left out that this executable has run already.
    resume: bool,
}

impl Options {
    pub fn read(mut words: &[&str]) -> Result<Self, String> {
        let machines = String::new();
        let mut options =
            Self { sets: SETS.iter().collect(), limit_s: 20, seed: 1, machines, jobs: 1, resume: false };
        while let [name, value, rest @ ..] = words {
            let number =
                || value.parse::<u64>().map_err(|_| format!("{name} is a whole number, not {value}"));
            match *name {
                "--sets" => {
                    let set = |name: &str| named(name).ok_or_else(|| format!("there is no set {name}"));
                    options.sets = value.split(',').map(set).collect::<Result<_, _>>()?;
                }
                "--machines" => options.machines = (*value).to_owned(),
                "--limit" => options.limit_s = number()?,
                "--seed" => options.seed = number()?,
                "--jobs" => options.jobs = number()?.max(1) as usize,
                "--resume" => {
                    options.resume = value.parse().map_err(|_| "--resume is true or false".to_owned())?
                }
                _ => return Err(format!("{name} is not an option of zoo run")),
            }
            words = rest;
        }
        if options.resume && !options.machines.is_empty() {
            return Err("--resume is for whole sets; leave --machines out".to_owned());
        }
        if words.is_empty() { Ok(options) } else { Err(format!("{} has no value", words[0])) }
    }
}

/// Has the peers solve the sets in turn, and keeps what they come to.
pub fn peers(options: &Options) -> Result<bool, String> {
    let mut kept = Kept::open(options.limit_s)?;
    for set in &options.sets {
        let data = set.data(options.seed);
        let fingerprint = data.fingerprint();
        for case in cases(set, options, &CS) {
            for peer in Peer::of(&case.task(data.columns), data.rows.len()) {
                kept.reply(&case, peer, fingerprint, options.limit_s)?;
            }
        }
        println!("{}", set.name);
    }
    Ok(true)
}

/// Solves the sets, so many at a time; true where no case failed.
pub fn run(options: &Options) -> Result<bool, String> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let jobs: Vec<_> = (0..options.jobs).map(|_| scope.spawn(|| run_next(options, &next))).collect();
        jobs.into_iter()
            .map(|job| job.join().expect("a job does not panic"))
            .try_fold(true, |good, job| Ok(good & job?))
    })
}

/// Solves the sets whose turn comes until none is left.
fn run_next(options: &Options, next: &AtomicUsize) -> Result<bool, String> {
    let mut kept = Kept::open(options.limit_s)?;
    let mut good = true;
    while let Some(set) = options.sets.get(next.fetch_add(1, Ordering::Relaxed)) {
        if options.resume && is_current(set) {
            good &= !kept_of(set)?.iter().any(Judged::failed);
            continue;
        }
        let mut judged = solve(set, options, &CS, &mut kept)?;
        good &= !judged.iter().any(Judged::failed);
        let others = kept_of(set)?.into_iter();
        judged.extend(others.filter(|one| !one.case.machine_name().contains(&options.machines)));
        let file = file_of(set);
        let lines: Result<Vec<String>, _> = judged.iter().map(serde_json::to_string).collect();
        let lines = lines.map_err(|error| error.to_string())?.join("\n") + "\n";
        fs::write(&file, lines).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(good)
}

/// Whether what is kept of a set is of this executable.
fn is_current(set: &Set) -> bool {
    let modified = |path: PathBuf| fs::metadata(path).and_then(|file| file.modified()).ok();
    let built = std::env::current_exe().ok().and_then(modified);
    built.is_some_and(|built| modified(file_of(set)).is_some_and(|run| run > built))
}

/// Solves a few small sets at three C; true where no objective is wrong. Time is not judged.
pub fn quick() -> Result<bool, String> {
    let mut kept = Kept::open(5)?;
    let (mut count, mut wrong) = (0, 0);
    for name in QUICK {
        let set = named(name).ok_or_else(|| format!("there is no set {name}"))?;
        let machines = String::new();
        let options = Options { sets: Vec::new(), limit_s: 5, seed: 1, machines, jobs: 1, resume: false };
        let judged = solve(set, &options, &[1e-2, 1.0, 100.0], &mut kept)?;
        count += judged.len();
        wrong += judged.iter().filter(|judged| judged.failed() && judged.verdict != Verdict::Slow).count();
    }
    println!("{count} cases, {wrong} wrong");
    Ok(wrong == 0)
}

fn solve(set: &'static Set, options: &Options, cs: &[f64], kept: &mut Kept) -> Result<Vec<Judged>, String> {
    let data = set.data(options.seed);
    let fingerprint = data.fingerprint();
    let mut judged = Vec::new();
    for case in cases(set, options, cs) {
        let mut peers = Vec::new();
        for peer in Peer::of(&case.task(data.columns), data.rows.len()) {
            peers.push((peer, kept.reply(&case, peer, fingerprint, options.limit_s)?));
        }
        let ours = in_child(&case, Side::Ours, options.limit_s);
        let one = judge(case, ours, peers);
        say(&one);
        judged.push(one);
    }
    Ok(judged)
}

/// Every machine at every C.
fn cases(set: &Set, options: &Options, cs: &[f64]) -> Vec<Case> {
    let kernels: &[_] = if set.kernels { &KERNELS } else { &[] };
    let machines = LINEAR.iter().chain(kernels);
    let cases = machines.flat_map(|&(machine, penalty, regularised)| {
        let case =
            Case { set: set.name.to_owned(), seed: options.seed, machine, penalty, regularised, c: 1.0 };
        cs.iter().map(move |&c| Case { c, ..case.clone() })
    });
    cases.filter(|case| case.machine_name().contains(&options.machines)).collect()
}

/// A line of progress.
fn say(judged: &Judged) {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1e}"));
    let note = match &judged.ours {
        Reply::Refused { message } | Reply::Crashed { message } => message.as_str(),
        _ => "",
    };
    println!(
        "{:<12} {:<20} {:<28} C={:<7.0e} excess {:<9} gap {:<9} time {:<9} ratio {:<8} {note}",
        format!("{:?}", judged.verdict),
        judged.case.set,
        judged.case.machine_name(),
        judged.case.c,
        number(judged.excess),
        number(judged.gap),
        number(judged.seconds()),
        number(judged.time_ratio),
    );
}

/// What peers came to: it does not depend on the library, so it is kept.
struct Kept {
    file: fs::File,
    replies: HashMap<String, Reply>,
    versions: HashMap<String, i32>,
}

impl Kept {
    /// Leaves out what was stopped sooner than it would be now.
    fn open(limit_s: u64) -> Result<Self, String> {
        let path = folder().join("peers.jsonl");
        let say = |error: std::io::Error| format!("{}: {error}", path.display());
        fs::create_dir_all(folder()).map_err(say)?;
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<(String, Reply)>(line).ok());
        let sooner =
            |reply: &Reply| matches!(reply, Reply::Unfinished { limit_s: limit } if *limit < limit_s);
        let replies = lines.filter(|(_, reply)| !sooner(reply)).collect();
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(say)?;
        Ok(Self { file, replies, versions: HashMap::new() })
    }

    fn reply(&mut self, case: &Case, peer: Peer, fingerprint: u64, limit_s: u64) -> Result<Reply, String> {
        let name = peer.name();
        if !self.versions.contains_key(&name) {
            self.versions.insert(name.clone(), peer.version()?);
        }
        let key = format!("{fingerprint:016x} {case:?} {name} {}", self.versions[&name]);
        if let Some(reply) = self.replies.get(&key) {
            return Ok(reply.clone());
        }
        let reply = in_child(case, Side::Peer(peer), limit_s);
        let line = serde_json::to_string(&(&key, &reply)).map_err(|error| error.to_string())?;
        writeln!(self.file, "{line}").map_err(|error| format!("keeping a peer's result: {error}"))?;
        self.replies.insert(key, reply.clone());
        Ok(reply)
    }
}
