//! Clients that do not read: what waits for them is bounded, other clients are answered, and they are cut and counted.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use super::support::{JSON, Server, until};

const HELD: &str = "upbeat_response_bytes";
const SHED: &str = "upbeat_problems_total{type=\"overloaded\"}";

/// The least that `limits.response_memory_bytes` may be.
const BUDGET: f64 = (4 << 20) as f64;

fn cut(listener: &str, cause: &str) -> String {
    format!("upbeat_http_connections_cut_total{{listener=\"{listener}\",cause=\"{cause}\"}}")
}

/// A request whose answer has some 230 bytes for each customer.
fn batch(customers: usize) -> String {
    let ids: Vec<String> = (0..customers).map(|customer| customer.to_string()).collect();
    let body = format!("{{\"customers\":[{}]}}", ids.join(","));
    let length = body.len();
    format!(
        "POST /decisions HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// A connection that sends so many requests in one go, or as many as the server reads, and reads no answer.
fn non_reading(address: &str, requests: &str, count: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    // The kernel's buffers of both sides hold some megabytes of answers; then the server stops reading.
    let _ = (0..count).all(|_| stream.write_all(requests.as_bytes()).is_ok());
    stream
}

#[test]
fn answers_that_nobody_reads_hold_bounded_memory_and_work_for_more_is_shed() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_RESPONSE_MEMORY_BYTES", "4194304")]);
    let request = batch(4000);
    let mut clients = Vec::new();
    until("a batch is shed", || {
        clients.push(non_reading(&server.data, &request, 20));
        let held = server.metric(HELD);
        // An answer exists a moment longer than the room that was kept for it, so one more per connection may be seen.
        assert!(held <= BUDGET + clients.len() as f64 * 1e6, "{held}");
        server.metric(SHED) > 0.0
    });
    assert_eq!(server.get("/should-show-ad/48").status, 200, "other clients are answered");
    assert_eq!(server.admin_get("/models").status, 200, "on both listeners");
    let small = server.post("/decisions", JSON, r#"{"customers":[1]}"#).status;
    assert!(matches!(small, 200 | 503), "{small}");
    drop(clients);
    until("what waited is dropped with its connections", || server.metric(HELD) == 0.0);
    assert_eq!(server.post("/decisions", JSON, batch(4000).split_once("\r\n\r\n").unwrap().1).status, 200);
}

#[test]
fn client_that_takes_nothing_is_cut_after_the_write_timeout_and_counted() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_WRITE_TIMEOUT", "300ms")]);
    let decision = "GET /should-show-ad/48?dry_run=true HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1000);
    // One whose answers are made by the event loop, and one whose answers are the router's.
    let clients = [non_reading(&server.data, &decision, 2000), non_reading(&server.data, &batch(4000), 100)];
    until("both are cut", || server.metric(&cut("data", "stalled")) == 2.0);
    until("nothing is held for them", || server.metric(HELD) == 0.0);
    assert_eq!(server.metric("upbeat_http_connections{listener=\"data\"}"), 0.0);
    assert_eq!(server.metric("upbeat_http_connection_errors_total{listener=\"data\"}"), 0.0);
    drop(clients);
    assert_eq!(server.get("/should-show-ad/48").status, 200);
}

#[test]
fn admin_client_that_takes_nothing_is_cut_and_counted_too() {
    let limits =
        [("UPBEAT_LIMITS_WRITE_TIMEOUT", "300ms"), ("UPBEAT_LIMITS_RESPONSE_MEMORY_BYTES", "4194304")];
    let server = Server::with(&[], &limits);
    let contract = "GET /openapi.yaml HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".repeat(100);
    let client = non_reading(&server.admin, &contract, 200);
    until("it is cut", || server.metric(&cut("admin", "stalled")) == 1.0);
    // What is asked for here is held while it is sent, no more.
    until("nothing is held for it", || server.metric(HELD) < 1e5);
    assert_eq!(server.metric(&errors_of_admin()), 0.0);
    drop(client);
}

fn errors_of_admin() -> String {
    "upbeat_http_connection_errors_total{listener=\"admin\"}".to_owned()
}
