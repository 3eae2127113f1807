//! The demo's live traffic: players that ask before each track, play the ad if the answer says so, and report plays,
//! impressions and clicks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::tally::Tally;
use upbeat_client::{Answer, Client};
use upbeat_core::event::Time;
use upbeat_server::runtime::machine_clock;
use upbeat_simulate::{Ad, Listener, Rng, Simulation};

/// Players, each of which starts one track at a time; fewer at a low rate.
const PLAYERS: u32 = 16;

/// Everything the players share.
pub(super) struct Traffic {
    pub(super) simulation: Arc<Simulation>,
    pub(super) client: Client,
    pub(super) tally: Arc<Tally>,
    /// The listener of the printed request, who plays nothing, so that the answer stays the same.
    pub(super) excluded: Option<u32>,
    pub(super) next_play: AtomicU64,
    pub(super) next_click: AtomicU64,
    pub(super) seed: u64,
}

/// The fields of a decision that a player reads.
#[derive(Deserialize)]
struct Decision {
    show: bool,
    decision_id: String,
}

impl Traffic {
    /// Starts `rate` tracks a second until `stop` closes; the handle resolves when the last one is reported.
    pub(super) fn start(self, rate: u32, stop: watch::Receiver<()>) -> JoinHandle<()> {
        let traffic = Arc::new(self);
        let players = PLAYERS.min(rate);
        let period = Duration::from_secs_f64(f64::from(players) / f64::from(rate));
        let handles: Vec<_> = (0..players)
            .map(|player| tokio::spawn(Arc::clone(&traffic).play(player, period, stop.clone())))
            .collect();
        tokio::spawn(async move {
            for handle in handles {
                if let Err(error) = handle.await {
                    tracing::error!(%error, "a player failed");
                }
            }
        })
    }

    async fn play(self: Arc<Self>, player: u32, period: Duration, mut stop: watch::Receiver<()>) {
        let mut rng = Rng::new(self.seed.wrapping_mul(1_000_003).wrapping_add(player.into()));
        let mut ticks =
            tokio::time::interval_at(tokio::time::Instant::now() + period.mul_f64(rng.unit()), period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.changed() => return,
            }
            let now_ms = machine_clock();
            let listener = *self.simulation.draw_listener(now_ms / 1000, &mut rng);
            if self.excluded == Some(listener.customer) {
                continue;
            }
            if let Err(reason) = self.one_track(&listener, now_ms, &mut rng).await {
                self.tally.count_failure(reason);
            }
        }
    }

    /// One track: ask, play the ad if the answer says so, click it with the listener's probability, play the track.
    async fn one_track(&self, listener: &Listener, now_ms: i64, rng: &mut Rng) -> Result<(), String> {
        let now_s = now_ms / 1000;
        let asked = Instant::now();
        let answer = self.client.get(&format!("/should-show-ad/{}", listener.customer)).await;
        let answer = success(answer)?;
        let likelihood = self.simulation.click_probability(listener.customer, Ad::Offer, now_s);
        let decision: Decision = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        self.tally.count_decision(decision.show, likelihood, asked.elapsed());
        let time = Time::from_unix_ms(now_s * 1000).to_string();
        let event_id = self.next_play.fetch_add(1, Ordering::Relaxed);
        if decision.show {
            self.report(json!({
                "type": "impression", "event_id": event_id, "customer_id": listener.customer, "time": time,
                "decision_id": decision.decision_id,
            }))
            .await?;
            if rng.chance(likelihood) {
                let click_id = self.next_click.fetch_add(1, Ordering::Relaxed);
                self.report(json!({
                    "type": "click", "event_id": click_id, "customer_id": listener.customer, "time": time,
                    "ad": Ad::Offer.name(),
                }))
                .await?;
                self.tally.count_click();
            }
        }
        let play = self.simulation.draw_play(listener, event_id, now_s, rng);
        self.report(json!({
            "type": "play", "event_id": event_id, "customer_id": listener.customer, "time": time,
            "track_id": play.track, "mobile": play.mobile, "zip": format!("{:05}", play.zip),
        }))
        .await
    }

    async fn report(&self, event: serde_json::Value) -> Result<(), String> {
        let sent = self.client.post("/events", "application/json", event.to_string()).await;
        success(sent).map(|_| ())
    }
}

fn success(answer: Result<Answer, upbeat_client::ClientError>) -> Result<Answer, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.status {
        200 => Ok(answer),
        status => Err(format!("status {status}: {}", answer.detail())),
    }
}
