//! Deleted customers do not come back with old events: over HTTP, over kills and restarts, with and without a snapshot.

use serde_json::{Value, json};

use super::durability::{Kept, journal, kill};
use super::listeners::{later_than_now, likely, membership, play, play_at, seconds_from_now};
use super::support::*;

fn delete(server: &Server, customer: &str) -> Answer {
    server.ask("DELETE", &server.admin, &format!("/customers/{customer}"), &[], b"")
}

/// Posts a body and returns how many rows were accepted, known already, erased and refused.
#[track_caller]
fn posted(server: &Server, path: &str, content_type: &str, body: impl AsRef<[u8]>) -> [u64; 4] {
    let report = server.post(path, content_type, body).ok();
    let count = |name: &str| report[name].as_u64().unwrap_or(0);
    let refused = report["rejected"].as_array().expect("a list").len() as u64;
    [count("accepted"), count("duplicates"), count("erased"), refused]
}

#[test]
fn deleted_customer_does_not_come_back_with_old_events_and_does_with_a_newer_one() {
    let server = Server::start();
    assert_eq!(posted(&server, "/events", NDJSON, likely("48")), [24, 0, 0, 0]);
    assert_eq!(delete(&server, "48").status, 204);
    let whole = server.post("/events", NDJSON, likely("48")).ok();
    assert_eq!(whole, json!({"accepted": 0, "duplicates": 0, "erased": 24, "rejected": []}));
    server.admin_get("/customers/48").problem(404, "customer-not-found");
    assert_eq!((server.reason("48").as_str(), server.profiles()), ("unknown_customer", 0));
    assert_eq!(posted(&server, "/events", JSON, play("48", 100, 60)), [1, 0, 0, 0]);
    assert_eq!(posted(&server, "/events", NDJSON, likely("48")), [0, 0, 24, 0]);
    let held = server.held("48");
    assert_eq!(held["plays"].as_array().map(Vec::len), Some(1), "{held}");
    // Answers that were kept have no field of erased rows, as before.
    assert_eq!(
        server.post("/events", JSON, play("48", 100, 60)).ok(),
        json!({"accepted": 0, "duplicates": 1, "rejected": []})
    );
    assert_eq!(server.metric("upbeat_events_total{kind=\"play\",outcome=\"erased\"}"), 48.0);
    assert_eq!((server.metric("upbeat_erasures_total"), server.metric("upbeat_tombstones")), (1.0, 1.0));
}

#[test]
fn old_events_are_erased_in_every_form_in_which_they_come() {
    let server = Server::start();
    let shown = {
        server.load("/events", NDJSON, likely("48"));
        server.decide("48")
    };
    assert_eq!(shown["show"], true);
    server.load("/events", JSON, play("48", 1, 0));
    assert_eq!(delete(&server, "48").status, 204);
    let time = seconds_from_now(-60);
    let event = |kind: &str, more: Value| {
        let mut event = json!({"type": kind, "event_id": 7, "customer_id": 48, "time": time});
        event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        event
    };
    let click = event("click", json!({"ad": "ADV_REDUCED_1DAY"}));
    let impression = event("impression", json!({"campaign": "gold-one-day"}));
    let confirmation = event("impression", json!({"decision_id": shown["decision_id"]}));
    let level = event("membership", json!({"level": "gold"}));
    let all = json!([click, impression, confirmation, level]);
    for one in all.as_array().expect("a list") {
        assert_eq!(posted(&server, "/events", JSON, one.to_string()), [0, 0, 1, 0], "{one}");
    }
    assert_eq!(posted(&server, "/events", JSON, all.to_string()), [0, 0, 4, 0]);
    assert_eq!(posted(&server, "/events?atomic=true", JSON, all.to_string()), [0, 0, 4, 0]);
    let with_another =
        json!([click, {"type": "click", "event_id": 1, "customer_id": 49, "time": time, "ad": "a"}]);
    assert_eq!(posted(&server, "/events?atomic=true", JSON, with_another.to_string()), [1, 0, 1, 0]);
    let row = format!("1,48,453,{},1,72132\n", time.replace('T', " ").replace('Z', ""));
    assert_eq!(posted(&server, "/events?kind=plays", CSV, row), [0, 0, 1, 0]);
    let cloud = json!({"specversion": "1.0", "id": "e-1", "source": "/player", "type": "play", "subject": "48",
        "time": time, "data": {"track_id": 453, "mobile": true}});
    assert_eq!(posted(&server, "/events", CLOUD_EVENT, cloud.to_string()), [0, 0, 1, 0]);
    assert_eq!(posted(&server, "/events", CLOUD_EVENTS, json!([cloud]).to_string()), [0, 0, 1, 0]);
    server.admin_get("/customers/48").problem(404, "customer-not-found");
    assert_eq!(server.profiles(), 1);
}

