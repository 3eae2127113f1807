//! Backups under load, and what is restored from them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use super::{Run, client};
use crate::inspect;
use crate::ledger::{Book, Deed};
use crate::load::{Client, work};
use crate::process::{Place, Server, binary, command};
use crate::trace::{Instant, now};
use crate::wire::Wire;

/// A backup that shall be caught under way is read no faster.
const SLOW: &str = "256KiB";

/// How often a backup is tried.
const TRIES: usize = 5;

/// The clients of a restored server, and the requests of each.
const OTHER_CLIENTS: [u64; 2] = [50, 51];
const REQUESTS: usize = 60;

/// A backup that came to its end.
#[derive(Debug)]
pub struct Backup {
    directory: PathBuf,
    begun: Instant,
    ended: Instant,
}

fn backup_command(run: &Run, server: &Server) -> std::process::Command {
    let mut command = command(binary());
    command.args(["backup", "--from", &format!("http://{}", server.admin), "-o"]).arg(directory(run));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The directory of backups; where one was interrupted the next one goes on with what is there.
fn directory(run: &Run) -> PathBuf {
    run.root.join("backup")
}

/// Takes a backup of a server under load.
pub fn back_up(run: &mut Run, server: &Server) {
    for tries in 1..=TRIES {
        let begun = now();
        let output = backup_command(run, server).output().expect("the binary starts");
        let ended = now();
        if output.status.success() {
            run.tally.backups += 1;
            run.backup = Some(Backup { directory: directory(run), begun, ended });
            return;
        }
        // An erasure ends it where it holds who was deleted.
        assert!(tries < TRIES && output.status.code() == Some(1), "a backup under load: {}", said(&output));
        run.tally.interrupted_backups += 1;
    }
}

/// Begins a backup that lasts for a while.
pub fn begin(run: &Run, server: &Server) -> Child {
    backup_command(run, server).args(["--rate", SLOW]).spawn().expect("the binary starts")
}

/// Ends a backup by SIGKILL, or waits for the end of one whose server was killed.
pub fn interrupt(run: &mut Run, mut child: Child, is_killed: bool) {
    if is_killed {
        // It may have ended by itself.
        let _ = child.kill();
    }
    let output = child.wait_with_output().expect("it ends");
    if output.status.success() {
        // It was fast; the next one must not take it for its own beginning.
        fs::remove_dir_all(directory(run)).expect("it is removed");
        return;
    }
    let says_why = output.status.code() == Some(1) && !output.stderr.is_empty();
    assert!(is_killed || says_why, "a backup of a server that ends: {}", said(&output));
    run.tally.interrupted_backups += 1;
}

fn said(output: &Output) -> String {
    format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr))
}

/// Restores a backup into a second directory, and looks there for everything that it must have. `book` is the ledger as of
/// before the load under which it was taken, and `deeds` are those of the load.
pub fn restore(run: &mut Run, server: &Server, backup: &Backup, mut book: Book, deeds: &[Vec<Deed>]) {
    let root = run.root.join("restored");
    fs::create_dir(&root).expect("a directory");
    let mut place = Place::below(&root);
    place.lanes = run.place.lanes.with_file_name("restored-lanes");
    place.new_lanes();
    fs::copy(&run.place.config, &place.config).expect("the configuration");
    fs::copy(&run.place.campaigns, &place.campaigns).expect("the campaigns");

    let mut command = command(binary());
    command.arg("restore").arg(&backup.directory).arg("--data-dir").arg(&place.data);
    // Who was deleted after the backup comes back, or not, where a later file of tombstones says who that was.
    let mut erased_until = 0;
    match run.dice.below(4) {
        0 => drop(command.arg("--forget-erasures")),
        1 => {}
        _ => {
            command.arg("--tombstones").arg(tombstones(server, &root));
            erased_until = now();
        }
    }
    let output = command.output().expect("the binary starts");
    assert!(output.status.success(), "a backup is restored: {}", said(&output));
    if erased_until > 0 {
        run.look_for_erased(&place.data);
    }

    let restored = Server::start(&place, None).unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
    book.wake();
    book.enter_backup(deeds, backup.begun, backup.ended, erased_until);
    let (held, faults) = inspect::faults(&restored, &book);
    let mut found = faults.into_iter().chain(book.take_faults()).collect();
    run.faults.extend(told(&mut found, "restored", &restored));
    run.tally.restores += 1;
    run.tally.restored_rows += book.promised().len();

    // It serves: other customers come, and the present ones stay as they are.
    book.take_over(&held, &inspect::tracks(&restored, &book), &inspect::spending(&restored));
    let mut clients: Vec<Client> = OTHER_CLIENTS.map(|number| client(run.seed, number, 4)).into();
    work(&mut clients, &restored.data, &restored.admin, REQUESTS, &false.into());
    let deeds: Vec<Vec<Deed>> = clients.iter_mut().map(Client::take_deeds).collect();
    book.enter(&deeds, Instant::MAX, true);
    let mut found = inspect::faults(&restored, &book).1;
    found.append(&mut book.take_faults());
    found.extend(clients.iter_mut().flat_map(|client| std::mem::take(&mut client.faults)));
    run.faults.extend(told(&mut found, "served after a restore", &restored));
    restored.stop();
    if run.faults.is_empty() {
        for path in [&root, &backup.directory, &place.lanes] {
            fs::remove_dir_all(path).expect("it is removed");
        }
    }
}

fn told(faults: &mut Vec<String>, when: &str, server: &Server) -> Vec<String> {
    let mut told: Vec<String> = faults.drain(..).map(|fault| format!("{when}: {fault}")).collect();
    if !told.is_empty() {
        told.push(server.stderr());
    }
    told
}

/// The file of tombstones of a server.
fn tombstones(server: &Server, root: &Path) -> PathBuf {
    let answer = Wire::to(&server.admin).get("/tombstones").expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let path = root.join("tombstones");
    fs::write(&path, answer.body).expect("a file");
    path
}
