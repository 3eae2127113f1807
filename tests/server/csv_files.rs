//! CSV bodies as other programs write them: headers, quotes that are left open, rows with columns too many, bodies without
//! a header.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::support::{CSV, Server};

/// The counts of a report, and what it says of each row.
fn report(server: &Server, path: &str, body: impl AsRef<[u8]>) -> (u64, Vec<String>) {
    let report = server.post(path, CSV, body).ok();
    let rejected = report["rejected"].as_array().expect("a list");
    let details = rejected.iter().map(|row| row["detail"].as_str().expect("text").to_owned()).collect();
    (report["accepted"].as_u64().expect("a count") + report["duplicates"].as_u64().expect("a count"), details)
}

/// As R's `write.csv` writes a catalogue.
const QUOTED_TRACKS: &str = "\"TrackId\",\"Title\",\"Artist\",\"Length\"\n\
                             7001,\"A, b\",\"X\",100\n\
                             7002,\"C \"\"d\"\"\",\"X\",100\n";

/// The level of a customer, where the server holds them.
fn level(server: &Server, customer: u64) -> Value {
    let answer = server.admin_get(&format!("/customers/{customer}"));
    if answer.status == 404 { Value::Null } else { answer.ok()["membership"]["level"].clone() }
}

#[test]
fn row_with_a_column_too_many_sets_no_membership() {
    let server = Server::start();
    let header = "CustID,Name,SignDate,Level,Campaign\n";
    let rows = "49,\"Rob \\\"Bob\\\", Gordon\",06/04/2013,0,1\n50,Paula,06/04/2013,1,4\n";
    let path = "/events?kind=customers&as_of=2014-01-01T00:00:00";
    let (read, details) = report(&server, path, format!("{header}48,Rob,06/04/2013,0,1,\n{rows}"));
    assert_eq!((read, details.len()), (1, 2), "{details:?}");
    let (read, details) = report(&server, path, format!("{header}51,Rob, Gordon,06/04/2013,0,2\n"));
    assert_eq!((read, details.len()), (0, 1), "{details:?}");
    let levels = [48, 49, 50, 51].map(|customer| level(&server, customer));
    assert_eq!(levels, [Value::Null, Value::Null, json!("silver"), Value::Null]);
}

#[test]
fn open_quote_leaves_later_rows_to_be_read() {
    let server = Server::by_event_clock();
    let row = |id: u64, zip: &str| format!("{id},48,3,2014-10-23 03:26:20,0,{zip}\n");
    let later: String = (3..103).map(|id| row(id, "72132")).collect();
    let (read, details) = report(&server, "/events", row(1, "\"72132\"") + &row(2, "\"72132") + &later);
    assert_eq!((read, details.len()), (101, 1), "{details:?}");
    assert!(details[0].starts_with("line 2: the quote that opens column 6 is not closed"), "{details:?}");
    assert_eq!(server.held("48")["plays"].as_array().expect("plays").len(), 101);
}

#[test]
fn quoted_header_of_another_program_is_read() {
    let server = Server::by_event_clock();
    assert_eq!(report(&server, "/events?kind=tracks", QUOTED_TRACKS), (2, vec![]));
    assert_eq!(server.admin_get("/tracks/7001").ok()["title"], "A, b");
    assert_eq!(server.admin_get("/tracks/7002").ok()["title"], "C \"d\"");
    let plays = "\"\",\"event_id\",\"customer_id\",\"track_id\",\"time\",\"mobile\",\"zip\"\n\
                 \"1\",0,48,453,\"2014-10-23 03:26:20\",1,\"72132\"\n";
    assert_eq!(report(&server, "/events?kind=plays", plays), (1, vec![]));
    assert_eq!(server.held("48")["plays"][0]["mobile"], true);
}

#[test]
fn column_named_twice_sets_no_membership() {
    let server = Server::start();
    let (read, details) =
        report(&server, "/events?kind=customers", "CustID,SignDate,Level,Level\n901,06/04/2013,0,2\n");
    assert_eq!((read, details.len()), (0, 2), "{details:?}");
    assert!(details[0].contains("Level is the name of columns 3 and 4"), "{details:?}");
    assert_eq!(level(&server, 901), Value::Null);
}

#[test]
fn named_columns_make_every_body_of_a_shipper_whole() {
    let server = Server::start();
    let path = "/events?kind=customers&columns=CustID,Name,SignDate,Level";
    let first = "CustID,Name,SignDate,Level\n48,\"A, b\",06/04/2013,2\n";
    assert_eq!(report(&server, path, first), (1, vec![]));
    assert_eq!(report(&server, path, "49,x,06/04/2013,1\n50,x,06/04/2013,0"), (2, vec![]));
    assert_eq!(report(&server, path, ""), (0, vec![]));
    assert_eq!((level(&server, 48), level(&server, 49)), (json!("gold"), json!("silver")));
    for (columns, said) in
        [("CustID,Level", "SignDate"), ("", "CustID"), ("CustID,SignDate,Level,Level", "columns 3 and 4")]
    {
        let answer = server.post(&format!("/events?kind=customers&columns={columns}"), CSV, first);
        assert!(answer.problem(400, "invalid-query").contains(said), "{columns}");
    }
}

