//! The real binary on a directory.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::campaigns;
use crate::lines::lines;
use crate::preload::Watch;
use crate::wire::{TIMEOUT, Wire};

/// How often the ad may be shown to a customer in these tests.
pub const CAP: usize = 3;

/// For how many shows budgets are where nobody says otherwise: more than a lease of them.
pub const BUDGET: i64 = 300;

/// A folder of a test's own, in memory where there is a file system for that: the disk is traced, not used.
pub fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("upbeat-torture-").tempdir_in(parent).expect("a folder")
}

/// Where a server keeps what.
#[derive(Debug, Clone)]
pub struct Place {
    pub data: PathBuf,
    pub lanes: PathBuf,
    pub stderr: PathBuf,
    pub config: PathBuf,
    /// Beside it, where it is looked for.
    pub campaigns: PathBuf,
}

impl Place {
    /// Below `root`; the data directory is `watched/data`, and is made by the server.
    pub fn below(root: &Path) -> Self {
        let place = Self {
            data: root.join("watched/data"),
            lanes: root.join("lanes"),
            stderr: root.join("stderr"),
            config: root.join("upbeat.toml"),
            campaigns: root.join("campaigns.toml"),
        };
        fs::create_dir_all(root.join("watched")).expect("a directory");
        place.new_lanes();
        // Segments and snapshots so small that every run crosses from one to the next many times.
        let config = "workers = 2\nack_timeout = \"20s\"\n\
             [journal]\nsegment_bytes = \"64KiB\"\nsnapshot_bytes = \"128KiB\"\n\
             [retention.events]\nbytes = \"256KiB\"\n\
             [retention.decisions]\nbytes = \"256KiB\"\n\
             [limits]\nexpected_customers = 1000\n[shutdown]\ndrain = \"0s\"\n";
        fs::write(&place.config, config).expect("the configuration");
        place.set_budgets(BUDGET);
        place
    }

    /// Lets campaigns pay so many shows from the next start on.
    pub fn set_budgets(&self, shows: i64) {
        fs::write(&self.campaigns, campaigns::toml(shows)).expect("the campaigns");
    }

    /// Empties the directory of the lanes, as the end of a tmpfs does.
    pub fn new_lanes(&self) {
        let _ = fs::remove_dir_all(&self.lanes);
        fs::create_dir(&self.lanes).expect("a directory");
    }

    /// The directory that is watched: the parent of the data directory, so that the making of that one is seen.
    pub fn watched(&self) -> &Path {
        self.data.parent().expect("a parent")
    }
}

/// The binary under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_upbeat"))
}

/// A program, with nothing of this process's environment that concerns it.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("UPBEAT_") {
            command.env_remove(name);
        }
    }
    command
}

/// Compacts the directory, which no server uses; whether that came to its end.
///
/// # Panics
/// It ended otherwise, and not by SIGKILL.
pub fn compact(place: &Place, watch: &Watch<'_>) -> bool {
    let mut command = command(binary());
    command.args(["journal", "compact", "--yes"]).arg(&place.data);
    watch.apply(&mut command);
    let output = command.output().expect("the binary starts");
    let was_killed = output.status.signal() == Some(libc::SIGKILL);
    assert!(was_killed || output.status.success(), "{output:?}");
    !was_killed
}

/// A server that runs, killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub data: String,
    pub admin: String,
    stderr: PathBuf,
}

/// A server that ended before it was ready.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stderr: String,
}

impl Ended {
    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(libc::SIGKILL)
    }
}

impl Server {
    /// Starts the binary and waits until it is ready.
    pub fn start(place: &Place, watch: Option<&Watch<'_>>) -> Result<Self, Ended> {
        Self::start_as(binary(), place, watch)
    }

    /// The same with a program that may be another one.
    pub fn start_as(program: &Path, place: &Place, watch: Option<&Watch<'_>>) -> Result<Self, Ended> {
        let mut command = command(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.arg("--config").arg(&place.config).arg("--data-dir").arg(&place.data);
        command.env("UPBEAT_LANES_DIR", &place.lanes);
        if let Some(watch) = watch {
            watch.apply(&mut command);
        }
        let stderr = File::create(&place.stderr).expect("a file");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().expect("the binary starts");
        let lines = lines(child.stdout.take().expect("its output"));
        let mut server =
            Self { child, data: String::new(), admin: String::new(), stderr: place.stderr.clone() };
        for address in ["data", "admin"] {
            let Ok(line) = lines.recv_timeout(TIMEOUT) else {
                return Err(server.ended());
            };
            let url = line.strip_prefix(address).expect("the name of the listener").trim();
            let url = url.strip_prefix("http://").expect("a URL").to_owned();
            if address == "data" {
                server.data = url;
            } else {
                server.admin = url;
            }
        }
        let deadline = Instant::now() + TIMEOUT;
        let mut wire = Wire::to(&server.data);
        loop {
            if wire.get("/readyz").is_ok_and(|answer| answer.status == 200) {
                return Ok(server);
            }
            if server.child.try_wait().expect("a child").is_some() {
                return Err(server.ended());
            }
            assert!(Instant::now() < deadline, "not ready in time: {}", server.stderr());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Ends it by SIGKILL.
    pub fn kill(mut self) {
        self.kill_now();
    }

    fn kill_now(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Has it read its model again.
    pub fn hang_up(&self) {
        self.signal(libc::SIGHUP);
    }

    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: the child has not been waited for, so that the id is its own.
        assert_eq!(unsafe { libc::kill(self.child.id() as libc::pid_t, signal) }, 0);
    }

    /// Ends it in order.
    pub fn stop(self) {
        self.signal(libc::SIGTERM);
        let Ended { status, stderr } = self.ended();
        assert!(status.success(), "{status}: {stderr}");
    }

    /// Waits until it has ended by itself.
    pub fn ended(mut self) -> Ended {
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return Ended { status, stderr: self.stderr() };
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("the server does not end: {}", self.stderr());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill_now();
    }
}
