//! `closed-loop`: what `benches/learning` runs in front of a server.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use serde_json::json;
use upbeat_client::Client;
use upbeat_closed_loop::{Driver, Money, Peer, Policy, Tally, World, WorldSettings, models, retrain};
use upbeat_simulate::Taste;

/// Longer than any answer takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Simulated listeners in front of a server
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Write features and planted probability of every decision, without a server
    Sample {
        #[command(flatten)]
        world: WorldArgs,
    },
    /// Tell a server of the plays before the first decision
    Load {
        #[command(flatten)]
        world: WorldArgs,
        /// Address of the data listener
        #[arg(long)]
        data: String,
    },
    /// Play until the world ends; the server knows the plays before the first decision
    Run {
        #[command(flatten)]
        world: WorldArgs,
        #[command(flatten)]
        run: RunArgs,
    },
}

#[derive(clap::Args)]
struct WorldArgs {
    #[arg(long, default_value_t = 5_000)]
    customers: u32,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 200_000)]
    decisions: u64,
    #[arg(long, default_value_t = 1.0)]
    decisions_a_day: f64,
    #[arg(long, default_value_t = 4)]
    plays_a_decision: u32,
    /// Probabilities of a click: of anybody, added for phone listeners, added for evening listeners
    #[arg(long, value_parser = taste, allow_hyphen_values = true)]
    before: Taste,
    /// The same after the drift
    #[arg(long, value_parser = taste, allow_hyphen_values = true)]
    after: Option<Taste>,
    /// The decision from which on the taste has moved
    #[arg(long, requires = "after")]
    drift_at: Option<u64>,
}

#[derive(clap::Args)]
struct RunArgs {
    /// Address of the data listener
    #[arg(long)]
    data: String,
    /// Address of the admin listener
    #[arg(long)]
    admin: String,
    #[arg(long, default_value = "gold-one-day")]
    campaign: String,
    /// served, random:SHARE, oracle, or peer:COMMAND
    #[arg(long)]
    policy: String,
    /// Have the server learn every so many simulated hours
    #[arg(long)]
    retrain_hours: Option<f64>,
    /// What a show costs and a click is worth, in micro-units
    #[arg(long)]
    cost: f64,
    #[arg(long)]
    value: f64,
    /// Where the counts go, as JSON
    #[arg(short, long)]
    output: PathBuf,
}

fn taste(text: &str) -> Result<Taste, String> {
    let parts: Vec<f64> = text.split(',').map_while(|part| part.parse().ok()).collect();
    match parts[..] {
        [anybody, phone, evening] if parts.iter().all(|part| (-1.0..=1.0).contains(part)) => {
            Ok(Taste { anybody, phone, evening })
        }
        _ => Err("give three numbers from -1 to 1 with commas between".to_owned()),
    }
}

impl WorldArgs {
    fn world(&self) -> anyhow::Result<World> {
        Ok(World::new(WorldSettings {
            customers: self.customers,
            seed: self.seed,
            decisions: self.decisions,
            decisions_a_day: self.decisions_a_day,
            plays_a_decision: self.plays_a_decision,
            before: self.before,
            drift: self.drift_at.zip(self.after),
        })?)
    }
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match Args::parse().role {
        Role::Sample { world } => sample(world.world()?),
        Role::Load { world, data } => runtime.block_on(async {
            Driver::new(Client::new(&data, ANSWER_TIMEOUT)?, world.world()?).load_history().await
        }),
        Role::Run { world, run } => runtime.block_on(play(world.world()?, &run)),
    }
}

/// A line for each decision that a rule would leave to the policy: six features and the probability.
fn sample(mut world: World) -> anyhow::Result<()> {
    const LEAST_PLAYS: usize = 10;
    let mut out = BufWriter::new(std::io::stdout().lock());
    while let Some(start) = world.next_start() {
        if let Some(room) = start.room
            && !world.is_gold(start.customer)
            && let Some((plays, features)) = world.features(start.customer)
            && plays >= LEAST_PLAYS
        {
            for feature in features {
                write!(out, "{feature},")?;
            }
            writeln!(out, "{}", room.truth)?;
        }
        world.note(&start);
    }
    Ok(out.flush()?)
}

async fn play(world: World, args: &RunArgs) -> anyhow::Result<()> {
    let money = Money { cost_micro: args.cost, value_micro: args.value };
    let mut policy = match args.policy.split_once(':') {
        None if args.policy == "served" => Policy::Served,
        None if args.policy == "oracle" => Policy::Oracle(money.break_even()),
        Some(("random", share)) => Policy::Random(share.parse().context("random:SHARE")?),
        Some(("peer", command)) => Policy::Peer(Peer::start(command)?),
        _ => bail!("--policy {}: there is none of this name", args.policy),
    };
    let admin = Client::new(&args.admin, ANSWER_TIMEOUT)?;
    let mut driver = Driver::new(Client::new(&args.data, ANSWER_TIMEOUT)?, world);
    driver.skip_history().await?;
    let mut tally = Tally::new(money);
    let mut jobs = Vec::new();
    let mut learnt_s = upbeat_closed_loop::START_S;
    while let Some(reached) = driver.step(&mut policy, &mut tally).await? {
        let Some(hours) = args.retrain_hours else { continue };
        if reached.civil_s as f64 >= learnt_s as f64 + hours * 3600.0 {
            learnt_s = reached.civil_s;
            let job = retrain(&admin, &args.campaign).await?;
            let listed: Vec<_> =
                models(&admin).await?.into_iter().filter(|model| model.role.is_some()).collect();
            let listed: Vec<_> = listed
                .into_iter()
                .map(|model| {
                    let gate: Vec<_> =
                        model.gate.iter().map(|of| json!([of.check, of.ok, of.sentence])).collect();
                    json!({"id": model.id, "role": model.role, "gate": gate})
                })
                .collect();
            jobs.push(json!({"decisions": reached.decisions, "job": job, "models": listed}));
        }
    }
    let out = BufWriter::new(File::create(&args.output).with_context(|| args.output.display().to_string())?);
    serde_json::to_writer(out, &json!({"buckets": tally.buckets(), "jobs": jobs}))?;
    Ok(())
}
