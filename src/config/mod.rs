//! Configuration: defaults, then `upbeat.toml`, then `UPBEAT_…` environment, then flags.

mod duration;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::campaign::Campaign;
use crate::engine::Clock;
use crate::event::Zone;
use crate::profile::Window;

pub use duration::Duration;

/// Everything that can be set; `upbeat.toml` in the repository explains each key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address of the data plane.
    pub listen: SocketAddr,
    /// Address of the control plane.
    pub admin_listen: SocketAddr,
    /// Path of the model file; empty for the built-in one, `none` to serve without.
    pub model: String,
    /// What *now* means.
    pub clock: Clock,
    /// Zone of times without an offset: `UTC` or an IANA name.
    pub time_zone: String,
    /// Events further ahead of the wall clock are refused.
    pub max_future: Duration,
    /// Worker threads; 0 for one per core.
    pub workers: usize,
    /// Kept for the durable log of a later version; this one keeps profiles in memory only.
    pub data_dir: Option<PathBuf>,
    /// The plays that count.
    #[serde(deserialize_with = "window_or_defaults")]
    pub window: Window,
    /// The campaign that runs.
    pub campaign: Campaign,
    /// Bounds on everything.
    pub limits: Limits,
    /// How the server stops.
    pub shutdown: Shutdown,
    /// What is logged, and how.
    pub log: Log,
}

/// Unlike a model file, a configuration may leave out what it does not change.
fn window_or_defaults<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Window, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Partial {
        plays: Option<u32>,
        days: Option<u32>,
    }
    let Partial { plays, days } = Partial::deserialize(deserializer)?;
    let default = Window::default();
    Ok(Window { plays: plays.unwrap_or(default.plays), days: days.unwrap_or(default.days) })
}

/// Bounds on everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Customers held at most.
    pub customers: usize,
    /// Bytes of profiles held at most.
    pub profile_bytes: usize,
    /// Room for so many customers from the start.
    pub expected_customers: usize,
    /// In each such time, all customers are looked through for silent ones.
    pub forget_every: Duration,
    /// Tracks of the catalogue at most.
    pub tracks: usize,
    /// Open connections per listener.
    pub connections: usize,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Bytes of one event.
    pub event_bytes: usize,
    /// Bytes of a bulk body, before and after decompression.
    pub bulk_bytes: usize,
    /// Bytes of request bodies held at once; a request that needs more is shed with 503.
    pub body_memory_bytes: usize,
    /// Bulk requests worked on at once; more wait their turn.
    pub bulk_in_flight: usize,
    /// Customers in one `POST /decisions`.
    pub decisions: usize,
    /// Time for a request's head to arrive, and for an idle connection to be kept.
    pub header_timeout: Duration,
    /// Time for a request's body to arrive.
    pub body_timeout: Duration,
}

/// How the server stops.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// How long `/readyz` says no while requests are still taken, so that balancers notice.
    pub drain: Duration,
    /// How long accepted requests may take to finish after that.
    pub deadline: Duration,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines, an object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How lines are written.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `upbeat=debug,hyper=warn`.
    pub level: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            model: String::new(),
            clock: Clock::Wall,
            time_zone: "UTC".into(),
            max_future: Duration::from_secs(300),
            workers: 0,
            data_dir: None,
            window: Window::default(),
            campaign: Campaign::default(),
            limits: Limits::default(),
            shutdown: Shutdown::default(),
            log: Log::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            customers: 10_000_000,
            profile_bytes: 8 << 30,
            expected_customers: 100_000,
            forget_every: Duration::from_secs(600),
            tracks: 1_000_000,
            connections: 10_000,
            header_bytes: 16 << 10,
            event_bytes: 64 << 10,
            bulk_bytes: 8 << 20,
            body_memory_bytes: 256 << 20,
            bulk_in_flight: 2,
            decisions: 10_000,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
        }
    }
}

impl Log {
    /// What is logged.
    ///
    /// # Errors
    /// The level is neither a level nor a filter. A bare word would pass for a module's name and log nothing.
    pub fn filter(&self) -> Result<EnvFilter, ConfigError> {
        let level = |word: &str| word.parse::<LevelFilter>().is_ok();
        let known = self.level.split(',').all(|part| part.contains('=') || level(part.trim()));
        known.then(|| EnvFilter::try_new(&self.level).ok()).flatten().ok_or_else(|| {
            let level = &self.level;
            ConfigError(format!(
                "log.level is {level:?}; it must be error, warn, info, debug, trace, or a filter such as \
                 upbeat=debug,hyper=warn"
            ))
        })
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain: Duration::from_secs(1), deadline: Duration::from_secs(10) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into() }
    }
}

/// Why a configuration is not used: which source and key, what is wrong, what it may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Prefix of the environment variables that set keys: `UPBEAT_WINDOW_PLAYS` sets `window.plays`.
pub const ENV_PREFIX: &str = "UPBEAT_";

