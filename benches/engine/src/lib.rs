//! What the benches of the engine have in common: customers with plays, made from their numbers alone.
//!
//! This file is the only one here that uses the library; others name its types at most.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use upbeat_core::campaign::{Cap, Label, Single};
use upbeat_core::event::{DAY_MS, Event, EventKind, Id, Membership, Time, Zone};
use upbeat_core::model;
use upbeat_core::profile::Window;
use upbeat_engine::campaigns::{self, NewCampaigns};
use upbeat_engine::{Engine, LogState, Rejection};
use upbeat_ingest::decode::{self, Format};
use upbeat_server::config::Config;
use upbeat_server::runtime::App;
use upbeat_svm::{Kernel, Labels, Machine, Matrix, Model, Parts};

/// When the histories end and decisions are made: 2026-01-01T00:00:00Z, in Unix milliseconds.
pub const NOW_MS: i64 = 1_767_225_600_000;

/// Histories are a little shorter than the default window, so that every play counts.
const SPAN_MS: i64 = 27 * DAY_MS;

/// Tracks that are heard.
const TRACKS: u64 = 1750;

/// A prime that shares no factor with a power of ten: steps through all customers, far from one to the next.
const STRIDE: u64 = 2_654_435_761;

/// Bytes of the longest row of a body, about.
const ROW_BYTES: usize = 160;

/// A number that looks like chance and is the same on every machine (Steele, Lea and Flood's SplitMix64, 2014).
#[must_use]
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Whose play comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Everybody's n-th, then everybody's n+1-th: each has exactly as many.
    Even,
    /// Anybody's, as in life: how many each has is nearly Poisson.
    Random,
}

/// Customers 0, 1, 2 … with plays over four weeks, oldest first over all of them.
#[derive(Debug, Clone, Copy)]
pub struct Population {
    /// How many customers.
    pub customers: u64,
    /// Plays of each, on the average.
    pub plays: u64,
    /// Whose play comes next.
    pub order: Order,
}

/// One play as numbers.
struct Play {
    customer: u64,
    number: u64,
    track: u64,
    unix_ms: i64,
    mobile: bool,
}

impl Population {
    /// How many plays in all.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.customers * self.plays
    }

    /// Milliseconds between two plays of one customer, with an even order.
    #[must_use]
    pub fn gap_ms(&self) -> i64 {
        SPAN_MS / self.plays as i64
    }

    fn customer(&self, number: u64) -> u64 {
        match self.order {
            Order::Even => nth_customer(number, self.customers),
            Order::Random => mix(number) % self.customers,
        }
    }

    fn play(&self, number: u64) -> Play {
        let chance = mix(!number);
        let after_ms = (number as f64 / self.events() as f64 * SPAN_MS as f64) as i64 / 1000 * 1000;
        Play {
            customer: self.customer(number),
            number,
            track: chance % TRACKS,
            unix_ms: NOW_MS - SPAN_MS + after_ms,
            mobile: chance >> 63 == 1,
        }
    }

    /// Applies every play and one membership a customer, with so many threads; each has customers of its own, so that
    /// every customer's plays come in order.
    ///
    /// # Panics
    /// The engine refuses one.
    pub fn fill(&self, engine: &Engine, threads: u64) {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || {
                    count_as_event_loop();
                    self.fill_share(engine, thread, threads);
                });
            }
        });
    }

    fn fill_share(&self, engine: &Engine, thread: u64, threads: u64) {
        for number in 0..self.events() {
            // The customer is cheap to compute, the rest of an event is not.
            if self.customer(number) % threads == thread {
                apply(engine, self.play(number).event());
            }
        }
        let time = Time::from_unix_ms(NOW_MS - SPAN_MS);
        for customer in (thread..self.customers).step_by(threads as usize) {
            let level = [Membership::Free, Membership::Silver][customer as usize % 2];
            let (customer, id) = (Id::Number(customer), Id::Number(self.events() + customer));
            apply(engine, Event { customer, id, time, kind: EventKind::Membership(level) });
        }
    }

    /// An engine that holds it all.
    #[must_use]
    pub fn engine(&self, threads: u64) -> Arc<Engine> {
        let engine = engine(self.customers);
        self.fill(&engine, threads);
        engine
    }

    /// An engine that holds it all and shows the ad to so many of a thousand customers, those with the highest scores, again
    /// and again: the cap is as wide as it can be, 64 impressions an hour.
    ///
    /// # Panics
    /// A customer has no score.
    #[must_use]
    pub fn engine_that_shows(&self, threads: u64, per_mille: u64) -> Arc<Engine> {
        let levels = [Membership::Free, Membership::Silver, Membership::Gold];
        let mut campaign = Single { audience: levels.to_vec(), min_plays: 1, ..Single::default() };
        campaign.cap = Cap { impressions: 64, hours: 1 };
        let engine = engine_with(self.customers, campaign.clone());
        self.fill(&engine, threads);
        let score = |customer| {
            engine.decide_once(&Id::Number(customer), true, NOW_MS).score.expect("it has plays").value
        };
        let mut scores: Vec<f64> = (0..self.customers).map(score).collect();
        scores.sort_unstable_by(f64::total_cmp);
        let shown = self.customers * per_mille / 1000;
        campaign.threshold = scores[(self.customers - shown - 1) as usize];
        let engine = engine_with(self.customers, campaign);
        self.fill(&engine, threads);
        engine
    }

    /// New plays after all the others, at about `NOW_MS`; `number` counts them.
    #[must_use]
    pub fn later(&self, number: u64) -> Event {
        let mut play = self.play(number);
        (play.number, play.unix_ms) = (2 * self.events() + number, NOW_MS + number as i64 % 1000);
        play.customer = mix(number) % self.customers;
        play.event()
    }

    /// A new play in the midst of the others.
    #[must_use]
    pub fn late(&self, number: u64) -> Event {
        let mut play = self.play(mix(number) % self.events());
        (play.number, play.unix_ms) = (4 * self.events() + number, play.unix_ms + 1);
        play.event()
    }

    /// A play that was applied already.
    #[must_use]
    pub fn repeated(&self, number: u64) -> Event {
        self.play(mix(number) % self.events()).event()
    }

    /// `count` new plays as a body; different `turn`s share none.
    #[must_use]
    pub fn body(&self, form: Form, turn: u64, count: u64) -> Vec<u8> {
        let mut text = String::with_capacity(count as usize * ROW_BYTES);
        for number in turn * count..(turn + 1) * count {
            let mut play = self.play(number);
            play.customer = mix(number) % self.customers;
            play.number = 8 * self.events() + number;
            play.unix_ms = NOW_MS;
            form.write(&play, &mut text);
        }
        text.into_bytes()
    }
}

