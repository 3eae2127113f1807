use super::*;
use upbeat_core::event::Id;
use upbeat_learn::job::{GateSettings, Training};

fn ask() -> Ask {
    Ask {
        campaign: Id::Text("gold-one-day".into()),
        champion: None,
        challenger: None,
        train: true,
        trained_until_ms: None,
        min_labels: 500,
        attribution_ms: 1_800_000,
        conversion_ms: 1,
        now_ms: 7,
        gate: GateSettings { alpha: 0.05, min_gain_micro: 0.0, max_age_ms: 1, exploration: 0.02 },
        seed: 1,
    }
}

const BOUNDS: Bounds = Bounds { memory: 256 << 20, time: Duration::from_secs(60) };

fn shell(script: &str) -> Program {
    Program { path: "/bin/sh".into(), name: "sh", arguments: vec!["-c".into(), script.into()] }
}

fn run(script: &str, bounds: Bounds) -> Result<Answer, ChildError> {
    Runner::new().0.run(&shell(script), &ask(), bounds)
}

#[test]
fn answer_is_read_from_a_process_that_was_asked_at_low_priority_with_bounded_memory() {
    let script = "question=$(cat); case \"$question\" in *gold-one-day*) ;; *) exit 3;; esac
        read _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ nice _ < /proc/self/stat; test \"$nice\" = 19 || exit 4
        test \"$(ulimit -d)\" = 262144 || exit 5
        test -z \"$UPBEAT_MODEL\" || exit 6
        echo '{\"judged\":null,\"trained\":{\"none\":{\"sentence\":\"too few\",\"labels\":7}}}'";
    let answer = run(script, BOUNDS).expect("an answer");
    assert_eq!(answer.trained, Some(Training::None { sentence: "too few".into(), labels: 7 }));
}

#[test]
fn process_that_ends_badly_is_told_of_with_what_it_said() {
    let error =
        run("echo first >&2; echo why it failed >&2; exit 3", BOUNDS).expect_err("it failed").to_string();
    assert!(error.contains("status 3") && error.contains("why it failed"), "{error}");
    let error = run("kill -9 $$", BOUNDS).expect_err("it was killed").to_string();
    assert!(error.contains("was killed") && error.contains("memory"), "{error}");
    let long =
        run("i=0; while test $i -lt 500; do echo line of words $i >&2; i=$((i+1)); done; exit 1", BOUNDS);
    let error = long.expect_err("it failed").to_string();
    assert!(error.len() < 1000 && error.contains("words 499"), "{error}");
}

#[test]
fn answer_that_is_none_is_told_of() {
    for script in ["", "echo no", "echo '{\"judged\":7}'", "echo '{\"judged\":null,\"trained\":null}garbage'"]
    {
        let error = run(script, BOUNDS).expect_err(script);
        assert!(matches!(error, ChildError::Garbage(..)), "{script}: {error}");
    }
    let error = run("head -c 70000000 /dev/zero", BOUNDS).expect_err("too much");
    assert!(matches!(error, ChildError::Flood), "{error}");
}

#[test]
fn process_that_hangs_is_killed_with_what_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ids");
    let script = format!("sleep 1000 & echo $$ $! > {}; wait", file.display());
    let bounds = Bounds { time: Duration::from_millis(300), ..BOUNDS };
    let error = run(&script, bounds).expect_err("it hangs");
    assert!(matches!(error, ChildError::Late(_)), "{error}");
    let ids = std::fs::read_to_string(&file).expect("the ids");
    for id in ids.split_whitespace() {
        // The second one is taken in by another process, which may take a while to look.
        let deadline = Instant::now() + Duration::from_secs(60);
        let is_there = || {
            let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            !status.is_empty() && !status.contains(") Z ")
        };
        while is_there() {
            assert!(Instant::now() < deadline, "{id} is there still");
            thread::sleep(LOOK_EVERY);
        }
    }
}

#[test]
fn process_that_takes_more_memory_than_it_may_fails_alone() {
    // A shell's variable that doubles until there is no room.
    let script = "v=aaaaaaaaaaaaaaaa; while true; do v=\"$v$v\"; done";
    let error = run(script, Bounds { memory: 32 << 20, ..BOUNDS }).expect_err("there is no room");
    assert!(matches!(error, ChildError::Ended(..)), "{error}");
}

#[test]
fn cancelled_job_is_killed_whether_it_runs_yet_or_not() {
    let (runner, cancel) = Runner::new();
    cancel.cancel();
    let error = runner.run(&shell("sleep 1000"), &ask(), BOUNDS).expect_err("nobody wants it");
    assert!(matches!(error, ChildError::Cancelled), "{error}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("runs");
    let (runner, cancel) = Runner::new();
    let script = format!("echo > {}; sleep 1000", file.display());
    let running = thread::spawn(move || runner.run(&shell(&script), &ask(), BOUNDS));
    while !file.exists() {
        assert!(!running.is_finished(), "it runs until it is cancelled");
        thread::sleep(LOOK_EVERY);
    }
    cancel.cancel();
    let error = running.join().expect("a thread").expect_err("nobody wants it");
    assert!(matches!(error, ChildError::Cancelled), "{error}");
}

#[test]
fn program_that_is_not_there_is_told_of() {
    let program = Program { path: "/nowhere/upbeat".into(), name: "upbeat", arguments: Vec::new() };
    let error = Runner::new().0.run(&program, &ask(), BOUNDS).expect_err("it is not there");
    assert!(matches!(error, ChildError::Start(_)), "{error}");
}