#[test]
fn tombstones_are_there_after_a_kill_a_stop_and_from_a_snapshot() {
    let kept = Kept::new();
    let small = [("UPBEAT_JOURNAL_SEGMENT_BYTES", "64KiB"), ("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "64KiB")];
    let server = kept.start_with(&small);
    server.load("/events", NDJSON, likely("48") + &likely("49"));
    assert_eq!(delete(&server, "48").status, 204);
    // A repeat is answered as the first, once the first is durable.
    delete(&server, "47").problem(404, "customer-not-found");
    let tombstones = |server: &Server| {
        let text = server.admin_get("/tombstones").text();
        // The first line says when it was taken, and the last is its checksum.
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let header: Value = serde_json::from_str(&lines[0]).expect("JSON");
        assert_eq!((&header["format"], &header["version"]), (&json!("upbeat-tombstones"), &json!(1)));
        assert_eq!(header["count"], lines.len() - 2);
        assert!(lines.last().expect("a line").starts_with("crc32c "));
        (header["server"].as_str().expect("text").to_owned(), lines[1..lines.len() - 1].to_vec())
    };
    let before = tombstones(&server);
    assert_eq!(before.1.len(), 2);
    let check = |server: &Server| {
        assert_eq!(tombstones(server), before);
        assert_eq!(posted(server, "/events", NDJSON, likely("48")), [0, 0, 24, 0]);
        assert_eq!(posted(server, "/events", JSON, play("47", 1, 60)), [0, 0, 1, 0]);
        assert_eq!(posted(server, "/events", NDJSON, likely("49")), [0, 24, 0, 0]);
        server.admin_get("/customers/48").problem(404, "customer-not-found");
        assert_eq!(server.metric("upbeat_tombstones"), 2.0);
    };
    check(&server);
    kill(server);
    let mut server = kept.start_with(&small);
    check(&server);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0), "{}", server.whole_stderr());
    let server = kept.start_with(&small);
    check(&server);
    // Until two snapshots hold them, so that no start reads their records.
    let snapshots = || server.metric("upbeat_journal_snapshots_total");
    for number in 1..=2 {
        let many = |at: u64| membership(&format!("{at:064}"), number, "free", 70) + "\n";
        server.load("/events", NDJSON, (0..600).map(many).collect::<String>());
        until("a snapshot is written", || snapshots() >= number as f64);
    }
    kill(server);
    let server = kept.start_with(&small);
    check(&server);
}

#[test]
fn deletion_of_whoever_is_not_held_is_404_and_erases_what_is_sent_of_them_up_to_now() {
    let server = Server::start();
    let detail = delete(&server, "48").problem(404, "customer-not-found");
    assert!(
        detail.contains("customer 48") && detail.contains("log") && detail.contains("sent again"),
        "{detail}"
    );
    assert_eq!(posted(&server, "/events", JSON, play("48", 1, 60)), [0, 0, 1, 0]);
    assert_eq!(posted(&server, "/events", JSON, play_at("48", 2, &later_than_now())), [1, 0, 0, 0]);
    assert_eq!((server.metric("upbeat_erasures_total"), server.metric("upbeat_tombstones")), (1.0, 1.0));
}

