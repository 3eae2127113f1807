//! Requests for decisions: retries, kept-alive and pipelined connections, unusual ids, batches.

use serde_json::{Value, json};

use super::listeners::{likely, unlikely};
use super::support::{JSON, NDJSON, Server, Wire, agent, ask};
use super::wire::for_the_router;

#[test]
fn retry_gets_the_same_bytes_and_counts_once() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    let path = "/should-show-ad/48?request_id=a-1.b_2:c";
    let first = server.get(path);
    assert_eq!(first.ok()["show"], true);
    for _ in 0..3 {
        assert_eq!(server.get(path).text(), first.text());
    }
    assert_eq!(server.held("48")["impressions"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.metric("upbeat_decisions_total{reason=\"likely_to_click\"}"), 1.0);
    assert_eq!(server.metric("upbeat_repeated_requests_total"), 3.0);
    // Any short text is a valid request id.
    let odd = "/should-show-ad/50?request_id=%F0%9F%8E%B5%20a/b";
    assert_eq!(server.get(odd).text(), server.get(odd).text());
    // Another request id, and another customer under the same id, get decisions of their own.
    assert_eq!(server.get("/should-show-ad/48?request_id=other").ok()["reason"], "capped");
    assert_eq!(server.get("/should-show-ad/49?request_id=a-1.b_2:c").ok()["reason"], "unknown_customer");
}

#[test]
fn answer_is_kept_for_its_minute_however_many_other_requests_come() {
    // More of one customer than ever fitted before, and than one loop sends at once.
    const OTHERS: usize = 17_000;
    const AT_ONCE: usize = 100;
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    let first = server.get("/should-show-ad/48?request_id=first");
    assert_eq!(first.ok()["show"], true);
    let mut wire = Wire::to(&server.data);
    for start in (0..OTHERS).step_by(AT_ONCE) {
        let request =
            |number| format!("GET /should-show-ad/48?request_id=r{number} HTTP/1.1\r\nhost: upbeat\r\n\r\n");
        wire.send((start..start + AT_ONCE).map(request).collect::<String>());
        (0..AT_ONCE).for_each(|_| assert_eq!(wire.answer().status, 200));
    }
    assert_eq!(server.get("/should-show-ad/48?request_id=first").text(), first.text());
    assert_eq!(server.held("48")["impressions"].as_array().map(Vec::len), Some(1));
    let bytes = server.metric("upbeat_retry_bytes");
    assert!(bytes > 100.0 * OTHERS as f64, "{bytes}");
}

#[test]
fn request_whose_answer_cannot_be_kept_is_shed_before_it_is_decided() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_RETRY_BYTES", "1048576")]);
    let ids = ["plain", "%F0%9F%8E%B5"];
    let mut kept = Vec::new();
    let mut wire = Wire::to(&server.data);
    // The fast path reads the one id, the router the other.
    let shed = (0..2000).find_map(|number| {
        let path = format!("/should-show-ad/48?request_id={}{number}", ids[number % 2]);
        let answer = wire.send(format!("GET {path} HTTP/1.1\r\nhost: upbeat\r\n\r\n")).answer();
        if answer.status == 200 {
            kept.push((path, answer.text()));
            return None;
        }
        Some((path, answer))
    });
    let (path, answer) = shed.expect("one customer has a share only");
    assert!(answer.problem(503, "overloaded").contains("retry_bytes"), "{}", answer.text());
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(server.metric("upbeat_decisions_total{reason=\"unknown_customer\"}"), kept.len() as f64);
    // Both ways refuse it alike.
    let head = format!("GET {path} HTTP/1.1\r\nhost: upbeat\r\nx-request-id: r\r\n\r\n");
    let [fast, routed] = [head.clone().into_bytes(), for_the_router(head.as_bytes())].map(|request| {
        let answer = wire.send(request).answer();
        (answer.status, answer.header("content-type").to_owned(), answer.text())
    });
    assert_eq!(fast, routed);
    assert_eq!(server.metric("upbeat_repeatable_requests_shed_total"), 3.0);
    // What was answered is answered alike, and others have room.
    assert!(kept.iter().all(|(path, text)| server.get(path).text() == *text));
    server.get("/should-show-ad/49?request_id=plain").ok();
    // Deleted, the customer has room again.
    server.load("/events", NDJSON, likely("48"));
    assert_eq!(server.ask("DELETE", &server.admin, "/customers/48", &[], b"").status, 204);
    assert_ne!(server.get(&kept[0].0).text(), kept[0].1);
}

