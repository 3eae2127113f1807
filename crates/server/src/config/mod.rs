//! Configuration: defaults, overridden by `upbeat.toml`, then by `UPBEAT_…` environment variables, then by flags.

mod bytes;
mod duration;
mod environment;
mod fit;
mod kept;
mod learn;
mod ranges;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use upbeat_core::campaign::Single;
use upbeat_core::event::Zone;
use upbeat_core::excerpt::bounded_message;
use upbeat_core::profile::Window;
use upbeat_engine::Clock;

use crate::gate::is_host_name;

pub use bytes::Bytes;
pub use duration::Duration;
use environment::{environment_keys, set};
pub use fit::Fitted;
pub use kept::{Backup, Decisions, Durability, Journal, Retained, Retention};
pub use learn::Learn;
pub use ranges::{Bound, Quantity, Range};

/// Every setting; `upbeat.toml` in the repository explains each key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address of the data listener.
    pub listen: SocketAddr,
    /// Address of the admin listener.
    pub admin_listen: SocketAddr,
    /// Names other than `localhost` by which the admin listener may be asked.
    pub admin_hosts: Vec<String>,
    /// Whether pages of other sites may have a browser ask either listener.
    pub allow_cross_site: bool,
    /// Path of the model file; empty for the built-in model, `none` for no model.
    pub model: String,
    /// The meaning of *now* for windows and caps.
    pub clock: Clock,
    /// Zone of times without an offset: `UTC` or an IANA name.
    pub time_zone: String,
    /// Events further ahead of the wall clock than this are refused.
    pub max_future: Duration,
    /// Worker threads; 0 for one per core.
    pub workers: usize,
    /// The directory of the log and its snapshots.
    pub data_dir: PathBuf,
    /// Whether nothing is kept on a disk: then `data_dir` is neither read nor written.
    pub in_memory: bool,
    /// Whether a data directory on a network file system is taken.
    pub allow_network_file_system: bool,
    /// Where the lanes lie; empty to have a place chosen that outlives the process.
    pub lanes_dir: PathBuf,
    /// What an answer to events waits for.
    pub durability: Durability,
    /// How long an answer waits for the log before it is 503.
    pub ack_timeout: Duration,
    /// How the log is written.
    pub journal: Journal,
    /// How decisions are kept.
    pub decisions: Decisions,
    /// What is kept for how long.
    pub retention: Retention,
    /// Backups that are read over HTTP.
    pub backup: Backup,
    /// The log holds nothing of a customer any more so long after the deletion.
    pub erase_deadline: Duration,
    /// The window of plays that count.
    #[serde(deserialize_with = "window_or_defaults")]
    pub window: Window,
    /// Path of the file of campaigns; empty to take `campaigns.toml` of [`Config::directory`], where there is one.
    pub campaigns: PathBuf,
    /// The one campaign of a server without a file of campaigns.
    pub campaign: Single,
    /// What is learned from decisions.
    pub learn: Learn,
    /// Bounds on everything.
    pub limits: Limits,
    /// Durations of a graceful shutdown.
    pub shutdown: Shutdown,
    /// The log's level, format and sampling.
    pub log: Log,
    /// The directory of the file that this was read from; `None` where there was none.
    #[serde(skip)]
    pub directory: Option<PathBuf>,
}

/// Reads a window whose keys are optional; in a model file both are required.
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

/// Bounds on everything; [`Config::ranges`] has the range of each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most customers held.
    pub customers: usize,
    /// The most bytes of profiles held.
    pub profile_bytes: usize,
    /// The number of customers for which memory is reserved at the start.
    pub expected_customers: usize,
    /// The period in which every shard of the profile store is swept once for idle customers.
    pub evict_every: Duration,
    /// The most bytes of answers kept for retries; a request with an id whose answer would need more is shed with 503.
    pub retry_bytes: usize,
    /// The most tracks in the catalogue.
    pub tracks: usize,
    /// The most tombstones of customers who were erased; a deletion that needs one more is refused with 503.
    pub tombstones: usize,
    /// The most open connections per listener.
    pub connections: usize,
    /// The longest head of a request in bytes.
    pub header_bytes: usize,
    /// The longest event in bytes.
    pub event_bytes: usize,
    /// The longest bulk body in bytes, before and after decompression.
    pub bulk_bytes: usize,
    /// The most bytes of request bodies held at once; a request that needs more is shed with 503.
    pub body_memory_bytes: usize,
    /// The most bulk requests processed at once; others wait.
    pub bulk_in_flight: usize,
    /// The most customers in one `POST /decisions`.
    pub decisions: usize,
    /// The most bytes of answers held at once because their clients have not taken them, on all connections of both
    /// listeners; work whose answer would need more is shed with 503.
    pub response_memory_bytes: usize,
    /// How long a connection without a request under way is kept.
    pub idle_timeout: Duration,
    /// The time limit for a request's head to arrive, from its first byte.
    pub header_timeout: Duration,
    /// The time limit for a request's body to arrive.
    pub body_timeout: Duration,
    /// How long a client may take no byte of an answer; answers of many bytes have a limit in all as well.
    pub write_timeout: Duration,
}

