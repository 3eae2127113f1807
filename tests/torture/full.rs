//! The disk runs full, has space again, and runs full again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::inspect;
use crate::ledger::{Book, Deed};
use crate::load::{Client, work};
use crate::preload::{Control, Watch, Word};
use crate::process::{Place, Server, folder};
use crate::skipped::skipped;
use crate::trace;
use crate::wire::{TIMEOUT, Wire};

/// What is left on a disk that is about to run full.
const LEFT: u64 = 300 << 10;

/// A disk that a test fills and empties.
trait Space {
    fn fill(&self, place: &Place);
    fn empty(&self);
    fn watch(&self, place: &Place) -> Option<Watch<'_>>;
}

/// A small file system in memory, unmounted when dropped.
struct Mounted {
    path: PathBuf,
    ballast: PathBuf,
}

impl Mounted {
    const BYTES: u64 = 20 << 20;

    /// `None` where the kernel does not let this user mount.
    fn at(path: &Path) -> Option<Self> {
        let text = |text: &str| std::ffi::CString::new(text).expect("text");
        let (target, kind) = (text(path.to_str().expect("text")), text("tmpfs"));
        let options = text(&format!("size={}", Self::BYTES));
        // SAFETY: the strings live until the call returns.
        let mounted =
            unsafe { libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast()) };
        (mounted == 0).then(|| Self { path: path.to_owned(), ballast: path.join("ballast") })
    }

    fn free(&self) -> u64 {
        let path = std::ffi::CString::new(self.path.to_str().expect("text")).expect("text");
        let mut of = std::mem::MaybeUninit::<libc::statvfs>::uninit();
        // SAFETY: the kernel fills the structure when it returns 0.
        let of = unsafe {
            assert_eq!(libc::statvfs(path.as_ptr(), of.as_mut_ptr()), 0);
            of.assume_init()
        };
        of.f_bavail * of.f_frsize
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let path = std::ffi::CString::new(self.path.to_str().expect("text")).expect("text");
        // SAFETY: the string lives until the call returns.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

impl Space for Mounted {
    fn fill(&self, _place: &Place) {
        let bytes = vec![0; self.free().saturating_sub(LEFT) as usize];
        fs::write(&self.ballast, bytes).expect("it fits");
    }

    fn empty(&self) {
        fs::remove_file(&self.ballast).expect("it is there");
    }

    fn watch(&self, _place: &Place) -> Option<Watch<'_>> {
        None
    }
}

/// A disk of which the preloaded library says that it is full.
struct Pretended(Control);

impl Space for Pretended {
    fn fill(&self, place: &Place) {
        let files = fs::read_dir(&place.data).expect("a directory");
        let bytes: u64 =
            files.map(|file| file.expect("a file").metadata().map_or(0, |data| data.len())).sum();
        self.0.set(Word::Space, bytes + LEFT);
    }

    fn empty(&self) {
        self.0.set(Word::Space, 0);
    }

    fn watch(&self, place: &Place) -> Option<Watch<'_>> {
        Some(Watch { directory: place.watched().to_owned(), trace: None, control: Some(&self.0) })
    }
}

/// Works until the disk has been full for many requests. No decision fails meanwhile: a client counts that as a fault.
fn work_until_full(clients: &mut [Client], server: &Server) {
    let deadline = Instant::now() + TIMEOUT;
    let shed = |clients: &[Client]| clients.iter().map(|client| client.shed).sum::<usize>();
    let before = shed(clients);
    while shed(clients) < before + 60 {
        assert!(Instant::now() < deadline, "the disk does not run full: {}", server.stderr());
        work(clients, &server.data, &server.admin, 15, &AtomicBool::new(false));
    }
    assert_eq!(Wire::to(&server.data).get("/healthz").expect("an answer").status, 200);
}

fn deeds(clients: &mut [Client]) -> Vec<Vec<Deed>> {
    clients.iter_mut().map(Client::take_deeds).collect()
}

/// Sends again what was refused, until all of it is accepted.
fn send_refused(clients: &mut [Client], server: &Server) {
    let deadline = Instant::now() + TIMEOUT;
    let mut wire = Wire::to(&server.data);
    while clients.iter().any(|client| client.unsure() > 0) {
        assert!(Instant::now() < deadline, "it does not heal: {}", server.stderr());
        for client in &mut *clients {
            client.send_unsure(&mut wire).expect("an answer");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn check(clients: &mut [Client], server: &Server, book: &Book, when: &str) {
    let mut faults = inspect::faults(server, book).1;
    faults.extend(clients.iter_mut().flat_map(|client| std::mem::take(&mut client.faults)));
    assert!(faults.is_empty(), "{when}: {}\n{}", faults.join("\n"), server.stderr());
}

fn fills_and_heals(space: &dyn Space, place: &Place) {
    let watch = space.watch(place);
    let start =
        || Server::start(place, watch.as_ref()).unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
    let server = start();
    let mut clients: Vec<Client> = (0..4).map(|number| Client::new(3, number)).collect();
    let mut book = Book::default();
    let mut last = 0;
    work(&mut clients, &server.data, &server.admin, 40, &AtomicBool::new(false));
    for _ in 0..2 {
        space.fill(place);
        work_until_full(&mut clients, &server);
        book.enter(&deeds(&mut clients), trace::Instant::MAX, true);
        space.empty();
        send_refused(&mut clients, &server);
        let shed: usize = clients.iter().map(|client| client.shed).sum();
        assert!(shed > last, "something was refused");
        work(&mut clients, &server.data, &server.admin, 20, &AtomicBool::new(false));
        last = clients.iter().map(|client| client.shed).sum();
        assert_eq!(last, shed, "nothing is refused once there is space");
        book.enter(&deeds(&mut clients), trace::Instant::MAX, true);
        check(&mut clients, &server, &book, "healed");
    }
    space.fill(place);
    work_until_full(&mut clients, &server);
    book.enter(&deeds(&mut clients), trace::Instant::MAX, true);
    server.kill();
    space.empty();
    let server = start();
    check(&mut clients, &server, &book, "killed while the disk was full");
    send_refused(&mut clients, &server);
    book.enter(&deeds(&mut clients), trace::Instant::MAX, true);
    check(&mut clients, &server, &book, "after that");
}

#[test]
fn file_system_that_runs_full_and_heals_loses_and_doubles_nothing() {
    let folder = folder();
    let root = folder.path().canonicalize().expect("a path");
    let place = Place::below(&root);
    let Some(mounted) = Mounted::at(place.watched()) else {
        skipped("this user may not mount a file system");
        return;
    };
    fills_and_heals(&mounted, &place);
}

#[test]
fn disk_without_space_loses_and_doubles_nothing() {
    let folder = folder();
    let root = folder.path().canonicalize().expect("a path");
    let place = Place::below(&root);
    fills_and_heals(&Pretended(Control::new(&root.join("control"))), &place);
}
