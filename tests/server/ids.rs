//! Ids in fraction or exponent form: a number so written may have become another customer's id on its way.

use super::support::{CLOUD_EVENT, CSV, JSON, NDJSON, Server};

/// The form of each number is refused, and `7211891077227361.0` would be read as `…362`.
const NOT_IDS: [&str; 7] =
    ["48.0", "4.8e1", "48E0", "-0.0", "1e-400", "7211891077227361.0", "7.211891077227361e15"];

fn play(customer: &str) -> String {
    format!(
        "{{\"type\":\"play\",\"event_id\":1,\"customer_id\":{customer},\"track_id\":1,\
         \"time\":\"2014-10-23T03:26:20\",\"mobile\":false}}"
    )
}

#[test]
fn number_in_fraction_or_exponent_form_is_no_id_in_any_format() {
    let server = Server::by_event_clock();
    for id in NOT_IDS {
        let cloud = format!(
            "{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"play\",\"data\":{}}}",
            play(id)
        );
        for (content_type, body) in [(JSON, play(id)), (CLOUD_EVENT, cloud)] {
            let detail = server.post("/events", content_type, body).problem(422, "invalid-event");
            assert!(detail.contains("fraction or exponent form") && detail.contains("string"), "{detail}");
        }
        // A list of which all others are of the usual form, and lines.
        let list = format!("[{},{}]", play("1"), play(id));
        for (content_type, body) in [(JSON, list), (NDJSON, play(id))] {
            let report = server.post("/events", content_type, body).ok();
            let detail = report["rejected"][0]["detail"].to_string();
            assert!(detail.contains("fraction or exponent form"), "{detail}");
        }
        let rows = [
            ("plays", format!("1,{id},1,2014-10-23 03:26:20,0,1\n")),
            ("plays", format!("1,48,{id},2014-10-23 03:26:20,0,1\n")),
            ("plays", format!("\"{id}\",\"48\",1,\"2014-10-23 03:26:20\",0,1\n")),
            ("clicks", format!("1,{id},ADV,2014-10-23 03:26:20\n")),
            ("customers", format!("CustID,SignDate,Level\n{id},06/04/2013,2\n")),
            ("tracks", format!("TrackId,Title,Artist,Length\n{id},a,b,10\n")),
        ];
        for (kind, body) in rows {
            let report = server.post(&format!("/events?kind={kind}"), CSV, &body).ok();
            let detail = report["rejected"][0]["detail"].to_string();
            assert!(detail.contains("fraction or exponent form") && detail.contains(id), "{body}: {detail}");
        }
        let batch = server.post("/decisions", JSON, format!("{{\"customers\":[48,{id}]}}"));
        let detail = batch.problem(400, "invalid-customer-id");
        assert!(detail.contains("fraction or exponent form"), "{detail}");
    }
    assert_eq!(server.profiles(), 1, "nobody but the list's good row has a profile");
    assert_eq!(server.metric("upbeat_tracks"), 0.0);
}

#[test]
fn number_beyond_64_bits_is_no_id() {
    let server = Server::by_event_clock();
    for id in ["18446744073709551616", "99999999999999999999999", "1e300", "1e400"] {
        server.post("/events", JSON, play(id)).problem(422, "invalid-event");
        let report = server.post("/events", JSON, format!("[{}]", play(id))).ok();
        assert_eq!(report["rejected"][0]["index"], 0, "{id}: {report}");
    }
    assert_eq!(server.profiles(), 0);
    // As a cell all its digits are there, so it is a text id.
    let row = "1,18446744073709551616,1,2014-10-23 03:26:20,0,1\n";
    assert_eq!(server.load("/events", CSV, row), (1, 0));
    assert_eq!(server.held("18446744073709551616")["customer"], "18446744073709551616");
}

#[test]
fn string_and_path_segment_in_fraction_form_stay_text() {
    let server = Server::by_event_clock();
    for id in ["48.0", "4.8e1"] {
        assert_eq!(server.load("/events", JSON, play(&format!("\"{id}\""))), (1, 0));
        assert_eq!(server.held(id)["customer"], id);
        assert_eq!(server.reason(id), "too_little_history");
        let batch = server.post("/decisions", JSON, format!("{{\"customers\":[\"{id}\"]}}")).ok();
        assert_eq!(batch["decisions"][0]["reason"], "too_little_history");
    }
    server.admin_get("/customers/48").problem(404, "customer-not-found");
}
