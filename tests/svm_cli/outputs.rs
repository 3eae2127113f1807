//! What every role writes: no input is destroyed, files are replaced whole and keep what they were, streams are written
//! directly, and a full or closed standard output is told apart.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Output, Stdio};

use super::place::Place;
use super::skipped::skipped;

const TRACKS: &str = "0,48,453,\"2014-10-23 03:26:20\",0,\"72132\"\n";
const CLICKS: &str = "0,48,\"ADV_REDUCED_1DAY\",\"2014-10-23 03:26:20\"\n";

/// With a model, files of events, and other names for some of them.
fn place() -> Place {
    let place = Place::new();
    place.done("train features.txt -o model.json");
    place.put("tracks.csv", TRACKS);
    place.put("clicks.csv", CLICKS);
    place.put("weights.txt", "1\n".repeat(120));
    symlink("features.txt", place.path("link.txt")).unwrap();
    fs::hard_link(place.path("features.txt"), place.path("hard.txt")).unwrap();
    fs::create_dir(place.path("sub")).unwrap();
    symlink(place.path("sub"), place.path("way")).unwrap();
    symlink("sub/later", place.path("dangling")).unwrap();
    place
}

/// A shell's command line in the place, with `upbeat` on its path.
fn shell(place: &Place, line: &str) -> Output {
    let upbeat = env!("CARGO_BIN_EXE_upbeat");
    let line = format!("upbeat() {{ {upbeat} \"$@\"; }}; {line}");
    Command::new("bash").args(["-c", &line]).current_dir(place.dir.path()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn output_never_destroys_an_input() {
    let place = place();
    let files = ["features.txt", "tracks.csv", "clicks.csv", "weights.txt", "model.json", "other.txt"];
    let before = files.map(|name| place.text(name));
    place.done("model export --format libsvm model.json -o exported.model");
    for line in [
        "train features.txt -o features.txt",
        "train features.txt -o ./sub/../features.txt",
        "train features.txt -o link.txt",
        "train link.txt -o hard.txt",
        "train features.txt -o sub/m.json --report features.txt",
        "train features.txt -o sub/m.json --row-weights weights.txt --report weights.txt",
        "train - -o features.txt <features.txt",
        "train features.txt -o sub/m.json --json >>features.txt",
        "train features.txt -o /dev/stdout >>features.txt",
        "features --tracks tracks.csv --clicks clicks.csv -o tracks.csv",
        "features --tracks tracks.csv --clicks clicks.csv -o clicks.csv",
        "features --tracks - --clicks clicks.csv -o tracks.csv <tracks.csv",
        "features --tracks tracks.csv --clicks clicks.csv >>clicks.csv",
        "predict features.txt --model model.json -o model.json",
        "predict features.txt --model model.json -o features.txt",
        "predict features.txt --model model.json >>features.txt",
        "evaluate features.txt --model model.json >>model.json",
        "model show model.json >>model.json",
        "model check model.json >>model.json",
        "model export --format onnx model.json -o model.json",
        "model import exported.model -o exported.model",
        "replay --tracks tracks.csv --to http://127.0.0.1:1 >>tracks.csv",
    ] {
        let ran = shell(&place, &format!("upbeat {line}"));
        let said = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{line}: {said}");
        assert!(said.contains("is an input") && said.contains("name another file"), "{line}: {said}");
        assert_eq!(files.map(|name| place.text(name)), before, "{line}");
    }
    // The second file of an export is an output as well.
    symlink("model.json", place.path("gold.range")).unwrap();
    place.done("train features.txt -o kernel.json --kernel rbf");
    fs::rename(place.path("kernel.json"), place.path("model.json")).unwrap();
    let model = place.text("model.json");
    let ran = place.run("model export --format libsvm model.json -o gold");
    assert_eq!((ran.status, place.text("model.json")), (2, model), "{}", ran.stderr);
}

#[test]
fn outputs_of_one_command_are_different_files() {
    let place = place();
    let before = place.names();
    symlink("nowhere.txt", place.path("sub/customers.csv")).unwrap();
    symlink("nowhere.txt", place.path("sub/clicks.csv")).unwrap();
    for line in [
        "train features.txt -o both.json --report both.json",
        "train features.txt -o sub/both.json --report way/both.json",
        "train features.txt -o dangling --report sub/later",
        "train features.txt -o link.txt --report hard.txt </dev/null",
        "train other.txt -o link.txt --report hard.txt",
        "train features.txt -o /dev/stdout --json",
        "simulate --customers 2 --plays 10 -o sub",
    ] {
        let ran = shell(&place, &format!("upbeat {line}"));
        assert_eq!(ran.status.code(), Some(2), "{line}: {}", text(&ran.stderr));
        assert_eq!(place.names(), before, "{line}");
    }
    let everything = "train features.txt -o /dev/null --report /dev/null --json >/dev/null";
    assert_eq!(
        shell(&place, &format!("upbeat {everything}")).status.code(),
        Some(0),
        "nothing is destroyed there"
    );
}

#[test]
fn streams_are_written_directly() {
    let place = place();
    let model = place.text("model.json");
    for line in [
        "upbeat train features.txt -o /dev/stdout",
        "upbeat train features.txt -o /dev/stdout | cat",
        "upbeat train features.txt -o /dev/fd/1",
        "upbeat train features.txt -o /dev/fd/3 3>&1",
        "ln -s /dev/fd/3 third; upbeat train features.txt -o third 3>out.json; cat out.json",
        "mkfifo fifo; upbeat train features.txt -o fifo & cat fifo; wait",
    ] {
        let ran = shell(&place, line);
        assert_eq!(text(&ran.stdout), model, "{line}: {}", text(&ran.stderr));
    }
    // Standard output may be a file that somebody else writes to, before and after.
    let ran = shell(&place, "{ echo head; upbeat train features.txt -o /dev/stdout; echo tail; } >all.txt");
    assert_eq!(place.text("all.txt"), format!("head\n{model}tail\n"), "{}", text(&ran.stderr));
    let ran = shell(&place, "upbeat train features.txt -o /dev/fd/9");
    assert_eq!(ran.status.code(), Some(1));
    let ran = shell(&place, "upbeat train missing.txt -o /dev/fd/3 3</dev/null");
    assert!(text(&ran.stderr).contains("/dev/fd/3: cannot be written"), "{}", text(&ran.stderr));
    for not_beside in ["/dev/stdout", "-"] {
        place.done("train features.txt -o kernel.json --kernel rbf");
        let ran = place.run(&format!("model export --format libsvm kernel.json -o {not_beside}"));
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "the scaling has no place beside a stream");
    }
}

#[test]
fn replaced_file_keeps_its_links_and_its_mode() {
    let place = place();
    let model = place.text("model.json");
    place.put("sub/private.json", "old");
    fs::set_permissions(place.path("sub/private.json"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("sub/private.json", place.path("private.json")).unwrap();
    for (name, target) in [("private.json", "sub/private.json"), ("dangling", "sub/later")] {
        place.done(&format!("train features.txt -o {name}"));
        assert!(place.path(name).symlink_metadata().unwrap().is_symlink(), "{name}");
        assert_eq!(place.text(target), model, "{name}");
    }
    let mode = |name: &str| place.path(name).metadata().unwrap().mode() & 0o7777;
    assert_eq!(mode("sub/private.json"), 0o600);
    assert_eq!(mode("sub/later"), mode("features.txt"), "a new file has the mode of the process's mask");
    // Only the administrator can give files away.
    if std::os::unix::fs::chown(place.path("sub/private.json"), Some(1), Some(1)).is_ok() {
        place.done("train features.txt -o private.json");
        let metadata = place.path("sub/private.json").metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid(), mode("sub/private.json")), (1, 1, 0o600));
    } else {
        skipped("only the administrator can give a file another owner, to see whether it is kept");
    }
    assert!(
        fs::read_dir(place.path("sub"))
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().contains("part") })
    );
}

