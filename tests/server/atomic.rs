//! Bodies sent with `?atomic=true` beside one another and beside single rows.

use serde_json::json;

use super::support::*;

/// A line of a membership, all under one id and time: with another level it contradicts.
fn membership(customer: usize, level: &str) -> String {
    let time = "2024-01-01T00:00:00";
    json!({"type": "membership", "event_id": 1, "customer_id": customer, "time": time, "level": level})
        .to_string()
}

#[test]
fn racing_atomic_bodies_are_applied_whole_or_refused() {
    const ROWS: usize = 2000;
    // Room for two bodies of three.
    let limit = (2 * ROWS).to_string();
    let limits = [("UPBEAT_LIMITS_CUSTOMERS", &*limit), ("UPBEAT_LIMITS_EXPECTED_CUSTOMERS", "0")];
    let server = Server::with(&[], &limits);
    let body = |number: usize| -> String {
        (0..ROWS).map(|row| membership(10_000 * number + row, "gold") + "\n").collect()
    };
    let (answers, singles) = std::thread::scope(|scope| {
        let bodies = [0, 1, 2].map(|number| {
            let (server, body) = (&server, body(number));
            scope.spawn(move || server.post("/events?atomic=true", NDJSON, body))
        });
        // The last row of the first body, with another level.
        let single = scope.spawn(|| {
            let row = membership(ROWS - 1, "silver");
            (0..50).map(|_| server.post("/events", JSON, &row).status).collect::<Vec<_>>()
        });
        (bodies.map(|body| body.join().expect("no panic")), single.join().expect("no panic"))
    });
    let level =
        |customer: usize| server.ask("GET", &server.admin, &format!("/customers/{customer}"), &[], b"");
    for (number, answer) in answers.iter().enumerate() {
        let edges = [0, ROWS / 2, ROWS - 1].map(|row| level(10_000 * number + row));
        if answer.status == 200 {
            assert_eq!(answer.json()["accepted"], ROWS, "half applied: {}", answer.text());
            assert!(edges.iter().all(|held| held.ok()["membership"]["level"] == "gold"), "body {number}");
        } else {
            assert!([409, 503].contains(&answer.status), "{}", answer.text());
            assert_eq!(edges[1].status, 404, "refused, and yet applied: body {number}");
        }
    }
    assert!(singles.iter().all(|status| [200, 409, 503].contains(status)), "{singles:?}");
    assert!(
        !(singles.contains(&200) && answers[0].status == 200),
        "the single row and the body contradict each other"
    );
}
