//! Errors have one form, a problem document, whichever part of the server finds them.

use serde_json::json;

use super::support::{CSV, JSON, NDJSON, Server};

#[test]
fn unknown_paths_are_not_found() {
    let server = Server::start();
    for path in ["/", "/nowhere", "/events/1", "/metrics", "/customers/48", "/EVENTS", "/healthz/"] {
        server.get(path).problem(404, "not-found");
    }
    for path in ["/events", "/should-show-ad/48", "/healthz/", "/customers", "/models/x/y"] {
        server.admin_get(path).problem(404, "not-found");
    }
}

#[test]
fn wrong_method_is_answered_with_the_allowed_ones() {
    let server = Server::start();
    let (data, admin) = (&server.data, &server.admin);
    for (method, address, path, allowed) in [
        ("GET", data, "/events", "POST"),
        ("PUT", data, "/events", "POST"),
        ("DELETE", data, "/decisions", "POST"),
        ("POST", data, "/should-show-ad/48", "GET,HEAD"),
        ("OPTIONS", data, "/should-show-ad/48", "GET,HEAD"),
        ("BREW", data, "/healthz", "GET,HEAD"),
        ("POST", admin, "/metrics", "GET,HEAD"),
        ("PUT", admin, "/customers/48", "GET,HEAD,DELETE"),
    ] {
        let answer = server.ask(method, address, path, &[], b"");
        let detail = answer.problem(405, "method-not-allowed");
        assert!(detail.contains(method), "{detail}");
        let allow = answer.header("allow").replace(' ', "");
        let (mut methods, mut expected): (Vec<_>, Vec<_>) =
            (allow.split(',').collect(), allowed.split(',').collect());
        methods.sort_unstable();
        expected.sort_unstable();
        assert_eq!(methods, expected, "{method} {path}");
    }
}

#[test]
fn unknown_content_type_is_answered_with_the_supported_ones() {
    let server = Server::start();
    for content_type in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/problem+json",
        "application/json; charset=latin-1",
        "text/csv; charset=utf-16",
        "json",
        "",
    ] {
        let detail = server.post("/events", content_type, "[]").problem(415, "unsupported-media-type");
        assert!(detail.contains("application/x-ndjson"), "{detail}");
        server.post("/decisions", content_type, "{}").problem(415, "unsupported-media-type");
    }
    for content_type in [CSV, NDJSON] {
        server.post("/decisions", content_type, "{}").problem(415, "unsupported-media-type");
    }
    for path in ["/events", "/decisions"] {
        let answer = server.ask("POST", &server.data, path, &[], b"[]");
        assert!(answer.problem(415, "unsupported-media-type").contains("missing"));
    }
    for content_type in
        ["application/json; charset=utf-8", "APPLICATION/JSON;charset=\"UTF-8\"", "application/json;"]
    {
        assert_eq!(server.load("/events", content_type, "[]"), (0, 0), "{content_type}");
    }
}

#[test]
fn answers_carry_the_id_of_their_request() {
    let server = Server::start();
    let with_id = |path: &str, id: &str| {
        let answer = server.ask("GET", &server.data, path, &[("x-request-id", id)], b"");
        answer.header("x-request-id").to_owned()
    };
    assert_eq!(with_id("/should-show-ad/48", "player-7:42"), "player-7:42");
    assert_eq!(with_id("/nowhere", "player-7:43"), "player-7:43");
    assert_eq!(with_id("/should-show-ad/a%20b", "x"), "x");

    // A text that is not an id is not copied into logs and headers.
    let long = "x".repeat(65);
    let new: Vec<String> = ["a b", "<script>", &long, ""].iter().map(|id| with_id("/healthz", id)).collect();
    for (index, id) in new.iter().enumerate() {
        assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert!(!new[..index].contains(id), "{id} came twice");
    }
}

#[test]
fn problems_are_not_cached() {
    let server = Server::start();
    for path in ["/nowhere", "/should-show-ad/a%20b"] {
        assert_eq!(server.get(path).header("cache-control"), "no-store");
    }
}

#[test]
fn single_bad_event_is_a_problem_with_its_reason() {
    let server = Server::start();
    let play = json!({"type": "play", "event_id": 0, "customer_id": 48, "track_id": 453,
        "time": "2014-10-23T03:26:20", "mobile": false, "zip": "72132"});
    for (change, said) in [
        (json!({"type": "pause"}), "pause"),
        (json!({"volume": 11}), "volume"),
        (json!({"ad": "ADV"}), "ad does not belong to a play"),
        (json!({"level": "gold"}), "level does not belong to a play"),
        (json!({"customer_id": ""}), "empty"),
        (json!({"zip": "12345678901234567"}), "zip"),
        (json!({"type": "click"}), "track_id does not belong to a click"),
        (json!({"time": "23.10.2014 03:26"}), "form"),
    ] {
        let mut event = play.clone();
        event.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        let answer = server.post("/events", JSON, event.to_string());
        let detail = answer.problem(422, "invalid-event");
        assert!(detail.contains(said), "{change}: {detail}");
        assert_eq!(
            answer.json()["rejected"][0],
            json!({"index": 0, "type": "/problems/invalid-event", "detail": detail})
        );
    }
    for missing in ["type", "event_id", "customer_id", "track_id", "time", "mobile"] {
        let mut event = play.clone();
        event.as_object_mut().expect("an object").remove(missing);
        let detail = server.post("/events", JSON, event.to_string()).problem(422, "invalid-event");
        assert!(detail.contains(&format!("{missing} is missing")), "{missing}: {detail}");
    }
    let mut event = play;
    event.as_object_mut().expect("an object").remove("zip");
    assert_eq!(server.load("/events", JSON, event.to_string()), (1, 0), "a zip is not needed");
}

#[test]
fn malformed_http_is_refused_and_the_connection_closed() {
    let server = Server::start();
    for bytes in [
        "nonsense\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /a b HTTP/1.1\r\n\r\n",
        "\u{16}\u{3}\u{1}\r\n\r\n",
    ] {
        let mut wire = server.wire();
        wire.send(bytes).finish();
        let said = wire.rest();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{bytes:?}: {said}");
    }
    for body in
        ["content-length: x", "content-length: 1\r\ncontent-length: 2", "transfer-encoding: chunked, chunked"]
    {
        let mut wire = server.wire();
        wire.send(format!("POST /events HTTP/1.1\r\nhost: upbeat\r\ncontent-type: {JSON}\r\n{body}\r\n\r\n"));
        wire.finish();
        assert!(wire.rest().starts_with("HTTP/1.1 4"), "{body}");
    }
    assert_eq!(server.get("/healthz").status, 200);
}
