//! Who may ask, and how a head must say so: `Host`, pages of other sites, and fields that must not be doubled. Each rule on
//! the fast path, in the router and on the admin listener.

use super::listeners::likely;
use super::support::{Answer, JSON, NDJSON, Server};
use super::wire::{Wire, for_the_router};

/// The answers to one request on every way: the fast path, the router, the admin listener.
fn on_every_way(server: &Server, version: &str, headers: &str) -> [Answer; 3] {
    let decision =
        format!("GET /should-show-ad/48 HTTP/{version}\r\n{headers}connection: keep-alive\r\n\r\n");
    let profile = format!("GET /customers/48 HTTP/{version}\r\n{headers}connection: keep-alive\r\n\r\n");
    [
        ask(&server.data, decision.as_bytes()),
        ask(&server.data, &for_the_router(decision.as_bytes())),
        ask(&server.admin, profile.as_bytes()),
    ]
}

fn ask(address: &str, request: &[u8]) -> Answer {
    let mut wire = Wire::to(address);
    wire.send(request);
    wire.answer()
}

fn impressions(server: &Server) -> f64 {
    server.metric("upbeat_decisions_total{reason=\"likely_to_click\"}")
}

#[test]
fn request_without_one_good_host_is_refused_on_every_way() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    for headers in [
        "",
        "host: 127.0.0.1\r\nhost: 127.0.0.1\r\n",
        "Host: 127.0.0.1\r\nhost: evil.example\r\n",
        "host: local host\r\n",
        "host: user@127.0.0.1\r\n",
        "host: http://127.0.0.1\r\n",
        "host: 127.0.0.1:80:80\r\n",
        "host: [::1\r\n",
        "host: %zz\r\n",
    ] {
        for answer in on_every_way(&server, "1.1", headers) {
            answer.problem(400, "invalid-host");
        }
    }
    assert_eq!(impressions(&server), 0.0, "no refused request made a decision");
    for headers in ["host: 127.0.0.1:8080\r\n", "HOST: [::1]:1\r\n", "host: localhost\r\n"] {
        for answer in on_every_way(&server, "1.1", headers) {
            answer.ok();
        }
    }
    let old = "GET /readyz HTTP/1.0\r\n\r\n";
    let mut wire = server.wire();
    wire.send(old);
    assert!(wire.rest().starts_with("HTTP/1.0 200 "), "HTTP/1.0 needs no Host");
    let mut wire = Wire::to(&server.admin);
    wire.send("GET /models HTTP/1.0\r\n\r\n");
    assert!(wire.rest().starts_with("HTTP/1.0 200 "), "HTTP/1.0 needs no Host");
    for listener in [&server.data, &server.admin] {
        let mut wire = Wire::to(listener);
        wire.send("GET /readyz HTTP/1.0\r\nhost: a b\r\n\r\n");
        assert!(wire.rest().starts_with("HTTP/1.0 400 "), "but a good one if any");
    }
}

#[test]
fn admin_listener_answers_no_name_but_its_own() {
    let server = Server::with(&[], &[("UPBEAT_ADMIN_HOSTS", "[\"upbeat.internal\"]")]);
    server.load("/events", NDJSON, likely("48"));
    let asked =
        |method: &str, host: &str| server.ask(method, &server.admin, "/customers/48", &[("host", host)], b"");
    for host in ["evil.example", "localhost.evil.example:8081", "127.0.0.1.nip.io", "internal"] {
        let detail = asked("GET", host).problem(421, "misdirected-request");
        assert!(detail.contains("admin_hosts"), "{detail}");
        asked("DELETE", host).problem(421, "misdirected-request");
        // The data listener has nothing to hide, and any name may be a proxy's.
        server.ask("GET", &server.data, "/readyz", &[("host", host)], b"").ok();
    }
    let absolute = "GET http://evil.example/customers/48 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    ask(&server.admin, absolute.as_bytes()).problem(421, "misdirected-request");
    for host in
        ["127.0.0.1:8081", "[::1]", "192.0.2.1", "LocalHost:1", "upbeat.internal", "UPBEAT.internal:80"]
    {
        asked("GET", host).ok();
    }
    assert_eq!(server.metric("upbeat_problems_total{type=\"misdirected-request\"}"), 9.0);
    assert_eq!(
        server.metric("upbeat_http_requests_total{route=\"/customers/{customer}\",status=\"421\"}"),
        9.0
    );
}

#[test]
fn page_of_another_site_is_refused_on_every_way_unless_configured() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    for headers in [
        "host: 127.0.0.1\r\nsec-fetch-site: cross-site\r\n",
        "host: 127.0.0.1\r\nSec-Fetch-Site: none\r\nSEC-FETCH-SITE: Cross-Site\r\n",
    ] {
        for answer in on_every_way(&server, "1.1", headers) {
            assert!(answer.problem(403, "cross-site").contains("allow_cross_site"));
        }
    }
    assert_eq!(impressions(&server), 0.0, "no refused request made a decision");
    let event =
        r#"{"type":"membership","event_id":1,"customer_id":48,"level":"gold","time":"2014-01-01T00:00:00"}"#;
    let headers = [("content-type", JSON), ("sec-fetch-site", "cross-site")];
    server.ask("POST", &server.data, "/events", &headers, event.as_bytes()).problem(403, "cross-site");
    assert_eq!(server.held("48")["membership"], serde_json::Value::Null);
    for site in ["none", "same-origin", "same-site"] {
        let headers = format!("host: 127.0.0.1\r\nsec-fetch-site: {site}\r\n");
        on_every_way(&server, "1.1", &headers).iter().for_each(|answer| drop(answer.ok()));
    }
    let open = Server::with(&[], &[("UPBEAT_ALLOW_CROSS_SITE", "true")]);
    open.load("/events", NDJSON, likely("48"));
    let cross_site = "host: 127.0.0.1\r\nsec-fetch-site: cross-site\r\n";
    on_every_way(&open, "1.1", cross_site).iter().for_each(|answer| drop(answer.ok()));
}

