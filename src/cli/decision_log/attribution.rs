//! How long after its ad a click counts: as the server counts it, so that its reports and what is exported tell the same.

use std::path::Path;
use std::time::Duration as StdDuration;

use anyhow::Context;
use upbeat_server::config::{Config, Duration};

use super::LogArgs;
use crate::cli::{WrongCall, output};

/// The length, and whose it is.
pub(super) struct Attribution {
    length: Duration,
    source: Source,
}

enum Source {
    Flag,
    File(String),
    Server(String),
    Default,
}

/// A length in the range that the configuration has.
pub(in crate::cli) fn parse(text: &str) -> Result<Duration, String> {
    let length: Duration = text.parse()?;
    let range = StdDuration::from_secs(1)..=StdDuration::from_secs(86_400);
    if range.contains(&length.get()) { Ok(length) } else { Err("give 1s to 24h".to_owned()) }
}

impl Attribution {
    /// What the flags say.
    ///
    /// # Errors
    /// The configuration cannot be read, or is named beside a server that has its own.
    pub(super) fn of(args: &LogArgs) -> anyhow::Result<Self> {
        let LogArgs { config, attribution, from } = args;
        let is_url = from.contains("://");
        if is_url && config.is_some() {
            let what = "a running server says by itself how long after an ad a click counts: leave out --config, or name another \
                        length with --attribution";
            return Err(WrongCall(what.to_owned()).into());
        }
        let (length, source) = match (attribution, config) {
            (Some(length), _) => (*length, Source::Flag),
            (None, Some(path)) => (of_file(path)?, Source::File(path.display().to_string())),
            (None, None) => (Config::default().learn.attribution, Source::Default),
        };
        Ok(Self { length, source })
    }

    /// That of the server, where no flag says another.
    pub(super) fn or_of_server(self, of_server: Option<Duration>, url: &str) -> Self {
        match (&self.source, of_server) {
            (Source::Default, Some(length)) => Self { length, source: Source::Server(url.to_owned()) },
            _ => self,
        }
    }

    /// Says what is taken where nobody named it in this call.
    pub(super) fn say(&self, role: &str) {
        let length = self.length;
        let whose = match &self.source {
            Source::Flag => return,
            Source::File(path) => format!("as {path} says"),
            Source::Server(url) => format!("as the server at {url} counts"),
            Source::Default => "the default: if the server's configuration has another [learn] attribution, name it with --config \
                                upbeat.toml"
                .to_owned(),
        };
        output::note(format_args!("upbeat {role}: a click counts for {length} after its ad, {whose}"));
    }

    /// The length in milliseconds.
    pub(super) fn ms(&self) -> i64 {
        i64::try_from(self.length.get().as_millis()).unwrap_or(i64::MAX)
    }
}

/// What a server reads of this file, with the environment that overrides it.
fn of_file(path: &Path) -> anyhow::Result<Duration> {
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(name)?;
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let config = Config::load(Some(&text), environment).and_then(|config| {
        config.validate()?;
        Ok(config)
    });
    Ok(config.with_context(name)?.learn.attribution)
}
