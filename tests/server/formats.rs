//! The formats of `POST /events`: one event, an array, lines, rows; and the report on bad rows.

use serde_json::{Value, json};

use super::support::{CSV, JSON, NDJSON, Server};

const PLAY: &str = r#"{"type":"play","event_id":0,"customer_id":48,"track_id":453,"time":"2014-10-23T03:26:20","mobile":false,"zip":"72132"}"#;

/// The contract's play under another event id.
fn play(event_id: u64) -> String {
    PLAY.replace("\"event_id\":0", &format!("\"event_id\":{event_id}"))
}

/// The plays of customer 48 held by a server on the event clock.
fn plays(server: &Server) -> Value {
    server.held("48")["plays"].clone()
}

/// The rejected rows, as (index, detail), of a body that is applied row by row.
fn rejected(server: &Server, path: &str, content_type: &str, body: &str) -> Vec<(u64, String)> {
    let report = server.post(path, content_type, body).ok();
    let rows = report["rejected"].as_array().expect("a list").iter();
    rows.map(|row| {
        (row["index"].as_u64().expect("an index"), row["detail"].as_str().expect("text").to_owned())
    })
    .collect()
}

#[test]
fn example_event_of_the_contract_is_kept_as_sent() {
    let server = Server::by_event_clock();
    let answer = server.post("/events", JSON, PLAY);
    assert_eq!(answer.text(), r#"{"accepted":1,"duplicates":0,"rejected":[]}"#);
    assert_eq!(server.post("/events", JSON, PLAY).text(), r#"{"accepted":0,"duplicates":1,"rejected":[]}"#);
    let held = json!([{"event_id": 0, "track_id": 453, "time": "2014-10-23T03:26:20", "mobile": false}]);
    assert_eq!(plays(&server), held);
    assert!(!server.held("48").to_string().contains("72132"), "no decision needs the zip");
}

#[test]
fn numeric_and_text_ids_are_equal() {
    let server = Server::by_event_clock();
    server.load("/events", JSON, PLAY);
    let text = PLAY.replace(":48", ":\"48\"").replace(":453", ":\"453\"").replace(":0", ":\"0\"");
    assert_ne!(text, PLAY);
    assert_eq!(server.load("/events", JSON, text), (0, 1));
    // Leading zeros make another id, as do numbers too long for a number.
    assert_eq!(server.load("/events", JSON, PLAY.replace(":48", ":\"048\"")), (1, 0));
    let long = PLAY.replace(":48", ":\"18446744073709551616\"");
    assert_eq!(server.load("/events", JSON, long), (1, 0));
    assert_eq!(server.load("/events", JSON, PLAY.replace(":48", ":18446744073709551615")), (1, 0));
    assert_eq!(server.profiles(), 4);
}

#[test]
fn array_applies_good_rows_and_reports_bad_ones() {
    let server = Server::by_event_clock();
    let body = format!("[{},\n {{\"type\":\"play\"}}, {}, 7, {}, null, []]", play(1), play(1), play(2));
    let report = server.post("/events", JSON, body).ok();
    assert_eq!((&report["accepted"], &report["duplicates"]), (&json!(2), &json!(1)));
    let rows = report["rejected"].as_array().expect("a list");
    let indexes: Vec<_> = rows.iter().map(|row| row["index"].clone()).collect();
    assert_eq!(indexes, [1, 3, 5, 6]);
    assert!(rows[0]["detail"].as_str().is_some_and(|detail| detail.contains("track_id")), "{report}");
    assert_eq!(plays(&server).as_array().map(Vec::len), Some(2));
}

#[test]
fn list_of_values_is_not_an_event() {
    let server = Server::by_event_clock();
    let values = r#"["play",1,48,"2014-10-23T03:26:20",453,false]"#;
    assert_eq!(rejected(&server, "/events", JSON, &format!("[{values}]")).len(), 1);
    assert_eq!(rejected(&server, "/events", NDJSON, values).len(), 1);
    server.post("/decisions", JSON, r#"[["48"]]"#).problem(422, "invalid-body");
    assert_eq!(server.profiles(), 0);
}

#[test]
fn empty_bodies_are_accepted_and_change_nothing() {
    let server = Server::start();
    for (path, content_type, body) in [
        ("/events", JSON, "[]"),
        ("/events", NDJSON, ""),
        ("/events", NDJSON, "\n\r\n"),
        ("/events", CSV, ""),
    ] {
        assert_eq!(server.load(path, content_type, body), (0, 0), "{content_type}");
    }
}

#[test]
fn lines_may_have_any_line_ending_blank_lines_and_a_byte_order_mark() {
    let good = [
        format!("{}\n{}\n{}\n", play(1), play(2), play(3)),
        format!("{}\n{}\n{}", play(1), play(2), play(3)),
        format!("{}\r\n{}\r\n{}\r\n", play(1), play(2), play(3)),
        format!("\u{feff}{}\n\n  \n{}\r\n\r\n\t{}  \n\n", play(1), play(2), play(3)),
    ];
    for body in good {
        let server = Server::by_event_clock();
        assert_eq!(server.load("/events", NDJSON, &body), (3, 0), "{body:?}");
        assert_eq!(plays(&server).as_array().map(Vec::len), Some(3));
    }
}

#[test]
fn bad_line_is_reported_by_index_and_by_line() {
    let server = Server::by_event_clock();
    let body = format!("{}\n\nnot json\n{}\n{{\"type\":\"play\"\n", play(1), play(2));
    let rows = rejected(&server, "/events", NDJSON, &body);
    let indexes: Vec<_> = rows.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, [1, 3], "blank lines are no rows");
    assert!(rows[0].1.starts_with("line 3: ") && rows[1].1.starts_with("line 5: "), "{rows:?}");
    assert_eq!(plays(&server).as_array().map(Vec::len), Some(2));
}

#[test]
fn line_that_is_not_utf8_is_rejected_alone() {
    let server = Server::by_event_clock();
    let mut body = play(1).into_bytes();
    body.extend(b"\n{\"type\":\"pl\xe4y\"}\n");
    body.extend(play(2).into_bytes());
    let report = server.post("/events", NDJSON, &body).ok();
    assert_eq!((&report["accepted"], &report["rejected"][0]["index"]), (&json!(2), &json!(1)));
    assert!(
        report["rejected"][0]["detail"].as_str().is_some_and(|detail| detail.contains("UTF-8")),
        "{report}"
    );
    // In CSV likewise, where the fields that are kept are not UTF-8; JSON is refused whole.
    let rows =
        b"11,48,453,\"2014-10-23 03:26:20\",0,\"72132\"\n12,4\xe48,453,\"2014-10-23 03:26:20\",0,\"72132\"\n\
                 13,48,453,\"2014-10-23 03:26:20\",0,\"72132\"\n";
    let report = server.post("/events", CSV, rows).ok();
    assert_eq!((&report["accepted"], &report["rejected"][0]["index"]), (&json!(2), &json!(1)));
    server.post("/events", JSON, b"[{\"type\":\"pl\xe4y\"}]").problem(400, "malformed-body");
}

#[test]
fn rows_of_plays_are_read_with_any_quoting() {
    let rows = "1,48,453,\"2014-10-23 03:26:20\",0,\"72132\"\n2,48,19,\"2014-10-23 04:26:20\",1,\"17307\"\n";
    for body in [
        rows.to_owned(),
        rows.trim_end().to_owned(),
        rows.replace('"', ""),
        rows.replace('\n', "\r\n"),
        format!("\u{feff}{rows}"),
        rows.replace(',', " , ").replace("\" ", "\"").replace(" \"", "\""),
        rows.replace("1,48,453", "\"1\",\"48\",\"453\""),
        rows.replace("\"72132\"", "\"72,132\""),
        rows.replace('\n', "\n\n\r\n"),
        rows.replace(' ', "T"),
    ] {
        let server = Server::by_event_clock();
        assert_eq!(server.load("/events?kind=plays", CSV, &body), (2, 0), "{body:?}");
        let held = json!([
            {"event_id": 1, "track_id": 453, "time": "2014-10-23T03:26:20", "mobile": false},
            {"event_id": 2, "track_id": 19, "time": "2014-10-23T04:26:20", "mobile": true},
        ]);
        assert_eq!(plays(&server), held, "{body:?}");
    }
}

#[test]
fn bad_row_is_reported_by_index_and_by_line_of_the_file() {
    let server = Server::by_event_clock();
    let good = "1,48,453,\"2014-10-23 03:26:20\",0,\"72132\"";
    for end in ["\n", "\r\n"] {
        let body = [good, "", "2,48,453,tomorrow,0,1", "", "", "3,48", good].join(end);
        let rows = rejected(&server, "/events", CSV, &body);
        let reported: Vec<_> = rows.iter().map(|(index, detail)| (*index, &detail[..8])).collect();
        assert_eq!(reported, [(1, "line 3: "), (2, "line 6: ")], "{rows:?}");
    }
    // A quoted line break is part of its row, and counts as a line.
    let rows = rejected(&server, "/events", CSV, "\"1\n\",48\nx\n");
    assert!(
        rows[0].1.starts_with("line 1: (lines 1 to 2) ") && rows[1].1.starts_with("line 3: "),
        "{rows:?}"
    );
}

#[test]
fn bad_row_is_reported_with_its_column_and_the_expected_form() {
    let server = Server::by_event_clock();
    for (path, row, said) in [
        ("/events", "1,48,453,2014-10-23 03:26:20,2,1", "mobile (column 5)"),
        ("/events", "1,48,453,2014-10-23 03:26:20,yes,1", "send 0 or 1, or false or true"),
        ("/events", "1,4 8,453,2014-10-23 03:26:20,0,1", "customer id (column 2)"),
        ("/events", ",48,453,2014-10-23 03:26:20,0,1", "event id (column 1)"),
        ("/events", "1,48,,2014-10-23 03:26:20,0,1", "track id (column 3)"),
        ("/events", "1,48,453,2014-02-29 03:26:20,0,1", "day 29"),
        ("/events", "1,48,453,2014-10-23 24:00:00,0,1", "hour 24"),
        ("/events", "1,48,453,2014-10-23 03:26:20,0,12345678901234567", "zip (column 6)"),
        ("/events", "1,48,ADV_REDUCED_1DAY,2014-10-23 03:26:20", "kind=clicks"),
        ("/events?kind=clicks", "1,48,453,2014-10-23 03:26:20,0,1", "kind=plays"),
        ("/events?kind=clicks", "1,48,AN AD,2014-10-23 03:26:20", "ad (column 3)"),
        ("/events?kind=customers", "CustID,SignDate,Level\n1,06/04/2013,3", "Level"),
        ("/events?kind=customers", "CustID,SignDate,Level\n1,06/04/2013,1.0", "a digit without a fraction"),
        ("/events?kind=customers", "CustID,SignDate,Level\n1,6/4/2013,1", "06/04/2013"),
        ("/events?kind=customers", "CustID,SignDate,Level\n1,06.04.2013,1", "2013-06-04"),
        ("/events?kind=customers", "CustID,SignDate,Level\n1,24/06/2013,1", "the month comes first"),
        ("/events?kind=customers", "CustID,SignDate,Level\n1,2013-02-29,1", "day 29"),
        ("/events?kind=customers", "CustID,SignDate,Level\n,06/04/2013,1", "CustID"),
        ("/events?kind=customers", "CustID,SignDate,Level\n1,06/04/2013", "2 columns"),
        ("/events?kind=tracks", "TrackId,Title,Artist,Length\n1,a,b,long", "Length"),
        ("/events?kind=tracks", "TrackId,Title,Artist,Length\n1,,b,1", "Title"),
        ("/events?kind=tracks", "TrackId,Title,Artist,Length\n1,a,b", "3 columns"),
    ] {
        let rows = rejected(&server, path, CSV, row);
        assert!(rows.len() == 1 && rows[0].0 == 0 && rows[0].1.contains(said), "{row}: {rows:?}");
    }
    assert_eq!((server.profiles(), server.metric("upbeat_tracks")), (0, 0.0));
}

#[test]
fn unambiguous_forms_of_times_flags_and_levels_are_read_in_every_format() {
    let server = Server::by_event_clock();
    let times = [
        "2014-10-23 03:26:20+00",
        "2014-10-23 03:26:20 UTC",
        "2014-10-23 03:26:20+0000",
        "2014-10-23 03:26:20.000000000000Z",
        "2014-10-23T03:26:20.0009999999Z",
    ];
    // All are the same event, whichever way it comes.
    let expected = PLAY.replace("03:26:20", "03:26:20Z");
    server.load("/events", JSON, &expected);
    for time in times {
        assert_eq!(server.load("/events", JSON, PLAY.replace("2014-10-23T03:26:20", time)), (0, 1), "{time}");
        for mobile in ["0", "f", "F", "false", "FALSE", "\"False\"", "\"0\"", " f "] {
            let row = format!("0,48,453,{time},{mobile},72132\n");
            assert_eq!(server.load("/events", CSV, &row), (0, 1), "{row}");
        }
    }
    for (number, mobile) in ["1", "t", "T", "true", "True", "\"TRUE\""].into_iter().enumerate() {
        let row = format!("1,phone{number},453,{},{mobile},1\n", times[0]);
        assert_eq!(server.load("/events", CSV, row), (1, 0));
        assert_eq!(server.held(&format!("phone{number}"))["plays"][0]["mobile"], true, "{mobile}");
    }
    for (time, held) in [
        ("2014-12-31T23:59:60Z", "2014-12-31T23:59:59.999Z"),
        ("2015-01-01 00:00:00+02", "2015-01-01T00:00:00+02:00"),
    ] {
        server.load("/events?kind=clicks", CSV, format!("7,49,ADV,{time}\n"));
        let clicks = server.held("49")["clicks"].as_array().expect("a list").clone();
        assert!(clicks.iter().any(|click| click["time"] == held), "{clicks:?}");
    }
    for (number, (date, level)) in
        [("2013-06-04", "2"), ("2013-06-04 00:00:00", "gold"), ("06/04/2013", "Gold")].into_iter().enumerate()
    {
        let file = format!("CustID,SignDate,Level\n{number},{date},{level}\n");
        server.load("/events?kind=customers", CSV, file);
        let membership = json!({"level": "gold", "since": "2013-06-04T00:00:00"});
        assert_eq!(server.held(&number.to_string())["membership"], membership, "{date}");
    }
    let path = "/events?kind=customers&as_of=2014-10-23T00:00:00";
    let file = "CustID,SignDate,Level\n1,06/04/2013,1\n";
    assert_eq!(server.load(&format!("{path}%2B00"), CSV, file), (1, 0));
    let detail = server.post(&format!("{path}+00"), CSV, file).problem(400, "invalid-query");
    assert!(detail.contains("%2B"), "{detail}");
}

#[test]
fn customer_columns_may_come_in_any_order_and_hold_commas() {
    let server = Server::start();
    let body = "\u{feff}Level,\"SignDate\",Address,CustID\r\n2,\"06/04/2013\",\"1, Easy Cider \"\"Point\"\"\",48\r\n";
    assert_eq!(server.load("/events?kind=customers", CSV, body), (1, 0));
    assert_eq!(server.held("48")["membership"], json!({"level": "gold", "since": "2013-06-04T00:00:00"}));
}

#[test]
fn tracks_are_read_with_and_without_quotes() {
    let server = Server::start();
    let body =
        "TrackId,Title,Artist,Length\r\n1,\"One, Two\",\"A \"\"B\"\" C\",10\r\n2,Twelve\" Mix,\"X,20\r\n";
    assert_eq!(server.load("/events?kind=tracks", CSV, body), (2, 0));
    let track = |id: u64| server.admin_get(&format!("/tracks/{id}")).ok();
    assert_eq!(track(1), json!({"track_id": 1, "title": "One, Two", "artist": "A \"B\" C", "length_s": 10}));
    assert_eq!(track(2), json!({"track_id": 2, "title": "Twelve\" Mix", "artist": "\"X", "length_s": 20}));
    server.admin_get("/tracks/3").problem(404, "track-not-found");
    // The catalogue is corrected by sending it again.
    assert_eq!(server.load("/events?kind=tracks", CSV, body.replace("Mix", "Cut")), (1, 1));
    assert_eq!(track(2)["title"], "Twelve\" Cut");
}

#[test]
fn clicks_are_kept_in_the_profile() {
    let server = Server::by_event_clock();
    let rows =
        "7,48,ADV_REDUCED_1DAY,\"2014-10-23 03:26:20\"\n8,48,ADV_LIKE_FACEBOOK,\"2014-10-22 03:26:20\"\n";
    assert_eq!(server.load("/events?kind=clicks", CSV, rows), (2, 0));
    let click = r#"{"type":"click","event_id":7,"customer_id":"48","ad":"ADV_REDUCED_1DAY","time":"2014-10-23T03:26:20"}"#;
    assert_eq!(server.load("/events", JSON, click), (0, 1));
    let held = json!([
        {"event_id": 8, "ad": "ADV_LIKE_FACEBOOK", "time": "2014-10-22T03:26:20"},
        {"event_id": 7, "ad": "ADV_REDUCED_1DAY", "time": "2014-10-23T03:26:20"},
    ]);
    assert_eq!(server.held("48")["clicks"], held);
}

#[test]
fn kind_and_as_of_are_checked_for_every_content_type() {
    let server = Server::start();
    for (path, content_type, body, said) in [
        ("/events?kind=songs", CSV, "", "songs"),
        ("/events?kind=songs", JSON, "[]", "songs"),
        ("/events?as_of=2014-02-29T00:00:00", JSON, "[]", "as_of"),
        ("/events?kind=customers&as_of=yesterday", CSV, "", "as_of"),
    ] {
        let detail = server.post(path, content_type, body).problem(400, "invalid-query");
        assert!(detail.contains(said), "{path}: {detail}");
    }
    let with_json = "/events?kind=customers&as_of=2014-01-01T00:00:00";
    assert_eq!(
        server.load(with_json, JSON, crate::listeners::play("48", 1, 60)),
        (1, 0),
        "kind and as_of have no effect on JSON"
    );
}