#[test]
fn tombstones_have_a_limit_at_which_deletions_are_refused_and_nobody_else_is_told_otherwise() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_TOMBSTONES", "1000")]);
    server.load("/events", NDJSON, likely("48") + &likely("49"));
    let before = (server.held("49")["plays"].clone(), server.reason("49"));
    for customer in 0..1000 {
        assert_eq!(delete(&server, &format!("unknown-{customer}")).status, 404);
    }
    let refused = delete(&server, "48");
    let detail = refused.problem(503, "store-full");
    assert!(detail.contains("1000") && detail.contains("limits.tombstones"), "{detail}");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(server.held("48")["plays"].as_array().map(Vec::len), Some(24), "nothing was removed");
    // A deletion that is repeated needs no other tombstone.
    assert_eq!(delete(&server, "unknown-7").status, 404);
    assert_eq!(server.metric("upbeat_tombstones"), 1000.0);
    // Events of others are what they were, repeats and late ones among them.
    assert_eq!(posted(&server, "/events", NDJSON, likely("49")), [0, 24, 0, 0]);
    assert_eq!((server.held("49")["plays"].clone(), server.reason("49")), before);
    assert_eq!(posted(&server, "/events", JSON, play("50", 1, 3600)), [1, 0, 0, 0]);
}

#[test]
fn dump_has_tombstones_with_all_and_no_event_of_whoever_was_deleted() {
    let kept = Kept::new();
    let mut server = kept.start();
    server.load("/events", NDJSON, likely("48") + &likely("49"));
    assert_eq!(delete(&server, "48").status, 204);
    server.load("/events", JSON, play("48", 100, 60));
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    let dumped = |arguments: &[&str]| -> Vec<Value> {
        let output = upbeat().args(["journal", "dump"]).args(arguments).arg(kept.directory()).output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let of_48 = |line: &&Value| line["customer_id"] == 48;
    let events = dumped(&[]);
    let ids: Vec<&Value> = events.iter().filter(of_48).map(|line| &line["event_id"]).collect();
    assert_eq!((ids, events.len()), (vec![&json!(100)], 25));
    let all = dumped(&["--all"]);
    let erased: Vec<&Value> = all.iter().filter(|line| line["type"] == "erased").collect();
    assert_eq!((erased.len(), &erased[0]["customer_id"]), (1, &json!(48)));
    assert_eq!(erased[0]["digest"].as_str().map(str::len), Some(32));
    assert!(erased[0]["erased_until_ms"].is_i64() && erased[0]["made_ms"].is_i64(), "{}", erased[0]);
}

/// Whether the bytes of an id are anywhere in the files of a directory.
fn is_found(kept: &Kept, id: &str) -> bool {
    let entries = std::fs::read_dir(kept.directory()).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .map(|path| std::fs::read(path).expect("a file"))
        .any(|bytes| bytes.windows(id.len()).any(|window| window == id.as_bytes()))
}

#[test]
fn compacted_directory_has_no_byte_of_a_deleted_id_and_keeps_the_tombstone() {
    const SECRET: &str = "somebody-who-was-here";
    let kept = Kept::new();
    let mut server = kept.start();
    server.load("/events", NDJSON, likely(SECRET) + &likely("49"));
    assert_eq!(server.get(&format!("/should-show-ad/{SECRET}?request_id=r")).ok()["show"], true);
    server.load("/events", JSON, membership(SECRET, 1, "silver", 60));
    assert_eq!(delete(&server, SECRET).status, 204);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    assert!(is_found(&kept, SECRET), "the log has the deleted events until history goes");
    let compacted = journal(&["compact", "--yes", &kept.directory()]);
    assert_eq!(compacted.status.code(), Some(0), "{compacted:?}");
    assert!(!is_found(&kept, SECRET));
    let mut server = kept.start();
    assert_eq!(posted(&server, "/events", NDJSON, likely(SECRET)), [0, 0, 24, 0]);
    assert_eq!(posted(&server, "/events", NDJSON, likely("49")), [0, 24, 0, 0]);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    assert!(!is_found(&kept, SECRET), "what is erased is not written again");
}
