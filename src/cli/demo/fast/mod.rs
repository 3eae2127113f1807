//! `upbeat demo --fast`: weeks of a service that learns, in minutes, on the clock of the events.

mod ending;
mod story;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration as StdDuration, Instant};

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use upbeat_client::Client;
use upbeat_closed_loop::{Driver, Money, Policy, START_S, Tally, World, WorldSettings, models, retrain};
use upbeat_engine::Clock;
use upbeat_server::config::{Config, Duration};
use upbeat_server::runtime::{
    App, Passed, Server, Stopped, Storage, load_campaigns, machine_clock, make_room,
};
use upbeat_simulate::Taste;

use super::{Args, print};
use crate::cli::{logging, serve};
use story::Story;

/// A training takes some seconds.
const ANSWER_TIMEOUT: StdDuration = StdDuration::from_secs(120);

/// Between two jobs, in simulated seconds.
const LEARN_S: i64 = 12 * 3600;

/// Between two lines of figures.
const LINE_S: i64 = 24 * 3600;

const CAMPAIGN: &str = "gold-one-day";

/// A show pays above 41 %: where many ads are clicked nearly as often, so that clicks tell soon whether probabilities are right.
const MONEY: Money = Money { cost_micro: 41_000.0, value_micro: 100_000.0 };

/// Phone listeners, whom the shipped model knows; it expects 50 % of their ads to be clicked.
const BEFORE: Taste = Taste { anybody: 0.3, phone: 0.5, evening: 0.0 };

/// Evening listeners, whom no model has shown the ad so far, like it as well.
const AFTER: Taste = Taste { evening: 0.5, ..BEFORE };

/// The campaign of the demo.
const CAMPAIGNS: &str = r#"currency = "USD"

[[campaign]]
id = "gold-one-day"
ad = "ADV_REDUCED_1DAY"
audience = ["free", "silver"]
caps = [{ impressions = 4, hours = 24 }]
impression_cost = 0.041
click_value = 0.10
daily_budget = 500.00
threshold = "profit"
model = "gold-one-day"
mode = "auto"
holdout = 0.05
exploration = 0.15
"#;

/// The server in this process.
struct Service {
    data: SocketAddr,
    admin: SocketAddr,
    stop: watch::Sender<()>,
    running: JoinHandle<Stopped>,
}

impl Service {
    async fn start(mut config: Config) -> anyhow::Result<Self> {
        make_room(&mut config)?;
        let listeners = serve::bind(&config, Passed::default())?;
        let (data, admin) = (listeners.data.socket.local_addr()?, listeners.admin.socket.local_addr()?);
        let zone = config.zone()?;
        let campaigns = load_campaigns(&config)?;
        let storage = Storage::take(&config)?;
        let app = Arc::new(App::with_campaigns(config, campaigns, zone, machine_clock)?);
        app.serve_configured_model()?;
        let server = Server::open(listeners, app, storage).await?;
        let (stop, mut stops) = watch::channel(());
        let running = tokio::spawn(server.run_until(async move {
            let _ = stops.changed().await;
        }));
        Ok(Self { data, admin, stop, running })
    }

    async fn stop(self) -> anyhow::Result<Stopped> {
        drop(self.stop);
        self.running.await.context("the server failed")
    }
}

