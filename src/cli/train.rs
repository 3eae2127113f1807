//! `upbeat train`: from feature vectors to a model.

mod flags;
mod progress;
mod report;

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use sha2::{Digest, Sha256};

pub(crate) use flags::Args;

use super::files;
use crate::svm::{Features, Model, Parts, Problem, Search, Settings, Trained, Training, search, train};
use flags::Job;
use progress::Progress;

/// More rows than this are worth a warning: smartcore's time and memory grow with rows².
const MANY_ROWS: usize = 10_000;

/// What the report tells of.
struct Outcome {
    model: Model,
    trained: Trained,
    settings: Settings,
    search: Option<Search>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let job = match args.job() {
        Ok(job) => job,
        Err(message) => return Ok(usage(&message)),
    };
    files::check_place(&args.output)?;
    let progress = Progress::start();
    progress.step(&format!("reading {}", files::shown(&args.features)));
    let (problem, sha256) = read(&args.features)?;
    if problem.len() > MANY_ROWS {
        progress.say(&format!(
            "upbeat: {} rows are many for the smartcore solver, whose time and memory grow with their \
             square; a sample of {MANY_ROWS} rows trains in minutes",
            problem.len()
        ));
    }
    let outcome = work(&job, &problem, sha256, &progress).with_context(|| files::shown(&args.features))?;
    progress.finish();
    let bytes = outcome.model.to_bytes();
    files::write_to(&args.output, |output| Ok(output.write_all(&bytes)?))?;
    if args.json {
        println!("{}", report::json(&outcome));
    } else {
        eprint!("{}", report::text(&outcome, &args.output));
    }
    Ok(ExitCode::SUCCESS)
}

/// Says that the call itself was wrong, as clap does; exit status 2.
pub(crate) fn usage(message: &str) -> ExitCode {
    eprintln!("error: {message}\n\nFor more information, try '--help'.");
    ExitCode::from(2)
}

fn work(job: &Job, problem: &Problem, sha256: String, progress: &Progress) -> anyhow::Result<Outcome> {
    let mut step = |what: &str| progress.step(what);
    let found = match job.auto {
        true => Some(search(problem, job.standardise, job.seed, &mut step)?),
        false => None,
    };
    let settings = match &found {
        Some(found) => found.tried[found.chosen].settings,
        None => job.settings(problem.x.columns()),
    };
    let trained = train(problem, &settings, job.plan, &mut step)?;
    let model = Model::new(Parts {
        name: job.name.clone(),
        features: Features::of_count(problem.x.columns()),
        window: job.window,
        labels: problem.labels.clone(),
        scaling: trained.fitted.scaling.clone(),
        machine: trained.fitted.machine.clone(),
        calibration: trained.calibration,
        training: Some(Training {
            solver: crate::svm::SOLVER.to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            c: settings.c,
            seed: settings.seed,
            rows: trained.rows as u64,
            positives: trained.positives as u64,
            data_sha256: Some(sha256),
            measured: trained.measured.clone(),
        }),
    })?;
    Ok(Outcome { model, trained, settings, search: found })
}

/// Reads the problem and the SHA-256 of its bytes in one pass.
fn read(path: &Path) -> anyhow::Result<(Problem, String)> {
    let mut hashing = Hashing { input: files::open(path)?, sha256: Sha256::new() };
    let problem = Problem::read(BufReader::with_capacity(256 << 10, &mut hashing))
        .with_context(|| files::shown(path))?;
    let digest = hashing.sha256.finalize();
    Ok((problem, digest.iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// Hashes what passes through.
struct Hashing {
    input: Box<dyn BufRead>,
    sha256: Sha256,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.sha256.update(&buffer[..count]);
        Ok(count)
    }
}
