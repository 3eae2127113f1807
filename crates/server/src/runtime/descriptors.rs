//! File descriptors: as many as the limits need, and some put by for when there are none.
//!
//! Without a descriptor no connection can be accepted. A client's connects then succeed, since the kernel completes them,
//! and wait; health checks and the admin listener would, too, just when somebody looks for the cause.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Config;
use crate::gate::Listener;

/// Open connections of the admin listener at most.
const MOST_ADMIN_CONNECTIONS: usize = 256;

/// Connections beyond the limit that are open at once on a listener, for the moment in which they are answered.
const SPARE_CONNECTIONS: std::ops::RangeInclusive<usize> = 16..=256;

/// Descriptors put by on each listener.
const RESERVE: usize = 4;

/// Descriptors of the process beside connections and event loops: its streams, listeners, the runtime, and files that are
/// open for a moment.
const OTHERS: usize = 48;

/// Descriptors of an event loop: its poller, and what wakes it.
const OF_A_LOOP: usize = 2;

/// How many connections may be open, by `limits.connections`.
pub(super) struct Shares {
    /// Of the admin listener.
    pub(super) admin: usize,
    /// Of either listener, beyond its limit.
    pub(super) spare: usize,
}

impl Shares {
    /// The shares with so many connections of the data listener.
    pub(super) fn of(connections: usize) -> Self {
        Self {
            admin: connections.min(MOST_ADMIN_CONNECTIONS),
            spare: (connections / 8).clamp(*SPARE_CONNECTIONS.start(), *SPARE_CONNECTIONS.end()),
        }
    }
}

/// The descriptors that a server with so many connections of the data listener needs.
fn needed(connections: usize, loops: usize) -> usize {
    let Shares { admin, spare } = Shares::of(connections);
    connections + admin + 2 * (spare + RESERVE) + loops * OF_A_LOOP + OTHERS
}

/// The most connections that so many descriptors are enough for, at most `wanted`; `None` where they are too few for one.
fn enough_for(descriptors: usize, wanted: usize, loops: usize) -> Option<usize> {
    let fits = |connections: &usize| needed(*connections, loops) <= descriptors;
    if fits(&wanted) {
        return Some(wanted);
    }
    // Each connection needs one at least.
    (1..wanted.min(descriptors)).rev().find(fits)
}

/// Raises the limit on open files of this process to what `config` needs, as far as the hard limit allows. Where that is not
/// enough, `limits.connections` is lowered to what fits, and a warning says so.
///
/// # Errors
/// The hard limit is too low to serve at all.
pub fn make_room(config: &mut Config) -> io::Result<()> {
    let (wanted, loops) = (config.limits.connections, config.event_loops()?);
    let all = needed(wanted, loops);
    let Some(most) = raise_limit(all) else { return Ok(()) };
    match enough_for(most, wanted, loops) {
        Some(connections) if connections == wanted => {}
        Some(connections) => {
            config.limits.connections = connections;
            tracing::warn!(
                open_files = most,
                wanted,
                connections,
                "limits.connections is lowered, because this process may open too few files: raise its hard limit to \
                 {all} (ulimit -Hn, LimitNOFILE= of systemd, --ulimit nofile= of a container)"
            );
        }
        None => {
            return Err(io::Error::other(format!(
                "this process may open {most} files, and serving one connection needs {}: raise its hard limit to {all} \
                 (ulimit -Hn, LimitNOFILE= of systemd, --ulimit nofile= of a container)",
                needed(1, loops)
            )));
        }
    }
    Ok(())
}

/// Raises the soft limit on open files to `wanted` or the hard limit; returns the limit that holds then, `None` where it is
/// not known.
pub fn raise_limit(wanted: usize) -> Option<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a value of the type that the call fills in.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return None;
    }
    let wanted = libc::rlim_t::try_from(wanted).ok()?;
    if limit.rlim_cur < wanted {
        let raised = libc::rlimit { rlim_cur: wanted.min(limit.rlim_max), ..limit };
        // SAFETY: the pointer is to a value of the type that the call reads.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            limit = raised;
        }
    }
    Some(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}

