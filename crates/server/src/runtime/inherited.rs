//! What whoever started the process has left in its environment beside the configuration: sockets that are open already
//! (`sd_listen_fds(3)`), and where to tell how it goes (`sd_notify(3)`).

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

/// Variables of a service manager.
#[derive(Debug, Default)]
pub struct Inherited {
    variables: HashMap<&'static str, OsString>,
}

impl Inherited {
    /// Every variable that is read. They are of this process alone: to be removed before another one is started.
    pub const VARIABLES: [&'static str; 6] =
        ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

    /// Of an environment.
    #[must_use]
    pub fn of(environment: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let known = |name: OsString| Self::VARIABLES.into_iter().find(|known| *known == name);
        let read = environment.filter_map(|(name, value)| Some((known(name)?, value)));
        Self { variables: read.filter(|(_, value)| !value.is_empty()).collect() }
    }

    /// A variable's text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.variables.get(name)?.to_str()
    }

    /// The socket of the manager.
    pub(super) fn notify_socket(&self) -> Option<&OsStr> {
        self.variables.get("NOTIFY_SOCKET").map(OsString::as_os_str)
    }

    /// The time without a sign of life after which the manager ends this process.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        let us = self.text("WATCHDOG_USEC")?.parse().ok().filter(|us| *us > 0)?;
        let is_ours = self.text("WATCHDOG_PID").is_none_or(is_this_process);
        is_ours.then(|| Duration::from_micros(us))
    }
}

/// Whether a number is that of this process: a variable that a parent has passed on is not meant for it.
pub(super) fn is_this_process(number: &str) -> bool {
    number.parse() == Ok(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watchdog(variables: &[(&str, &str)]) -> Option<Duration> {
        Inherited::of(variables.iter().map(|(name, value)| (name.into(), value.into()))).watchdog()
    }

    #[test]
    fn watchdog_is_of_the_process_that_it_names_and_of_any_where_it_names_none() {
        let ours = std::process::id().to_string();
        let second = Some(Duration::from_secs(1));
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "1000000")]), second);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", &ours)]), second);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "1")]), None);
        for none in ["0", "", "soon"] {
            assert_eq!(watchdog(&[("WATCHDOG_USEC", none)]), None, "{none:?}");
        }
    }
}