/// Durations of a graceful shutdown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// How long `/readyz` answers 503 while requests are still accepted, so that load balancers notice.
    pub drain: Duration,
    /// How long accepted requests may take to finish after `drain`; then connections are closed.
    pub deadline: Duration,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The log's level, format and sampling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The format of lines.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `upbeat=debug,hyper=warn`.
    pub level: String,
    /// One of this many requests is logged at `info`; 0 for none.
    pub sample: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            admin_hosts: Vec::new(),
            allow_cross_site: false,
            model: String::new(),
            clock: Clock::Wall,
            time_zone: "UTC".into(),
            max_future: Duration::from_secs(300),
            workers: 0,
            data_dir: PathBuf::from("upbeat-data"),
            in_memory: false,
            allow_network_file_system: false,
            lanes_dir: PathBuf::new(),
            durability: Durability::Ack,
            ack_timeout: Duration::from_secs(5),
            journal: Journal::default(),
            decisions: Decisions::default(),
            retention: Retention::default(),
            backup: Backup::default(),
            erase_deadline: Duration::from_secs(24 * 3600),
            window: Window::default(),
            campaigns: PathBuf::new(),
            campaign: Single::default(),
            learn: Learn::default(),
            limits: Limits::default(),
            shutdown: Shutdown::default(),
            log: Log::default(),
            directory: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            customers: 10_000_000,
            profile_bytes: 8 << 30,
            expected_customers: 100_000,
            evict_every: Duration::from_secs(600),
            retry_bytes: 1 << 30,
            tracks: 1_000_000,
            tombstones: 1_000_000,
            connections: 10_000,
            header_bytes: 16 << 10,
            event_bytes: 64 << 10,
            bulk_bytes: 8 << 20,
            body_memory_bytes: 256 << 20,
            bulk_in_flight: 2,
            decisions: 10_000,
            response_memory_bytes: 256 << 20,
            idle_timeout: Duration::from_secs(90),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
        }
    }
}

impl Log {
    /// The filter of log lines.
    ///
    /// # Errors
    /// `level` is neither a level nor a filter. A bare word is refused, because as a module's name it would log
    /// nothing.
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
        Self { format: LogFormat::Text, level: "info".into(), sample: 0 }
    }
}

/// Why a configuration is refused: a sentence with the source, the key, what is wrong, and what is allowed. As shown it
/// is [bounded](bounded_message).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", bounded_message(.0.clone()))]
pub struct ConfigError(pub String);

/// Prefix of the environment variables that set keys: `UPBEAT_WINDOW_PLAYS` sets `window.plays`.
pub const ENV_PREFIX: &str = "UPBEAT_";

/// The environment variable that names the configuration file; it is not a key.
pub const ENV_CONFIG: &str = "UPBEAT_CONFIG";

impl Config {
    /// The configuration from the text of a file and from environment variables (those that do not start with `UPBEAT_`
    /// are ignored), with every range checked.
    ///
    /// # Errors
    /// A key is unknown, of the wrong type or out of range.
    pub fn load(
        file: Option<&str>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table: toml::Table = match file {
            Some(text) => {
                // Parsed by itself first, so that messages have the line numbers of the file.
                toml::from_str::<Self>(text).map_err(|error| ConfigError(error.to_string()))?;
                toml::from_str(text).map_err(|error| ConfigError(error.to_string()))?
            }
            None => toml::Table::new(),
        };
        let keys = environment_keys();
        let mut variables = BTreeMap::new();
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
            variables.insert(key.path.join("."), format!("{name}={value:?}"));
        }
        let config: Self =
            table.try_into().map_err(|error: toml::de::Error| ConfigError(error.message().to_owned()))?;
        // Messages about a value begin with its key. Where a variable set it, the file has nothing to mend.
        config.validate().map_err(|error| {
            let key = error.0.split_once(' ').map_or("", |(key, _)| key);
            match variables.get(key) {
                Some(variable) => ConfigError(format!("{variable}: {error}")),
                None => error,
            }
        })?;
        Ok(config)
    }

    /// Checks every range.
    ///
    /// # Errors
    /// The first key that is out of range, with its value and the allowed range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.ranges().iter().try_for_each(Range::check)?;
        if let Some(name) = self.admin_hosts.iter().find(|name| !is_host_name(name)) {
            return Err(ConfigError(format!(
                "admin_hosts has {name:?}; it must be a name as in Host, without scheme and port, such as \
                 \"upbeat.internal\"; addresses are allowed always"
            )));
        }
        let (deadline, interval) = (self.erase_deadline, self.decisions.sync_interval);
        if deadline < interval {
            return Err(ConfigError(format!(
                "erase_deadline is {deadline}; it must not be shorter than decisions.sync_interval ({interval}): what was \
                 logged before an erasure may reach the disk so late"
            )));
        }
        self.campaign.validate().map_err(ConfigError)?;
        self.log.filter()?;
        self.zone().map(|_| ())
    }

    /// The number of event loops: `workers`, for 0 one per core that this process may use.
    ///
    /// # Errors
    /// The system does not say how many cores there are.
    pub fn event_loops(&self) -> std::io::Result<usize> {
        match self.workers {
            0 => Ok(std::thread::available_parallelism()?.get()),
            count => Ok(count),
        }
    }

    /// The zone of times without an offset.
    ///
    /// # Errors
    /// The machine has no zone of this name.
    pub fn zone(&self) -> Result<Zone, ConfigError> {
        Zone::named(&self.time_zone).map_err(ConfigError)
    }
}

#[cfg(test)]
mod tests;