#[test]
fn missing_header_refuses_each_row_rather_than_the_body() {
    let server = Server::start();
    for (kind, body, rows) in [
        ("customers", "0,\"Gregory Koval\",0,\"a\",\"72132\",\"06/04/2013\",1,1,1,0\n", 1),
        ("customers", "CustID,Level\n0,1\n", 2),
        ("customers", "", 0),
        ("customers", "\n", 0),
        ("tracks", "0,Caught Up In You,.38 Special,200\n1,b,c,2", 2),
        ("tracks", "", 0),
    ] {
        let (read, details) = report(&server, &format!("/events?kind={kind}"), body);
        assert_eq!((read, details.len()), (0, rows), "{kind} {body}: {details:?}");
        assert!(details.first().is_none_or(|first| first.contains("header")), "{details:?}");
    }
    assert_eq!(server.profiles(), 0);
}

#[test]
fn counts_add_up_to_the_rows_of_the_file_whatever_its_quotes() {
    let server = Server::by_event_clock();
    let good = |id: usize| format!("{id},48,3,\"2014-10-23 03:26:20\",0,\"72132\"");
    for (at, quote) in (0..good(0).len()).step_by(3).flat_map(|at| [(at, "\""), (at, "\"\""), (at, "\\\"")]) {
        let mut rows: Vec<String> = (0..5).map(|row| good(1000 * at + row)).collect();
        rows[1].insert_str(at, quote);
        let (read, details) = report(&server, "/events", rows.join("\n"));
        let told = details.iter().map(|detail| {
            let Some((_, lines)) = detail.split_once(": (lines ") else { return 1 };
            let lines: Vec<u64> =
                lines.split([' ', ')']).filter_map(|word| word.parse().ok()).take(2).collect();
            lines[1] - lines[0] + 1
        });
        assert_eq!(read + told.sum::<u64>(), 5, "{quote} at {at}: {details:?}");
        assert!(read >= 4, "{quote} at {at}: {details:?}");
    }
}

/// What a command says on stderr of the rows of a file, as `LINE: …`.
fn said_of(file: &str, arguments: &[&str]) -> Vec<String> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_upbeat")).args(arguments).output().expect("the command runs");
    let stderr = String::from_utf8(output.stderr).expect("text");
    let said = stderr.lines().filter_map(|line| line.strip_prefix(file)?.strip_prefix(':'));
    said.map(str::to_owned).collect()
}

#[test]
fn post_features_and_replay_refuse_the_same_lines_of_a_file() {
    let good = "1,48,3,\"2014-10-23 03:26:20\",0,\"72132\"";
    let bad = [
        "2,48,3,\"2014-10-23 03:26:20,0,72132",
        "3,48,3,2014-10-23 03:26:20,0,\"72132",
        "4,48,3,2014-10-23 03:26:20,0,\"72132\" x",
        "5,48,3,2014-10-23 03:26:20,0,\"a long zip\nof two lines\"",
        "6,48,3,2014-10-23 03:26:20,0",
        "7,48,3,2014-10-23 03:26:20,0,\"",
        "\"",
    ];
    let directory = tempfile::tempdir().expect("a directory");
    let (file, none) = (directory.path().join("plays.csv"), directory.path().join("clicks.csv"));
    let (file, none) = (file.to_str().expect("a name"), none.to_str().expect("a name"));
    fs::write(none, "").expect("a file");
    for end in ["\n", "\r\n", "\r"] {
        for header in ["", "event_id,customer_id,track_id,time,mobile,zip\n"] {
            let mut text = header.to_owned();
            for bad in bad {
                text += &format!("{good}\n{good}\n{bad}\n\n");
            }
            // A quoted line end belongs to a row that is good.
            text += "8,48,3,2014-10-23 03:26:20,0,\"7\n2\"\n";
            let text = text.replace('\n', end);
            fs::write(file, &text).expect("a file");
            let server = Server::by_event_clock();
            let (read, details) = report(&server, "/events", &text);
            assert_eq!((read, details.len()), (2 * bad.len() as u64 + 1, bad.len()), "{details:?}");
            let posted: Vec<&str> =
                details.iter().filter_map(|detail| detail.strip_prefix("line ")).collect();
            let features = ["features", "--tracks", file, "--clicks", none, "--skip-bad"];
            assert_eq!(said_of(file, &features), posted, "features {end:?}");
            let server = Server::by_event_clock();
            let replay =
                ["replay", "--tracks", file, "--to", &format!("http://{}", server.data), "--batch", "3"];
            // What the server says of a row has the line in the body, behind that in the file. A batch's rows that are not
            // sent come before those that the server refuses.
            let line = |said: &str| said.split(':').next().and_then(|line| line.parse::<u64>().ok());
            let mut replayed: Vec<_> = said_of(file, &replay).iter().map(|said| line(said)).collect();
            replayed.sort_unstable();
            assert_eq!(replayed, posted.iter().map(|said| line(said)).collect::<Vec<_>>(), "replay {end:?}");
            assert_eq!(server.held("48")["plays"].as_array().expect("plays").len(), 2);
        }
    }
}
