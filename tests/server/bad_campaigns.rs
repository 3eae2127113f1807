//! Documents of campaigns that are wrong: over HTTP, in the file at a start, and in the file at SIGHUP the old campaigns stay in force, and
//! a sentence says why and where.

use super::campaigns::{Files, history, in_force, open, put, put_with};
use super::durability::{Kept, kill};
use super::support::*;

/// A document that is wrong.
struct Wrong {
    toml: String,
    /// Where: the key's path, and its line.
    path: String,
    line: u64,
    /// A part of the sentence.
    said: &'static str,
}

/// No refusal is longer, whatever was sent: bytes of a sentence with its place.
const LONGEST: usize = 2048;

/// What readers of documents need not know: types of the program, and of the format's reader.
const UNSPOKEN: [&str; 6] = [": map", "i32", "u32", "f64", "i128", "struct "];

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
    let of = |(toml, path, line, said): (String, &str, u64, &'static str)| Wrong {
        toml,
        path: path.to_owned(),
        line,
        said,
    };
    cases.into_iter().chain(numbers_and_forms()).map(of).chain(long_paths()).collect()
}

/// Numbers beyond what is kept of them, and values of another form than their key has.
fn numbers_and_forms() -> Vec<(String, &'static str, u64, &'static str)> {
    let good = open("good");
    let with = |line: &str| format!("{good}{line}\n");
    let many = (0..65).map(|number| open(&format!("c{number}"))).collect::<String>();
    vec![
        ("[campaign]\nthreshold = 0.5\n".to_owned(), "campaign", 1, "write [[campaign]]"),
        (format!("{good}[cap]\nimpressions = 1\nhours = 1\n"), "cap", 6, "write [[cap]]"),
        (with("priority = 1e3"), "campaign[0].priority", 6, "a whole number from -1000000 to 1000000"),
        (
            with("priority = 9223372036854775807"),
            "campaign[0].priority",
            6,
            "9223372036854775807 is out of range; it must be from -1000000 to 1000000",
        ),
        (with("priority = 92233720368547758070"), "campaign[0].priority", 6, "from -1000000 to 1000000"),
        (
            with("min_plays = -1"),
            "campaign[0].min_plays",
            6,
            "-1 is out of range; it must be from 1 to 65535",
        ),
        (
            with("signed_up_days = { min = 4294967296 }"),
            "campaign[0].signed_up_days",
            6,
            "4294967296 is out of range; it must be from 0 to 36500",
        ),
        (
            with("caps = [{ impressions = 5000000000, days = 1 }]"),
            "campaign[0].caps",
            6,
            "5000000000 is out of range; it must be from 1 to 64",
        ),
        (
            with(
                "[[campaign.caps]]\nimpressions = 1\nhours = 1\n[[campaign.caps]]\nimpressions = 65\nhours = 1",
            ),
            "campaign[0].caps[1].impressions",
            10,
            "64",
        ),
        (
            with("start = 2026-11-01T00:00:00"),
            "campaign[0].start",
            6,
            "write it in quotes, as in \"2026-11-01T00:00:00\"",
        ),
        (with("hours = [07:00:00]"), "campaign[0].hours", 6, "write it in quotes, as in \"07:00-23:00\""),
        (with("caps = { impressions = 1, days = 1 }"), "campaign[0].caps", 6, "in [ ]"),
        (with("audience = \"free\""), "campaign[0].audience", 6, "in [ ]"),
        (with("holdout = \"5%\""), "campaign[0].holdout", 6, "a number"),
        (with("creative = \"x\""), "campaign[0].creative", 6, "title"),
        (with("").replace("{ score = -1e9 }", "0.5"), "campaign[0].threshold", 4, "{ probability = 0.2 }"),
        (many, "campaign[64]", 321, "65 campaigns; at most 64"),
        (
            format!("{good}exploration = 0.6\n{}exploration = 0.6\n", open("other")),
            "campaign[1].exploration",
            12,
            "1.2 together",
        ),
        ("[[cap]]\nimpressions = 1\nhours = 1\n".repeat(9), "cap[8]", 25, "9 caps; at most 8"),
    ]
}

/// Tables in tables, and one key, of which paths and sentences are cut.
fn long_paths() -> [Wrong; 2] {
    let of = |key: &str, said| {
        let (toml, path) = (format!("{key} = 1\n"), format!("{}… ({} bytes, cut)", &key[..120], key.len()));
        Wrong { toml, path, line: 1, said }
    };
    [
        of("a.".repeat(60_000).trim_end_matches('.'), "recursion limit"),
        of(&"b".repeat(120_000), "holdout_all"),
    ]
}

#[track_caller]
fn assert_plain(said: &str) {
    assert!(said.len() <= LONGEST, "{} bytes: {}", said.len(), &said[..200]);
    let unspoken = UNSPOKEN.iter().find(|word| said.contains(**word));
    assert_eq!(unspoken, None, "{said}");
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
            (Some(&*path), Some(line)),
            "{toml}: {problem}"
        );
        assert!(detail.contains(said), "{said} in {detail}");
        assert_plain(&detail);
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
            assert_plain(&stderr);
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
            last.is_some_and(|last| {
                assert!(last.len() <= LONGEST, "{} bytes", last.len());
                last.contains(&place) && last.contains(said) && last.contains("ERROR")
            })
        });
        assert_eq!(in_force(&server), open("good"), "{toml}");
    }
    assert_eq!(history(&server).len(), 1);
}
