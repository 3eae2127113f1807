//! Bad input, by endpoint and by format: it is reported, never applied in part, and the server stays up.

use serde_json::{Value, json};

use super::support::{Answer, CLOUD_EVENT, CLOUD_EVENTS, CSV, JSON, NDJSON, Server};

const PLAY: &str = r#"{"type":"play","event_id":0,"customer_id":48,"track_id":453,"time":"2014-10-23T03:26:20","mobile":false,"zip":"72132"}"#;
const ROW: &str = "0,48,453,\"2014-10-23 03:26:20\",0,\"72132\"\n";
const CLOUD: &str = r#"{"specversion":"1.0","id":"e","source":"/s","type":"a.play","subject":"48","time":"2014-10-23T03:26:20Z","data":{"track_id":1,"mobile":true}}"#;
const BATCH: &str = r#"{"customers":["48",532]}"#;

const EVENT_TYPES: [&str; 5] = [JSON, NDJSON, CSV, CLOUD_EVENT, CLOUD_EVENTS];

/// Refused as a whole with a problem document, or row by row with nothing accepted.
#[track_caller]
fn assert_refused(answer: &Answer, what: &str) {
    match answer.status {
        200 => {
            let report = answer.ok();
            assert_eq!(report["accepted"], 0, "{what}: {report}");
            assert!(report["rejected"].as_array().is_some_and(|rows| !rows.is_empty()), "{what}: {report}");
        }
        400 | 409 | 413 | 422 => {
            let slug = answer.json()["type"].as_str().expect("a type").replace("/problems/", "");
            answer.problem(answer.status, &slug);
        }
        status => panic!("{what}: {status}"),
    }
}

#[track_caller]
fn assert_unharmed(server: &Server) {
    assert_eq!((server.profiles(), server.metric("upbeat_plays")), (0, 0.0));
    assert_eq!(server.get("/should-show-ad/48").ok()["reason"], "unknown_customer");
    assert!(!server.stderr_text().contains("panicked"), "{}", server.stderr_text());
}

#[test]
fn json_truncated_at_any_byte_is_refused() {
    let server = Server::start();
    let list = format!("[{PLAY},{PLAY}]");
    for (path, content_type, body) in [
        ("/events", JSON, PLAY),
        ("/events", JSON, &list),
        ("/events", CLOUD_EVENT, CLOUD),
        ("/events", CLOUD_EVENTS, &format!("[{CLOUD}]")),
        ("/decisions", JSON, BATCH),
    ] {
        for length in 0..body.len() {
            let answer = server.post(path, content_type, &body[..length]);
            answer.problem(400, "malformed-body");
        }
    }
    for length in 1..PLAY.len() {
        assert_refused(&server.post("/events", NDJSON, &PLAY[..length]), &PLAY[..length]);
    }
    assert_unharmed(&server);
}

#[test]
fn rows_truncated_before_their_last_column_are_refused() {
    let server = Server::start();
    let last_column = ROW.rfind(',').expect("columns");
    for length in 1..last_column {
        assert_refused(&server.post("/events", CSV, &ROW[..length]), &ROW[..length]);
    }
    assert_unharmed(&server);
}

/// Values that are wrong wherever an id, a text or a flag is expected.
fn wrong_values() -> Vec<String> {
    let deep = |open: &str, close: &str| open.repeat(10_000) + &close.repeat(10_000);
    let mut values: Vec<String> = [
        "null",
        "[]",
        "{}",
        "[1]",
        "{\"a\":1}",
        "-1",
        "1.5",
        "1e308",
        "-1e308",
        "1e999",
        "18446744073709551616",
        "NaN",
        "Infinity",
        "-Infinity",
        "01",
        "+1",
        "0x10",
        ".5",
        "'48'",
        "\"\\ud800\"",
        "\"a\\u0000b\"",
        "\"a\nb\"",
        "\"\\u0007\"",
        "\"\\x\"",
        "\"unterminated",
        "undefined",
        "\"\"",
        "\" \"",
        "\"4 8\"",
        "\"a/b\"",
        "\"é\"",
    ]
    .map(str::to_owned)
    .to_vec();
    values.push(format!("\"{}\"", "x".repeat(65)));
    values.push("9".repeat(400));
    values.push(deep("[", "]"));
    values.push(deep("{\"a\":", "}").replacen("}", "1}", 1));
    values
}