#[test]
fn configured_admin_host_is_a_name_without_port() {
    for hosts in ["[\"upbeat:8081\"]", "[\"http://upbeat\"]", "[\"*\"]", "[\"\"]", "[\"127.0.0.1\"]"] {
        let mut command = super::support::upbeat();
        let output = command.args(["serve", "--check-config"]).env("UPBEAT_ADMIN_HOSTS", hosts).output();
        let output = output.expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{hosts}: {stderr}");
        assert!(stderr.contains("UPBEAT_ADMIN_HOSTS") && stderr.contains("it must be a name"), "{stderr}");
    }
}

#[test]
fn doubled_field_that_says_how_to_read_the_body_is_refused() {
    let server = Server::start();
    let row = likely("48");
    for (headers, slug) in [
        ("content-encoding: identity\r\ncontent-encoding: gzip\r\n", "unsupported-encoding"),
        ("content-encoding: gzip\r\nContent-Encoding: identity\r\n", "unsupported-encoding"),
        ("content-encoding: identity\r\ncontent-encoding: identity\r\n", "unsupported-encoding"),
        ("content-type: text/csv\r\n", "unsupported-media-type"),
        ("content-type: application/x-ndjson\r\n", "unsupported-media-type"),
    ] {
        let request = format!(
            "POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: {NDJSON}\r\n{headers}content-length: {}\r\n\r\n{row}",
            row.len()
        );
        assert!(ask(&server.data, request.as_bytes()).problem(415, slug).contains("several"), "{headers}");
    }
    assert_eq!(server.profiles(), 0, "nothing was applied");
}

#[test]
fn transfer_encoding_other_than_chunked_once_is_refused_and_closed_on_both_listeners() {
    let server = Server::start();
    for (headers, status) in [
        ("transfer-encoding: gzip, chunked\r\n", 501),
        ("transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n", 501),
        ("transfer-encoding: gzip\r\n", 501),
        ("transfer-encoding: chunked, gzip\r\n", 501),
        ("transfer-encoding: chunked;a=b\r\n", 501),
        ("transfer-encoding: \r\n", 501),
        ("transfer-encoding: chunked, chunked\r\n", 400),
        ("transfer-encoding: chunked\r\ntransfer-encoding: Chunked\r\n", 400),
        ("transfer-encoding: chunked\r\ncontent-length: 4\r\n", 400),
        ("content-length: 18446744073709551616\r\n", 400),
    ] {
        let event =
            format!("POST /events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {NDJSON}\r\n{headers}\r\n");
        assert_refused(&server.data, &event, status);
        assert_refused(
            &server.admin,
            &format!("GET /models HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n"),
            status,
        );
    }
    // The longest length that can be written is a length, too: no head is too large for it.
    let longest = "content-length: 18446744073709551615\r\n\r\n";
    let event = format!("POST /events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {NDJSON}\r\n{longest}");
    ask(&server.data, event.as_bytes()).problem(413, "body-too-large");
    assert_refused(&server.admin, &format!("GET /models HTTP/1.1\r\nhost: 127.0.0.1\r\n{longest}"), 413);
    assert_eq!(server.metric("upbeat_http_connection_errors_total{listener=\"admin\"}"), 11.0);
}

/// Sends a head, and asserts that it is answered with this status alone, and the connection closed.
#[track_caller]
fn assert_refused(address: &str, head: &str, status: u16) {
    let mut wire = Wire::to(address);
    wire.send(format!("{head}0\r\n\r\n")).finish();
    let said = wire.rest();
    assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {said}");
    assert_eq!(said.matches("HTTP/1.1").count(), 1, "{head}: nothing follows: {said}");
    assert!(said.contains("connection: close\r\n"), "{head}: {said}");
}

#[test]
fn refused_request_is_answered_behind_those_before_it() {
    let server = Server::start();
    for (address, path) in [(&server.data, "/healthz"), (&server.admin, "/models")] {
        let good = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
        let mut wire = Wire::to(address);
        wire.send(format!("{good}{good}GET {path}#a HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n{good}"));
        let statuses: Vec<u16> = (0..3).map(|_| wire.answer().status).collect();
        assert_eq!((statuses, wire.rest()), (vec![200, 200, 400], String::new()), "{path}");
    }
}

#[test]
fn fragment_in_a_target_is_refused_on_both_listeners() {
    let server = Server::start();
    for (address, target) in [
        (&server.data, "/should-show-ad/48#a"),
        (&server.data, "/should-show-ad/48?dry_run=true#a"),
        (&server.data, "/healthz#"),
        (&server.data, "/#/healthz"),
        (&server.admin, "/models#a"),
        (&server.admin, "/#"),
    ] {
        let mut wire = Wire::to(address);
        wire.send(format!("GET {target} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"));
        assert_eq!(wire.answer().status, 400, "{target}");
        assert_eq!(wire.rest(), "", "closed");
    }
}