#[test]
fn name_of_the_greatest_length_can_be_written() {
    let place = place();
    let name = "n".repeat(255);
    place.done(&format!("train features.txt -o {name}"));
    assert_eq!(place.text(&name), place.text("model.json"));
    let ran = place.run(&format!("train missing.txt -o {name}n"));
    assert!(ran.status == 1 && ran.stderr.contains("too long"), "{}", ran.stderr);
}

/// The inputs of these calls are missing, so that work which began would end with their names.
#[test]
fn output_that_cannot_be_written_is_told_before_the_work() {
    let place = place();
    place.put("file", "");
    for call in [
        "train missing.txt -o OUT",
        "train missing.txt -o m.json --report OUT",
        "features --tracks missing.csv --clicks missing.csv -o OUT",
        "predict missing.txt --model missing.json -o OUT",
        "model import missing.model -o OUT",
        "model export --format onnx missing.json -o OUT",
    ] {
        for out in ["/proc/out", "nowhere/out", "file/out", "sub", "new/"] {
            let ran = place.run(&call.replace("OUT", out));
            assert_eq!(ran.status, 1, "{call}: {}", ran.stderr);
            assert!(ran.stderr.contains(&format!("{out}: cannot be written: ")), "{call}: {}", ran.stderr);
        }
    }
    assert!(!place.names().contains(&"m.json".to_owned()));
}

