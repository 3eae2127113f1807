//! Zones of times that are written without an offset.

/// The zone of times that are written without an offset; `None` inside is UTC, which needs no rules.
#[derive(Debug, Clone)]
pub struct Zone(Option<jiff::tz::TimeZone>);

impl Zone {
    /// Coordinated Universal Time, the default.
    #[must_use]
    pub fn utc() -> Self {
        Self(None)
    }

    /// A zone by its IANA name, as in `Europe/Berlin`; `UTC` needs no zone files.
    ///
    /// # Errors
    /// The machine's zone files do not have the name: a sentence that names it and what to use.
    pub fn named(name: &str) -> Result<Self, String> {
        if name == "UTC" {
            return Ok(Self::utc());
        }
        jiff::tz::TimeZone::get(name).map(|zone| Self(Some(zone))).map_err(|_| {
            format!("time_zone {name:?} is not known here; use UTC or an IANA name such as Europe/Berlin")
        })
    }

    /// Its IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.as_ref().and_then(jiff::tz::TimeZone::iana_name).unwrap_or("UTC")
    }

    /// The zone's rules.
    #[must_use]
    pub fn time_zone(&self) -> jiff::tz::TimeZone {
        self.0.clone().unwrap_or(jiff::tz::TimeZone::UTC)
    }

    /// The zone's offset in seconds when its clocks showed `local_ms`; in a gap or fold, the earlier offset.
    pub(super) fn offset_s(&self, local_ms: i64) -> i32 {
        let Some(zone) = &self.0 else { return 0 };
        let local = jiff::Timestamp::from_millisecond(local_ms)
            .map(|instant| jiff::tz::TimeZone::UTC.to_datetime(instant));
        local
            .and_then(|civil| zone.to_ambiguous_timestamp(civil).compatible())
            .map_or(0, |instant| i32::try_from((local_ms - instant.as_millisecond()) / 1000).unwrap_or(0))
    }
}
