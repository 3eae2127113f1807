//! The contract on the wire: a change of any answer shows as a diff of `snapshots/`.
//!
//! After an intended change: `INSTA_UPDATE=always cargo test --test server snapshots`, and read the diff.

use crate::support::{Answer, CSV, JSON, NDJSON, Server};

/// Status, the headers that are part of the contract, and the body; values that differ between runs are replaced by
/// names.
fn rendered(request: &str, answer: &Answer) -> String {
    let mut text = format!("{request}\n\n{}\n", answer.status);
    for name in ["content-type", "cache-control", "retry-after", "allow", "accept-encoding"] {
        if !answer.header(name).is_empty() {
            text.push_str(&format!("{name}: {}\n", answer.header(name)));
        }
    }
    let body = answer.text();
    let pretty = serde_json::from_str::<serde_json::Value>(&body).ok();
    let body = pretty.map_or(body, |value| serde_json::to_string_pretty(&value).expect("JSON"));
    text.push('\n');
    text.push_str(&body);
    text
}

/// Ids of decisions differ from run to run.
fn without_decision_id(text: &str, id: &str) -> String {
    text.replace(id, "(decision id)")
}

fn history() -> String {
    let play = |number: u32| {
        let (day, hour) = (1 + number % 9, number % 24);
        format!(
            "{{\"type\":\"play\",\"event_id\":{number},\"customer_id\":48,\"track_id\":{},\
             \"time\":\"2014-10-0{day}T{hour:02}:26:20\",\"mobile\":true}}\n",
            number % 11
        )
    };
    (0..12).map(play).collect()
}

#[test]
fn answers_match_their_snapshots() {
    let server = Server::by_event_clock();
    server.load("/events", NDJSON, history());
    let catalogue = "TrackId,Title,Artist,Length\n0,Caught Up In You,.38 Special,200\n";
    server.load("/events?kind=tracks", CSV, catalogue);
    let click = r#"{"type":"click","event_id":1,"customer_id":48,"ad":"ADV_LIKE_FACEBOOK","time":"2014-10-09T08:15:16"}"#;
    server.load("/events", JSON, click);
    let silver = r#"{"type":"membership","event_id":"m-1","customer_id":48,"level":"silver","time":"2013-06-04T00:00:00+02:00"}"#;
    server.load("/events", JSON, silver);

    let decision = server.get("/should-show-ad/48");
    let id = decision.json()["decision_id"].as_str().expect("an id").to_owned();
    let shown = without_decision_id(&rendered("GET /should-show-ad/48", &decision), &id);
    insta::assert_snapshot!("decision", shown);
    let held = server.admin_get("/customers/48");
    insta::assert_snapshot!("customer", without_decision_id(&rendered("GET /customers/48", &held), &id));

    let explained = server.admin_get("/customers/48/explain");
    let dry_id = explained.json()["decision"]["decision_id"].as_str().expect("an id").to_owned();
    let text = rendered("GET /customers/48/explain", &explained);
    insta::assert_snapshot!("explain", without_decision_id(&text, &dry_id));
    for (name, path) in [
        ("campaigns", "/campaigns"),
        ("track", "/tracks/0"),
        ("track_not_found", "/tracks/1"),
        ("customer_not_found", "/customers/49"),
        ("not_found", "/nowhere"),
    ] {
        insta::assert_snapshot!(name, rendered(&format!("GET {path}"), &server.admin_get(path)));
    }
    let models = server.admin_get("/models");
    let mut text = rendered("GET /models", &models);
    for time in [&models.json()[0]["registered"], &models.json()[0]["learning"]["since"]] {
        text = text.replace(time.as_str().expect("a time"), "(a time)");
    }
    insta::assert_snapshot!("models", text);
}

#[test]
fn reports_and_problems_match_their_snapshots() {
    let server = Server::by_event_clock();
    let good = "0,48,453,\"2014-10-23 03:26:20\",0,\"72132\"\n";
    let bad = "1,48,453,\"2014-10-23 24:26:20\",0,\"72132\"\n";
    let event = r#"{"type":"play","event_id":0,"customer_id":48,"track_id":453,"time":"2014-02-29T03:26:20","mobile":false}"#;
    for (name, path, content_type, body) in [
        ("report", "/events?kind=plays", CSV, format!("{good}{good}{bad}")),
        ("atomic_rejected", "/events?kind=plays&atomic=true", CSV, format!("{good}{bad}")),
        ("invalid_event", "/events", JSON, event.to_owned()),
        ("event_conflict", "/events", JSON, event.replace("2014-02-29", "9999-02-28")),
        ("malformed_body", "/events", JSON, "[1,".to_owned()),
        ("unsupported_media_type", "/events", "text/plain", good.to_owned()),
        ("invalid_query", "/events?kind=songs", CSV, good.to_owned()),
        ("invalid_body", "/decisions", JSON, r#"{"customers":"48"}"#.to_owned()),
        ("invalid_customer_id", "/decisions", JSON, r#"{"customers":["48","a b"]}"#.to_owned()),
        ("method_not_allowed", "/should-show-ad/48", JSON, String::new()),
    ] {
        let answer = server.post(path, content_type, &body);
        insta::assert_snapshot!(name, rendered(&format!("POST {path}\n{content_type}\n{body}"), &answer));
    }
}
