//! The loop itself: ask before the track, play the ad or say that it was not played, click it, play the track.
//!
//! Decisions of a few minutes of the simulated service go out in one request, and what came of them in another: no listener is
//! asked for twice in between, so that each of them is answered by all that was said of them before. *Now* is the newest event
//! that the server was told (`clock = "event"`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::time::Instant;
use upbeat_client::{Answer, Client};
use upbeat_simulate::Level;

use crate::policy::{Offered, Played, Policy};
use crate::tally::{Decided, Tally};
use crate::world::{Room, Start, World, written};

/// Simulated seconds whose decisions go out together.
const SLICE_S: i64 = 600;

/// And at most so many: far fewer shows than half a lease of a budget, which is extended when half of it is used and durable when the
/// events that follow are acknowledged. So no show waits for the disk, however fast the simulated time passes.
const SLICE_ROOMS: usize = 12;

/// No simulated day passes in less than this: the server closes the leases of the budgets of days that are over once a second, and has
/// room for those of eight.
const LEAST_OF_A_DAY: Duration = Duration::from_millis(250);

/// Where a show has waited for a lease all the same, as on a machine that does much else.
const LEASE_PAUSE: Duration = Duration::from_millis(50);

const DAY_S: i64 = 86_400;

/// Plays of the history in one request.
const HISTORY_LINES: usize = 20_000;

/// A server with the listeners of a world in front of it.
pub struct Driver {
    client: Client,
    world: World,
    held: Option<Start>,
    /// Clicks that come later, by when and by number.
    clicks: BTreeMap<(i64, u64), String>,
    next_event: u64,
    /// The simulated day, and when it may be over.
    day: (i64, Instant),
    /// The day of each listener's last toss of exploration.
    tossed: HashMap<u32, i64>,
    /// What is to be sent.
    body: String,
}

#[derive(Deserialize)]
struct Decisions {
    decisions: Vec<Decision>,
}

#[derive(Deserialize)]
struct Decision {
    show: bool,
    reason: String,
    decision_id: String,
}

#[derive(Deserialize)]
struct Taken {
    rejected: Vec<serde_json::Value>,
}

/// What a step has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Decisions so far.
    pub decisions: u64,
    /// Seconds since 1970-01-01T00:00:00, by the clock of the events.
    pub civil_s: i64,
}

impl Driver {
    /// The listeners of `world`, who ask the server of `client`.
    pub fn new(client: Client, world: World) -> Self {
        // Events of the driver's own are numbered apart from the plays.
        let (clicks, day) = (BTreeMap::new(), (i64::MIN, Instant::now()));
        Self {
            client,
            world,
            held: None,
            clicks,
            next_event: 1 << 40,
            day,
            tossed: HashMap::new(),
            body: String::new(),
        }
    }

    /// The world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Tells the server of memberships, and of the plays before the first decision.
    ///
    /// # Errors
    /// The server does not take them.
    pub async fn load_history(&mut self) -> anyhow::Result<()> {
        let before = written(self.world.first_s() - 86_400);
        for listener in self.world.listeners() {
            let level = match listener.level {
                Level::Free => "free",
                Level::Silver => "silver",
                Level::Gold => "gold",
            };
            let customer = listener.customer;
            writeln!(
                self.body,
                r#"{{"type":"membership","event_id":{customer},"customer_id":{customer},"time":"{before}","level":"{level}"}}"#
            )?;
        }
        self.send().await?;
        self.note_history(Some(())).await
    }

    /// Notes the plays before the first decision, of which a server that was copied knows already.
    ///
    /// # Errors
    /// None of its own.
    pub async fn skip_history(&mut self) -> anyhow::Result<()> {
        self.note_history(None).await
    }

    async fn note_history(&mut self, told: Option<()>) -> anyhow::Result<()> {
        let mut lines = 0;
        while let Some(start) = self.world.next_start() {
            if start.room.is_some() {
                self.held = Some(start);
                break;
            }
            self.world.note(&start);
            if told.is_some() {
                put_play(&mut self.body, &start)?;
                lines += 1;
                if lines == HISTORY_LINES {
                    self.send().await?;
                    lines = 0;
                }
            }
        }
        self.send().await
    }

