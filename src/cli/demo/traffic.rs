//! The demo's present: players that ask before each track, play the ad if told to, and report what was heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::tally::Tally;
use crate::client::{Answer, Client};
use crate::event::Time;
use crate::http::app::machine_clock;
use crate::simulate::{Ad, Dice, Listener, Simulation};

/// Tracks start on so many players at most at the same time.
const PLAYERS: u32 = 16;

/// Everything the players share.
pub(super) struct Traffic {
    pub(super) simulation: Arc<Simulation>,
    pub(super) client: Client,
    pub(super) tally: Arc<Tally>,
    /// The listener of the curl line: nobody plays for them, so that their answer stays.
    pub(super) left_alone: Option<u32>,
    pub(super) next_play: AtomicU64,
    pub(super) next_click: AtomicU64,
    pub(super) seed: u64,
}

/// What the player reads of a decision.
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
        let mut dice = Dice::new(self.seed.wrapping_mul(1_000_003).wrapping_add(player.into()));
        let mut ticks =
            tokio::time::interval_at(tokio::time::Instant::now() + period.mul_f64(dice.unit()), period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.changed() => return,
            }
            let now_ms = machine_clock();
            let listener = *self.simulation.someone(now_ms / 1000, &mut dice);
            if self.left_alone == Some(listener.customer) {
                continue;
            }
            if let Err(reason) = self.one_track(&listener, now_ms, &mut dice).await {
                self.tally.count_failure(reason);
            }
        }
    }

    /// The player's story: ask, perhaps play the ad and see it clicked, then play the track.
    async fn one_track(&self, listener: &Listener, now_ms: i64, dice: &mut Dice) -> Result<(), String> {
        let now_s = now_ms / 1000;
        let asked = Instant::now();
        let answer = self.client.get(&format!("/should-show-ad/{}", listener.customer)).await;
        let answer = good(answer)?;
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
            if dice.chance(likelihood) {
                let click_id = self.next_click.fetch_add(1, Ordering::Relaxed);
                self.report(json!({
                    "type": "click", "event_id": click_id, "customer_id": listener.customer, "time": time,
                    "ad": Ad::Offer.name(),
                }))
                .await?;
                self.tally.count_click();
            }
        }
        let play = self.simulation.play_of(listener, event_id, now_s, dice);
        self.report(json!({
            "type": "play", "event_id": event_id, "customer_id": listener.customer, "time": time,
            "track_id": play.track, "mobile": play.mobile, "zip": format!("{:05}", play.zip),
        }))
        .await
    }

    async fn report(&self, event: serde_json::Value) -> Result<(), String> {
        let sent = self.client.post("/events", "application/json", event.to_string()).await;
        good(sent).map(|_| ())
    }
}

fn good(answer: Result<Answer, crate::client::ClientError>) -> Result<Answer, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.status {
        200 => Ok(answer),
        status => Err(format!("status {status}: {}", answer.detail())),
    }
}
