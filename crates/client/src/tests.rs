//! Requests and answers against a [`stub`](super::stub).

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use tokio::net::TcpListener;

use super::stub::{Received, block_on, respond, stub};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn requests_share_a_connection_and_carry_path_and_body() {
    block_on(async {
        let stub = stub(|nth, _| respond(200, &nth.to_string())).await;
        let client = Client::new(&format!("{}/", stub.url), SECOND).unwrap();
        let first = client.get("/a?b=c").await.unwrap();
        assert_eq!((first.status, &first.body[..]), (200, &b"0"[..]));
        let second = client.post("/d", "text/csv", "1,2\n").await.unwrap();
        assert_eq!(&second.body[..], b"1");
        let received = stub.received.lock().unwrap().clone();
        let text = |request: &Received| format!("{} {} {}", request.0, request.1, request.2);
        assert_eq!(text(&received[0]), "GET /a?b=c ");
        assert_eq!(text(&received[1]), "POST /d 1,2\n");
        assert_eq!(stub.connections.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn address_of_another_scheme_is_refused_with_a_reason() {
    for (url, reason) in [
        ("https://127.0.0.1:8080", "https is not spoken here"),
        ("127.0.0.1:8080", "does not start with http://"),
        ("localhost:8080", "does not start with http://"),
        ("ftp://a", "does not start with http://"),
        ("http://a b", "invalid uri"),
        ("", "cannot ask \"\""),
        ("http://a?x=y", "query"),
    ] {
        let error = Client::new(url, SECOND).unwrap_err().to_string();
        assert!(error.contains(reason), "{url}: {error}");
    }
}

#[test]
fn unreachable_broken_and_slow_servers_give_different_errors() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let client = Client::new(&format!("http://{address}"), SECOND / 10).unwrap();
        let slow = client.get("/").await.unwrap_err();
        assert!(matches!(slow, ClientError::Timeout { .. }), "{slow}");

        let broken = tokio::spawn(async move { client.get("/").await.unwrap_err() });
        // The first connection is that of the slow request.
        for _ in 0..2 {
            drop(listener.accept().await.unwrap());
        }
        let broken = broken.await.unwrap();
        assert!(matches!(broken, ClientError::Broken { .. }), "{broken}");

        drop(listener);
        let client = Client::new(&format!("http://{address}"), SECOND).unwrap();
        let refused = client.get("/").await.unwrap_err();
        assert!(matches!(refused, ClientError::Unreachable { .. }), "{refused}");
        assert!(refused.to_string().contains("refused"), "{refused}");
    });
}

#[test]
fn detail_is_that_of_the_problem_document_or_the_first_line() {
    let detail = |body: &'static str| {
        Answer { status: 400, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) }.detail()
    };
    assert_eq!(detail(r#"{"title":"Bad","detail":"id is empty"}"#), "id is empty");
    assert_eq!(detail(r#"{"title":"Bad"}"#), "Bad");
    assert_eq!(detail("<html>\nmore"), "<html>");
    assert_eq!(detail(""), "");
}

#[test]
fn part_is_asked_for_by_its_first_byte_and_its_last_and_long_answers_are_bounded() {
    block_on(async {
        let stub = stub(|_, _| respond(206, "0123456789")).await;
        let client = Client::new(&stub.url, SECOND).unwrap();
        let part = client.get_part("/a", 5, 14).await.unwrap();
        assert_eq!((part.status, &part.body[..]), (206, &b"0123456789"[..]));
        assert_eq!(client.delete("/b").await.unwrap().status, 206);
        let received = stub.received.lock().unwrap().clone();
        assert_eq!((received[0].0.as_str(), received[1].0.as_str()), ("GET", "DELETE"));
        let short = Client::new(&stub.url, SECOND).unwrap().with_answers_of(9);
        let error = short.get("/a").await.unwrap_err();
        assert!(error.to_string().contains("longer"), "{error}");
    });
}