#[test]
fn wrong_values_are_refused_in_every_field_of_an_event() {
    let server = Server::start();
    for value in wrong_values() {
        for (field, good) in
            [("event_id", "0"), ("customer_id", "48"), ("track_id", "453"), ("mobile", "false")]
        {
            let bad = PLAY.replace(&format!("\"{field}\":{good}"), &format!("\"{field}\":{value}"));
            let shown: String = bad.chars().take(200).collect();
            assert_refused(&server.post("/events", JSON, &bad), &shown);
            assert_refused(&server.post("/events", JSON, format!("[{bad}]")), &shown);
            if !value.contains('\n') {
                assert_refused(&server.post("/events", NDJSON, &bad), &shown);
            }
        }
        for (field, good) in [("type", "\"play\""), ("time", "\"2014-10-23T03:26:20\"")] {
            let bad = PLAY.replace(&format!("\"{field}\":{good}"), &format!("\"{field}\":{value}"));
            assert_refused(&server.post("/events", JSON, &bad), field);
        }
        let shown: String = value.chars().take(40).collect();
        if value != "[]" {
            assert_refused(&server.post("/events", JSON, &value), &shown);
        }
        let data = CLOUD.replace("{\"track_id\":1,\"mobile\":true}", &value);
        assert_refused(&server.post("/events", CLOUD_EVENT, &data), &shown);
        assert_refused(&server.post("/events", CLOUD_EVENTS, format!("[{data}]")), &shown);
        let batch = format!("{{\"customers\":[\"48\",{value}]}}");
        assert_refused(&server.post("/decisions", JSON, &batch), &shown);
    }
    assert_unharmed(&server);
}

#[test]
fn duplicate_and_unknown_keys_are_refused() {
    let server = Server::start();
    for field in ["type", "event_id", "customer_id", "track_id", "time", "mobile", "zip"] {
        let event: Value = serde_json::from_str(PLAY).expect("JSON");
        let twice = PLAY.replacen('{', &format!("{{\"{field}\":{},", event[field]), 1);
        let detail = server.post("/events", JSON, &twice).problem(422, "invalid-event");
        assert!(detail.contains("duplicate") && detail.contains(field), "{detail}");
    }
    let data = CLOUD.replace("{\"track_id\"", "{\"track_id\":2,\"track_id\"");
    assert_refused(&server.post("/events", CLOUD_EVENT, &data), "a field twice in data");
    let envelope = CLOUD.replace("{\"specversion\"", "{\"id\":\"x\",\"specversion\"");
    assert_refused(&server.post("/events", CLOUD_EVENT, &envelope), "an attribute twice");
    for body in [
        r#"{"customers":["1"],"customers":["2"]}"#,
        r#"{"customers":["1"],"dry_run":true}"#,
        r#"{"Customers":["1"]}"#,
        r#"{"customers":{"0":"1"}}"#,
        r#"{"customers":"48"}"#,
        r#"{}"#,
        r#"null"#,
        r#"48"#,
    ] {
        server.post("/decisions", JSON, body).problem(422, "invalid-body");
    }
    assert_unharmed(&server);
}

