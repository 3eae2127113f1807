//! The pages on backups and on campaigns are followed as they are written: each of its commands, in order, from an empty directory.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::skipped::skipped;
use super::support::{TIMEOUT, upbeat};

/// The commands of a page: its blocks that are marked `sh`.
fn commands(page: &str) -> String {
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.collect()
}

/// Ports that nobody listens on, in place of those of the page. They lie below those that the kernel gives to whoever asks for
/// any: between here and the server's start no other test, and no connection of one, may take them.
fn with_free_ports(commands: &str) -> String {
    let first = 10_000 + std::process::id() % 10_000;
    let taken = (first..32_768).filter_map(|port| TcpListener::bind(("127.0.0.1", port as u16)).ok());
    let taken: Vec<_> = taken.take(4).collect();
    let ports = taken.iter().map(|listener| listener.local_addr().expect("an address").port().to_string());
    // Ports are replaced by names first, so that none is replaced twice.
    let page = ["127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:8090", "127.0.0.1:8091"];
    let marked = page
        .iter()
        .enumerate()
        .fold(commands.to_owned(), |text, (number, address)| text.replace(address, &format!("<{number}>")));
    ports.enumerate().fold(marked, |text, (number, port)| {
        text.replace(&format!("<{number}>"), &format!("127.0.0.1:{port}"))
    })
}

/// Runs the commands of a page, each after the other, in an empty directory that is there for as long as what this gives; what they
/// said. `None` where a program that they need is not installed.
fn follow(page: &str, programs: &[&str]) -> Option<(tempfile::TempDir, String)> {
    let has = |program: &str| {
        Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status()
    };
    for program in programs {
        if !has(program).expect("a shell").success() {
            skipped(format_args!("{program} is not installed"));
            return None;
        }
    }
    let script = format!("set -eu\n{}", with_free_ports(&commands(page)));
    let folder = tempfile::tempdir().expect("a folder");
    let of_binary = Path::new(env!("CARGO_BIN_EXE_upbeat")).parent().expect("a directory");
    let path = format!("{}:{}", of_binary.display(), std::env::var("PATH").expect("a path"));
    let mut shell = Command::new("sh");
    for (name, _) in upbeat().get_envs() {
        shell.env_remove(name);
    }
    // Servers that the page leaves behind end with the group of the shell, and with no other.
    shell.args(["-c", &script]).current_dir(folder.path()).env("PATH", path).process_group(0);
    let log = folder.path().join("log");
    let file = std::fs::File::create(&log).expect("a file");
    shell.stdin(Stdio::null()).stdout(file.try_clone().expect("a file")).stderr(file);
    let mut child = shell.spawn().expect("a shell");
    let deadline = Instant::now() + 3 * TIMEOUT;
    let status = loop {
        match child.try_wait().expect("a child") {
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            status => break status,
        }
    };
    let group = -(child.id() as libc::pid_t);
    // SAFETY: kill takes no memory. Where the page has ended all that it started, nobody is left in the group.
    let ended = unsafe { libc::kill(group, libc::SIGKILL) };
    assert!(ended == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH));
    let status = status.unwrap_or_else(|| child.wait().expect("it ends"));
    let said = std::fs::read_to_string(&log).expect("text");
    assert!(status.success(), "{status}: {said}");
    Some((folder, said))
}

#[test]
fn page_on_backups_can_be_followed_command_by_command() {
    let page = include_str!("../../docs/guides/backups.md");
    assert!(page.contains("upbeat backup") && page.contains("upbeat restore"));
    let Some((folder, said)) = follow(page, &["curl", "tar", "gzip"]) else { return };
    assert!(said.contains("200 decisions are the same"), "{said}");
    assert!(said.contains("nothing of customer 7 is left"), "{said}");
    assert!(folder.path().join("nightly").read_dir().expect("a directory").count() == 1, "{said}");
}

#[test]
fn page_on_campaigns_can_be_followed_command_by_command() {
    let page = include_str!("../../docs/guides/campaigns.md");
    let Some((_folder, said)) = follow(page, &["curl", "sed", "awk", "cmp"]) else { return };
    assert!(
        said.contains("reserved, spent, returned and lost are 100000 0 20000 0 before the kill and after it"),
        "{said}"
    );
    assert!(
        said.contains("6 shows of 20000, less 20000 returned, are 100000 reserved and 0 spent"),
        "{said}"
    );
    assert!(said.contains("the reports of all four add up"), "{said}");
}