/// Runs it, to its end or to Ctrl-C.
pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let temporary = tempfile::Builder::new().prefix("upbeat-demo-").tempdir()?;
    let config = config(args, temporary.path())?;
    let data_dir = config.data_dir.clone();
    let _logging = logging::start(&config)?;
    let stop = serve::stop_signal()?;
    let service = Service::start(config).await?;
    let story = tokio::select! {
        // Nothing of it must be in use any more when the directory is removed.
        told = tell(args, &service) => Some(told),
        () = stop => None,
    };
    let stopped = service.stop().await?;
    let Some(told) = story else {
        print(format_args!("\nstopped before the end"))?;
        return Ok(ExitCode::SUCCESS);
    };
    ending::tell(&data_dir, &told?)?;
    Ok(if stopped == Stopped::Clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn config(args: &Args, temporary: &Path) -> anyhow::Result<Config> {
    let mut config = Config { listen: args.listen, admin_listen: args.admin_listen, ..Config::default() };
    config.clock = Clock::Event;
    // The demo asks for each job, so that none comes at a moment of its own.
    config.learn.every = Duration::from_secs(365 * 24 * 3600);
    config.learn.max_age = Duration::from_secs(5 * 24 * 3600);
    config.shutdown.drain = Duration::from_secs(0);
    // That the shipped model expects too few clicks here, and when the taste moves, is the story itself.
    config.log.level = "warn,upbeat_server::runtime::learning::watching=error".into();
    config.data_dir = args.data_dir.clone().unwrap_or_else(|| temporary.join("data"));
    let campaigns = temporary.join("campaigns.toml");
    std::fs::write(&campaigns, CAMPAIGNS).with_context(|| campaigns.display().to_string())?;
    config.campaigns = campaigns;
    Ok(config)
}

/// The whole story; gives what came of the decisions.
async fn tell(args: &Args, service: &Service) -> anyhow::Result<Tally> {
    let Service { data, admin, .. } = service;
    let settings = WorldSettings {
        customers: args.customers,
        seed: args.seed,
        decisions: args.decisions,
        decisions_a_day: 1.0,
        plays_a_decision: 2,
        before: BEFORE,
        drift: Some((args.decisions / 2, AFTER)),
    };
    let days = args.decisions as f64 / f64::from(args.customers);
    let mut driver =
        Driver::new(Client::new(&format!("http://{data}"), ANSWER_TIMEOUT)?, World::new(settings)?);
    let to_admin = Client::new(&format!("http://{admin}"), ANSWER_TIMEOUT)?;
    let began = Instant::now();
    driver.load_history().await?;
    print(format_args!(
        "Upbeat demo --fast: {} listeners, {days:.0} days of decisions on the clock of the events; up after {:.1} s\n",
        args.customers,
        began.elapsed().as_secs_f64()
    ))?;
    print(format_args!("  decisions, events   http://{data}"))?;
    print(format_args!("  metrics, models     http://{admin}\n"))?;
    let client = Client::new(&format!("http://{data}"), ANSWER_TIMEOUT)?;
    introduce(&client, *data).await?;
    print(format_args!(
        "An ad costs 0.041 USD and a click is worth 0.10: a show pays where more than {:.0} % click. 5 % of the customers are held out,\n\
         and 15 % a day hear one unlikely ad, to learn from. The shipped model decides. It knows that phone listeners click, but not\n\
         how often: 80 % here, and anybody else 30 %. On day {:.0} evening listeners begin to like it as well.\n",
        100.0 * MONEY.break_even(),
        days / 2.0
    ))?;
    let mut story = Story::new(START_S);
    print(format_args!("{}", Story::HEADER))?;
    let mut tally = Tally::new(MONEY);
    let (mut learnt_s, mut line_s) = (START_S, START_S);
    while let Some(reached) = driver.step(&mut Policy::Served, &mut tally).await? {
        if reached.civil_s >= learnt_s + LEARN_S {
            learnt_s = reached.civil_s;
            let job = retrain(&to_admin, CAMPAIGN).await?;
            for line in story.learnt(reached.civil_s, &job, &models(&to_admin).await?, CAMPAIGN) {
                print(format_args!("{line}"))?;
            }
        }
        if reached.civil_s >= line_s + LINE_S {
            line_s = reached.civil_s;
            print(format_args!("{}", story.figures(reached.civil_s, &tally.total())))?;
        }
        if story.drifts(reached.decisions > args.decisions / 2) {
            print(format_args!(
                "          the taste moves: from now on evening listeners click as often as phone listeners"
            ))?;
        }
    }
    print(format_args!("\n{}", story.summary()))?;
    Ok(tally)
}

/// A request for a decision, what it answers, and how long it takes.
async fn introduce(client: &Client, data: SocketAddr) -> anyhow::Result<()> {
    let path = "/should-show-ad/1?dry_run=true";
    // The first one opens the connection.
    client.get(path).await?;
    let asked = Instant::now();
    let answer = client.get(path).await?;
    let took = asked.elapsed();
    print(format_args!("  curl -w '\\n%{{time_total}} s\\n' 'http://{data}{path}'"))?;
    print(format_args!("  {}", String::from_utf8_lossy(&answer.body)))?;
    print(format_args!("  {:.6} s\n", took.as_secs_f64()))
}
