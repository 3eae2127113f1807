//! What a run is made of: a document of campaigns, and steps. Everything is written out, so that a run can be repeated, made
//! smaller and read.

use std::fmt::{self, Write as _};

/// Milliseconds since 1970.
pub type Ms = i64;

pub const SECOND: Ms = 1000;
pub const MINUTE: Ms = 60 * SECOND;
pub const HOUR: Ms = 60 * MINUTE;
pub const DAY: Ms = 24 * HOUR;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Free,
    Silver,
    Gold,
}

impl Level {
    pub const ALL: [Self; 3] = [Self::Free, Self::Silver, Self::Gold];

    pub fn name(self) -> &'static str {
        ["free", "silver", "gold"][self as usize]
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    Profit,
    Probability(f64),
    Score(f64),
}

/// At most so many impressions in the last so many hours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cap {
    pub impressions: usize,
    pub hours: i64,
}

/// A campaign as its document writes it. Money is in micro-units, lengths of time in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    pub id: String,
    pub ad: String,
    pub paused: bool,
    pub priority: i32,
    pub audience: Vec<Level>,
    pub signed_up: Option<(Option<i64>, Option<i64>)>,
    pub start: Option<jiff::civil::DateTime>,
    pub end: Option<jiff::civil::DateTime>,
    pub zone: String,
    /// Monday is 0.
    pub weekdays: Vec<i8>,
    /// Minutes of the day, `0..=1440`; the second is lower where they wrap midnight.
    pub hours: Vec<(i64, i64)>,
    pub min_plays: usize,
    pub caps: Vec<Cap>,
    pub after_impression_s: Option<i64>,
    pub after_click_s: Option<i64>,
    pub after_upgrade_s: Option<i64>,
    pub cost: i64,
    pub value: i64,
    pub daily: Option<i64>,
    pub total: Option<i64>,
    pub pacing: &'static str,
    pub bills_impressions: bool,
    pub reserve_s: i64,
    pub threshold: Threshold,
    pub model: String,
    pub holdout: f64,
    pub exploration: f64,
}

