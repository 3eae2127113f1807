//! Memory stays bounded: idle customers are evicted, and events beyond the limit on bytes are refused.

use std::time::Duration;

use super::listeners::{likely, play, play_at};
use super::skipped::skipped;
use super::support::{JSON, NDJSON, Server, until};

fn membership(customer: &str, level: &str) -> String {
    format!(
        "{{\"type\":\"membership\",\"event_id\":1,\"customer_id\":\"{customer}\",\"level\":\"{level}\",\
         \"time\":\"2014-01-01T00:00:00\"}}"
    )
}

#[test]
fn customers_idle_for_longer_than_the_window_are_evicted_and_paid_memberships_kept() {
    let server = Server::with(&["--clock", "event"], &[("UPBEAT_LIMITS_EVICT_EVERY", "100ms")]);
    for customer in ["idle", "gold", "active"] {
        server.load("/events", JSON, play_at(customer, 1, "2014-01-01T12:00:00"));
    }
    server.load("/events", JSON, membership("idle", "free"));
    server.load("/events", JSON, membership("gold", "gold"));
    server.load("/events", JSON, play_at("active", 2, "2014-01-29T12:00:00"));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.profiles(), 3, "28 days to the second are not longer than the window");

    server.load("/events", JSON, play_at("active", 3, "2014-01-29T12:00:01"));
    // Shards of the store are swept one after another, and counted after each.
    until("both are evicted", || server.metric("upbeat_customers_evicted_total") == 2.0);
    assert_eq!(server.profiles(), 2);
    assert_eq!(server.held("gold")["plays"], serde_json::json!([]));
    assert_eq!(server.held("gold")["older_plays"], serde_json::json!([]));
    assert_eq!(server.reason("idle"), "unknown_customer");
    assert_eq!(server.reason("gold"), "already_gold");
    assert_eq!(server.reason("active"), "too_little_history");
    assert_eq!(server.metric("upbeat_plays"), 3.0);
    // A customer who comes back starts with an empty profile: an event of before is accepted again.
    server.load("/events", JSON, play_at("idle", 1, "2014-01-01T12:00:00"));
    assert_eq!(server.held("idle")["customer"], "idle");
}

#[test]
fn byte_limit_refuses_new_customers_and_known_ones_are_still_answered() {
    let server = Server::with(&[], &[("UPBEAT_LIMITS_PROFILE_BYTES", "2000")]);
    server.load("/events", NDJSON, likely("48"));
    let mut customer = 100;
    let refused = loop {
        let answer = server.post("/events", JSON, play(&customer.to_string(), 1, 60));
        if answer.status != 200 {
            break answer;
        }
        customer += 1;
        assert!(customer < 200, "the limit is never reached");
    };
    let detail = refused.problem(503, "store-full");
    assert!(detail.contains("2000 bytes") && detail.contains("limits.profile_bytes"), "{detail}");
    assert_eq!(refused.header("retry-after"), "1");
    assert!(server.metric("upbeat_profile_bytes") >= 2000.0);
    assert_eq!(server.metric("upbeat_events_total{kind=\"play\",outcome=\"rejected\"}"), 1.0);
    assert_eq!(server.reason("48"), "likely_to_click");
    assert_eq!(server.load("/events", NDJSON, likely("48")), (0, 24), "repeats need no room");

    let deleted = server.ask("DELETE", &server.admin, "/customers/48", &[], b"");
    assert_eq!(deleted.status, 204);
    server.load("/events", JSON, play(&customer.to_string(), 1, 60));
}

/// Whether the kernel gives huge pages on request; an administrator may have turned them off.
#[cfg(target_os = "linux")]
fn kernel_has_huge_pages() -> bool {
    let modes = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    modes.is_ok_and(|modes| !modes.contains("[never]"))
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn heap_of_a_server_asks_for_huge_pages() {
    if !kernel_has_huge_pages() {
        skipped("this kernel gives no huge pages");
        return;
    }
    let server = Server::start();
    // The flag `hg` of a mapping marks a request for huge pages.
    let flags_of_heaps = || -> Vec<String> {
        let mappings =
            std::fs::read_to_string(format!("/proc/{}/smaps", server.id())).expect("our own child");
        let after_heap = mappings.split("[heap]").skip(1);
        after_heap
            .filter_map(|rest| Some(rest.split_once("VmFlags:")?.1.lines().next()?.to_owned()))
            .collect()
    };
    until("part of the heap is marked for huge pages", || {
        flags_of_heaps().iter().any(|flags| flags.contains(" hg"))
    });
}