#[test]
fn impossible_times_are_refused() {
    let server = Server::start();
    let bad = [
        "0000-01-01T00:00:00",
        "9999-12-31T23:59:59",
        "9999-12-31T23:59:59-23:59",
        "2014-02-29T00:00:00",
        "1900-02-29T00:00:00",
        "2014-04-31T00:00:00",
        "2014-00-10T00:00:00",
        "2014-13-10T00:00:00",
        "2014-10-00T00:00:00",
        "2014-10-23T24:00:00",
        "2014-10-23T23:60:00",
        "2014-10-23T23:59:61",
        "2014-10-23T03:26",
        "2014-10-23",
        "20141023T032620",
        "2014-10-23T03:26:20+24:00",
        "2014-10-23T03:26:20+2",
        "2014-10-23T03:26:20.",
        "2014-10-23T03:26:20Zulu",
        "-2014-10-23T03:26:20",
        "12014-10-23T03:26:20",
        "10/23/2014 03:26:20",
        "1414034780",
        "yesterday",
        "",
        "２０１４-10-23T03:26:20",
        "2014-10-23T03:26:20\u{0}",
        "NaN",
        "2014-1０-23T03:26:20",
        "2014\u{2010}10\u{2010}23T03:26:20",
    ];
    for time in bad {
        let event = PLAY.replace("2014-10-23T03:26:20", &time.replace('\u{0}', "\\u0000"));
        let (status, kind) =
            if time.starts_with("9999") { (409, "event-conflict") } else { (422, "invalid-event") };
        server.post("/events", JSON, &event).problem(status, kind);
        let row = ROW.replace("2014-10-23 03:26:20", time);
        assert_refused(&server.post("/events", CSV, &row), time);
        let click = format!("1,48,ADV,\"{time}\"\n");
        assert_refused(&server.post("/events?kind=clicks", CSV, &click), time);
        let cloud = CLOUD.replace("2014-10-23T03:26:20Z", &time.replace('\u{0}', "\\u0000"));
        assert_refused(&server.post("/events", CLOUD_EVENT, &cloud), time);
    }
    for date in
        ["00/10/2014", "13/10/2014", "02/29/2014", "2014-02-29", "2/8/2014", "02/28/14", "", "02/28/0000"]
    {
        let body = format!("CustID,SignDate,Level\n48,{date},1\n");
        assert_refused(&server.post("/events?kind=customers", CSV, &body), date);
    }
    assert_unharmed(&server);
}

