//! Campaigns at the edges of what a document may say, and files and clients that nobody means to have.

use std::os::unix::fs::symlink;

use super::campaigns::*;
use super::durability::{Kept, kill};
use super::support::*;

#[test]
fn campaign_of_the_last_years_is_taken_and_the_next_start_reads_it() {
    let kept = Kept::new();
    let mut server = kept.start();
    for zone in ["UTC", "America/New_York", "Pacific/Kiritimati"] {
        for (start, end) in [
            ("0000-01-01T00:00:00", "9999-12-31T23:59:59"),
            ("9999-12-31T23:59:58", "9999-12-31T23:59:59"),
            ("9999-12-30T00:00:00", "9999-12-31T00:00:00"),
        ] {
            let toml = format!(
                "{}start = \"{start}\"\nend = \"{end}\"\ntime_zone = \"{zone}\"\nimpression_cost = 0.01\ntotal_budget = 5\n\
                 pacing = \"even\"\n",
                open("always")
            );
            put(&server, &toml);
            server.admin_get("/campaigns/always/report").ok();
            // What the log took it has to read again.
            kill(server);
            server = kept.start();
            assert_eq!(in_force(&server), toml);
        }
    }
}

#[test]
fn nobody_changes_campaigns_in_the_name_of_the_file() {
    let kept = Kept::new();
    let files = Files::new(&[("upbeat.toml", ""), ("campaigns.toml", &open("of-file"))]);
    let server = files.start(&kept);
    let answer = put_with(&server, &open("put"), &[("x-upbeat-user", "file")]);
    let detail = answer.problem(400, "invalid-header");
    assert!(detail.contains("stands for the file of campaigns"), "{detail}");
    assert_eq!(in_force(&server), open("of-file"));
    // Other names that look like it are names.
    put_with(&server, &open("put"), &[("x-upbeat-user", "File")]).ok();
    kill(server);
    let server = files.start(&kept);
    assert_eq!(in_force(&server), open("put"), "an unchanged file undid what was put");
}

/// Makes something of this name.
type Make<'a> = &'a dyn Fn(&str);

/// Each in place of the file of campaigns, or of a model; a start and a reload refuse it and say so, and a PUT goes on.
#[test]
fn pipe_folder_or_dangling_link_is_neither_waited_for_nor_taken_for_a_missing_file() {
    let files = Files::new(&[("upbeat.toml", ""), ("campaigns.toml", &open("good")), ("models/x", "")]);
    let server = Server::with(&["--config", &files.config()], &[]);
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(files.path(name)).status().expect("mkfifo runs");
        assert!(made.success());
    };
    let dangling = |name: &str| symlink("nothing", files.path(name)).expect("a link");
    let round = |name: &str| symlink(files.path(name), files.path(name)).expect("a link");
    let folder = |name: &str| std::fs::create_dir(files.path(name)).expect("a folder");
    let kinds: [(&str, Make<'_>); 4] = [
        ("a pipe", &pipe),
        ("a link to nothing", &dangling),
        ("a link to itself", &round),
        ("a folder", &folder),
    ];
    let remove = |name: &str| {
        let path = files.path(name);
        if path.is_dir() { std::fs::remove_dir(path) } else { std::fs::remove_file(path) }
            .expect("it is removed");
    };
    let refused = || server.metric("upbeat_campaigns_refused_total");
    for (kind, make) in kinds {
        remove("campaigns.toml");
        make("campaigns.toml");
        let before = refused();
        server.signal("HUP");
        until(&format!("{kind} is refused"), || refused() > before);
        assert_eq!(in_force(&server), open("good"), "{kind}");
        put(&server, &open("meanwhile"));
        put(&server, &open("good"));
        let mut check = upbeat();
        let check =
            check.args(["serve", "--check-config", "--config", &files.config()]).output().expect("it runs");
        assert_eq!(check.status.code(), Some(2), "{kind}: {check:?}");
        remove("campaigns.toml");
        files.write("campaigns.toml", &open("good"));

        // A model of a name that ships: what is in its place is meant, and is not good.
        make("models/gold-one-day.json");
        let detail = put_with(&server, &open("other"), &[]).problem(422, "invalid-campaigns");
        assert!(detail.contains("models/gold-one-day.json"), "{kind}: {detail}");
        assert_eq!(in_force(&server), open("good"), "{kind}");
        remove("models/gold-one-day.json");
    }
}
