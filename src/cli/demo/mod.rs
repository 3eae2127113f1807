//! `upbeat demo`: everything at once on simulated listeners.

mod fast;
mod history;
mod tally;
mod traffic;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use tokio::sync::watch;

use super::{logging, output, serve};
use upbeat_client::Client;
use upbeat_core::event::{DAY_MS, Id};
use upbeat_server::config::{Config, Durability, Duration};
use upbeat_server::runtime::{App, Passed, Server, Stopped, Storage, machine_clock, make_room};
use upbeat_simulate::{Settings, Simulation};

use tally::Tally;
use traffic::Traffic;

/// How often a line is printed.
const LINE_PERIOD: Duration = Duration::from_secs(5);

/// An answer over loopback that takes longer than this counts as failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Everything at once on simulated listeners, nothing to install
///
/// Simulates a music service of some thousand listeners with 13 weeks of history up to now, serves both listeners on
/// it with the built-in model, and plays live traffic against its own HTTP: decisions, impressions, clicks, plays.
/// Ends with Ctrl-C, or by itself after --for. With --fast weeks pass in minutes, on the clock of the events: the service learns from
/// its decisions, and the taste of its listeners changes.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  upbeat demo
  upbeat demo --fast
  upbeat demo --for 30s
  upbeat demo --listen 127.0.0.1:9080 --admin-listen 127.0.0.1:9081 --rate 500")]
pub(crate) struct Args {
    /// Weeks in minutes, on the clock of the events: see how it learns, and what that is worth
    #[arg(long, conflicts_with_all = ["duration", "plays", "rate"])]
    fast: bool,
    /// With --fast: how many decisions; a listener and day has one on average
    #[arg(long, value_name = "N", default_value_t = 200_000, requires = "fast", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    decisions: u64,
    /// End by itself after so long, such as 30s or 5m
    #[arg(long = "for", value_name = "TIME")]
    duration: Option<Duration>,
    /// Address of the data plane
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Address of the control plane
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    admin_listen: SocketAddr,
    /// How many listeners
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    customers: u32,
    /// How many plays before now
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    plays: u64,
    /// Live tracks started per second
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Keep what the demo acknowledges here, an empty directory [default: one of its own, removed at the end]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Seed of listeners and traffic
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let runtime = serve::async_runtime()?;
    if args.fast { runtime.block_on(fast::run(&args)) } else { runtime.block_on(demo(args)) }
}

async fn demo(args: Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let mut config = Config { listen: args.listen, admin_listen: args.admin_listen, ..Config::default() };
    config.shutdown.drain = Duration::from_secs(0);
    config.log.level = "warn".into();
    // Held to the end: then it is removed.
    let _temporary = match &args.data_dir {
        Some(directory) => {
            config.data_dir.clone_from(directory);
            None
        }
        None => {
            let temporary = tempfile::Builder::new().prefix("upbeat-demo-").tempdir()?;
            config.data_dir = temporary.path().join("data");
            // What is removed at the end need not outlive a loss of power.
            config.durability = Durability::Off;
            Some(temporary)
        }
    };
    let _logging = logging::start(&config)?;
    make_room(&mut config)?;
    let stop = serve::stop_signal()?;
    let listeners = serve::bind(&config, Passed::default())?;
    let (data, admin) = (listeners.data.socket.local_addr()?, listeners.admin.socket.local_addr()?);
    let zone = config.zone()?;
    let storage = Storage::take(&config)?;
    let app = Arc::new(App::new(config, zone, machine_clock));
    app.serve_configured_model()?;
    let opened = match storage {
        Some(storage) => Some(storage.open(&app).await?),
        None => None,
    };
    if app.engine.customer_count() > 0 {
        let directory = app.config.data_dir.display();
        anyhow::bail!("{directory} holds customers already: the demo begins with an empty directory");
    }

    let settings = Settings {
        customers: args.customers,
        plays: args.plays,
        seed: args.seed,
        end_s: machine_clock() / 1000,
        ..Settings::default()
    };
    let simulation = Arc::new(Simulation::new(settings)?);
    let loaded = history::load(&app.engine, &simulation);

    let (stop_server, mut server_stops) = watch::channel(());
    let mut server = Server::start(listeners, Arc::clone(&app))?;
    opened.into_iter().for_each(|opened| server.keep(opened));
    let server = tokio::spawn(server.run_until(async move {
        let _ = server_stops.changed().await;
    }));
    let client = Client::new(&format!("http://{data}"), ANSWER_TIMEOUT.get())?;
    let sample = history::likely_listener(&app, &simulation);
    let introduced = async {
        print(format_args!(
            "Upbeat demo: {} listeners, {} plays and {} clicks of the last {} weeks; up after {:.1} s\n",
            args.customers,
            loaded.plays,
            loaded.clicks,
            simulation.settings().weeks,
            started.elapsed().as_secs_f64()
        ))?;
        introduce(&client, data, admin, sample).await
    };
    if let Err(error) = introduced.await {
        // A directory that is removed behind this must not be in use any more.
        drop(stop_server);
        server.await.context("the server failed")?;
        return Err(error);
    }

    let tally = Arc::new(Tally::new(&app.config.campaign));
    let traffic = Traffic {
        simulation,
        client,
        tally: Arc::clone(&tally),
        excluded: sample,
        next_play: loaded.plays.into(),
        next_click: loaded.clicks.into(),
        seed: args.seed,
    };
    let (stop_traffic, traffic_stops) = watch::channel(());
    let players = traffic.start(args.rate, traffic_stops);
    let printed = tokio::select! {
        // A line that is due is printed before the end.
        biased;
        printed = print_lines(&tally) => printed,
        () = stop => Ok(()),
        () = after(args.duration) => Ok(()),
    };
    drop(stop_traffic);
    players.await.context("the traffic failed")?;
    drop(stop_server);
    let stopped = server.await.context("the server failed")?;
    printed?;
    print(format_args!("\n{}", tally.summary()))?;
    let good = stopped == Stopped::Clean && tally.failures() == 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the addresses, and one decision with the request that gives it.
async fn introduce(
    client: &Client,
    data: SocketAddr,
    admin: SocketAddr,
    sample: Option<u32>,
) -> anyhow::Result<()> {
    print(format_args!("  decisions, events   http://{data}"))?;
    print(format_args!("  metrics, profiles   http://{admin}\n"))?;
    let customer = sample.unwrap_or(0);
    let path = format!("/should-show-ad/{customer}?dry_run=true");
    let answer = client.get(&path).await?;
    print(format_args!("  curl 'http://{data}{path}'"))?;
    print(format_args!("  {}\n", String::from_utf8_lossy(&answer.body)))?;
    print(format_args!("{}", Tally::HEADER))?;
    Ok(())
}

/// Prints a line; fails when stdout is closed, as by `head`.
fn print(line: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    output::print(format_args!("{line}\n"))
}

async fn print_lines(tally: &Tally) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(LINE_PERIOD.get());
    ticks.tick().await;
    loop {
        ticks.tick().await;
        print(format_args!("{}", tally.line()))?;
    }
}

async fn after(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration.get()).await,
        None => std::future::pending().await,
    }
}

/// A customer id of the simulation as the engine's.
fn id(customer: u32) -> Id {
    Id::Number(customer.into())
}

/// How long before the history's first play the memberships began.
const MEMBERSHIP_LEAD_MS: i64 = DAY_MS;