impl Play {
    fn event(&self) -> Event {
        Event {
            customer: Id::Number(self.customer),
            id: Id::Number(self.number),
            time: Time::from_unix_ms(self.unix_ms),
            kind: EventKind::Play { track: Id::Number(self.track), mobile: self.mobile },
        }
    }
}

/// How a body is written.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// The rows of the seed's file of plays.
    Csv,
    /// A JSON event a line.
    Ndjson,
}

impl Form {
    fn write(self, play: &Play, text: &mut String) {
        let Play { customer, number, track, mobile, .. } = play;
        let written = match self {
            Self::Csv => {
                writeln!(
                    text,
                    r#"{number},{customer},{track},"2026-01-01 00:00:00",{},"10234""#,
                    u8::from(*mobile)
                )
            }
            Self::Ndjson => writeln!(
                text,
                r#"{{"type":"play","event_id":{number},"customer_id":{customer},"track_id":{track},"time":"2026-01-01T00:00:00","mobile":{mobile},"zip":"10234"}}"#
            ),
        };
        written.expect("text grows");
    }

    fn format(self) -> Format {
        match self {
            Self::Csv => Format::Csv(decode::csv::Kind::Plays),
            Self::Ndjson => Format::Ndjson,
        }
    }
}

/// An engine as `upbeat serve` makes it, with the default model and room for so many customers.
#[must_use]
pub fn engine(customers: u64) -> Arc<Engine> {
    engine_with(customers, Single::default())
}

/// Has an engine run these campaigns in place of its own.
///
/// # Panics
/// The text is no document of campaigns.
pub fn run_campaigns(engine: &Engine, toml: &str) {
    let document = campaigns::parse(toml).expect("a document");
    let (toml, who, models) = (toml.to_owned(), "bench".to_owned(), Vec::new());
    engine.set_campaigns(NewCampaigns { toml, document, who, models }, NOW_MS).expect("it is sound");
}

fn engine_with(customers: u64, campaign: Single) -> Arc<Engine> {
    let mut config = Config { campaign, ..Config::default() };
    config.limits.expected_customers = customers as usize;
    config.limits.customers = config.limits.customers.max(customers as usize);
    let app = App::new(config, Zone::utc(), || NOW_MS);
    promote(&app.engine, default_model());
    Arc::clone(&app.engine)
}

/// Makes this thread count by itself, as the event loops of `upbeat serve` do.
pub fn count_as_event_loop() {
    upbeat_engine::take_own_stripe();
}

/// As `upbeat serve` does, before there are other threads.
pub fn keep_on_huge_pages() {
    upbeat_server::runtime::heap::keep_on_huge_pages();
}

/// The model that ships in the binary.
#[must_use]
pub fn default_model() -> Model {
    Model::read(include_bytes!("../../../model/default.json")).expect("the shipped model is sound")
}