#[test]
fn extreme_valid_times_are_accepted() {
    let server = Server::by_event_clock();
    let good = [
        "0001-01-01T00:00:00",
        "2000-02-29T23:59:59",
        "2016-02-29T00:00:00Z",
        "1969-12-31T23:59:59.999-23:59",
    ];
    for (index, time) in good.iter().enumerate() {
        let event = PLAY.replace("2014-10-23T03:26:20", time).replace(":48", &format!(":{index}"));
        assert_eq!(server.load("/events", JSON, event), (1, 0), "{time}");
        let held = server.held(&index.to_string());
        let plays =
            [&held["plays"], &held["older_plays"]].map(|plays| plays.as_array().expect("a list").clone());
        assert_eq!(plays.concat()[0]["time"], *time);
        let row = ROW.replace("2014-10-23 03:26:20", time).replace(",48,", &format!(",{index},"));
        assert_eq!(server.load("/events", CSV, row), (0, 1), "{time}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let server = Server::start();
    let utf16 = |text: &str, little: bool, mark: bool| -> Vec<u8> {
        let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
        units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    };
    let latin1 =
        |text: &str| text.replace("72132", "\u{1}").bytes().map(|b| if b == 1 { 0xe4 } else { b }).collect();
    let bodies = [(JSON, PLAY), (NDJSON, PLAY), (CSV, ROW), (CLOUD_EVENT, CLOUD), (CLOUD_EVENTS, CLOUD)];
    for (content_type, text) in bodies {
        for (little, mark) in [(true, true), (true, false), (false, true), (false, false)] {
            let body = utf16(text, little, mark);
            assert_refused(&server.post("/events", content_type, body), &format!("{content_type} in UTF-16"));
        }
        for odd in [&b"\xff\xfe\xfd"[..], b"\0", b"\0\0\0\0", b"\xef\xbb\xbf\xef\xbb\xbf{}", b"\x1f\x8b\x08"]
        {
            assert_refused(&server.post("/events", content_type, odd), &format!("{content_type} {odd:?}"));
        }
    }
    for (content_type, text) in [(JSON, PLAY), (NDJSON, PLAY), (CSV, ROW)] {
        let body: Vec<u8> = latin1(text);
        assert_refused(&server.post("/events", content_type, body), &format!("{content_type} in Latin-1"));
    }
    for body in
        [utf16(BATCH, true, true), b"\xff".to_vec(), b"{\"customers\":[\"\xe4\"]}".to_vec(), b"\0".to_vec()]
    {
        assert_refused(&server.post("/decisions", JSON, body), "decisions");
    }
    assert_unharmed(&server);
}

#[test]
fn deep_nesting_is_refused() {
    let server = Server::start();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [200, 10_000] {
            for body in [open.repeat(depth), open.repeat(depth) + "1" + &close.repeat(depth)] {
                for content_type in EVENT_TYPES {
                    assert_refused(&server.post("/events", content_type, &body), content_type);
                }
                assert_refused(&server.post("/decisions", JSON, &body), "decisions");
                let extra = PLAY.replacen('{', &format!("{{\"extra\":{body},"), 1);
                assert_refused(&server.post("/events", JSON, &extra), "an unknown field");
                let extra = CLOUD.replacen('{', &format!("{{\"extension\":{body},\"data_base64\":0,"), 1);
                assert_refused(&server.post("/events", CLOUD_EVENT, &extra), "an extension attribute");
            }
        }
    }
    assert_unharmed(&server);
}

#[test]
fn unusual_quoting_and_separators_in_rows_are_refused() {
    let server = Server::start();
    for body in [
        "0;48;453;2014-10-23 03:26:20;0;72132\n",
        "0\t48\t453\t2014-10-23 03:26:20\t0\t72132\n",
        ",,,,,\n",
        "\"0,48,453,2014-10-23 03:26:20,0,72132\n",
        "0,48,453,\"2014-10-23 03:26:20,0,72132\n",
        "0,48,453,2014-10-23 03:26:20,0,72132,\n",
        "0,48,453,2014-10-23 03:26:20,0\n",
        "0,\"48\"\"\",453,2014-10-23 03:26:20,0,72132\n",
        "0,\"4,8\",453,2014-10-23 03:26:20,0,72132\n",
        "0,48,453,2014-10-23 03:26:20,NaN,72132\n",
        "0,-48.5/2,453,2014-10-23 03:26:20,0,72132\n",
        "0,4\u{0}8,453,2014-10-23 03:26:20,0,72132\n",
        "\"\n\n\n",
        "event_id,customer_id,track_id,mobile,zip\n",
    ] {
        assert_refused(&server.post("/events?kind=plays", CSV, body), body);
        assert_refused(&server.post("/events?kind=clicks", CSV, body), body);
        let with_header = format!("CustID,SignDate,Level\n{body}");
        assert_refused(&server.post("/events?kind=customers", CSV, with_header), body);
        let with_header = format!("TrackId,Title,Artist,Length\n{body}");
        assert_refused(&server.post("/events?kind=tracks", CSV, with_header), body);
    }
    let long = format!("TrackId,Title,Artist,Length\n1,{},b,1\n", "x".repeat(513));
    assert_refused(&server.post("/events?kind=tracks", CSV, long), "a long title");
    for length in ["-1", "1.5", "NaN", "4294967296", "1e3", ""] {
        let body = format!("TrackId,Title,Artist,Length\n1,a,b,{length}\n");
        assert_refused(&server.post("/events?kind=tracks", CSV, body), length);
    }
    assert_unharmed(&server);
}

#[test]
fn unusual_queries_to_every_path_get_typed_answers() {
    let server = Server::start();
    let paths = [
        "/should-show-ad/48",
        "/events",
        "/decisions",
        "/healthz",
        "/readyz",
        "/",
        "/metrics",
        "/models",
        "/campaigns",
        "/campaigns/history",
        "/openapi.yaml",
        "/customers/48",
        "/customers/48/explain",
        "/customers/48/events",
        "/tracks/1",
        "/interests",
        "/tombstones",
        "/backups",
        "/backups/48",
        "/backups/48/segment-000000000001",
    ];
    for path in paths {
        for query in [
            "?%FF",
            "?a=%00",
            "?=",
            "?&&",
            "?%zz=%",
            "?kind",
            "?atomic=NaN&kind=%F0%9F%8E%B5",
            "?dry_run=1e308",
        ] {
            for (address, method) in [(&server.data, "GET"), (&server.data, "POST"), (&server.admin, "GET")] {
                let answer =
                    server.ask(method, address, &format!("{path}{query}"), &[("content-type", JSON)], b"\0");
                assert!((200..500).contains(&answer.status), "{method} {path}{query}: {}", answer.status);
                if answer.status >= 400 {
                    assert_eq!(answer.json()["status"], json!(answer.status), "{method} {path}{query}");
                }
            }
        }
    }
    assert_unharmed(&server);
}
