//! The document of campaigns: taken from a file and over HTTP, all or nothing, versioned, and kept whatever happens. For what is
//! wrong with one see `bad_campaigns.rs`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::durability::{Kept, kill};
use super::listeners::likely;
use super::support::*;

pub(super) const TOML: &str = "application/toml";

/// A campaign that shows to whoever has a history, without money and caps.
pub(super) fn open(id: &str) -> String {
    format!(
        "[[campaign]]\nid = \"{id}\"\nad = \"AD_{id}\"\nthreshold = {{ score = -1e9 }}\nmodel = \"gold-one-day\"\n"
    )
}

pub(super) fn put_with(server: &Server, toml: &str, headers: &[(&str, &str)]) -> Answer {
    let headers = [&[("content-type", TOML)], headers].concat();
    server.ask("PUT", &server.admin, "/campaigns", &headers, toml.as_bytes())
}

/// Puts campaigns that must be taken; the version, and its tag.
#[track_caller]
pub(super) fn put(server: &Server, toml: &str) -> (u64, String) {
    let answer = put_with(server, toml, &[]);
    let version = answer.ok()["version"].as_u64().expect("a number");
    (version, answer.header("etag").to_owned())
}

pub(super) fn in_force(server: &Server) -> String {
    let answer = server.admin_get("/campaigns");
    assert_eq!((answer.status, answer.header("content-type")), (200, TOML));
    answer.text()
}

pub(super) fn history(server: &Server) -> Vec<Value> {
    server.admin_get("/campaigns/history").ok().as_array().expect("a list").clone()
}

/// A directory with the files of a configuration.
pub(super) struct Files(tempfile::TempDir);

impl Files {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let this = Self(tempfile::tempdir().expect("a folder"));
        for (name, text) in files {
            this.write(name, text);
        }
        this
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    pub(super) fn config(&self) -> String {
        self.path("upbeat.toml").display().to_string()
    }

    pub(super) fn start(&self, kept: &Kept) -> Server {
        Server::with(
            &["--config", &self.config(), "--data-dir", &kept.directory()],
            &[
                ("UPBEAT_LANES_DIR", &kept.lanes.path().display().to_string()),
                ("UPBEAT_SHUTDOWN_DRAIN", "0s"),
            ],
        )
    }
}

