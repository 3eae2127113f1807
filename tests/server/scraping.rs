//! `/metrics` as scrapers have it: its formats, what `promtool check metrics` asks of it, and series from the start.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use super::listeners::{likely, membership, play};
use super::skipped::skipped;
use super::support::{Answer, CSV, JSON, NDJSON, Server};

fn metrics(server: &Server, accept: &str) -> Answer {
    let answer = server.ask("GET", &server.admin, "/metrics", &[("accept", accept)], b"");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("vary"), "accept");
    answer
}

/// What `promtool check metrics` says of a family: its rules, in the order of its source (`promlint`).
fn lint(name: &str, help: &str, kind: &str) -> Vec<&'static str> {
    const BASE_UNITS: [&str; 9] =
        ["amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "seconds", "volts"];
    const PREFIXES: [&str; 14] = [
        "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi",
        "giga", "tera",
    ];
    const OTHER_UNITS: [&str; 10] =
        ["minutes", "hours", "days", "weeks", "kelvins", "fahrenheit", "inches", "miles", "bits", "pounds"];
    const ABBREVIATIONS: [&str; 12] = ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "m", "h", "d"];
    let words: Vec<&str> = name.split('_').collect();
    let is_foreign = |word: &&str| {
        OTHER_UNITS.contains(word)
            || BASE_UNITS
                .iter()
                .any(|unit| word.strip_suffix(unit).is_some_and(|prefix| PREFIXES.contains(&prefix)))
    };
    let rules = [
        (help.is_empty(), "no help text"),
        (words.iter().any(is_foreign), "a unit that is not a base unit"),
        (kind == "counter" && !name.ends_with("_total"), "a counter without _total"),
        (kind != "counter" && name.ends_with("_total"), "_total on what is no counter"),
        (kind != "histogram" && name.ends_with("_bucket"), "_bucket on what is no histogram"),
        (kind != "histogram" && (name.ends_with("_count") || name.ends_with("_sum")), "a reserved suffix"),
        (words.contains(&kind), "its type in its name"),
        (name.contains(':'), "a colon"),
        (name.bytes().any(|letter| letter.is_ascii_uppercase()), "capitals"),
        (words.iter().skip(1).any(|word| ABBREVIATIONS.contains(word)), "an abbreviated unit"),
    ];
    rules.into_iter().filter(|(broken, _)| *broken).map(|(_, rule)| rule).collect()
}

/// Families of the classic format by name, with help and type; asserts the form of every line.
fn classic_families(text: &str) -> BTreeMap<String, (String, String)> {
    let mut families: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => {
                let before = families.insert(name.to_owned(), (help.to_owned(), String::new()));
                assert!(before.is_none(), "{name} twice");
            }
            ["#", "TYPE", name, kind] => {
                families.get_mut(name).unwrap_or_else(|| panic!("no HELP before {line}")).1 = kind.to_owned();
            }
            _ => {
                assert!(!line.starts_with('#'), "{line} is no line of the classic format");
                let (sample, value) = line.rsplit_once(' ').expect("a sample");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(seen.insert(sample.to_owned()), "{sample} twice");
                let bare = sample.split('{').next().expect("a name");
                let of_histogram = ["_bucket", "_count", "_sum"].iter().any(|suffix| {
                    let family = bare.strip_suffix(suffix).and_then(|name| families.get(name));
                    family.is_some_and(|(_, kind)| kind == "histogram")
                });
                assert!(of_histogram || families.contains_key(bare), "{line} is of no family");
            }
        }
    }
    families
}

