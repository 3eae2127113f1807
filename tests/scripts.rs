//! Rules of the scripts that run the tests: what is skipped is not passed, and a lock is waited for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// "passed failed skipped" of a log.
fn count(log: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("log");
    fs::write(&file, log).expect("a file");
    let output = Command::new(root("scripts/count-tests")).arg(file).output().expect("awk");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[test]
fn skipped_test_is_not_counted_as_passed() {
    let harness = "test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
                   skipped: tests/a.rs:7: some_test: strace is missing\n\
                   test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
    assert_eq!(count(harness), "10 2 2");
    let twice = "skipped: tests/a.rs:7: some_test: no node\nskipped: tests/a.rs:7: some_test: no wrk\n";
    assert_eq!(count(&format!("{harness}{twice}")), "10 2 2", "one test, however many reasons it has");
    assert_eq!(count("# pass 3\n# fail 0\n# skipped 1\n"), "3 0 1");
    assert_eq!(count("ℹ pass 3\nℹ fail 1\nℹ skipped 0\n"), "3 1 0");
    assert_eq!(count("ok: python\nskipped: java: java is not installed\n# pass 1\n# fail 0\n"), "1 0 1");
    assert_eq!(count("nothing is counted here\n"), "0 0 0");
}

#[path = "shared/skipped.rs"]
mod skipped;

/// Runs itself once more, as a test that cannot run.
#[test]
fn skipped_test_is_told_past_the_harness() {
    const CANNOT_RUN: &str = "TEST_CANNOT_RUN";
    if std::env::var_os(CANNOT_RUN).is_some() {
        return skipped::skipped("for want of a reason");
    }
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "skipped_test_is_told_past_the_harness"])
        .env(CANNOT_RUN, "1")
        .output()
        .expect("it runs");
    let log = String::from_utf8([output.stderr, output.stdout].concat()).expect("text");
    let line = log.lines().find(|line| line.starts_with("skipped: ")).expect("a line");
    assert!(
        line.starts_with("skipped: tests/scripts.rs:") && line.ends_with(": for want of a reason"),
        "{line}"
    );
    assert_eq!(count(&log), "0 0 1");
}

/// The project's files with these endings, with their paths from the root; an empty ending is that of scripts.
fn sources(endings: &[&str]) -> Vec<(String, String)> {
    fn walk(folder: &Path, endings: &[&str], found: &mut Vec<(String, String)>) {
        let made = ["target", "node_modules", "build", "seeds", "corpus", "artifacts", ".git"];
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_str().expect("text");
            let ending = path.extension().map_or("", |ending| ending.to_str().expect("text"));
            if path.is_dir() && !made.contains(&name) {
                walk(&path, endings, found);
            } else if path.is_file() && endings.contains(&ending) {
                let name = path.strip_prefix(root("")).expect("below the root").display().to_string();
                found.extend(fs::read_to_string(&path).ok().map(|text| (name, text)));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(""), endings, &mut found);
    assert!(!found.is_empty(), "no sources");
    found
}

#[test]
fn tests_that_cannot_run_say_so_in_the_one_way() {
    for (name, text) in sources(&["rs"]).iter().filter(|(name, _)| name != "tests/scripts.rs") {
        for printed in text.split("eprintln!(").skip(1) {
            let printed: String = printed.chars().take(120).collect();
            let hidden =
                ["skipped", "passed over", "not installed"].iter().any(|words| printed.contains(words));
            assert!(!hidden, "{name}: call skipped() of tests/shared/skipped.rs: {printed}");
        }
    }
}

#[test]
fn every_call_of_apt_get_waits_for_locks() {
    for (name, text) in sources(&["", "sh", "py", "yaml", "yml"]) {
        if name == "scripts/apt-get" || name.ends_with("Cargo.lock") {
            continue;
        }
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let calls =
                line.contains("apt-get") && !line.contains("scripts/apt-get") && !line.contains("which(");
            let tells = line.contains("raise ") || line.contains("say(");
            assert!(!calls || tells, "{name}: call scripts/apt-get, which waits: {line}");
        }
    }
}

/// Runs `scripts/apt-get update` with this program in the place of apt-get.
fn update(folder: &Path, apt_get: &str, longest_s: u32) -> Output {
    // Without sudo in the way: it, too, is a program of the folder.
    for (name, text) in [("apt-get", apt_get), ("sudo", "#!/bin/bash\nshift\nexec \"$@\"\n")] {
        // Written by another process: a descriptor of ours could be inherited by a child of another test, and the kernel
        // starts no program that is open for writing.
        fs::write(folder.join("text"), text).expect("a text");
        let install = ["-m", "755", "text", name];
        let installed = Command::new("install").args(install).current_dir(folder).status().expect("it runs");
        assert!(installed.success());
    }
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").expect("a path"));
    let mut command = Command::new(root("scripts/apt-get"));
    command.arg("update").env("PATH", path).env("APT_LOCK_S", longest_s.to_string()).current_dir(folder);
    command.stdin(Stdio::null()).output().expect("it runs")
}

#[test]
fn apt_get_waits_for_the_lock_of_another_and_for_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let calls = || fs::read_to_string(folder.path().join("calls")).expect("calls");
    let locked = "#!/bin/bash\necho \"$@\" >>calls\n[[ $(wc -l <calls) -gt 2 ]] && exit 0\n\
                  echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1' >&2\nexit 100\n";
    let output = update(folder.path(), locked, 300);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(calls().lines().count(), 3);
    assert!(calls().lines().all(|line| line == "-o DPkg::Lock::Timeout=300 update"), "{}", calls());

    let output = update(folder.path(), &locked.replace("-gt 2", "-gt 9999"), 0);
    assert_eq!(output.status.code(), Some(100), "not for ever");
    let missing = "#!/bin/bash\necho \"$@\" >calls\necho 'E: Unable to locate package x' >&2\nexit 100\n";
    let output = update(folder.path(), missing, 300);
    assert_eq!((output.status.code(), calls().lines().count()), (Some(100), 1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Unable to locate"), "its message is told");
}
