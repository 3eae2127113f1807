//! Campaigns at the edges of what a document may say, and files and clients that nobody means to have.

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