#[test]
fn concurrent_retries_count_once() {
    let server = Server::start();
    for round in 0..8 {
        let customer = format!("c{round}");
        server.load("/events", NDJSON, likely(&customer));
        let path = format!("/should-show-ad/{customer}?request_id=r");
        let answers: Vec<String> = std::thread::scope(|scope| {
            let retry = || ask(&agent(), "GET", &server.data, &path, &[], b"").text();
            let retries: Vec<_> = (0..8).map(|_| scope.spawn(retry)).collect();
            retries.into_iter().map(|retry| retry.join().expect("an answer")).collect()
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(server.held(&customer)["impressions"].as_array().map(Vec::len), Some(1));
    }
    assert_eq!(server.metric("upbeat_decisions_total{reason=\"likely_to_click\"}"), 8.0);
}

#[test]
fn concurrent_requests_never_exceed_the_cap() {
    let server = Server::with(&[], &[("UPBEAT_CAMPAIGN_CAP_IMPRESSIONS", "5")]);
    server.load("/events", NDJSON, likely("48"));
    let shown: usize = std::thread::scope(|scope| {
        let client = || {
            let agent = agent();
            let request = || ask(&agent, "GET", &server.data, "/should-show-ad/48", &[], b"").ok();
            (0..10).filter(|_| request()["show"] == true).count()
        };
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().expect("answers")).sum()
    });
    assert_eq!(shown, 5);
}

#[test]
fn dry_run_does_not_use_up_a_request_id() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    assert_eq!(server.get("/should-show-ad/48?request_id=r&dry_run=true").ok()["show"], true);
    assert_eq!(server.held("48")["impressions"], json!([]));
    assert_eq!(server.get("/should-show-ad/48?request_id=r").ok()["show"], true);
    assert_eq!(server.get("/should-show-ad/48?request_id=r").ok()["show"], true);
    assert_eq!(server.get("/should-show-ad/48").ok()["show"], false);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let mut wire = server.wire();
    let request =
        |customer: usize| format!("GET /should-show-ad/{customer} HTTP/1.1\r\nhost: upbeat\r\n\r\n");
    wire.send((0..100).map(request).collect::<String>());
    for customer in 0..100 {
        assert_eq!(wire.answer().ok()["customer"], customer.to_string());
    }
    // The connection is still good, also for other methods and for errors in between.
    wire.send("HEAD /should-show-ad/7 HTTP/1.1\r\nhost: upbeat\r\n\r\nGET /nowhere HTTP/1.1\r\nhost: upbeat\r\n\r\n");
    wire.send(request(8));
    assert_eq!(wire.answer_to_head().status, 200);
    wire.answer().problem(404, "not-found");
    assert_eq!(wire.answer().ok()["customer"], "8");
}

#[test]
fn connection_stays_open_until_its_client_asks_for_close() {
    let server = Server::start();
    let mut wire = server.wire();
    for _ in 0..3 {
        wire.send("GET /healthz HTTP/1.1\r\nhost: upbeat\r\n\r\n");
        assert_eq!(wire.answer().ok(), json!({"status": "alive"}));
    }
    wire.send("GET /healthz HTTP/1.1\r\nhost: upbeat\r\nconnection: close\r\n\r\n");
    assert_eq!(wire.answer().status, 200);
    assert_eq!(wire.rest(), "");
    let mut old = server.wire();
    old.send("GET /healthz HTTP/1.0\r\n\r\n");
    assert!(old.rest().contains("{\"status\":\"alive\"}"), "HTTP/1.0 closes after the answer");
}