impl Campaign {
    /// One of which nothing but its id is given.
    pub fn plain(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ad: format!("AD_{id}"),
            paused: false,
            priority: 0,
            audience: vec![Level::Free, Level::Silver],
            signed_up: None,
            start: None,
            end: None,
            zone: "UTC".to_owned(),
            weekdays: (0..7).collect(),
            hours: Vec::new(),
            min_plays: 10,
            caps: Vec::new(),
            after_impression_s: None,
            after_click_s: None,
            after_upgrade_s: None,
            cost: 0,
            value: 0,
            daily: None,
            total: None,
            pacing: "none",
            bills_impressions: false,
            reserve_s: 1800,
            threshold: Threshold::Score(0.0),
            model: "default".to_owned(),
            holdout: 0.0,
            exploration: 0.0,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document {
    pub holdout_all: f64,
    pub caps: Vec<Cap>,
    pub campaigns: Vec<Campaign>,
}

/// An amount as a decimal number.
fn money(micro: i64) -> String {
    format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

fn caps(caps: &[Cap]) -> String {
    let rules = caps.iter().map(|cap| match cap.hours % 24 {
        0 => format!("{{ impressions = {}, days = {} }}", cap.impressions, cap.hours / 24),
        _ => format!("{{ impressions = {}, hours = {} }}", cap.impressions, cap.hours),
    });
    rules.collect::<Vec<_>>().join(", ")
}

fn quoted(names: impl Iterator<Item = String>) -> String {
    names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

impl Document {
    /// The text of `campaigns.toml`. Keys that have their defaults are left out, so that those are tried, too.
    pub fn toml(&self) -> String {
        let mut text = format!("currency = \"USD\"\nholdout_all = {:?}\n", self.holdout_all);
        for cap in &self.caps {
            let _ = write!(text, "\n[[cap]]\nimpressions = {}\nhours = {}\n", cap.impressions, cap.hours);
        }
        for campaign in &self.campaigns {
            text += &campaign.toml();
        }
        text
    }

    /// Whether there is such a campaign.
    pub fn has(&self, id: &str) -> bool {
        self.campaigns.iter().any(|campaign| campaign.id == id)
    }

    /// The same where one campaign alone runs, and nothing holds over all.
    pub fn alone(&self, id: &str) -> Self {
        let campaigns = self.campaigns.iter().filter(|campaign| campaign.id == id).cloned().collect();
        Self { campaigns, ..Self::default() }
    }
}

impl Campaign {
    fn toml(&self) -> String {
        let plain = Self::plain(&self.id);
        let mut text = format!("\n[[campaign]]\nid = {:?}\nad = {:?}\n", self.id, self.ad);
        let mut put = |key: &str, value: String, is_default: bool| {
            if !is_default {
                let _ = writeln!(text, "{key} = {value}");
            }
        };
        put("paused", self.paused.to_string(), !self.paused);
        put("priority", self.priority.to_string(), self.priority == 0);
        let audience = quoted(self.audience.iter().map(|level| level.name().to_owned()));
        put("audience", format!("[{audience}]"), self.audience == plain.audience);
        if let Some((min, max)) = self.signed_up {
            let ends = [("min", min), ("max", max)].into_iter().filter_map(|(name, end)| Some((name, end?)));
            let ends: Vec<_> = ends.map(|(name, end)| format!("{name} = {end}")).collect();
            put("signed_up_days", format!("{{ {} }}", ends.join(", ")), false);
        }
        for (key, time) in [("start", self.start), ("end", self.end)] {
            if let Some(time) = time {
                put(key, format!("\"{}\"", time.strftime("%Y-%m-%dT%H:%M:%S")), false);
            }
        }
        put("time_zone", format!("{:?}", self.zone), self.zone == plain.zone);
        let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let weekdays = quoted(self.weekdays.iter().map(|day| names[*day as usize].to_owned()));
        put("weekdays", format!("[{weekdays}]"), self.weekdays == plain.weekdays);
        let hour = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
        let hours = quoted(self.hours.iter().map(|(from, to)| format!("{}-{}", hour(*from), hour(*to))));
        put("hours", format!("[{hours}]"), self.hours.is_empty());
        put("min_plays", self.min_plays.to_string(), self.min_plays == plain.min_plays);
        put("caps", format!("[{}]", caps(&self.caps)), self.caps.is_empty());
        for (key, seconds) in [
            ("cooldown_after_impression", self.after_impression_s),
            ("cooldown_after_click", self.after_click_s),
            ("cooldown_after_upgrade", self.after_upgrade_s),
        ] {
            if let Some(seconds) = seconds {
                put(key, format!("\"{}\"", span(seconds)), false);
            }
        }
        put("impression_cost", money(self.cost), self.cost == 0);
        put("click_value", money(self.value), self.value == 0);
        for (key, budget) in [("daily_budget", self.daily), ("total_budget", self.total)] {
            if let Some(budget) = budget {
                put(key, money(budget), false);
            }
        }
        put("pacing", format!("{:?}", self.pacing), self.pacing == plain.pacing);
        put("bill", "\"impression\"".to_owned(), !self.bills_impressions);
        put("reserve", format!("\"{}\"", span(self.reserve_s)), self.reserve_s == plain.reserve_s);
        let threshold = match self.threshold {
            Threshold::Profit => "\"profit\"".to_owned(),
            Threshold::Probability(p) => format!("{{ probability = {p:?} }}"),
            Threshold::Score(score) => format!("{{ score = {score:?} }}"),
        };
        put("threshold", threshold, self.threshold == plain.threshold);
        put("model", format!("{:?}", self.model), self.model == plain.model);
        put("holdout", format!("{:?}", self.holdout), self.holdout == 0.0);
        put("exploration", format!("{:?}", self.exploration), self.exploration == 0.0);
        text
    }
}

/// A length of time in the largest unit that gives a whole number.
fn span(seconds: i64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let (unit, name) = units.into_iter().find(|(unit, _)| seconds % unit == 0).expect("seconds");
    format!("{}{name}", seconds / unit)
}

/// What an event says. Decisions are named by the number of the step that made them.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Play {
        track: u64,
        mobile: bool,
    },
    ClickOn {
        ad: String,
    },
    ClickOf {
        step: usize,
    },
    ImpressionOn {
        campaign: String,
    },
    ImpressionOf {
        step: usize,
    },
    VoidOf {
        step: usize,
    },
    Level(Level),
    /// A row of a customer file.
    SignedUp(Level),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub customer: usize,
    /// The event's id, of which there is one in a run; a repeat has the same.
    pub number: u64,
    pub time: Ms,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    Event(Event),
    Decide {
        customer: usize,
        dry_run: bool,
        preview: Option<String>,
    },
    /// The documents of campaigns from here on.
    Change(Document),
    /// The process is killed and starts again.
    Kill,
}

/// What happens, and what the wall clock says then.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its number, which it keeps where steps before it are left out.
    pub number: usize,
    pub wall: Ms,
    pub act: Act,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |ms: Ms| jiff::Timestamp::from_millisecond(ms).expect("a time");
        write!(f, "{:>5}  {}  ", self.number, time(self.wall))?;
        match &self.act {
            Act::Event(event) => {
                let Event { customer, number, time: at, kind } = event;
                write!(f, "customer {customer}: {kind:?}, event {number} at {}", time(*at))
            }
            Act::Decide { customer, dry_run, preview } => {
                write!(f, "customer {customer}: decide")?;
                f.write_str(if *dry_run { ", dry run" } else { "" })?;
                preview.as_ref().map_or(Ok(()), |id| write!(f, ", preview of {id}"))
            }
            Act::Kill => f.write_str("kill -9"),
            Act::Change(document) => write!(f, "campaigns:\n{}", indented(&document.toml())),
        }
    }
}

fn indented(text: &str) -> String {
    text.lines().filter(|line| !line.is_empty()).map(|line| format!("           {line}\n")).collect()
}

/// What does not change in a run.
#[derive(Debug, Clone)]
pub struct Setting {
    pub window_plays: usize,
    pub window_days: i64,
    /// Whether *now* is the newest event, and not the wall clock.
    pub by_events: bool,
    /// Chance of a run that is kept in a log, with restarts; `None` where nothing is kept.
    pub seed_of_log: Option<u64>,
}
