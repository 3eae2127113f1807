//! The range of every key that is a number or a length of time: one table, which `upbeat.toml` states to people.

use std::fmt;

use upbeat_core::profile::Window;

use super::{Bytes, Config, ConfigError, Duration};

/// The value of a key, or an end of its range.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum Quantity {
    /// A number, whole or not. Whole numbers of every range are exact in a double.
    Number(f64),
    /// A length of time.
    Time(Duration),
    /// An amount of bytes that is written with its unit.
    Bytes(Bytes),
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Time(duration) => duration.fmt(f),
            Self::Bytes(bytes) => bytes.fmt(f),
        }
    }
}

/// An end of a range: a quantity, or the value of another key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// The quantity, of the other key where there is one.
    pub value: Quantity,
    /// The key whose value this is.
    pub key: Option<&'static str>,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key {
            Some(key) => f.write_str(key),
            None => self.value.fmt(f),
        }
    }
}

/// A key with its value and the values that it may have, ends included.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// The path of the key, as in `limits.header_timeout`.
    pub key: &'static str,
    /// The value of the configuration that was asked.
    pub value: Quantity,
    /// The least allowed value.
    pub least: Bound,
    /// The greatest allowed value.
    pub most: Bound,
}

impl Range {
    /// # Errors
    /// The value is not in the range, or not a number.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if (self.least.value..=self.most.value).contains(&self.value) {
            return Ok(());
        }
        let end = |bound: &Bound| match bound.key {
            Some(key) => format!("{} ({key})", bound.value),
            None => bound.value.to_string(),
        };
        let Self { key, value, least, most } = self;
        Err(ConfigError(format!("{key} is {value}; it must be from {} to {}", end(least), end(most))))
    }
}

/// What can stand at an end of a row of the table.
trait End {
    fn bound(self) -> Bound;
}

impl End for u64 {
    fn bound(self) -> Bound {
        Bound { value: number(self), key: None }
    }
}

impl End for Duration {
    fn bound(self) -> Bound {
        Bound { value: Quantity::Time(self), key: None }
    }
}

/// The value of another key.
impl End for (&'static str, usize) {
    fn bound(self) -> Bound {
        Bound { value: number(self.1 as u64), key: Some(self.0) }
    }
}

fn number(value: u64) -> Quantity {
    Quantity::Number(value as f64)
}

fn count(key: &'static str, value: usize, least: impl End, most: impl End) -> Range {
    Range { key, value: number(value as u64), least: least.bound(), most: most.bound() }
}

fn real(key: &'static str, value: f64, least: f64, most: f64) -> Range {
    let bound = |value| Bound { value: Quantity::Number(value), key: None };
    Range { key, value: Quantity::Number(value), least: bound(least), most: bound(most) }
}

fn time(key: &'static str, value: Duration, least: Duration, most: Duration) -> Range {
    Range { key, value: Quantity::Time(value), least: least.bound(), most: most.bound() }
}

