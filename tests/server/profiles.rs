//! A profile is a function of the set of its events: order, repeats, batches and formats do not matter.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::support::{CLOUD_EVENT, CLOUD_EVENTS, CSV, JSON, NDJSON, Server};

/// One event; its content is a function of its identity, as in real histories.
#[derive(Debug, Clone)]
struct Event {
    kind: u8,
    number: u64,
    customer: u64,
    minute: u64,
}

impl Event {
    fn customer(&self, case: usize) -> String {
        format!("case-{case}-{}", self.customer)
    }

    fn time(&self) -> String {
        format!("2014-10-{:02}T{:02}:{:02}:00", 1 + self.minute / 7 % 28, self.minute % 24, self.minute % 60)
    }

    fn json(&self, case: usize) -> Value {
        let mut event =
            json!({"event_id": self.number, "customer_id": self.customer(case), "time": self.time()});
        let pick = |words: &[&'static str]| words[self.number as usize % words.len()];
        let (campaign, level) = (pick(&["gold-one-day", "another"]), pick(&["free", "silver", "gold"]));
        let content = match self.kind {
            0 => json!({"type": "click", "ad": "ADV_REDUCED_1DAY"}),
            1 => {
                json!({"type": "impression", "campaign": campaign})
            }
            2 => json!({"type": "membership", "level": level}),
            _ => {
                json!({"type": "play", "track_id": self.number * 7 % 11, "mobile": self.number.is_multiple_of(3)})
            }
        };
        event.as_object_mut().expect("an object").extend(content.as_object().expect("an object").clone());
        event
    }

    fn cloud_event(&self, case: usize) -> Value {
        let mut data = self.json(case);
        let object = data.as_object_mut().expect("an object");
        let kind = object.remove("type").expect("a type");
        object.remove("customer_id");
        json!({"specversion": "1.0", "id": "ignored", "source": "/test", "type": format!("upbeat.{}", kind.as_str().expect("text")),
            "subject": self.customer(case), "data": data})
    }

    /// The row of the seed's files, where they have one.
    fn row(&self, case: usize) -> Option<String> {
        let (customer, time) = (self.customer(case), self.time().replace('T', " "));
        match self.kind {
            0 => Some(format!("{},{customer},ADV_REDUCED_1DAY,\"{time}\"\r\n", self.number)),
            1 | 2 => None,
            _ => {
                let (track, mobile) = (self.number * 7 % 11, u8::from(self.number.is_multiple_of(3)));
                Some(format!("{},{customer},{track},\"{time}\",{mobile},\"72132\"\n", self.number))
            }
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    (0u8..12, 0u64..25, 0u64..3, 0u64..60).prop_map(|(kind, number, customer, minute)| Event {
        kind,
        number,
        customer,
        minute,
    })
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

/// Sends a few events in the format that a number picks.
fn send(server: &Server, events: &[Event], case: usize, format: u8) {
    let objects: Vec<Value> = events.iter().map(|event| event.json(case)).collect();
    let lines: String = objects.iter().map(|event| format!("{event}\n")).collect();
    match format {
        0 => events.iter().for_each(|event| {
            server.load("/events", JSON, event.json(case).to_string());
        }),
        1 => {
            server.load("/events?atomic=true", JSON, Value::Array(objects).to_string());
        }
        2 => events.iter().for_each(|event| {
            server.load("/events", CLOUD_EVENT, event.cloud_event(case).to_string());
        }),
        3 => {
            let batch: Vec<Value> = events.iter().map(|event| event.cloud_event(case)).collect();
            server.load("/events", CLOUD_EVENTS, Value::Array(batch).to_string());
        }
        4 => {
            let headers = [("content-type", NDJSON), ("content-encoding", "gzip")];
            let report = server.ask("POST", &server.data, "/events", &headers, &gzip(&lines)).ok();
            assert_eq!(report["rejected"], json!([]));
        }
        5 => {
            for (kind, clicks) in [("plays", false), ("clicks", true)] {
                let own = events.iter().filter(|event| (event.kind == 0) == clicks);
                let rows: String = own.filter_map(|event| event.row(case)).collect();
                server.load(&format!("/events?kind={kind}"), CSV, rows);
            }
            let others = events.iter().filter(|event| event.row(case).is_none());
            let lines: String = others.map(|event| event.json(case).to_string() + "\n").collect();
            server.load("/events", NDJSON, lines);
        }
        _ => {
            server.load("/events", NDJSON, lines);
        }
    }
}

#[test]
fn profile_is_independent_of_order_repeats_batches_and_formats() {
    // A small window, so that plays pass out of it; and by the event clock, so that both servers agree on now.
    let start = || Server::with(&["--clock", "event", "--model", "none"], &[("UPBEAT_WINDOW_PLAYS", "8")]);
    let (in_order, shuffled) = (start(), start());
    let case = std::cell::Cell::new(0);
    let cases = (
        prop::collection::vec(event(), 1..60).prop_shuffle(),
        prop::collection::vec((any::<prop::sample::Index>(), 0u8..7, 1usize..9), 1..24),
        any::<u64>(),
    );
    let seed = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config { cases: 16, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let result = TestRunner::new_with_rng(config, seed).run(&cases, |(events, repeats, order)| {
        case.set(case.get() + 1);
        let case = case.get();
        send(&in_order, &events, case, 6);

        let mut again = events.clone();
        again.extend(repeats.iter().map(|(index, ..)| index.get(&events).clone()));
        again.sort_by_key(|event| {
            let identity = format!("{order}{event:?}");
            identity.bytes().fold(order, |hash, byte| hash.rotate_left(7).wrapping_mul(31) ^ u64::from(byte))
        });
        let mut rest = &again[..];
        for (_, format, size) in repeats.iter().cycle() {
            let (batch, others) = rest.split_at((*size).min(rest.len()));
            send(&shuffled, batch, case, *format);
            rest = others;
            if rest.is_empty() {
                break;
            }
        }
        for customer in 0..3 {
            let path = format!("/customers/case-{case}-{customer}");
            let (expected, held) = (in_order.admin_get(&path), shuffled.admin_get(&path));
            prop_assert_eq!(expected.status, held.status);
            prop_assert_eq!(expected.json(), held.json());
        }
        prop_assert_eq!(in_order.metric("upbeat_plays"), shuffled.metric("upbeat_plays"));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
