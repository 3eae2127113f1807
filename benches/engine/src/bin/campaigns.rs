//! What a decision takes with one campaign and with eight, of customers with and without ad history, without HTTP.
//!
//! ```text
//! campaigns CUSTOMERS DECISIONS REPEATS DIR
//! ```
//!
//! The eight campaigns have a linear model each, two caps, three cooldowns, a budget and hours; nothing is shown, so that
//! only the answer is measured, and all counts are cached. With ad history everybody has heard two ads and clicked one.
//! Customers are asked for in an order like chance. Prints one JSON object: nanoseconds of the thread's CPU a decision, the median of
//! the repeats. The budgets are 300 and 600 without ad history, 500 and 850 with it. *rbf* is one campaign whose model has an RBF kernel
//! and 100 support vectors. *logged* is with ad history and a log in DIR, an empty directory: each decision has its record there.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use upbeat_core::campaign::{Label, Served};
use upbeat_core::event::{ClickOf, DAY_MS, Event, EventKind, Id, ImpressionOf, Time};
use upbeat_engine::Engine;
use upbeat_engine::campaigns::{NewCampaigns, parse};
use upbeat_engine::storage::{self, Opened, Options};
use upbeat_engine_benches::{
    NOW_MS, Order, Population, apply, count_as_event_loop, decision_ns, default_model, keep_on_huge_pages,
    promote, rbf_model, round_ns, thread_cpu_ns,
};
use upbeat_journal::Memory;
use upbeat_journal::disk::RealDisk;

/// Bytes of a lane's ring.
const LANE_BYTES: usize = 8 << 20;

/// A document of so many campaigns for everybody, none of whom is shown an ad.
fn document(campaigns: usize) -> NewCampaigns {
    let one = |number: usize| {
        let rules = if campaigns == 1 {
            "model = \"default\"\nthreshold = { score = 1e6 }\ncaps = [{ impressions = 1, hours = 24 }]\n"
                .to_owned()
        } else {
            format!(
                "model = \"m{number}\"\npriority = {number}\nthreshold = {{ score = 1e6 }}\n\
                 caps = [{{ impressions = 5, hours = 24 }}, {{ impressions = 9, days = 7 }}]\n\
                 cooldown_after_impression = \"30m\"\ncooldown_after_click = \"1h\"\ncooldown_after_upgrade = \"1d\"\n\
                 impression_cost = 0.02\nclick_value = 0.5\ndaily_budget = 100.0\ntime_zone = \"Europe/Berlin\"\n\
                 hours = [\"00:00-23:59\"]\n"
            )
        };
        format!(
            "[[campaign]]\nid = \"c{number}\"\nad = \"AD_{number}\"\naudience = [\"free\", \"silver\"]\nmin_plays = 1\n{rules}"
        )
    };
    let toml: String = (0..campaigns).map(one).collect();
    let served = |number: usize| {
        Served::new(format!("m{number}"), "4017e3471abc", Label::Impression, Arc::new(default_model()))
    };
    let document = parse(&toml).expect("a document");
    let models = if campaigns == 1 { Vec::new() } else { (0..campaigns).map(served).collect() };
    NewCampaigns { toml, document, who: "bench".to_owned(), models }
}

/// Lets everybody have heard two ads, and clicked one, longer ago than any cooldown.
fn hear(engine: &Engine, customers: u64) {
    for customer in 0..customers {
        let event = |number: u64, kind| Event {
            customer: Id::Number(customer),
            id: Id::Number(u64::from(u32::MAX) - 3 * customer - number),
            time: Time::from_unix_ms(NOW_MS - 2 * DAY_MS - number as i64 * 1000),
            kind,
        };
        for number in 0..2 {
            let campaign = Id::Text(format!("c{number}").into());
            apply(engine, event(number, EventKind::Impression(ImpressionOf::Campaign(campaign))));
        }
        apply(engine, event(2, EventKind::Click { of: ClickOf::Ad(Id::Text("AD_1".into())) }));
    }
}

/// Nanoseconds of CPU a decision: the median of the repeats.
fn median_ns(engine: &Engine, customers: u64, decisions: u64, repeats: u64) -> f64 {
    round_ns(engine, customers, NOW_MS);
    let mut found: Vec<f64> = (0..repeats)
        .map(|repeat| {
            let before = thread_cpu_ns();
            let _wall_ns = decision_ns(engine, customers, decisions, repeat << 32, NOW_MS);
            (thread_cpu_ns() - before) as f64 / decisions as f64
        })
        .collect();
    found.sort_by(f64::total_cmp);
    found[found.len() / 2]
}

/// Gives an engine a log as a server on two cores has it.
fn open(engine: &Engine, directory: &Path) -> Opened<RealDisk> {
    let journal = upbeat_journal::Options { segment_bytes: 64 << 20, group_bytes: 8 << 20, sync: true };
    let lanes = (0..3).map(|_| Memory::anonymous(4096 + LANE_BYTES)).collect();
    let disk = Arc::new(RealDisk::new(directory));
    storage::open(engine, disk, lanes, Options { journal, threads: 1 }, Box::new(|| 7), &|_| {})
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
}

/// Measures while a thread writes the log, as often as a server does where nobody waits for it.
fn while_logged<R>(opened: &mut Opened<RealDisk>, measure: impl FnOnce() -> R) -> R {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Acquire) {
                opened.writer.step().expect("the disk is good");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let measured = measure();
        ended.store(true, Ordering::Release);
        measured
    })
}

fn main() {
    keep_on_huge_pages();
    let mut arguments = std::env::args().skip(1);
    let numbers: Vec<u64> = arguments.by_ref().take(3).filter_map(|text| text.parse().ok()).collect();
    let ([customers @ (1..), decisions @ (1..), repeats @ (1..)], Some(directory)) =
        (&numbers[..], arguments.next())
    else {
        eprintln!("usage: campaigns CUSTOMERS DECISIONS REPEATS DIR");
        std::process::exit(2);
    };
    let (customers, decisions, repeats) = (*customers, *decisions, *repeats);
    let engine = Population { customers, plays: 10, order: Order::Even }.engine(1);
    count_as_event_loop();
    let measure = |campaigns: usize| {
        engine.set_campaigns(document(campaigns), NOW_MS).expect("a sound document");
        median_ns(&engine, customers, decisions, repeats)
    };
    let (one, eight) = (measure(1), measure(8));
    promote(&engine, rbf_model(100));
    let rbf = measure(1);
    promote(&engine, default_model());
    hear(&engine, customers);
    let (one_heard, eight_heard) = (measure(1), measure(8));
    let mut opened = open(&engine, Path::new(&directory));
    let (one_logged, eight_logged) = while_logged(&mut opened, || (measure(1), measure(8)));
    println!(
        r#"{{"customers":{customers},"decisions":{decisions},"one_ns":{one:.1},"eight_ns":{eight:.1},"one_heard_ns":{one_heard:.1},"eight_heard_ns":{eight_heard:.1},"one_logged_ns":{one_logged:.1},"eight_logged_ns":{eight_logged:.1},"rbf_ns":{rbf:.1}}}"#
    );
}
