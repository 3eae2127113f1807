//! The `[campaign]` table of `upbeat.toml` decides as it did before there were several campaigns: `golden/single` holds what
//! the last version without them answered, byte for byte but for the ids of decisions.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::listeners::play_at;
use super::support::*;

/// The configurations, by name: the table, and the model.
const CONFIGURATIONS: [(&str, &str, &str); 5] = [
    ("default", "", "linear-3.json"),
    (
        "own",
        "[campaign]\nid = \"own:1\"\nad = \"OWN\"\naudience = [\"silver\", \"gold\"]\nmin_plays = 3\nthreshold = -0.5\n\
         impression_cost = 0.0\nclick_value = 0.0\n[campaign.cap]\nimpressions = 3\nhours = 48\n",
        "linear-3.json",
    ),
    ("strict", "[campaign]\nthreshold = 0.25\nmin_plays = 40\naudience = [\"free\"]\n", "linear-3.json"),
    (
        "rbf",
        "[campaign]\nmin_plays = 1\nthreshold = -0.5\n[campaign.cap]\nimpressions = 64\nhours = 8760\n",
        "rbf-3.json",
    ),
    ("none", "", "none"),
];

/// Customers 1 to so many have a history.
const CUSTOMERS: u64 = 48;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/golden/single").join(name)
}

/// Numbers without a pattern, the same in every run.
fn scattered(seed: u64) -> u64 {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32
}

/// Plays of all customers in May 2024, from none to 300 each; memberships of some, and ads of two campaigns.
fn history() -> String {
    let mut lines = String::new();
    for customer in 1..=CUSTOMERS {
        let plays = scattered(customer) % 301 * (customer % 7) / 6;
        let (of_mobile, tracks) =
            (50 + scattered(customer + 1000) % 51, 200 + scattered(customer + 2000) % 20_000);
        for number in 0..plays {
            let any = scattered(customer * 1000 + number);
            // Some are older than the window.
            let (day, hour, minute) = (1 + any % 29, any / 29 % 24, any / 1000 % 60);
            let time = format!("2024-05-{day:02}T{hour:02}:{minute:02}:00");
            let play = play_at(&customer.to_string(), number, &time);
            let play = play.replace("\"mobile\":true", &format!("\"mobile\":{}", any / 7 % 100 < of_mobile));
            let track = format!("\"track_id\":{}", any / 3 % tracks);
            let _ = writeln!(lines, "{}", play.replace(&format!("\"track_id\":{number}"), &track));
        }
        let mut event = |id: &str, rest: &str| {
            let _ = writeln!(lines, "{{\"event_id\":\"{id}\",\"customer_id\":{customer},{rest}}}");
        };
        match customer % 5 {
            0 => event("m1", r#""type":"membership","level":"gold","time":"2024-04-01T00:00:00""#),
            1 => event("m1", r#""type":"membership","level":"silver","time":"2024-04-01T00:00:00""#),
            2 => event("m1", r#""type":"membership","level":"free","time":"2024-05-29T10:00:00""#),
            _ => {}
        }
        match customer % 6 {
            0 => event("i1", r#""type":"impression","campaign":"gold-one-day","time":"2024-05-29T12:00:00""#),
            1 => event("i1", r#""type":"impression","campaign":"another","time":"2024-05-29T12:00:00""#),
            2 => event("i1", r#""type":"impression","campaign":"gold-one-day","time":"2024-05-28T01:00:00""#),
            3 => event("c1", r#""type":"click","ad":"ADV_REDUCED_1DAY","time":"2024-05-29T12:00:00""#),
            _ => {}
        }
    }
    // The newest event, of somebody else: *now*.
    let _ = writeln!(lines, "{}", play_at("clock", 1, "2024-05-29T18:00:00"));
    lines
}

/// Everything that is asked of a server, with what it answers.
fn answers(server: &Server) -> String {
    assert_eq!(server.load("/events", NDJSON, history()).1, 0);
    let mut told = String::new();
    let mut ask = |method: &str, path: &str, body: &str| {
        let headers = [("content-type", JSON)];
        let headers = if body.is_empty() { &headers[..0] } else { &headers };
        let answer = server.ask(method, &server.data, path, headers, body.as_bytes());
        let text = without_ids(&answer.text());
        let kind = answer.header("content-type").to_owned();
        let length = answer.header("content-length").to_owned();
        let _ = writeln!(told, "{method} {path} {body}\n{} {kind} {length}\n{text}", answer.status);
    };
    let customers: Vec<String> =
        (1..=CUSTOMERS).map(|customer| customer.to_string()).chain(["unknown".to_owned()]).collect();
    let all = format!("{{\"customers\":{customers:?}}}");
    ask("POST", "/decisions?dry_run=true", &all);
    for customer in &customers {
        ask("GET", &format!("/should-show-ad/{customer}?dry_run=true"), "");
        ask("GET", &format!("/should-show-ad/{customer}?request_id=first"), "");
        ask("GET", &format!("/should-show-ad/{customer}?request_id=first"), "");
        ask("GET", &format!("/should-show-ad/{customer}"), "");
        ask("HEAD", &format!("/should-show-ad/{customer}"), "");
    }
    ask("POST", "/decisions", &all);
    ask("POST", "/decisions", &all);
    told
}

/// A text with every id of a decision replaced.
fn without_ids(text: &str) -> String {
    const KEY: &str = "\"decision_id\":\"";
    let mut parts = text.split(KEY);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}{KEY}*{}", part.get(16..).expect("an id")))
}

fn server(table: &str, model: &str, binary: Option<&str>) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("upbeat.toml");
    std::fs::write(&path, table).expect("a file");
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/golden/models");
    let model = if model == "none" { model.to_owned() } else { models.join(model).display().to_string() };
    let mut command = upbeat();
    if let Some(binary) = binary {
        command = std::process::Command::new(binary);
    }
    let config = path.display().to_string();
    let flags = ["--config", &config, "--model", &model, "--clock", "event"];
    let server = Server::spawn(command, &flags, &[]);
    (folder, server)
}

#[test]
fn table_of_one_campaign_answers_as_before_there_were_several() {
    for (name, table, model) in CONFIGURATIONS {
        let (_folder, server) = server(table, model, None);
        let expected = std::fs::read_to_string(golden(&format!("{name}.txt"))).expect("a text");
        let told = answers(&server);
        let first = told.lines().zip(expected.lines()).find(|(told, expected)| told != expected);
        assert!(told == expected, "{name}: {first:?}");
    }
}

#[test]
#[ignore = "writes tests/server/golden/single with the binary that RECORDED_BINARY names"]
fn write_the_answers_of_a_binary() {
    let binary = std::env::var("RECORDED_BINARY").expect("RECORDED_BINARY names a binary");
    for (name, table, model) in CONFIGURATIONS {
        let (_folder, server) = server(table, model, Some(&binary));
        std::fs::write(golden(&format!("{name}.txt")), answers(&server)).expect("it is written");
    }
}
