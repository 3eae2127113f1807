//! Limits and changes of the host: little memory, another machine, another zone, another number of threads, another user, and file
//! systems that are only read. Each works, or is refused with a sentence before anything is changed.

use std::path::PathBuf;
use std::process::Command;

use super::durability::Kept;
use super::listeners::{likely, seconds_from_now};
use super::skipped::skipped;
use super::support::*;

/// A shell that runs the binary after these commands.
fn shell(commands: &str) -> Command {
    let upbeat = upbeat();
    let mut shell = Command::new("sh");
    for (name, value) in upbeat.get_envs() {
        assert_eq!(value, None, "{name:?} is removed");
        shell.env_remove(name);
    }
    shell.args(["-c", &format!("{commands} && exec \"$0\" \"$@\"")]).arg(upbeat.get_program());
    shell
}

/// A control group of memory that is removed when it is dropped.
struct Group(PathBuf);

impl Group {
    /// `None` where this user may make none.
    fn with_memory(bytes: u64) -> Option<Self> {
        let name = format!("upbeat-test-{}", std::process::id());
        for (mount, limit) in
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
        {
            let group = PathBuf::from(mount).join(&name);
            if std::fs::create_dir(&group).is_err() {
                continue;
            }
            let group = Self(group);
            if std::fs::write(group.0.join(limit), bytes.to_string()).is_ok() {
                return Some(group);
            }
        }
        None
    }

    fn procs(&self) -> String {
        self.0.join("cgroup.procs").display().to_string()
    }

    /// How often the kernel has ended a process of it.
    fn ended(&self) -> u64 {
        let texts =
            ["memory.oom_control", "memory.events"].map(|name| std::fs::read_to_string(self.0.join(name)));
        let lines = texts.iter().flatten().flat_map(|text| text.lines());
        lines
            .filter_map(|line| line.strip_prefix("oom_kill "))
            .map(|count| count.parse::<u64>().expect("a count"))
            .sum()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have ended, and the kernel may need a moment to see it.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Plays whose ids are long texts, which take the most memory for their number.
fn long_plays(customers: std::ops::Range<u64>) -> String {
    let time = seconds_from_now(-60);
    let play = |customer: u64, play: u64| {
        format!(
            "{{\"type\":\"play\",\"event_id\":\"event-{play:058}\",\"customer_id\":\"customer-{customer:055}\",\
             \"track_id\":\"track-{play:058}\",\"time\":\"{time}\",\"mobile\":true}}\n"
        )
    };
    customers.flat_map(|customer| (0..50).map(move |number| play(customer, 50 * customer + number))).collect()
}

#[test]
fn server_in_256_mib_takes_what_fits_and_is_never_ended_by_the_kernel() {
    let Some(group) = Group::with_memory(256 << 20) else {
        return skipped("this user may make no control group of memory");
    };
    let kept = Kept::new();
    let command = shell(&format!("echo $$ > {}", group.procs()));
    let lanes = kept.lanes.path().display().to_string();
    let environment = [
        ("UPBEAT_LANES_DIR", &*lanes),
        ("UPBEAT_JOURNAL_SEGMENT_BYTES", "16MiB"),
        ("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "32MiB"),
        ("UPBEAT_RETENTION_EVENTS_BYTES", "32MiB"),
    ];
    let directory = kept.directory();
    let server = Server::spawn(command, &["--data-dir", &directory], &environment);
    let said = server.stderr_text();
    assert!(said.contains("may have 256MiB of memory") && said.contains("limits.profile_bytes = "), "{said}");
    server.load("/events", NDJSON, likely("48"));
    let mut customers = 0;
    // Some are refused as soon as there is no more room; the rest of a body is applied.
    while server.metric("upbeat_rows_refused_total{type=\"memory-full\"}") == 0.0 {
        let body = long_plays(customers..customers + 200);
        let answer = server.post("/events", NDJSON, body);
        assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
        customers += 200;
        assert!(customers < 200_000, "it never fills");
    }
    // And goes on as before.
    for round in 0..5 {
        let answer = server.post(
            "/events",
            NDJSON,
            long_plays(customers + 200 * round..customers + 200 * round + 200),
        );
        answer.problem(503, "store-full");
        assert_eq!(server.reason("48"), "likely_to_click");
    }
    until("a snapshot of all is written", || server.metric("upbeat_journal_snapshots_total") >= 2.0);
    let resident = server.metric("upbeat_resident_bytes");
    assert!(resident < f64::from(256 << 20), "{resident} bytes");
    assert_eq!((group.ended(), server.get("/readyz").status), (0, 200));
    let profiles = server.profiles();
    drop(server);
    // The start has all of it again, in the same memory.
    let command = shell(&format!("echo $$ > {}", group.procs()));
    let server = Server::spawn(command, &["--data-dir", &directory], &environment);
    assert_eq!((server.profiles(), group.ended()), (profiles, 0));
    drop(server);
}