#[test]
fn scraper_gets_openmetrics_or_the_classic_format_as_it_asks() {
    let server = Server::start();
    server.decide("48");
    let open = metrics(&server, "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5");
    assert!(open.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(open.text().ends_with("\n# EOF\n"));
    for accept in ["text/plain", "*/*", "text/html,*/*;q=0.8"] {
        let classic = metrics(&server, accept);
        assert_eq!(classic.header("content-type"), "text/plain; version=0.0.4; charset=utf-8", "{accept}");
        let sample = |line: &&str| !line.starts_with('#') && !line.starts_with("upbeat_resident_bytes");
        let [one, other] = [&classic, &open].map(Answer::text).map(|text| {
            text.lines().filter(sample).filter(|line| !line.contains("/metrics")).map(str::to_owned).collect()
        });
        let (one, other): (Vec<String>, Vec<String>) = (one, other);
        assert_eq!(one, other, "samples are the same in both formats");
    }
}

#[test]
fn classic_format_is_clean_to_promtool() {
    let server = Server::start();
    server.decide("48");
    let text = metrics(&server, "text/plain;version=0.0.4").text();
    let families = classic_families(&text);
    assert!(families.len() > 20, "{families:?}");
    for (name, (help, kind)) in &families {
        assert_eq!(lint(name, help, kind), [""; 0], "{name}");
    }
    let check = ["check", "metrics"];
    let promtool = Command::new("promtool").args(check).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut promtool) = promtool else {
        return skipped("there is no promtool here; its rules were checked by our own reading of them");
    };
    promtool.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn no_series_is_born_by_what_happens() {
    let server = Server::start();
    let series = || -> BTreeSet<String> {
        let text = metrics(&server, "text/plain").text();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.rsplit_once(' ').expect("a sample").0.to_owned()).collect()
    };
    let at_start = series();
    server.load("/events", NDJSON, likely("48"));
    server.load("/events", JSON, membership("50", 1, "gold", 60));
    server.load("/events?kind=tracks", CSV, "TrackId,Title,Artist,Length\n1,a,b,10\n");
    server.post("/events", NDJSON, "nonsense\n7\n").ok();
    server.post("/events", JSON, play("48", 99, -9000)).problem(409, "event-conflict");
    server.post("/events", JSON, "{").problem(400, "malformed-body");
    server.post("/events", JSON, "{}").problem(422, "invalid-event");
    server.post("/events?atomic=true", JSON, "[7]").problem(422, "atomic-rejected");
    server.post("/events", "text/html", "x").problem(415, "unsupported-media-type");
    server.post("/decisions", JSON, "{}").problem(422, "invalid-body");
    server.post("/decisions", JSON, r#"{"customers":["48",""]}"#).problem(400, "invalid-customer-id");
    server.post("/decisions", JSON, vec![b' '; 2 << 20]).problem(413, "body-too-large");
    server.get("/should-show-ad/48?what=1").problem(400, "invalid-query");
    for path in ["/should-show-ad/48", "/decisions", "/events", "/healthz", "/readyz"] {
        server.ask("PATCH", &server.data, path, &[], b"").problem(405, "method-not-allowed");
    }
    server.get("/nowhere").problem(404, "not-found");
    let customer = ["/customers/48", "/customers/48/explain", "/customers/48/events"];
    for path in [
        "/",
        "/metrics",
        "/openapi.yaml",
        "/models",
        "/campaigns",
        "/campaigns/history",
        "/interests",
        "/tombstones",
    ]
    .into_iter()
    .chain(customer)
    {
        assert_eq!(server.admin_get(path).status, 200, "{path}");
        assert_eq!(server.admin_get(&format!("{path}?what=1")).status, 400, "{path}");
        server.ask("PATCH", &server.admin, path, &[], b"").problem(405, "method-not-allowed");
    }
    server.admin_get("/customers/99").problem(404, "customer-not-found");
    server.admin_get("/tracks/99").problem(404, "track-not-found");
    server.admin_get("/tracks/a%20b").problem(400, "invalid-track-id");
    server.admin_get("/nowhere").problem(404, "not-found");
    assert_eq!(server.ask("DELETE", &server.admin, "/customers/48", &[], b"").status, 204);
    let mut wire = server.wire();
    wire.send("nonsense\r\n\r\n");
    assert_eq!(wire.answer().status, 400);
    let born: Vec<_> = series().difference(&at_start).cloned().collect();
    assert!(born.is_empty(), "{born:#?} were not there from the start");
}
