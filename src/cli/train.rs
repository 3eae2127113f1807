//! `upbeat train`: from feature vectors to a model.

mod flags;
mod page;
mod progress;
mod report;
mod rows;
mod values;

use std::iter;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

pub(crate) use flags::Args;

use super::files;
use super::output::{self, Output};
use flags::Job;
use progress::Bar;
use upbeat_core::model;
use upbeat_svm::{
    Choice, Model, Parts, Problem, Progress as _, Solver, SolverRecord, Trained, Training, train,
};

/// More rows than this are worth a warning: smartcore's time and memory grow with rows².
const MANY_ROWS: usize = 10_000;

/// The trained model and how it was trained: the subject of the reports.
struct Outcome {
    model: Model,
    trained: Trained,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let job = match args.job() {
        Ok(job) => job,
        Err(message) => return Ok(usage(&message)),
    };
    let outputs = Outputs::open(&args)?;
    let progress = Bar::start();
    progress.stage(&format!("reading {}", files::shown(&args.features)), None);
    let (mut problem, sha256) = rows::read(&args.features)?;
    if let Some(weights) = &args.row_weights {
        problem.weights = Some(rows::read_weights(weights, problem.len())?);
    }
    let choice = match job.choice(&problem.labels, problem.x.columns()) {
        Ok(choice) => choice,
        Err(message) => anyhow::bail!("{}: {message}", files::shown(&args.features)),
    };
    let outcome =
        work(&job, &choice, &problem, sha256, &progress).with_context(|| files::shown(&args.features))?;
    if outcome.trained.constant && !args.allow_constant {
        let refusal = report::constant(&outcome.trained);
        anyhow::bail!("{}: {refusal}; --allow-constant writes it all the same", files::shown(&args.features));
    }
    progress.finish();
    check_converged(&outcome, args.allow_unconverged).with_context(|| files::shown(&args.features))?;
    let bytes = outcome.model.to_bytes();
    let page = outputs.report.as_ref().map(|_| page::page(&outcome, &problem.x)).transpose()?;
    outputs.model.write_all(&bytes)?;
    if let (Some(report), Some(page)) = (outputs.report, page) {
        report.write_all(page.as_bytes())?;
    }
    match outputs.json {
        Some(json) => json.write_all(format!("{}\n", report::json(&outcome)).as_bytes())?,
        None => output::note(report::text(&outcome, &args.output).trim_end()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the model, the page of --report and the object of --json go.
struct Outputs {
    model: Output,
    report: Option<Output>,
    json: Option<Output>,
}

impl Outputs {
    /// Opens all of them, before the work begins.
    fn open(args: &Args) -> anyhow::Result<Self> {
        let inputs: Vec<&Path> = iter::once(&*args.features).chain(args.row_weights.as_deref()).collect();
        let json = args.json.then_some(Path::new("-"));
        let named: Vec<&Path> = iter::once(&*args.output).chain(args.report.as_deref()).chain(json).collect();
        let mut outputs = output::open(&inputs, &named)?.into_iter();
        let mut next = || outputs.next().expect("an output for each name");
        let model = next();
        Ok(Self { model, report: args.report.as_ref().map(|_| next()), json: json.map(|_| next()) })
    }
}

/// Prints that the call itself was wrong, as clap does; exit status 2.
pub(crate) fn usage(message: &str) -> ExitCode {
    output::note(format_args!("error: {message}\n\nFor more information, try '--help'."));
    ExitCode::from(2)
}

fn work(
    job: &Job,
    choice: &Choice,
    problem: &Problem,
    sha256: String,
    progress: &Bar,
) -> anyhow::Result<Outcome> {
    if problem.len() > MANY_ROWS && choice.solver() == Some(Solver::Smartcore) {
        progress.print(&format!(
            "upbeat: {} rows are many for the smartcore solver, whose time and memory grow with their \
             square; --solver native takes them",
            problem.len()
        ));
    }
    let trained = train(problem, choice, job.plan, job.calibrate, progress)?;
    let (parameters, solve) = (&trained.parameters, &trained.fitted.solve);
    let model = Model::new(Parts {
        name: job.name.clone(),
        features: model::features(problem.x.columns()),
        window: model::metadata(job.window, job.label),
        labels: problem.labels.clone(),
        scaling: trained.fitted.scaling.clone(),
        machine: trained.fitted.machine.clone(),
        calibration: trained.calibration.clone(),
        training: Some(Training {
            solver: solve.solver.name().to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            c: parameters.c,
            seed: parameters.seed,
            rows: trained.rows as u64,
            positives: trained.positives as u64,
            data_sha256: Some(sha256),
            measured: trained.measured.clone(),
            parameters: Some(SolverRecord::of(parameters, solve, problem.weights.is_some())),
            feature_mean: trained.feature_mean.clone(),
            constant: Some(trained.constant),
        }),
    })?;
    Ok(Outcome { model, trained })
}

/// What to say of a solver that did not converge; an error unless such a model is allowed.
fn check_converged(outcome: &Outcome, allowed: bool) -> anyhow::Result<()> {
    let training = outcome.model.parts().training.as_ref();
    let Some(said) = training.and_then(Training::unconverged) else { return Ok(()) };
    if allowed {
        output::note(format_args!("upbeat: warning: {said}"));
        return Ok(());
    }
    // No advice is to do what is done, nor what a search does itself.
    let trained = &outcome.trained;
    let scale = if trained.parameters.standardise { "" } else { "--scale standard, " };
    let c = if trained.search.is_some() { "" } else { "a smaller -c, or " };
    anyhow::bail!(
        "{said}; nothing is written. Use {scale}{c}a greater --epsilon or --max-iterations; --allow-unconverged writes \
         the model as it is"
    )
}