/// Environment variables that are not keys: `UPBEAT_CONFIG` names the file.
pub const ENV_CONFIG: &str = "UPBEAT_CONFIG";

impl Config {
    /// Puts together a configuration from the text of a file and from environment variables (those that do not
    /// start with `UPBEAT_` are left alone), and checks every range.
    ///
    /// # Errors
    /// A key is unknown, of the wrong type or out of range.
    pub fn load(
        file: Option<&str>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table: toml::Table = match file {
            Some(text) => {
                // Read on its own first, so that messages point at the file's lines.
                toml::from_str::<Self>(text).map_err(|error| ConfigError(error.to_string()))?;
                toml::from_str(text).map_err(|error| ConfigError(error.to_string()))?
            }
            None => toml::Table::new(),
        };
        let keys = environment_keys();
        for (name, value) in environment {
            if !name.starts_with(ENV_PREFIX) || name == ENV_CONFIG {
                continue;
            }
            let Some(key) = keys.get(name.as_str()) else {
                return Err(ConfigError(format!(
                    "environment variable {name} sets no known key; upbeat.toml lists the keys"
                )));
            };
            set(&mut table, &key.path, key.value(&value));
            let checked: Result<Self, _> = table.clone().try_into();
            checked.map_err(|error: toml::de::Error| {
                ConfigError(format!("{name}={value:?}: {}", error.message()))
            })?;
        }
        let config: Self =
            table.try_into().map_err(|error: toml::de::Error| ConfigError(error.message().to_owned()))?;
        config.validate()?;
        Ok(config)
    }

    /// Checks every range.
    ///
    /// # Errors
    /// The first key that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let ranges = [
            ("window.plays", self.window.plays as usize, 1, 65_536),
            ("window.days", self.window.days as usize, 1, 36_500),
            ("workers", self.workers, 0, 1024),
            ("limits.customers", limits.customers, 1, 1 << 32),
            ("limits.expected_customers", limits.expected_customers, 0, limits.customers),
            ("limits.tracks", limits.tracks, 0, 1 << 32),
            ("limits.connections", limits.connections, 1, 1_000_000),
            ("limits.header_bytes", limits.header_bytes, 8192, 1 << 20),
            ("limits.event_bytes", limits.event_bytes, 1024, 1 << 20),
            ("limits.bulk_bytes", limits.bulk_bytes, limits.event_bytes, 1 << 30),
            ("limits.body_memory_bytes", limits.body_memory_bytes, limits.bulk_bytes, 1 << 40),
            ("limits.bulk_in_flight", limits.bulk_in_flight, 1, 1024),
            ("limits.decisions", limits.decisions, 1, 1_000_000),
        ];
        for (key, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(ConfigError(format!("{key} is {value}; it must be from {least} to {most}")));
            }
        }
        self.campaign.validate().map_err(ConfigError)?;
        self.log.filter()?;
        self.zone().map(|_| ())
    }

    /// The zone of times without an offset.
    ///
    /// # Errors
    /// The machine does not know the zone.
    pub fn zone(&self) -> Result<Zone, ConfigError> {
        Zone::named(&self.time_zone).map_err(ConfigError)
    }
}

/// One key that an environment variable may set.
struct Key {
    path: Vec<String>,
    is_text: bool,
}

impl Key {
    /// Text stays text; anything else is read as TOML writes it, so that the type check sees what was meant.
    fn value(&self, text: &str) -> toml::Value {
        let as_text = || toml::Value::String(text.to_owned());
        if self.is_text {
            return as_text();
        }
        let read: Result<BTreeMap<String, toml::Value>, _> = toml::from_str(&format!("value = {text}"));
        read.ok().and_then(|mut table| table.remove("value")).unwrap_or_else(as_text)
    }
}

/// Every key, by the environment variable that sets it.
fn environment_keys() -> BTreeMap<String, Key> {
    fn walk(table: &toml::Table, path: &mut Vec<String>, keys: &mut BTreeMap<String, Key>) {
        for (name, value) in table {
            path.push(name.clone());
            if let toml::Value::Table(inner) = value {
                walk(inner, path, keys);
            } else {
                let variable = format!("{ENV_PREFIX}{}", path.join("_").to_uppercase());
                keys.insert(variable, Key { path: path.clone(), is_text: value.is_str() });
            }
            path.pop();
        }
    }
    let mut keys = BTreeMap::new();
    let all = Config { data_dir: Some(PathBuf::new()), ..Config::default() };
    let table = toml::Table::try_from(all).expect("the defaults can be written as TOML");
    walk(&table, &mut Vec::new(), &mut keys);
    keys
}

fn set(table: &mut toml::Table, path: &[String], value: toml::Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [section, rest @ ..] => {
            let inner = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