#[test]
fn allowed_characters_of_an_id_are_accepted_and_others_named() {
    let server = Server::start();
    for id in ["48", "a.b_c:d-E", "0048", "18446744073709551616", &"x".repeat(64), "%34%38"] {
        let decision = server.decide(id);
        assert_eq!(decision["customer"], id.replace("%34%38", "48"), "{id}");
    }
    let refused = [
        ("a%20b", "' '"),
        ("a%2Fb", "'/'"),
        ("a+b", "'+'"),
        ("%C3%A9", "'é'"),
        ("%00", "'\\0'"),
        ("%zz", "'%'"),
        ("50%", "'%'"),
        ("%FF", "UTF-8"),
        ("a%0d%0ab", "'\\r'"),
        ("..%2f..%2fetc", "'/'"),
        (&"x".repeat(65), "65"),
        (&"9".repeat(65), "65"),
    ];
    for (id, said) in refused {
        let path = format!("/should-show-ad/{id}");
        let detail = server.get(&path).problem(400, "invalid-customer-id");
        assert!(detail.contains(said), "{id}: {detail}");
        server.admin_get(&format!("/customers/{id}")).problem(400, "invalid-customer-id");
    }
    // Raw bytes that no client would send.
    let mut wire = server.wire();
    wire.send(b"GET /should-show-ad/\xc3\xa9 HTTP/1.1\r\nhost: upbeat\r\n\r\n");
    assert_eq!(wire.answer().status, 400);
    server.get("/should-show-ad/").problem(404, "not-found");
    server.get("/should-show-ad/a/b").problem(404, "not-found");
    assert_eq!(server.profiles(), 0);
}

#[test]
fn id_that_means_a_place_in_a_path_is_refused_by_every_reader() {
    let server = Server::start();
    for id in [".", ".."] {
        let event = json!({"type": "click", "event_id": 1, "customer_id": id, "ad": "A", "time": "2014-01-01T00:00:00"});
        let said = "no URL can ask for";
        for (field, value) in [("customer_id", id), ("event_id", id), ("ad", id)] {
            let mut event = event.clone();
            event["customer_id"] = json!("48");
            event[field] = json!(value);
            let detail = server.post("/events", JSON, event.to_string()).problem(422, "invalid-event");
            assert!(detail.contains(said), "{field}: {detail}");
        }
        let envelope = json!({"specversion": "1.0", "id": "1", "source": "/a", "type": "upbeat.click", "subject": id,
                              "time": "2014-01-01T00:00:00", "data": {"ad": "A"}});
        let answer = server.post("/events", super::support::CLOUD_EVENT, envelope.to_string());
        assert!(answer.problem(422, "invalid-event").contains(said));
        let header = "CustID,Name,Gender,Address,zip,SignDate,Status,Level,Campaign,LinkedWithApps";
        for (path, content_type, body) in [
            ("/events", NDJSON, event.to_string()),
            ("/events", super::support::CSV, format!("1,{id},453,\"2014-10-23 03:26:20\",0,\"72132\"\n")),
            ("/events?kind=clicks", super::support::CSV, format!("1,{id},ADV,2014-10-23 03:26:20\n")),
            (
                "/events?kind=customers",
                super::support::CSV,
                format!("{header}\n{id},A,1,B,1,01/07/2013,1,1,1,0\n"),
            ),
            (
                "/events?kind=tracks",
                super::support::CSV,
                format!("TrackId,Title,Artist,Length\n{id},a,b,10\n"),
            ),
        ] {
            let report = server.post(path, content_type, body).ok();
            assert_eq!(
                (&report["accepted"], report["rejected"].as_array().map(Vec::len)),
                (&json!(0), Some(1))
            );
            let detail = report["rejected"][0]["detail"].as_str().expect("a detail");
            assert!(detail.contains(said), "{path} {content_type}: {detail}");
        }
        let answer = server.post("/decisions", JSON, json!({"customers": [id]}).to_string());
        assert!(answer.problem(400, "invalid-customer-id").contains(said));
        // Clients take these out of a path before they send it; a socket does not.
        for (listener, path) in
            [(&server.data, "should-show-ad"), (&server.admin, "customers"), (&server.admin, "tracks")]
        {
            for place in [id, &id.replace('.', "%2e")] {
                let mut wire = super::support::Wire::to(listener);
                wire.send(format!("GET /{path}/{place} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"));
                let answer = wire.answer();
                assert_eq!(answer.status, 400, "{path}/{place}");
                assert!(answer.json()["detail"].as_str().expect("a detail").contains(said), "{path}/{place}");
            }
        }
    }
    assert_eq!(server.profiles(), 0);
    for id in ["...", ".a", "a.."] {
        server.decide(id);
    }
}

