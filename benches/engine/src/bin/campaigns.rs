//! What a decision takes with one campaign and with eight, of customers with and without ad history, without HTTP.
//!
//! ```text
//! campaigns CUSTOMERS DECISIONS REPEATS
//! ```
//!
//! The eight campaigns have a linear model each, two caps, three cooldowns, a budget, hours and an exploration; nothing is shown, so
//! that only the answer is measured, and all counts are cached. With ad history everybody has heard two ads and clicked one.
//! Customers are asked for in an order like chance. Prints one JSON object: nanoseconds of the thread's CPU a decision, the median of
//! the repeats. The budgets are 300 and 600 without ad history, 500 and 850 with it. *rbf* is one campaign whose model has an RBF kernel
//! and 100 support vectors.

use std::sync::Arc;

use upbeat_core::campaign::{Label, Served};
use upbeat_core::event::{ClickOf, DAY_MS, Event, EventKind, Id, ImpressionOf, Time};
use upbeat_engine::Engine;
use upbeat_engine::campaigns::{NewCampaigns, parse};
use upbeat_engine_benches::{
    NOW_MS, Order, Population, apply, count_as_event_loop, decision_ns, default_model, keep_on_huge_pages,
    promote, rbf_model, round_ns, thread_cpu_ns,
};

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

fn main() {
    keep_on_huge_pages();
    let arguments: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [customers @ (1..), decisions @ (1..), repeats @ (1..)] = arguments[..] else {
        eprintln!("usage: campaigns CUSTOMERS DECISIONS REPEATS");
        std::process::exit(2);
    };
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
    println!(
        r#"{{"customers":{customers},"decisions":{decisions},"one_ns":{one:.1},"eight_ns":{eight:.1},"one_heard_ns":{one_heard:.1},"eight_heard_ns":{eight_heard:.1},"rbf_ns":{rbf:.1}}}"#
    );
}
