//! Listening sockets that are open before the process starts and stay open after its end, passed by whoever starts it in the
//! protocol of `sd_listen_fds(3)`: descriptors from 3 on, as many as `LISTEN_FDS` says. Connections wait in their queues
//! from the end of one process to the start of the next, so that a restart refuses none.

use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use socket2::{Domain, Socket, Type};

use super::inherited::{Inherited, is_this_process};

/// Descriptors are passed from this one on.
const FIRST: RawFd = 3;

/// One for each listener.
const NAMES: [&str; 2] = ["data", "admin"];

/// Why what was passed is not served on.
#[derive(Debug, thiserror::Error)]
pub enum PassedError {
    /// The variable is no number, or too large.
    #[error("LISTEN_FDS is {0:?}; it must be 1 or 2: the data listener's socket and the admin listener's")]
    Count(String),
    /// The names are not as many as the descriptors, or one is there twice.
    #[error(
        "LISTEN_FDNAMES is {0:?}; it must name each passed socket once, data or admin (FileDescriptorName= of a .socket \
         unit)"
    )]
    Names(String),
    /// A descriptor is not open.
    #[error("descriptor {descriptor}, passed for the {name} listener by LISTEN_FDS: {error}")]
    Io {
        /// Its number.
        descriptor: RawFd,
        /// What it is for.
        name: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// It is something else.
    #[error(
        "descriptor {descriptor}, passed for the {name} listener by LISTEN_FDS, is no listening TCP socket: pass one that is \
         bound and listens (ListenStream= and Accept=no of a .socket unit)"
    )]
    NotListening {
        /// Its number.
        descriptor: RawFd,
        /// What it is for.
        name: &'static str,
    },
}

/// The sockets that were passed.
#[derive(Debug, Default)]
pub struct Passed {
    /// For the data listener.
    pub data: Option<TcpListener>,
    /// For the admin listener.
    pub admin: Option<TcpListener>,
}

impl Passed {
    /// Takes what the environment says was passed to this process; nothing where it was passed to another one.
    ///
    /// # Safety
    /// Nothing else in this process uses a descriptor that the environment names: to be called once, before any is opened.
    ///
    /// # Errors
    /// See [`PassedError`].
    pub unsafe fn take(inherited: &Inherited) -> Result<Self, PassedError> {
        let Some(count) = inherited.text("LISTEN_FDS") else { return Ok(Self::default()) };
        // As sd_listen_fds has it: where the number is missing, or another's, nothing is meant for this process.
        if !inherited.text("LISTEN_PID").is_some_and(is_this_process) {
            return Ok(Self::default());
        }
        let mut passed = Self::default();
        for (descriptor, name) in (FIRST..).zip(names(count, inherited.text("LISTEN_FDNAMES"))?) {
            // SAFETY: the caller's promise.
            let socket = unsafe { listening(descriptor, name) }?;
            let place = if name == NAMES[0] { &mut passed.data } else { &mut passed.admin };
            *place = Some(socket);
        }
        Ok(passed)
    }
}

/// What each descriptor is for: by its name, or where none of the names is known by its place, the data listener first.
fn names(count: &str, given: Option<&str>) -> Result<Vec<&'static str>, PassedError> {
    let number: usize = count.parse().map_err(|_| PassedError::Count(count.to_owned()))?;
    if number > NAMES.len() {
        return Err(PassedError::Count(count.to_owned()));
    }
    let given: Vec<&str> = given.map_or(Vec::new(), |names| names.split(':').collect());
    let known = |name: &&str| NAMES.into_iter().find(|known| known == name);
    if !given.iter().any(|name| known(name).is_some()) {
        return Ok(NAMES[..number].to_vec());
    }
    let named: Option<Vec<&'static str>> = given.iter().map(known).collect();
    match named.as_deref() {
        Some([_]) if number == 1 => {}
        Some([first, second]) if number == 2 && first != second => {}
        _ => return Err(PassedError::Names(given.join(":"))),
    }
    Ok(named.unwrap_or_default())
}

