//! What the process tells its service manager, in the protocol of `sd_notify(3)`: datagrams to the socket that
//! `NOTIFY_SOCKET` names. systemd has such a socket, and so have others that start services.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::inherited::Inherited;

/// A manager that does not read is waited for so long; then the message is lost.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// While the start reads on, its time is extended by so much each time that it says how far it is.
const EXTENDED_BY: Duration = Duration::from_secs(60);

/// The way to the service manager; without one nothing is told.
#[derive(Debug, Default)]
pub struct Supervisor {
    way: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The manager that the environment names, if it names one.
    ///
    /// # Errors
    /// It names one that cannot be told anything.
    pub fn of(inherited: &Inherited) -> io::Result<Self> {
        let Some(name) = inherited.notify_socket() else { return Ok(Self::default()) };
        let address = address(name)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Self { way: Some((socket, address)), watchdog: inherited.watchdog() })
    }

    /// How often [`Supervisor::alive`] is to be said: twice in the time after which the manager takes the process for hung.
    pub(super) fn watchdog_period(&self) -> Option<Duration> {
        self.watchdog.map(|time| time / 2)
    }

    /// What was kept is read, and requests are answered.
    pub(super) fn ready(&self) {
        self.send("READY=1\nSTATUS=serving");
    }

    /// How far the start is; it goes on, and is not to be ended for its length.
    pub(super) fn starting(&self, progress: &dyn std::fmt::Display) {
        let extended_us = EXTENDED_BY.as_micros();
        self.send(&format!("STATUS=starting: {progress}\nEXTEND_TIMEOUT_USEC={extended_us}"));
    }

    /// The model is read again; [`Supervisor::ready`] says when that is done.
    pub(super) fn reloading(&self) {
        let now_us = monotonic_us();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}\nSTATUS=reading the model again"));
    }

    /// The stop has begun.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping: what was accepted is answered");
    }

    /// What the process does, for people.
    pub(super) fn status(&self, text: &str) {
        self.send(&format!("STATUS={text}"));
    }

    /// Every thread that answers or keeps something goes on.
    pub(super) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, message: &str) {
        let Some((socket, address)) = &self.way else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            let what = message.lines().next();
            tracing::warn!(%error, what, "the service manager (NOTIFY_SOCKET) is not told");
        }
    }
}

/// # Errors
/// The name is neither a path nor, on Linux, an abstract name.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name),
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        _ => {
            let text =
                format!("NOTIFY_SOCKET is {name:?}; it must be a path or an abstract name such as @manager");
            Err(io::Error::other(text))
        }
    }
}

/// Microseconds of the clock that the manager compares the beginning of a reload by.
fn monotonic_us() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value of the type that the call fills in, and every system has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A supervisor with a watchdog, and the manager's end.
    pub(crate) fn watched(time: Duration) -> (Supervisor, UnixDatagram, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        let variables =
            [("NOTIFY_SOCKET", path.display().to_string()), ("WATCHDOG_USEC", time.as_micros().to_string())];
        let inherited = Inherited::of(variables.map(|(name, value)| (name.into(), value.into())).into_iter());
        (Supervisor::of(&inherited).expect("a path"), manager, folder)
    }

    pub(crate) fn heard(manager: &UnixDatagram) -> String {
        let mut bytes = [0; 512];
        let length = manager.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn manager_hears_each_change_and_how_far_the_start_is() {
        let (supervisor, manager, _folder) = watched(Duration::from_secs(30));
        assert_eq!(supervisor.watchdog_period(), Some(Duration::from_secs(15)));
        supervisor.starting(&"25 % of the log is read");
        let said = "STATUS=starting: 25 % of the log is read\nEXTEND_TIMEOUT_USEC=60000000";
        assert_eq!(heard(&manager), said);
        supervisor.ready();
        assert_eq!(heard(&manager), "READY=1\nSTATUS=serving");
        supervisor.reloading();
        let said = heard(&manager);
        let at = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|rest| rest.lines().next());
        assert!(at.and_then(|at| at.parse::<u64>().ok()).is_some_and(|at| at > 0), "{said}");
        supervisor.stopping();
        assert!(heard(&manager).starts_with("STOPPING=1\n"));
        drop(manager);
        supervisor.alive();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn abstract_names_are_taken_and_others_are_refused() {
        use std::os::linux::net::SocketAddrExt;

        let name = format!("upbeat-supervisor-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let manager = UnixDatagram::bind_addr(&address).expect("a socket");
        let of = |name: String| {
            Supervisor::of(&Inherited::of([("NOTIFY_SOCKET".into(), name.into())].into_iter()))
        };
        of(format!("@{name}")).expect("a name").ready();
        assert!(heard(&manager).starts_with("READY=1\n"));
        let error = of("vsock:2:1234".to_owned()).expect_err("neither").to_string();
        assert!(error.contains("vsock:2:1234"), "{error}");
    }
}