fn bytes(key: &'static str, value: Bytes, least: u64, most: u64) -> Range {
    let bound = |bytes| Bound { value: Quantity::Bytes(Bytes(bytes)), key: None };
    Range { key, value: Quantity::Bytes(value), least: bound(least), most: bound(most) }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// The shortest time limit on a client: less would cut off clients that are only busy.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);

impl Config {
    /// The range of every key that is a number or a length of time. No length of time can overflow an instant.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range> {
        let Self { journal, decisions, retention, backup, window, learn, limits, shutdown, log, .. } = self;
        let zero = Duration::from_secs(0);
        let mut ranges = vec![
            time("max_future", self.max_future, zero, YEAR),
            count("workers", self.workers, 0, 1024),
            time("ack_timeout", self.ack_timeout, Duration::from_millis(10), HOUR),
            time("erase_deadline", self.erase_deadline, Duration::from_secs(1), MONTH),
            time("journal.interval", journal.interval, Duration::from_millis(1), MINUTE),
            bytes("journal.segment_bytes", journal.segment_bytes, 64 << 10, 1 << 30),
            bytes("journal.snapshot_bytes", journal.snapshot_bytes, 64 << 10, 1 << 40),
            time("decisions.sync_interval", decisions.sync_interval, Duration::from_millis(1), MINUTE),
            time("decisions.unshown_interval", decisions.unshown_interval, Duration::from_millis(1), HOUR),
            count("retention.events.days", retention.events.days as usize, 1, 36_500),
            bytes("retention.events.bytes", retention.events.bytes, 1, 1 << 50),
            count("retention.decisions.days", retention.decisions.days as usize, 1, 36_500),
            bytes("retention.decisions.bytes", retention.decisions.bytes, 1, 1 << 50),
            time("backup.expire", backup.expire, Duration::from_secs(1), DAY),
            count(
                "window.plays",
                window.plays as usize,
                u64::from(*Window::PLAYS.start()),
                u64::from(*Window::PLAYS.end()),
            ),
            count(
                "window.days",
                window.days as usize,
                u64::from(*Window::DAYS.start()),
                u64::from(*Window::DAYS.end()),
            ),
            time("learn.attribution", learn.attribution, Duration::from_secs(1), DAY),
            time("learn.conversion", learn.conversion, Duration::from_secs(1), YEAR),
            time("learn.every", learn.every, Duration::from_secs(1), YEAR),
            count(
                "learn.min_labels",
                usize::try_from(learn.min_labels).unwrap_or(usize::MAX),
                1,
                1_000_000_000,
            ),
            real("learn.alpha", learn.alpha, 0.0001, 0.5),
            real("learn.min_gain", learn.min_gain, 0.0, 1e6),
            time("learn.max_age", learn.max_age, MINUTE, YEAR),
            count("limits.customers", limits.customers, 1, 1 << 32),
            count("limits.profile_bytes", limits.profile_bytes, 1024, 1 << 46),
            count(
                "limits.expected_customers",
                limits.expected_customers,
                0,
                ("limits.customers", limits.customers),
            ),
            time("limits.evict_every", limits.evict_every, Duration::from_millis(100), DAY),
            count("limits.retry_bytes", limits.retry_bytes, 1 << 20, 1 << 40),
            count("limits.tracks", limits.tracks, 0, 1 << 32),
            count("limits.tombstones", limits.tombstones, 1000, 100_000_000),
            count("limits.connections", limits.connections, 1, 1_000_000),
            count("limits.header_bytes", limits.header_bytes, 8192, 1 << 20),
            count("limits.event_bytes", limits.event_bytes, 1024, 1 << 20),
            count(
                "limits.bulk_bytes",
                limits.bulk_bytes,
                ("limits.event_bytes", limits.event_bytes),
                1 << 30,
            ),
            count(
                "limits.body_memory_bytes",
                limits.body_memory_bytes,
                ("limits.bulk_bytes", limits.bulk_bytes),
                1 << 40,
            ),
            count("limits.response_memory_bytes", limits.response_memory_bytes, 4 << 20, 1 << 40),
            count("limits.bulk_in_flight", limits.bulk_in_flight, 1, 1024),
            count("limits.decisions", limits.decisions, 1, 1_000_000),
            time("limits.idle_timeout", limits.idle_timeout, SHORTEST_TIMEOUT, DAY),
            time("limits.header_timeout", limits.header_timeout, SHORTEST_TIMEOUT, HOUR),
            time("limits.body_timeout", limits.body_timeout, SHORTEST_TIMEOUT, HOUR),
            time("limits.write_timeout", limits.write_timeout, SHORTEST_TIMEOUT, HOUR),
            time("shutdown.drain", shutdown.drain, zero, HOUR),
            time("shutdown.deadline", shutdown.deadline, zero, HOUR),
            count("log.sample", usize::try_from(log.sample).unwrap_or(usize::MAX), 0, 1_000_000_000),
        ];
        ranges.extend(
            self.campaign
                .ranges()
                .into_iter()
                .map(|(key, value, range)| real(key, value, *range.start(), *range.end())),
        );
        ranges
    }
}