    /// Goes on by some minutes of the service; `None` where it has ended.
    ///
    /// # Errors
    /// The server or the policy gives no answer, or the server refuses an event.
    pub async fn step(&mut self, policy: &mut Policy, tally: &mut Tally) -> anyhow::Result<Option<Reached>> {
        let slice = self.slice();
        let Some(last) = slice.last() else {
            return Ok(None);
        };
        let civil_s = last.civil_s;
        self.wait_for_day(civil_s.div_euclid(DAY_S)).await;
        let rooms: Vec<(Start, Room)> =
            slice.iter().filter_map(|start| Some((*start, start.room?))).collect();
        let decisions = self.ask(&rooms).await?;
        if decisions.iter().any(|decision| decision.reason == "paced") {
            tokio::time::sleep(LEASE_PAUSE).await;
        }
        let mut offered = Vec::new();
        for ((start, room), decision) in rooms.iter().zip(&decisions) {
            if decision.show {
                let features = self.world.features(start.customer).context("shown to one without plays")?.1;
                offered.push(Offered { number: room.number, features, truth: room.truth, coin: room.coin });
            }
        }
        let mut choices = policy.choose(&offered)?.into_iter().zip(&offered);
        let mut feedback = BTreeMap::new();
        let mut played = Vec::new();
        for ((start, room), decision) in rooms.iter().zip(&decisions) {
            let choice = if decision.show { choices.next() } else { None };
            let shown = choice.is_some_and(|(choice, _)| choice.play);
            if let Some((choice, offered)) = choice {
                feedback.insert(start.event_id, (decision.decision_id.clone(), shown));
                if shown {
                    let (features, propensity) = (offered.features, choice.propensity);
                    played.push(Played { features, propensity, clicked: room.clicked });
                    if room.clicked {
                        self.click_later(start, room, &decision.decision_id)?;
                    }
                }
            }
            let allowed = self.is_eligible(start, decision);
            let explored = decision.reason == "exploring";
            let paced = decision.reason == "paced";
            let Room { number, truth, clicked, .. } = *room;
            tally.count(&Decided { number, allowed, shown, explored, paced, truth, clicked });
        }
        policy.learn(&played)?;
        for start in &slice {
            if let Some((decision, shown)) = feedback.get(&start.event_id) {
                let kind = if *shown { "impression" } else { "void" };
                let (event, time) = (self.number(), written(start.civil_s));
                let customer = start.customer;
                writeln!(
                    self.body,
                    r#"{{"type":"{kind}","event_id":{event},"customer_id":{customer},"time":"{time}","decision_id":"{decision}"}}"#
                )?;
            }
            put_play(&mut self.body, start)?;
            self.world.note(start);
        }
        let later = self.clicks.split_off(&(civil_s + 1, 0));
        for click in std::mem::replace(&mut self.clicks, later).into_values() {
            self.body.push_str(&click);
        }
        self.send().await?;
        let number = rooms.last().map_or(0, |(_, room)| room.number + 1);
        Ok(Some(Reached { decisions: number, civil_s }))
    }

    /// The starts of the next minutes, up to a room of somebody who has one among them already.
    fn slice(&mut self) -> Vec<Start> {
        let mut slice: Vec<Start> = Vec::new();
        let mut asked = HashSet::new();
        while let Some(start) = self.held.take().or_else(|| self.world.next_start()) {
            let is_late = slice.first().is_some_and(|first| start.civil_s >= first.civil_s + SLICE_S);
            let is_full = start.room.is_some() && asked.len() == SLICE_ROOMS;
            if is_late || is_full || (start.room.is_some() && !asked.insert(start.customer)) {
                self.held = Some(start);
                break;
            }
            slice.push(start);
        }
        slice
    }

    /// Whether coins alone kept the ad from being played, so that estimates are of this decision: no rule was against it, or it was the
    /// toss of the listener's day.
    fn is_eligible(&mut self, start: &Start, decision: &Decision) -> bool {
        let day = start.civil_s.div_euclid(DAY_S);
        match decision.reason.as_str() {
            "likely_to_click" | "held_out" => true,
            "exploring" | "unlikely_to_click" => self.tossed.insert(start.customer, day) != Some(day),
            _ => false,
        }
    }

    /// Waits where the day before has been too short.
    async fn wait_for_day(&mut self, day: i64) {
        if day > self.day.0 {
            tokio::time::sleep_until(self.day.1).await;
            self.day = (day, Instant::now() + LEAST_OF_A_DAY);
        }
    }

    async fn ask(&self, rooms: &[(Start, Room)]) -> anyhow::Result<Vec<Decision>> {
        let customers: Vec<String> = rooms.iter().map(|(start, _)| start.customer.to_string()).collect();
        if customers.is_empty() {
            return Ok(Vec::new());
        }
        let body = serde_json::to_string(&serde_json::json!({ "customers": customers }))?;
        let answer = good(self.client.post("/decisions", "application/json", body).await?)?;
        let Decisions { decisions } = serde_json::from_slice(&answer.body)?;
        if decisions.len() != rooms.len() {
            bail!("{} decisions were asked for and {} came", rooms.len(), decisions.len());
        }
        Ok(decisions)
    }

    fn click_later(&mut self, start: &Start, room: &Room, decision: &str) -> anyhow::Result<()> {
        let (event, at_s, customer) =
            (self.number(), start.civil_s + i64::from(room.delay_s), start.customer);
        let mut line = String::new();
        let time = written(at_s);
        writeln!(
            line,
            r#"{{"type":"click","event_id":{event},"customer_id":{customer},"time":"{time}","decision_id":"{decision}"}}"#
        )?;
        self.clicks.insert((at_s, event), line);
        Ok(())
    }

    fn number(&mut self) -> u64 {
        self.next_event += 1;
        self.next_event
    }

    /// Sends what there is to send. The server has room for it, so that nothing of it may be refused.
    async fn send(&mut self) -> anyhow::Result<()> {
        if self.body.is_empty() {
            return Ok(());
        }
        let body = std::mem::take(&mut self.body);
        let answer = good(self.client.post("/events", "application/x-ndjson", body).await?)?;
        let Taken { rejected } = serde_json::from_slice(&answer.body)?;
        match rejected.first() {
            Some(row) => bail!("the server refused {} events, the first with {row}", rejected.len()),
            None => Ok(()),
        }
    }
}

fn put_play(body: &mut String, start: &Start) -> std::fmt::Result {
    let Start { event_id, customer, track, civil_s, mobile, .. } = *start;
    let time = written(civil_s);
    writeln!(
        body,
        r#"{{"type":"play","event_id":{event_id},"customer_id":{customer},"track_id":{track},"time":"{time}","mobile":{mobile}}}"#
    )
}

/// An answer that is not a refusal.
///
/// # Errors
/// It is one.
pub(crate) fn good(answer: Answer) -> anyhow::Result<Answer> {
    match answer.status {
        200..=299 => Ok(answer),
        status => bail!("the server answered {status}: {}", answer.detail()),
    }
}