/// # Safety
/// Nothing else uses the descriptor.
///
/// # Errors
/// It is not open, or no socket that can be accepted on.
unsafe fn listening(descriptor: RawFd, name: &'static str) -> Result<TcpListener, PassedError> {
    let failed = |error| PassedError::Io { descriptor, name, error };
    // SAFETY: the call has no preconditions; it fails where nothing is open.
    if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } < 0 {
        return Err(failed(io::Error::last_os_error()));
    }
    // SAFETY: it is open, and the caller says that it is nobody else's.
    let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    let is_tcp = || -> io::Result<bool> {
        let is_internet = matches!(socket.local_addr()?.domain(), Domain::IPV4 | Domain::IPV6);
        Ok(is_internet && socket.r#type()? == Type::STREAM && listens(&socket)?)
    };
    // A file is none, and says so by an error.
    if !is_tcp().unwrap_or(false) {
        return Err(PassedError::NotListening { descriptor, name });
    }
    socket.set_cloexec(true).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(socket.into())
}

#[cfg(target_os = "linux")]
fn listens(socket: &Socket) -> io::Result<bool> {
    socket.is_listener()
}

/// Other systems do not say; one that does not listen will, once its backlog is set.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps)]
fn listens(_socket: &Socket) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, IntoRawFd};

    use super::*;

    #[test]
    fn sockets_are_told_apart_by_their_names_or_by_their_places() {
        assert_eq!(names("2", Some("admin:data")).expect("names"), ["admin", "data"]);
        assert_eq!(names("1", Some("admin")).expect("a name"), ["admin"]);
        for unnamed in [None, Some("upbeat.socket:upbeat.socket"), Some("unknown:unknown")] {
            assert_eq!(names("2", unnamed).expect("places"), ["data", "admin"]);
        }
        assert_eq!(names("1", None).expect("a place"), ["data"]);
        assert!(names("0", None).expect("nothing").is_empty());
        for count in ["3", "-1", "two"] {
            assert!(matches!(names(count, None), Err(PassedError::Count(_))), "{count}");
        }
        for wrong in ["data:data", "data", "data:admin:data", "data:metrics"] {
            assert!(matches!(names("2", Some(wrong)), Err(PassedError::Names(_))), "{wrong}");
        }
    }

    #[test]
    fn descriptor_that_is_no_listening_socket_is_refused_with_its_number() {
        let refusal = |descriptor: RawFd| {
            // SAFETY: the test made it, or nobody has it.
            unsafe { listening(descriptor, "data") }.expect_err("it is none").to_string()
        };
        let file = tempfile::tempfile().expect("a file").into_raw_fd();
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket").into_raw_fd();
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port").into_raw_fd();
        for descriptor in [file, bound, datagrams] {
            let said = refusal(descriptor);
            assert!(said.contains(&format!("descriptor {descriptor}")) && said.contains("listen"), "{said}");
        }
        let never_open = 1_000_000;
        assert!(refusal(never_open).contains("1000000"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        // SAFETY: it is this one's alone.
        let taken = unsafe { listening(listener.into_raw_fd(), "data") }.expect("it listens");
        assert_eq!(taken.local_addr().expect("an address"), address);
        // SAFETY: the descriptor is open.
        let flags = unsafe { libc::fcntl(taken.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        assert!(matches!(taken.accept(), Err(error) if error.kind() == io::ErrorKind::WouldBlock));
    }

    #[test]
    fn sockets_that_were_passed_to_another_process_are_left_alone() {
        for pid in [&[][..], &[("LISTEN_PID", "1")]] {
            let variables = [&[("LISTEN_FDS", "2")], pid].concat();
            let inherited =
                Inherited::of(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
            // SAFETY: nothing is taken.
            let passed = unsafe { Passed::take(&inherited) }.expect("nothing is wrong");
            assert!(passed.data.is_none() && passed.admin.is_none());
        }
    }
}