#[test]
fn failed_work_leaves_the_old_file_and_nothing_else() {
    let place = place();
    place.put("bad.txt", "1 1:0.5\nnonsense\n");
    place.put("kept.txt", "old");
    let before = place.names();
    for call in
        ["predict bad.txt --model model.json -o kept.txt", "train bad.txt -o kept.txt --report r.html"]
    {
        assert_eq!(place.run(call).status, 1, "{call}");
        assert_eq!((place.text("kept.txt").as_str(), place.names()), ("old", before.clone()), "{call}");
    }
}

/// `nohup` starts a command with the signal ignored.
#[test]
fn ignored_hangup_does_not_end_the_work() {
    let place = place();
    let mut child = Command::new("bash")
        .args([
            "-c",
            &format!(
                "trap '' HUP; exec {} predict - --model model.json -o p.txt",
                env!("CARGO_BIN_EXE_upbeat")
            ),
        ])
        .current_dir(place.dir.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"1 1:0.5\n").unwrap();
    let begun = |name: &String| name.starts_with(".upbeat-");
    while !place.names().iter().any(begun) {
        assert!(child.try_wait().unwrap().is_none(), "it ended early");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(place.text("p.txt").lines().count(), 1);
}

/// Every call that prints, for the tests below.
const PRINTING: [&str; 16] = [
    "train features.txt -o sub/m.json --json",
    "train features.txt -o -",
    "train features.txt -o /dev/stdout",
    "evaluate features.txt --model model.json",
    "evaluate features.txt --model model.json --json",
    "predict features.txt --model model.json",
    "features --tracks tracks.csv --clicks clicks.csv",
    "model show model.json",
    "model check model.json",
    "model export --format onnx model.json -o -",
    "completions bash",
    "replay --tracks tracks.csv --to http://127.0.0.1:1/",
    "serve --check-config",
    "--help",
    "--version",
    "train --help",
];

#[test]
fn full_standard_output_is_an_error() {
    let place = place();
    for call in PRINTING.into_iter().filter(|call| !call.starts_with("replay")) {
        let ran = shell(&place, &format!("upbeat {call} >/dev/full"));
        let said = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{call}: {said}");
        assert!(said.contains("cannot be written: No space left on device"), "{call}: {said}");
    }
}

#[test]
fn closed_standard_output_ends_quietly() {
    let place = place();
    for call in PRINTING.into_iter().filter(|call| !call.starts_with("replay")) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_upbeat"))
            .args(call.split(' '))
            .current_dir(place.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{call}: {said}");
        assert!(!said.contains("panicked") && !said.contains("pipe"), "{call}: {said}");
    }
    // The answer of a check is its status, whoever reads the words.
    place.put("none.sh", "");
    let ran = shell(&place, "upbeat model check model.json --window-plays 7 | true; echo ${PIPESTATUS[0]}");
    assert_eq!(text(&ran.stdout), "1\n");
}

/// Messages go to standard error; where it cannot be written the work is done all the same.
#[test]
fn full_standard_error_does_not_end_the_work() {
    let place = place();
    for call in [
        "train features.txt -o sub/m.json",
        "features --tracks tracks.csv --clicks clicks.csv -o sub/f.txt --keep-repeats",
        "model import exported.model -o sub/i.json",
        "simulate --customers 2 --plays 10 -o sub",
    ] {
        place.done("model export --format libsvm model.json -o exported.model");
        assert_eq!(shell(&place, &format!("upbeat {call} 2>/dev/full")).status.code(), Some(0), "{call}");
    }
    assert_eq!(shell(&place, "upbeat train missing.txt -o m.json 2>/dev/full").status.code(), Some(1));
}