#[test]
fn unknown_and_malformed_query_parameters_are_refused() {
    let server = Server::start();
    for (query, said) in [
        ("dry_run=yes", "dry_run"),
        ("dry_run", "dry_run"),
        ("dryrun=true", "dryrun"),
        ("dry_run=true&dry_run=true", "dry_run"),
        ("request_id=", "request_id"),
        (&format!("request_id={}", "x".repeat(65)), "64"),
        ("request_id=%00", "control"),
        ("request_id=a%0Ab", "control"),
        ("request_id=a%7f", "control"),
        ("request_id=%C2%85", "control"),
        ("request_id=%ff", "UTF-8"),
    ] {
        let answer = server.get(&format!("/should-show-ad/48?{query}"));
        let detail = answer.problem(400, "invalid-query");
        assert!(detail.contains(said), "{query}: {detail}");
    }
    server.get("/healthz?verbose=1").problem(400, "invalid-query");
    server.post("/events?atomic=1", JSON, "[]").problem(400, "invalid-query");
    server.post("/decisions?request_id=a", JSON, "{}").problem(400, "invalid-query");
}

fn many(server: &Server, customers: &Value) -> Value {
    server.post("/decisions", JSON, json!({"customers": customers}).to_string()).ok()["decisions"].clone()
}

#[test]
fn batch_is_answered_in_the_order_of_its_customers() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48") + &unlikely("532"));
    let decisions = many(&server, &json!(["532", 48, "nobody", "48", "0048"]));
    let answered: Vec<_> =
        decisions.as_array().expect("a list").iter().map(|d| (&d["customer"], &d["reason"])).collect();
    let expected = json!([
        ["532", "unlikely_to_click"],
        ["48", "likely_to_click"],
        ["nobody", "unknown_customer"],
        ["48", "capped"],
        ["0048", "unknown_customer"],
    ]);
    assert_eq!(json!(answered), expected);
    assert_eq!(many(&server, &json!([])), json!([]));
}

#[test]
fn batch_dry_run_counts_nothing() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    let body = json!({"customers": ["48", "48"]}).to_string();
    let dry = server.post("/decisions?dry_run=true", JSON, body).ok();
    assert!(dry["decisions"].as_array().expect("a list").iter().all(|d| d["show"] == true), "{dry}");
    assert_eq!(server.decide("48")["show"], true);
}

#[test]
fn batch_has_at_most_ten_thousand_customers() {
    let server = Server::start();
    let ids: Vec<String> = (0..10_001).map(|number| format!("{number:064}")).collect();
    let decisions = many(&server, &json!(ids[..10_000]));
    assert_eq!(decisions.as_array().map(Vec::len), Some(10_000));
    assert_eq!(decisions[9_999]["customer"], ids[9_999]);
    let answer = server.post("/decisions", JSON, json!({"customers": ids}).to_string());
    assert!(answer.problem(422, "invalid-body").contains("10000"));
}

#[test]
fn bad_id_in_a_batch_is_named_by_its_index() {
    let server = Server::start();
    for (bad, said) in [
        (json!("a b"), "' '"),
        (json!(""), "empty"),
        (json!(-1), "-1"),
        (json!(1.5), "1.5"),
        (json!(null), "null"),
        (json!(["1"]), "sequence"),
        (json!({"id": 1}), "map"),
        (json!("x".repeat(65)), "65"),
    ] {
        let body = json!({"customers": ["1", "2", bad]}).to_string();
        let detail = server.post("/decisions", JSON, body).problem(400, "invalid-customer-id");
        assert!(detail.contains("customers[2]") && detail.contains(said), "{bad}: {detail}");
    }
    let reasons = server.metric("upbeat_decisions_total{reason=\"unknown_customer\"}");
    assert_eq!(reasons, 0.0, "a refused batch makes no decisions");
}