#[test]
fn campaigns_are_read_back_as_they_were_put_and_decide_at_once() {
    let server = Server::start();
    server.load("/events", NDJSON, likely("48"));
    let first = server.admin_get("/campaigns");
    let tag = first.header("etag").to_owned();
    assert!(first.text().contains("id = \"gold-one-day\""), "{}", first.text());
    let toml = format!("# For the summer.\n{}", open("summer"));
    let (version, etag) = put(&server, &toml);
    assert_eq!((version, in_force(&server)), (2, toml.clone()));
    assert_eq!(server.admin_get("/campaigns").header("etag"), etag);
    assert_ne!(etag, tag);
    let decision = server.decide("48");
    assert_eq!((&decision["campaign"], &decision["show"]), (&json!("summer"), &json!(true)));

    // A stale tag, and then the right one.
    let stale = put_with(&server, &open("winter"), &[("if-match", &tag)]);
    let detail = stale.problem(412, "precondition-failed");
    assert!(detail.contains(&etag) && detail.contains(&tag), "{detail}");
    assert_eq!(in_force(&server), toml);
    for wrong in ["\"0\"", "W/\"0\"", "nonsense", "", &format!("W/{etag}")] {
        put_with(&server, &open("winter"), &[("if-match", wrong)]).problem(412, "precondition-failed");
    }
    let taken = put_with(
        &server,
        &open("winter"),
        &[("if-match", &format!("{tag}, {etag}")), ("x-upbeat-user", "ada")],
    );
    assert_eq!(taken.ok()["version"], 3);
    assert_eq!(put_with(&server, &open("autumn"), &[("if-match", "*")]).ok()["version"], 4);

    // What is in force already is no new version.
    assert_eq!(put(&server, &open("autumn")).0, 4);
    let history = history(&server);
    let of = |key: &str| history.iter().map(|version| version[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("version"), [json!(1), json!(2), json!(3), json!(4)]);
    assert_eq!(of("who"), [json!("file"), json!("admin"), json!("ada"), json!("admin")]);
    assert!(history.iter().all(|version| version["changed"].as_array().is_some_and(|keys| !keys.is_empty())));
    assert!(history.iter().all(|version| version["time"].as_str().is_some_and(|time| time.ends_with('Z'))));
}

#[test]
fn requests_for_campaigns_of_a_wrong_form_change_nothing() {
    let server = Server::start();
    let (_, etag) = put(&server, &open("good"));
    let other = open("other");
    let put =
        |headers: &[(&str, &str)], body: &[u8]| server.ask("PUT", &server.admin, "/campaigns", headers, body);
    for kind in ["application/json", "text/plain", "application/toml; charset=latin1"] {
        put(&[("content-type", kind)], other.as_bytes()).problem(415, "unsupported-media-type");
    }
    put(&[], other.as_bytes()).problem(415, "unsupported-media-type");
    let compressed = put(&[("content-type", TOML), ("content-encoding", "gzip")], other.as_bytes());
    compressed.problem(415, "unsupported-encoding");
    put(&[("content-type", TOML)], b"\xff\xfe").problem(400, "malformed-body");
    let long = format!("{other}# {}\n", "x".repeat(300_000));
    put(&[("content-type", TOML)], long.as_bytes()).problem(413, "body-too-large");
    for who in ["=1+1", "@SUM(1)", &"x".repeat(65), "<b>", "-"] {
        let answer = put(&[("content-type", TOML), ("x-upbeat-user", who)], other.as_bytes());
        assert!(answer.problem(400, "invalid-header").contains("X-Upbeat-User"), "{who}");
    }
    server
        .ask("PUT", &server.admin, "/campaigns?force=true", &[("content-type", TOML)], other.as_bytes())
        .problem(400, "invalid-query");
    for method in ["POST", "DELETE", "PATCH"] {
        server.ask(method, &server.admin, "/campaigns", &[], b"").problem(405, "method-not-allowed");
    }
    for path in ["/campaigns", "/campaigns/history", "/campaigns/good/report"] {
        server.get(path).problem(404, "not-found");
    }
    assert_eq!(server.admin_get("/campaigns").header("etag"), etag);
    assert_eq!(in_force(&server), open("good"));
}

#[test]
fn hangup_takes_a_changed_file_whole_and_a_bad_one_leaves_the_old_campaigns() {
    let files = Files::new(&[("upbeat.toml", ""), ("campaigns.toml", &open("first"))]);
    let server = Server::with(&["--config", &files.config()], &[]);
    assert_eq!(in_force(&server), open("first"));
    let refused = || server.metric("upbeat_campaigns_refused_total");
    assert_eq!(refused(), 0.0);

    files.write("campaigns.toml", &open("second"));
    server.signal("HUP");
    until("the second campaigns are in force", || in_force(&server) == open("second"));

    files.write("campaigns.toml", &format!("{}holdout = 5\n", open("third")));
    server.signal("HUP");
    until("the refusal is counted", || refused() == 1.0);
    until("the refusal is logged", || server.stderr_text().contains("campaign[0].holdout"));
    let said = server.stderr_text();
    let path = files.path("campaigns.toml").display().to_string();
    let line = said.lines().find(|line| line.contains("campaign[0].holdout")).expect("the refusal is logged");
    assert!(line.contains(&path) && line.contains("line 6") && line.contains("ERROR"), "{line}");
    assert_eq!(in_force(&server), open("second"));

    // A file that is gone takes nothing back.
    let reload = || {
        let reloads = || server.stderr_text().matches("model read again").count();
        let before = reloads();
        server.signal("HUP");
        until("the reload is over", || reloads() > before);
    };
    std::fs::remove_file(files.path("campaigns.toml")).expect("a file");
    reload();
    assert_eq!(in_force(&server), open("second"));

    // An unchanged file undoes nothing.
    files.write("campaigns.toml", &open("second"));
    put(&server, &open("by-hand"));
    reload();
    assert_eq!(in_force(&server), open("by-hand"));
    let who: Vec<_> = history(&server).iter().map(|version| version["who"].clone()).collect();
    assert_eq!(who, ["file", "file", "admin"]);
}

#[test]
fn start_with_a_bad_file_is_refused_with_its_path_and_line() {
    let wrong = open("a") + "holdout = 5\n";
    let table = "[campaign]\nmin_plays = 3\n";
    let long = "#".repeat(300_000);
    let cases = [
        (
            vec![("upbeat.toml", ""), ("campaigns.toml", &*wrong)],
            &["campaigns.toml", "line 6", "campaign[0].holdout"][..],
        ),
        (vec![("upbeat.toml", ""), ("campaigns.toml", "[[")], &["campaigns.toml", "line 1"]),
        (vec![("upbeat.toml", table), ("campaigns.toml", "")], &["campaigns.toml", "[campaign]"]),
        (vec![("upbeat.toml", "campaigns = \"none.toml\"\n")], &["none.toml"]),
        (vec![("upbeat.toml", ""), ("campaigns.toml", &*long)], &["campaigns.toml", "bytes"]),
    ];
    for (list, said) in cases {
        let files = Files::new(&list);
        let check = upbeat()
            .args(["serve", "--check-config", "--config", &files.config()])
            .output()
            .expect("it runs");
        let stderr = String::from_utf8_lossy(&check.stderr);
        assert_eq!(check.status.code(), Some(2), "{stderr}");
        let mut serve = upbeat();
        serve.args(["serve", "--in-memory", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        let serve = serve.args(["--config", &files.config()]).output().expect("it runs");
        assert!(!serve.status.success() && serve.stdout.is_empty(), "{serve:?}");
        let started = String::from_utf8_lossy(&serve.stderr);
        for word in said {
            assert!(stderr.contains(word) && started.contains(word), "{word} in {stderr} and {started}");
        }
    }
}

#[test]
fn put_outlives_kills_and_restarts_over_an_unchanged_file_and_a_changed_file_wins() {
    let kept = Kept::new();
    let files = Files::new(&[("upbeat.toml", ""), ("campaigns.toml", &open("file-1"))]);
    let server = files.start(&kept);
    let (version, etag) = put(&server, &open("put"));
    // Right behind the answer.
    kill(server);
    let mut server = files.start(&kept);
    assert_eq!((in_force(&server), history(&server).len()), (open("put"), 2));
    assert_eq!(server.admin_get("/campaigns").header("etag"), etag);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    drop(server);
    let server = files.start(&kept);
    assert_eq!(in_force(&server), open("put"));
    assert_eq!(history(&server).last().expect("a version")["version"], version);
    kill(server);

    files.write("campaigns.toml", &open("file-2"));
    let server = files.start(&kept);
    assert_eq!(in_force(&server), open("file-2"));
    let told = history(&server);
    assert_eq!(
        told.iter().map(|version| version["who"].clone()).collect::<Vec<_>>(),
        ["file", "admin", "file"]
    );
    kill(server);
    let server = files.start(&kept);
    assert_eq!(history(&server), told, "a restart is no version");
}

#[test]
fn table_of_one_campaign_does_not_undo_a_put_until_it_changes() {
    let kept = Kept::new();
    let server = kept.start();
    put(&server, &open("put"));
    kill(server);
    let server = kept.start();
    assert_eq!(in_force(&server), open("put"));
    kill(server);
    let server = kept.start_with(&[("UPBEAT_CAMPAIGN_MIN_PLAYS", "3")]);
    assert!(in_force(&server).contains("min_plays = 3"), "{}", in_force(&server));
    assert_eq!(history(&server).len(), 3);
}