/// A model with an RBF kernel and so many support vectors, half of each class.
#[must_use]
pub fn rbf_model(vectors: u64) -> Model {
    let share = |number: u64| (mix(number) >> 11) as f64 / (1u64 << 53) as f64;
    let mut rows = Matrix::new(6);
    for vector in 0..vectors {
        let row: Vec<f64> = (0..6).map(|feature| share(6 * vector + feature)).collect();
        rows.push(&row);
    }
    let coefficient = |vector: u64| if vector.is_multiple_of(2) { share(!vector) } else { -share(!vector) };
    let coefficients = (0..vectors).map(coefficient).collect();
    Model::new(Parts {
        name: None,
        features: model::features(6),
        window: model::metadata(Window::default(), Label::Customer),
        labels: Labels { positive: "1".to_owned(), negative: "0".to_owned() },
        scaling: None,
        machine: Machine::from_expansion(Kernel::Rbf { gamma: 0.5 }, rows, coefficients, 0.01),
        calibration: None,
        training: None,
    })
    .expect("the model is sound")
}

/// Serves `model` from now on.
///
/// # Panics
/// It is not of this engine's window.
pub fn promote(engine: &Engine, model: Model) {
    engine.promote(model).expect("the model is of the engine's window");
}

/// Applies one event.
///
/// # Panics
/// The engine refuses it.
pub fn apply(engine: &Engine, event: Event) {
    if engine.log_state() == LogState::Off {
        engine.apply(event, NOW_MS).expect("the event is sound");
        return;
    }
    // Where the log has no room at the moment, as a caller that is told so does.
    while let Err(refused) = engine.apply(event.clone(), NOW_MS) {
        assert_eq!(refused, Rejection::LogUnavailable, "the event is sound");
        std::thread::yield_now();
    }
}

/// Evicts everybody, two months later, all but paid memberships; returns the number of evicted customers.
pub fn evict_idle(engine: &Engine) -> usize {
    let later_ms = NOW_MS + 60 * DAY_MS;
    (0..engine.shards()).map(|shard| engine.evict_idle(shard, later_ms)).sum()
}

/// Decides about one customer at an instant, in Unix milliseconds, as `GET /should-show-ad/{id}` does.
pub fn decide(engine: &Engine, customer: u64, now_ms: i64) -> bool {
    engine.decide_once(&Id::Number(customer), false, now_ms).reason.shows()
}

/// The same as a dry run: nobody's impressions are counted, so that only the answer is measured.
pub fn decide_dry(engine: &Engine, customer: u64, now_ms: i64) -> bool {
    engine.decide_once(&Id::Number(customer), true, now_ms).reason.shows()
}

/// Reads a body and applies its rows, as `POST /events` does.
///
/// # Panics
/// A row is refused.
pub fn ingest(engine: &Engine, form: Form, body: &[u8]) {
    let context = decode::Context { zone: Zone::utc(), as_of: None, columns: None, max_event_bytes: 1 << 16 };
    let rows = decode::rows(form.format(), body, &context).expect("the body is sound");
    let report = engine.apply_each(rows.rows, NOW_MS);
    assert!(report.rejected.is_empty(), "{:?}", report.rejected[0]);
}

/// Nanoseconds for each of `count` decisions about customers in an order like chance, all at one instant.
#[must_use]
pub fn decision_ns(engine: &Engine, customers: u64, count: u64, seed: u64, now_ms: i64) -> f64 {
    let start = Instant::now();
    let mut shown = 0;
    for number in 0..count {
        shown += u64::from(decide(engine, mix(seed ^ number) % customers, now_ms));
    }
    std::hint::black_box(shown);
    start.elapsed().as_nanos() as f64 / count as f64
}

/// Nanoseconds that the calling thread was on a processor so far, as Linux counts them.
///
/// # Panics
/// There is no `/proc/thread-self/schedstat`.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts");
    text.split(' ').next().and_then(|first| first.parse().ok()).expect("a number")
}

/// Nanoseconds for each of one decision about everybody, all at one instant.
pub fn round_ns(engine: &Engine, customers: u64, now_ms: i64) -> f64 {
    let start = Instant::now();
    let mut shown = 0;
    for number in 0..customers {
        shown += u64::from(decide(engine, nth_customer(number, customers), now_ms));
    }
    std::hint::black_box(shown);
    start.elapsed().as_nanos() as f64 / customers as f64
}

/// The n-th customer of a walk past everybody, far from one to the next.
#[must_use]
pub fn nth_customer(number: u64, customers: u64) -> u64 {
    number % customers * STRIDE % customers
}

/// All customers in an order like chance (Durstenfeld's shuffle, CACM algorithm 235, 1964).
#[must_use]
pub fn shuffled(customers: u64, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(customers).expect("fewer than four milliards")).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, (mix(seed ^ last as u64) % (last as u64 + 1)) as usize);
    }
    order
}

/// Resident memory of this process, in bytes.
///
/// # Panics
/// There is no `/proc`.
#[must_use]
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux machine");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line on resident memory");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of KiB");
    1024 * kib
}
