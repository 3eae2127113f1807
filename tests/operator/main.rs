//! The operator's page is run as it stands: every command in it, in its order, on a machine whose first process is systemd.

#[path = "../shared/skipped.rs"]
mod skipped;

mod service;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const PAGE: &str = "docs/guides/from-install-to-restore.md";

/// The most that all commands together may take, in seconds.
const SECONDS: u32 = 300;

/// What the script prints before the output of each block.
const MARK: &str = "@@@ block of line ";

/// Commands of the page, and the output that it shows for them.
#[derive(Debug)]
struct Block {
    line: usize,
    commands: String,
    /// Lines that the output has in this order; `…` stands for anything.
    shown: Vec<String>,
}

/// The blocks of a page that are commands: those of `sh`, and the last field of each line of those of `cron`.
fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else { continue };
        let text: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| !line.starts_with("```")).collect();
        match kind {
            "sh" => {
                let commands = text.join("\n");
                found.push(Block { line: number + 1, commands, shown: Vec::new() });
            }
            "cron" => {
                let commands: Vec<String> = text.iter().map(|line| command_of_cron(line)).collect();
                found.push(Block { line: number + 1, commands: commands.join("\n"), shown: Vec::new() });
            }
            "text" => {
                let block = found.last_mut().expect("output comes after commands");
                block.shown.extend(text.into_iter().map(str::to_owned));
            }
            kind => panic!("{PAGE}, line {}: a block of {kind:?} is not run", number + 1),
        }
    }
    found
}

/// What a line of /etc/cron.d runs: five fields of time and a user come before, and a percent sign is written `\%`.
fn command_of_cron(line: &str) -> String {
    let mut rest = line;
    for _ in 0..6 {
        rest = rest.trim_start().split_once(' ').expect("a time, a user and a command").1;
    }
    rest.trim_start().replace("\\%", "%")
}

fn matches(shown: &str, line: &str) -> bool {
    let mut parts = shown.trim().split('…');
    let mut rest = line.trim();
    let first = parts.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    let mut open = false;
    for part in parts {
        open = true;
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || (open && shown.trim().ends_with('…'))
}

/// The first line that is shown and did not come.
fn missing<'a>(shown: &'a [String], output: &str) -> Option<&'a str> {
    let mut lines = output.lines();
    shown
        .iter()
        .filter(|line| !line.trim().is_empty())
        .find(|shown| !lines.any(|line| matches(shown, line)))
        .map(String::as_str)
}

/// Runs a script in a checkout on a machine of its own, for so many seconds at most, and returns what it wrote. `None` where
/// no such machine can be made, which is said.
///
/// # Panics
/// The script failed.
fn on_machine(seconds: u32, script: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checkout = tempfile::Builder::new().tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let at = |name: &str| checkout.path().join(name);
    fs::create_dir_all(at("target/release")).expect("a folder");
    fs::copy(env!("CARGO_BIN_EXE_upbeat"), at("target/release/upbeat")).expect("the binary");
    for name in ["deploy", "upbeat.toml", "tests/operator/restarts.py"] {
        let path = root.join(name);
        let link = at(path.file_name().and_then(|name| name.to_str()).expect("a name"));
        std::os::unix::fs::symlink(path, link).expect("a link");
    }
    fs::write(at("script"), format!("set -euo pipefail\n{script}")).expect("the script");
    let output = Command::new(root.join("tests/operator/machine"))
        .args([&seconds.to_string(), "bash", "-c", "cd \"$0\" && exec bash script 2>&1"])
        .arg(checkout.path())
        .stdin(Stdio::null())
        .output()
        .expect("bash is there");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(77) {
        skipped::skipped(text.trim().trim_start_matches("skipped: "));
        return None;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}\n{said}", output.status);
    Some(text)
}

#[test]
fn shown_lines_are_compared_with_what_came() {
    assert!(matches("{\"accepted\":1,…}", "{\"accepted\":1,\"duplicates\":0}"));
    assert!(matches("… is sound", "/var/lib/upbeat: snapshot is sound"));
    assert!(!matches("… is sound", "/var/lib/upbeat: snapshot is sound, nearly"));
    assert!(!matches("ready", "not ready"));
    assert_eq!(missing(&["b".into(), "a".into()], "a\nb\n"), Some("a"));
    assert_eq!(command_of_cron("17 3 * * * root echo $(date +\\%F) > x"), "echo $(date +%F) > x");
}

#[test]
fn every_command_of_the_operators_page_does_what_the_page_says() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).expect("the page");
    let blocks = blocks(&page);
    assert!(blocks.len() > 8, "only {} blocks of commands", blocks.len());
    let mut script = String::new();
    for block in &blocks {
        let Block { line, commands, .. } = block;
        write!(script, "echo '{MARK}{line}'\n{commands}\n").expect("a string takes it");
    }
    let Some(text) = on_machine(SECONDS, &script) else { return };
    let told = |line: usize| {
        let from = text.split(&format!("{MARK}{line}\n")).nth(1)?;
        from.split(MARK).next().map(str::to_owned)
    };
    for Block { line, shown, .. } in &blocks {
        let told = told(*line).unwrap_or_else(|| panic!("{PAGE}, line {line}: it was not run"));
        if let Some(shown) = missing(shown, &told) {
            panic!("{PAGE}, line {line}: no line {shown:?} in\n{told}");
        }
    }
}
