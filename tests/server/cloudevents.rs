//! CloudEvents, single and in batches: the envelope supplies what the data omits.

use serde_json::{Value, json};

use super::support::{CLOUD_EVENT, CLOUD_EVENTS, JSON, Server};

/// An envelope around `data` with every attribute that an event needs.
fn envelope(data: Value) -> Value {
    json!({
        "specversion": "1.0", "id": "e-1", "source": "/player", "type": "com.example.play",
        "subject": "48", "time": "2014-10-23T03:26:20", "traceparent": "00-ab-cd-01", "data": data,
    })
}

fn held_play(event_id: Value) -> Value {
    json!([{"event_id": event_id, "track_id": 453, "time": "2014-10-23T03:26:20", "mobile": true}])
}

#[test]
fn envelope_supplies_fields_missing_in_data() {
    let server = Server::by_event_clock();
    let event = envelope(json!({"track_id": 453, "mobile": true})).to_string();
    assert_eq!(server.load("/events", CLOUD_EVENT, &event), (1, 0));
    assert_eq!(server.load("/events", CLOUD_EVENT, &event), (0, 1));
    let composed = "e-1:b28304ec0da5a711";
    assert_eq!(server.held("48")["plays"], held_play(json!(composed)));
    // Sent again as plain JSON, it is the same event.
    let plain = json!({"type": "play", "event_id": composed, "customer_id": 48, "track_id": 453,
        "time": "2014-10-23T03:26:20", "mobile": true});
    assert_eq!(server.load("/events", JSON, plain.to_string()), (0, 1));
}

#[test]
fn events_of_two_sources_with_one_id_are_two_events() {
    let server = Server::by_event_clock();
    let of = |source: &str| {
        let mut event = envelope(json!({"track_id": 453, "mobile": true}));
        event["source"] = json!(source);
        event
    };
    assert_eq!(server.load("/events", CLOUD_EVENT, of("/player/a").to_string()), (1, 0));
    assert_eq!(server.load("/events", CLOUD_EVENT, of("/player/b").to_string()), (1, 0));
    let both = json!([of("/player/a"), of("/player/b"), of("urn:player:c")]).to_string();
    assert_eq!(server.load("/events", CLOUD_EVENTS, both), (1, 2));
    assert_eq!(server.held("48")["plays"].as_array().map(Vec::len), Some(3));

    // An event id in the data is the sender's own word on identity.
    let mut numbered = [of("/player/a"), of("/player/b")];
    numbered.iter_mut().for_each(|event| event["data"]["event_id"] = json!(7));
    assert_eq!(server.load("/events", CLOUD_EVENTS, json!(numbered).to_string()), (1, 1));
}

#[test]
fn data_of_any_json_type_is_read() {
    let server = Server::by_event_clock();
    for (number, json_type) in [
        "application/json",
        "text/json",
        "application/vnd.player.play+json",
        "APPLICATION/X+JSON; charset=utf-8",
    ]
    .into_iter()
    .enumerate()
    {
        let mut event = envelope(json!({"track_id": 453, "mobile": true}));
        event["id"] = json!(number.to_string());
        event["datacontenttype"] = json!(json_type);
        assert_eq!(server.load("/events", CLOUD_EVENT, event.to_string()), (1, 0), "{json_type}");
    }
    for other in ["application/xml", "application/jsonp", "application/json+xml", ""] {
        let mut event = envelope(json!({"track_id": 453, "mobile": true}));
        event["datacontenttype"] = json!(other);
        let answer = server.post("/events", CLOUD_EVENT, event.to_string());
        assert!(answer.problem(422, "invalid-event").contains("+json"), "{other}");
    }
}

#[test]
fn data_takes_precedence_over_the_envelope() {
    let server = Server::by_event_clock();
    let data = json!({"type": "play", "event_id": 7, "customer_id": "532", "track_id": 453, "mobile": true,
        "time": "2014-10-23T03:26:20"});
    let mut event = envelope(data);
    event["type"] = json!("com.example.something");
    event["time"] = json!("2001-01-01T00:00:00Z");
    server.load("/events", CLOUD_EVENT, event.to_string());
    assert_eq!(server.held("532")["plays"], held_play(json!(7)));
    server.admin_get("/customers/48").problem(404, "customer-not-found");
}

#[test]
fn batch_is_applied_row_by_row() {
    let server = Server::by_event_clock();
    let good = envelope(json!({"track_id": 453, "mobile": true}));
    let bad = envelope(json!({"track_id": 453}));
    let report = server.post("/events", CLOUD_EVENTS, json!([good, bad, good, 7]).to_string()).ok();
    assert_eq!((&report["accepted"], &report["duplicates"]), (&json!(1), &json!(1)));
    assert_eq!((&report["rejected"][0]["index"], &report["rejected"][1]["index"]), (&json!(1), &json!(3)));
    assert_eq!(server.load("/events", CLOUD_EVENTS, "[]"), (0, 0));
    let answer = server.post("/events?atomic=true", CLOUD_EVENTS, json!([good, bad]).to_string());
    answer.problem(422, "atomic-rejected");
}

#[test]
fn bad_envelope_is_refused_with_its_attribute() {
    let server = Server::start();
    let changed = |key: &str, value: Value| {
        let mut event = envelope(json!({"track_id": 453, "mobile": true}));
        event[key] = value;
        event
    };
    let without = |key: &str| {
        let mut event = envelope(json!({"track_id": 453, "mobile": true}));
        event.as_object_mut().expect("an object").remove(key);
        event
    };
    for (event, said) in [
        (changed("specversion", json!("0.3")), "specversion"),
        (without("specversion"), "specversion"),
        (without("id"), "id"),
        (changed("id", json!("")), "id"),
        (changed("id", json!("a b")), "id"),
        (without("source"), "source"),
        (without("type"), "type"),
        (changed("type", json!("com.example.pause")), "pause"),
        (without("time"), "time"),
        (changed("time", json!("2014-02-29T00:00:00Z")), "day 29"),
        (without("subject"), "customer_id"),
        (changed("subject", json!("4 8")), "subject"),
        (without("data"), "data"),
        (changed("data", json!("text")), "data"),
        (changed("data", json!([1, 2])), "data"),
        (changed("data", json!({"track_id": 453, "mobile": true, "volume": 11})), "volume"),
        (changed("data_base64", json!("AAAA")), "data_base64"),
        (changed("datacontenttype", json!("text/xml")), "datacontenttype"),
    ] {
        let answer = server.post("/events", CLOUD_EVENT, event.to_string());
        let detail = answer.problem(422, "invalid-event");
        assert!(detail.contains(said), "{event}: {detail}");
    }
    assert_eq!(server.profiles(), 0);
}

#[test]
fn single_and_batch_content_types_are_not_interchangeable() {
    let server = Server::start();
    let event = envelope(json!({"track_id": 453, "mobile": true}));
    let list = json!([event]).to_string();
    assert!(server.post("/events", CLOUD_EVENT, list).problem(400, "malformed-body").contains("batch"));
    server.post("/events", CLOUD_EVENTS, event.to_string()).problem(400, "malformed-body");
    server.post("/events", CLOUD_EVENT, "").problem(400, "malformed-body");
    server.post("/events", CLOUD_EVENT, "7").problem(400, "malformed-body");
}

#[test]
fn media_type_parameters_and_case_are_ignored() {
    let server = Server::by_event_clock();
    let event = envelope(json!({"track_id": 453, "mobile": true}));
    let content_type = "Application/CloudEvents+JSON; charset=UTF-8";
    assert_eq!(server.load("/events", content_type, event.to_string()), (1, 0));
}
