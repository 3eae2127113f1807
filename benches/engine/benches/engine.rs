//! The engine without HTTP: decisions with cached counts and with windows that are counted again, single events, bodies.
//!
//! ```text
//! cargo bench --manifest-path benches/engine/Cargo.toml --target-dir target/benches --bench engine
//! … --bench engine -- --quick            a smoke run
//! BENCH_CUSTOMERS=10000 … -- decide      fewer customers, only these
//! ```

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use upbeat_core::event::Event;
use upbeat_engine::Engine;
use upbeat_engine_benches::{
    Form, NOW_MS, Order, Population, apply, decide, decide_dry, ingest, mix, round_ns, shuffled,
};

/// Events in a body.
const BODY: u64 = 10_000;

/// Customers in one batch.
const BATCH: u64 = 1_000;

/// Of the order in which customers are asked for, which is not the one in which their plays came.
const ORDER_SEED: u64 = 1;

/// Makes one of a population's events from its number.
type MakeEvent = fn(&Population, u64) -> Event;

struct Bench {
    population: Population,
    engine: Arc<Engine>,
    /// Counts new events over all benches, so that no two are the same.
    events: u64,
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a whole number"))
}

fn benches(criterion: &mut Criterion) {
    upbeat_engine_benches::keep_on_huge_pages();
    let customers = number("BENCH_CUSTOMERS", 1_000_000);
    let population = Population { customers, plays: number("BENCH_PLAYS", 40), order: Order::Even };
    let mut bench = Bench { population, engine: population.engine(2), events: 0 };
    bench.cached(criterion);
    bench.recomputed(criterion);
    bench.batch(criterion);
    bench.events(criterion);
    bench.bodies(criterion);
}

impl Bench {
    /// A decision whose counts are cached: lookup, score and policy.
    fn cached(&self, criterion: &mut Criterion) {
        let customers = self.population.customers;
        round_ns(&self.engine, customers, NOW_MS);
        let mut number = 0;
        criterion.bench_function("decide/cached", |bencher| {
            bencher.iter(|| {
                number += 1;
                decide(&self.engine, mix(number) % customers, NOW_MS)
            });
        });
    }

    /// A decision for which the window is counted again.
    fn recomputed(&self, criterion: &mut Criterion) {
        let order = shuffled(self.population.customers, ORDER_SEED);
        // Back and forth by the time between two plays, so that one play leaves each window, or is in it again. Whoever
        // is asked for was last asked for at the other instant, a million decisions ago.
        let gap_ms = self.population.gap_ms();
        let mut walk = Walk { order: &order, next: 0, round: 0 };
        criterion.bench_function("decide/window moved", |bencher| {
            bencher.iter_custom(|count| {
                walk.time(&self.engine, count, |round| NOW_MS + (2 + round % 2) * gap_ms)
            });
        });
    }

    /// A thousand customers, one after the other.
    fn batch(&self, criterion: &mut Criterion) {
        let customers = self.population.customers;
        round_ns(&self.engine, customers, NOW_MS);
        let mut group = criterion.benchmark_group("decide");
        group.throughput(Throughput::Elements(BATCH));
        let mut number = 0;
        group.bench_function("batch of 1000", |bencher| {
            bencher.iter(|| {
                let first = number;
                number += BATCH;
                (first..number)
                    .filter(|number| decide(&self.engine, mix(*number) % customers, NOW_MS))
                    .count()
            });
        });
        group.finish();
    }

    /// One play, already read.
    fn events(&mut self, criterion: &mut Criterion) {
        let Self { population, engine, events } = self;
        let mut group = criterion.benchmark_group("apply");
        let kinds: [(&str, MakeEvent); 3] = [
            ("in order", Population::later),
            ("out of order", Population::late),
            ("repeat", Population::repeated),
        ];
        for (name, event) in kinds {
            group.bench_function(name, |bencher| {
                bencher.iter_batched(
                    || {
                        *events += 1;
                        event(population, *events)
                    },
                    |event| apply(engine, event),
                    BatchSize::LargeInput,
                );
            });
        }
        group.finish();
    }

    /// Plays from text to profile.
    fn bodies(&mut self, criterion: &mut Criterion) {
        let Self { population, engine, events } = self;
        let mut group = criterion.benchmark_group("ingest");
        group.throughput(Throughput::Elements(BODY));
        for (name, form) in [("csv", Form::Csv), ("ndjson", Form::Ndjson)] {
            group.bench_function(name, |bencher| {
                bencher.iter_batched(
                    || {
                        *events += 1;
                        population.body(form, *events, BODY)
                    },
                    |body| ingest(engine, form, &body),
                    BatchSize::LargeInput,
                );
            });
        }
        group.finish();
    }
}

/// Rounds over all customers that continue from one sample to the next. A sample with a round of its own would have to
/// begin with counting every window again, and there would be time for one decision in it.
struct Walk<'a> {
    order: &'a [u32],
    next: usize,
    round: i64,
}

impl Walk<'_> {
    /// Time of `count` decisions. At the beginning of each round the instant is asked for. At another instant the ad may
    /// be due again, and counting impressions is not what is measured: they are dry runs.
    fn time(&mut self, engine: &Engine, count: u64, mut instant: impl FnMut(i64) -> i64) -> Duration {
        let mut taken = Duration::ZERO;
        let mut left = count as usize;
        let mut now_ms = instant(self.round);
        while left > 0 {
            if self.next == self.order.len() {
                (self.next, self.round) = (0, self.round + 1);
                now_ms = instant(self.round);
            }
            let asked = &self.order[self.next..][..left.min(self.order.len() - self.next)];
            let start = Instant::now();
            for customer in asked {
                black_box(decide_dry(engine, u64::from(*customer), now_ms));
            }
            taken += start.elapsed();
            self.next += asked.len();
            left -= asked.len();
        }
        taken
    }
}

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
}

criterion_group!(name = engine; config = settings(); targets = benches);
criterion_main!(engine);
