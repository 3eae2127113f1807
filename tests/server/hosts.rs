//! Limits and changes of the host: little memory, another machine, another zone, another number of threads, another user, and file
//! systems that are only read. Each works, or is refused with a sentence before anything is changed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::durability::{Kept, kill};
use super::listeners::{likely, play, play_at, seconds_from_now};
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

/// Copies a directory of files.
fn copy(from: &str, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            copy(&entry.path().display().to_string(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
}

/// What a start that has to fail says.
#[track_caller]
fn refused(mut command: Command, flags: &[&str], environment: &[(&str, &str)]) -> String {
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).args(flags);
    let output = command.envs(environment.iter().copied()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn directory_that_is_moved_to_another_machine_goes_on_there() {
    let kept = Kept::new();
    let mut server = kept.start();
    server.load("/events", NDJSON, likely("48"));
    assert_eq!(server.decide("48")["show"], true);
    let folder = tempfile::tempdir().expect("a folder");
    let [killed, stopped] = ["killed", "stopped"].map(|name| folder.path().join(name));
    // As after a loss of the machine: what was in its memory alone is gone.
    copy(&kept.directory(), &killed);
    server.signal("TERM");
    server.ended();
    copy(&kept.directory(), &stopped);
    // On another machine there is nothing at the former place of the lanes.
    let lock = std::fs::read_to_string(killed.join("lock")).expect("a lock");
    let elsewhere = lock.replace(&kept.lanes.path().display().to_string(), "/dev/shm/of-another-machine");
    assert_ne!(lock, elsewhere);
    std::fs::write(killed.join("lock"), elsewhere).expect("it is ours");
    for (directory, is_told) in [(killed, true), (stopped, false)] {
        let place = Kept::new();
        let lanes = place.lanes.path().display().to_string();
        let flags = ["--data-dir", &directory.display().to_string()];
        let server = Server::with(&flags, &[("UPBEAT_LANES_DIR", &lanes)]);
        assert_eq!(server.load("/events", NDJSON, likely("48")), (0, 24), "all of them are repeats");
        let said = server.stderr_text();
        assert_eq!(said.contains("what it may have left in its lanes is not here"), is_told, "{said}");
        if !is_told {
            assert_eq!(server.decide("48")["reason"], "capped");
        }
    }
}

#[test]
fn another_time_zone_moves_no_event_and_is_told() {
    let kept = Kept::new();
    let berlin = [("UPBEAT_TIME_ZONE", "Europe/Berlin")];
    let server = kept.start_with(&berlin);
    server.load("/events", JSON, play_at("48", 1, "2026-01-05T10:00:00"));
    server.load("/events", JSON, play_at("48", 2, "2026-01-05T10:30:00Z"));
    let order = |server: &Server| {
        let held = server.held("48");
        let plays =
            [&held["older_plays"], &held["plays"]].map(|plays| plays.as_array().expect("plays").clone());
        plays.concat().iter().map(|play| play["event_id"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    const SENTENCE: &str = "events without an offset were taken in another time_zone: 2026-01-05T10:00:00 was 2026-01-05T09:00:00Z";
    assert_eq!(order(&server), [1, 2]);
    drop(server);
    let server = kept.start_with(&berlin);
    assert_eq!(server.load("/events", JSON, play_at("48", 1, "2026-01-05T10:00:00")), (0, 1));
    assert!(!server.stderr_text().contains(SENTENCE));
    drop(server);
    let server = kept.start_with(&[("UPBEAT_TIME_ZONE", "America/New_York")]);
    until("it is told", || server.stderr_text().contains(SENTENCE));
    assert_eq!(order(&server), [1, 2], "they stay where they were");
    server.load("/events", JSON, play_at("48", 3, "2026-01-05T04:00:00"));
    assert_eq!(order(&server), [1, 3, 2], "new ones are taken in the new zone");
}

#[test]
fn number_of_workers_may_change_between_kills() {
    let kept = Kept::new();
    let (directory, lanes) = (kept.directory(), kept.lanes.path().display().to_string());
    let (mut sent, mut shown) = (0, 0);
    for workers in ["1", "4", "2", "8", "1"] {
        let flags = ["--data-dir", &directory, "--workers", workers];
        let server = Server::with(&flags, &[("UPBEAT_LANES_DIR", &lanes), ("UPBEAT_DURABILITY", "interval")]);
        let first = sent;
        assert_eq!(server.profiles(), first + shown, "{workers} workers");
        for customer in 0..shown {
            assert_eq!(server.decide(&format!("shown-{customer}"))["reason"], "capped", "{workers} workers");
        }
        // Connections of their own, so that all event loops have some.
        std::thread::scope(|scope| {
            for connection in 0..8 {
                let server = &server;
                scope.spawn(move || {
                    for event in 0..20 {
                        let number = first + connection * 20 + event;
                        let answer = ask(
                            &agent(),
                            "POST",
                            &server.data,
                            "/events",
                            &[("content-type", JSON)],
                            play(&format!("{number}"), number, 60).as_bytes(),
                        );
                        assert_eq!(answer.status, 200, "{}", answer.text());
                    }
                });
            }
        });
        sent += 160;
        let customer = format!("shown-{shown}");
        server.load("/events", NDJSON, likely(&customer));
        assert_eq!(server.decide(&customer)["show"], true);
        shown += 1;
        // At once: the last of it is in the lanes alone.
        kill(server);
    }
    let server = Server::with(&["--data-dir", &directory], &[("UPBEAT_LANES_DIR", &lanes)]);
    assert_eq!(server.profiles(), sent + shown);
}

/// Whether this user may have file systems of their own.
fn may_unshare() -> bool {
    let tried = Command::new("unshare").args(["-m", "mount", "--make-rprivate", "/"]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// The binary in a view of the file systems that these commands make.
fn in_namespace(commands: &str) -> Command {
    let upbeat = upbeat();
    let mut shell = Command::new("unshare");
    for (name, value) in upbeat.get_envs() {
        assert_eq!(value, None, "{name:?} is removed");
        shell.env_remove(name);
    }
    let commands = format!("mount --make-rprivate / && {commands} && exec \"$0\" \"$@\"");
    shell.args(["-m", "sh", "-c", &commands]).arg(upbeat.get_program());
    shell
}

#[test]
fn root_that_is_only_read_is_enough_but_for_the_data_directory() {
    if !may_unshare() {
        return skipped("this user may have no file systems of their own");
    }
    let kept = Kept::new();
    let directory = kept.directory();
    std::fs::create_dir(&directory).expect("a folder");
    let lanes = kept.lanes.path().display().to_string();
    let written = [
        ("UPBEAT_LANES_DIR", &*lanes),
        ("UPBEAT_JOURNAL_SEGMENT_BYTES", "64KiB"),
        ("UPBEAT_JOURNAL_SNAPSHOT_BYTES", "192KiB"),
    ];
    let read_only = format!("mount --bind {directory} {directory} && mount -o remount,bind,ro /");
    let start = || Server::spawn(in_namespace(&read_only), &["--data-dir", &directory], &written);
    let server = start();
    let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", server.id())).expect("our child");
    let root = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/")).expect("a root");
    assert!(root.split(' ').nth(5).is_some_and(|options| options.starts_with("ro")), "{root}");
    let rows = (0..4500).map(|row| play(&format!("{}", row % 30), row, 60) + "\n");
    server.load("/events", NDJSON, rows.collect::<String>());
    until("a snapshot is written", || server.metric("upbeat_journal_snapshots_total") >= 1.0);
    drop(server);
    assert_eq!(start().profiles(), 30);
    // Without a data directory that may be written there is a sentence.
    let nothing = in_namespace(&format!(
        "mount --bind {directory} {directory} && mount -o remount,bind,ro {directory}"
    ));
    let said = refused(nothing, &["--data-dir", &directory], &written);
    assert!(
        said.contains("Read-only file system")
            && said.contains("mount its file system so that it can be written"),
        "{said}"
    );
}

#[test]
fn shared_memory_that_may_not_be_written_is_done_without_or_told() {
    if !may_unshare() {
        return skipped("this user may have no file systems of their own");
    }
    let kept = Kept::new();
    let directory = kept.directory();
    let read_only = || in_namespace("mount -t tmpfs -o ro none /dev/shm");
    let server = Server::spawn(read_only(), &["--data-dir", &directory], &[]);
    server.load("/events", NDJSON, likely("48"));
    let ready = server.get("/readyz?verbose").ok();
    // In a container there is nothing that outlives it, and it is not asked for.
    assert_eq!(ready["log"]["lanes"], serde_json::Value::Null);
    assert_eq!(ready["log"]["impressions_lost_by_a_kill"], "those of the last 1ms");
    drop(server);
    let server = Server::spawn(read_only(), &["--data-dir", &directory], &[]);
    assert_eq!(server.load("/events", NDJSON, likely("48")), (0, 24));
    drop(server);
    let said = refused(read_only(), &["--data-dir", &directory], &[("UPBEAT_LANES_DIR", "/dev/shm")]);
    assert!(
        said.contains("lanes_dir /dev/shm") && said.contains("that the user of this process may write"),
        "{said}"
    );
}

#[test]
fn other_user_is_told_of_the_files_that_are_not_theirs_and_goes_on_once_they_are() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    use std::os::unix::process::CommandExt;

    const USER: u32 = 61_234;
    // SAFETY: the call has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return skipped("another user's process can be started by the administrator alone");
    }
    let kept = Kept::new();
    let mut server = kept.start();
    server.load("/events", NDJSON, likely("48"));
    assert_eq!(server.decide("48")["show"], true);
    server.signal("TERM");
    server.ended();
    let directory = kept.directory();
    for way in [kept.data.path(), kept.lanes.path()] {
        std::fs::set_permissions(way, std::fs::Permissions::from_mode(0o777)).expect("it is ours");
    }
    // What the owner of the directory is alone, as where files were put into it by another.
    chown(&directory, Some(USER), None).expect("we are the administrator");
    let as_user = || {
        let mut command = upbeat();
        command.uid(USER);
        command
    };
    let lanes = kept.lanes.path().display().to_string();
    let environment = [("UPBEAT_LANES_DIR", &*lanes)];
    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(&directory).expect("a directory");
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("an entry"))
            .map(|entry| (entry.path(), entry.metadata().expect("a file").mtime_nsec()))
            .collect();
        files.sort();
        files
    };
    let before = files();
    let said = refused(as_user(), &["--data-dir", &directory], &environment);
    for part in
        ["belongs to user 0", &format!("runs as user {USER}"), &format!("chown -R {USER} {directory}")]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert_eq!(files(), before, "nothing is changed");
    // As systemd does with the state directory of a service whose user is another at each start.
    let models = std::fs::read_dir(Path::new(&directory).join("models")).expect("a directory");
    let models = models.map(|entry| entry.expect("an entry").path());
    for file in before.into_iter().map(|(file, _)| file).chain(models) {
        chown(file, Some(USER), None).expect("we are the administrator");
    }
    let server = Server::spawn(as_user(), &["--data-dir", &directory], &environment);
    assert_eq!(server.decide("48")["reason"], "capped");
}