/// Whether an accept failed for want of file descriptors, in this process or in all.
pub(crate) fn are_used_up(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Descriptors that are put by for each listener. One is given up so that a connection can be accepted when there are no
/// others, and put by again at the connection's end.
#[derive(Clone)]
pub(super) struct Reserve(Arc<Mutex<PutBy>>);

#[derive(Default)]
struct PutBy {
    data: Vec<UnixDatagram>,
    admin: Vec<UnixDatagram>,
}

impl PutBy {
    fn of(&mut self, listener: Listener) -> &mut Vec<UnixDatagram> {
        match listener {
            Listener::Data => &mut self.data,
            Listener::Admin => &mut self.admin,
        }
    }

    /// Puts descriptors by until there are enough of them; whether there are.
    fn refill(&mut self) -> bool {
        // Those of the admin listener first: there the cause can be seen.
        for listener in [Listener::Admin, Listener::Data] {
            let descriptors = self.of(listener);
            while descriptors.len() < RESERVE {
                // It needs no file: a container may have none, not even /dev/null.
                match UnixDatagram::unbound() {
                    Ok(socket) => descriptors.push(socket),
                    Err(_) => return false,
                }
            }
        }
        true
    }
}

impl Reserve {
    /// Puts some by.
    pub(super) fn new() -> Self {
        let mut put_by = PutBy::default();
        put_by.refill();
        Self(Arc::new(Mutex::new(put_by)))
    }

    fn put_by(&self) -> MutexGuard<'_, PutBy> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up one descriptor of a listener, if any is left; it is put by again when what this returns is dropped.
    pub(super) fn take(&self, listener: Listener) -> Option<Taken> {
        drop(self.put_by().of(listener).pop()?);
        Some(Taken(self.clone()))
    }

    /// A connection was accepted. Where it got a descriptor that had to be put by, because another connection ended just
    /// then, it has taken it. One that was `given_up` for it is put by again first: others may be free by now.
    pub(super) fn account(&self, given_up: Option<Taken>) -> Option<Taken> {
        drop(given_up);
        let is_full = self.put_by().refill();
        (!is_full).then(|| Taken(self.clone()))
    }
}

/// A descriptor was taken from the reserve, and goes back to it when this is dropped.
pub(super) struct Taken(Reserve);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.put_by().refill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowered_connections_are_the_most_that_fit() {
        for (loops, wanted) in [(1, 10_000), (2, 500), (64, 1_000_000)] {
            for descriptors in (0..3_000).step_by(7).chain([10_000, 1_048_576]) {
                match enough_for(descriptors, wanted, loops) {
                    Some(connections) => {
                        assert!(needed(connections, loops) <= descriptors && connections <= wanted);
                        assert!(connections == wanted || needed(connections + 1, loops) > descriptors);
                    }
                    None => assert!(needed(1, loops) > descriptors),
                }
            }
        }
    }

    #[test]
    fn descriptor_given_up_is_put_by_again_where_others_are_free() {
        let reserve = Reserve::new();
        let given_up = reserve.take(Listener::Data);
        assert!(given_up.is_some());
        assert!(reserve.account(given_up).is_none(), "the connection has not taken the last one");
        assert_eq!(reserve.put_by().data.len(), RESERVE);
    }

    #[test]
    fn reserve_is_filled_again_when_its_connection_ends() {
        let reserve = Reserve::new();
        let taken: Vec<_> = std::iter::from_fn(|| reserve.take(Listener::Data)).collect();
        assert_eq!(taken.len(), RESERVE);
        assert!(reserve.take(Listener::Admin).is_some(), "each listener has its own");
        drop(taken);
        let put_by = reserve.put_by();
        assert_eq!((put_by.data.len(), put_by.admin.len()), (RESERVE, RESERVE));
    }
}
