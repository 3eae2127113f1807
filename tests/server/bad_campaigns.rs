//! Documents of campaigns that are wrong: over HTTP, in the file at a start, and in the file at SIGHUP the old campaigns stay in force, and
//! a sentence says why and where.

use super::campaigns::{Files, history, in_force, open, put, put_with};
use super::durability::{Kept, kill};
use super::support::*;

/// A document that is wrong.
struct Wrong {
    toml: String,
    /// Where: the key's path, and its line.
    path: &'static str,
    line: u64,
    /// A part of the sentence.
    said: &'static str,
}

fn wrong() -> Vec<Wrong> {
    let good = open("good");
    let with = |line: &str| format!("{good}{line}\n");
    let cases = [
        (with("colour = \"red\""), "campaign[0].colour", 6, "unknown"),
        ("holdout_al = 0.1\n".to_owned(), "holdout_al", 1, "unknown"),
        (format!("{good}\n{good}"), "campaign[1].id", 8, "good"),
        (
            with("start = \"2026-11-01T00:00:00\"\nend = \"2026-11-01T00:00:00\""),
            "campaign[0].end",
            7,
            "start",
        ),
        (
            with("start = \"2026-11-02T00:00:00\"\nend = \"2026-11-01T00:00:00\""),
            "campaign[0].end",
            7,
            "start",
        ),
        (with("daily_budget = -1.00"), "campaign[0].daily_budget", 6, "negative"),
        (with("impression_cost = 0.0000001"), "campaign[0].impression_cost", 6, "decimals"),
        (with("click_value = \"1\""), "campaign[0].click_value", 6, "money"),
        ("holdout_all = 5\n".to_owned(), "holdout_all", 1, "0.05"),
        (with("holdout = 5"), "campaign[0].holdout", 6, "0.05"),
        (with("exploration = 0.6\nholdout = 0.5"), "campaign[0].exploration", 6, "above 1"),
        (with("caps = [{ impressions = 65, days = 7 }]"), "campaign[0].caps[0].impressions", 6, "64"),
        (with("caps = [{ impressions = 1, days = 366 }]"), "campaign[0].caps[0].days", 6, "365"),
        (with("caps = [{ impressions = 1 }]"), "campaign[0].caps[0]", 6, "hours"),
        (with("time_zone = \"Mars/Olympus\""), "campaign[0].time_zone", 6, "Mars/Olympus"),
        (good.replace("\"gold-one-day\"", "\"silver-bullet\""), "campaign[0].model", 5, "silver-bullet"),
        (good.replace("\"gold-one-day\"", "\"../secret\""), "campaign[0].model", 5, "name of a model"),
        (
            with("creative = { media_url = \"file:///etc/passwd\" }"),
            "campaign[0].creative.media_url",
            6,
            "http",
        ),
        (good.replace("id = \"good\"", "id = \"=1+1\""), "campaign[0].id", 2, "="),
        (good.replace("AD_good", "@SUM(1)"), "campaign[0].ad", 3, "@"),
        (with("cooldown_after_click = \"3w\""), "campaign[0].cooldown_after_click", 6, "3w"),
        (with("").replace("{ score = -1e9 }", "{}"), "campaign[0].threshold", 4, "profit"),
        (with("hours = [\"7-23\"]"), "campaign[0].hours", 6, "07:00-23:00"),
        (with("pacing = \"even\""), "campaign[0].pacing", 6, "budget"),
        (
            "[[campaign]]\nid = \"a\"\nad = \"A\"\nthreshold = \"profit\"\n".to_owned(),
            "campaign[0].threshold",
            4,
            "impression",
        ),
        ("[[campaign]]\nid = \"a\"\n".to_owned(), "campaign[0]", 1, "ad"),
        ("[[campaign]\n".to_owned(), "the document", 1, ""),
        ("\n".to_owned(), "the document", 1, "campaign = []"),
    ];
    let of = |(toml, path, line, said)| Wrong { toml, path, line, said };
    cases.into_iter().map(of).collect()
}

#[test]
fn wrong_campaigns_over_http_are_refused_with_key_and_line_and_the_old_ones_stay() {
    let server = Server::start();
    let good = open("good");
    let (_, etag) = put(&server, &good);
    for Wrong { toml, path, line, said } in wrong() {
        let answer = put_with(&server, &toml, &[("if-match", &etag)]);
        let detail = answer.problem(422, "invalid-campaigns");
        let problem = answer.json();
        assert_eq!(
            (problem["path"].as_str(), problem["line"].as_u64()),
            (Some(path), Some(line)),
            "{toml}: {problem}"
        );
        assert!(detail.contains(said), "{said} in {detail}");
        // What is wrong is said of a stale tag first: nobody has looked at the document.
        put_with(&server, &toml, &[("if-match", "\"stale\"")]).problem(412, "precondition-failed");
        assert_eq!(in_force(&server), good, "{toml}");
        assert_eq!(server.admin_get("/campaigns").header("etag"), etag);
    }
    assert_eq!(history(&server).len(), 2);
    assert_eq!(server.metric("upbeat_campaigns_version"), 2.0);
}

#[test]
fn wrong_campaigns_in_the_file_at_a_start_are_refused_with_key_and_line_and_the_old_ones_stay() {
    let (kept, files) = (Kept::new(), Files::new(&[("upbeat.toml", ""), ("campaigns.toml", &open("good"))]));
    let server = files.start(&kept);
    put(&server, &open("put"));
    let told = history(&server);
    kill(server);
    let file = files.path("campaigns.toml").display().to_string();
    for Wrong { toml, path, line, said } in wrong() {
        files.write("campaigns.toml", &toml);
        let mut check = upbeat();
        check.args(["serve", "--check-config", "--config", &files.config()]);
        let mut serve = upbeat();
        serve.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--config",
            &files.config(),
        ]);
        serve.args(["--data-dir", &kept.directory()]).env("UPBEAT_LANES_DIR", kept.lanes.path());
        for (mut command, status) in [(check, 2), (serve, 1)] {
            let output = command.output().expect("it runs");
            assert_eq!(output.status.code(), Some(status), "{toml}: {output:?}");
            let stderr = String::from_utf8(output.stderr).expect("text");
            let place = format!("{file}: line {line}: {path}: ");
            assert!(stderr.contains(&place) && stderr.contains(said), "{place} and {said} in {stderr}");
        }
    }
    files.write("campaigns.toml", &open("good"));
    let server = files.start(&kept);
    assert_eq!((in_force(&server), history(&server)), (open("put"), told));
}

#[test]
fn wrong_campaigns_in_the_file_at_a_hangup_are_refused_with_key_and_line_and_the_old_ones_stay() {
    let files = Files::new(&[("upbeat.toml", ""), ("campaigns.toml", &open("good"))]);
    let server = Server::with(&["--config", &files.config()], &[]);
    let file = files.path("campaigns.toml").display().to_string();
    for (number, Wrong { toml, path, line, said }) in wrong().into_iter().enumerate() {
        files.write("campaigns.toml", &toml);
        server.signal("HUP");
        let refused = number as f64 + 1.0;
        until("the refusal is counted", || server.metric("upbeat_campaigns_refused_total") == refused);
        let place = format!("{file}: line {line}: {path}: ");
        // The log is read by a thread of the test.
        until("the refusal is logged with its place", || {
            let log = server.stderr_text();
            let last = log.lines().rfind(|line| line.contains("not read again"));
            last.is_some_and(|last| last.contains(&place) && last.contains(said) && last.contains("ERROR"))
        });
        assert_eq!(in_force(&server), open("good"), "{toml}");
    }
    assert_eq!(history(&server).len(), 1);
}
