//! The engine without HTTP: decisions with fresh and with new scores, single events, bodies.
//!
//! ```text
//! cargo bench --manifest-path benches/engine/Cargo.toml --target-dir target/benches --bench engine
//! … --bench engine -- --quick            a smoke run
//! BENCH_CUSTOMERS=10000 … -- decide      fewer customers, only these
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use upbeat::engine::Engine;
use upbeat::event::Event;
use upbeat_engine_benches::{
    Form, NOW_MS, Order, Population, apply, decide, decide_dry, default_model, ingest, mix, nth_customer,
    promote, round_ns,
};

/// Events in a body.
const BODY: u64 = 10_000;

/// Customers in one batch.
const BATCH: u64 = 1_000;

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
    bench.fresh(criterion);
    bench.anew(criterion);
    bench.batch(criterion);
    bench.events(criterion);
    bench.bodies(criterion);
}

impl Bench {
    /// A decision whose score is still good: lookup and policy.
    fn fresh(&self, criterion: &mut Criterion) {
        let customers = self.population.customers;
        round_ns(&self.engine, customers, NOW_MS);
        let mut number = 0;
        criterion.bench_function("decide/fresh", |bencher| {
            bencher.iter(|| {
                number += 1;
                decide(&self.engine, mix(number) % customers, NOW_MS)
            });
        });
    }

    /// A decision whose score has to be made: window, vector and scorer too.
    fn anew(&self, criterion: &mut Criterion) {
        let customers = self.population.customers;
        criterion.bench_function("decide/new model", |bencher| {
            bencher.iter_custom(|count| {
                self.rounds(count, |_| {
                    promote(&self.engine, default_model());
                    NOW_MS
                })
            });
        });
        // Back and forth by the time between two plays, so that one play leaves each window, or is in it again.
        let gap_ms = self.population.gap_ms();
        criterion.bench_function("decide/window moved", |bencher| {
            bencher.iter_custom(|count| {
                round_ns(&self.engine, customers, NOW_MS);
                self.rounds(count, |round| NOW_MS + (round + 1) % 2 * gap_ms + 2 * gap_ms)
            });
        });
    }

    /// Time of `count` decisions, each customer once a round; before each round the instant is asked for. At another instant
    /// the ad may be due again, and counting impressions is not what is measured: they are dry runs.
    fn rounds(&self, count: u64, mut instant: impl FnMut(i64) -> i64) -> Duration {
        let customers = self.population.customers;
        let mut taken = Duration::ZERO;
        let mut done = 0;
        let mut round = 0;
        while done < count {
            let now_ms = instant(round);
            let asked = customers.min(count - done);
            let start = Instant::now();
            for number in done..done + asked {
                std::hint::black_box(decide_dry(&self.engine, nth_customer(number, customers), now_ms));
            }
            taken += start.elapsed();
            done += asked;
            round += 1;
        }
        taken
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

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
}

criterion_group!(name = engine; config = settings(); targets = benches);
criterion_main!(engine);
