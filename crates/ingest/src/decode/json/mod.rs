//! JSON events: one object, an array, or one object per line.

mod elements;
mod plain;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Context, Malformed, Row, Rows};
pub(super) use elements::elements;
use upbeat_core::event::{ClickOf, DecisionId, Event, EventKind, Id, ImpressionOf, Membership, Time};
use upbeat_core::excerpt::{Excerpt, bounded_message};

/// The longest `zip`, in characters.
pub const MAX_ZIP_LENGTH: usize = 16;

/// A JSON event as written: every field of every type, so that the error for a surplus field can name it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields<'a> {
    #[serde(rename = "type", default, borrow, deserialize_with = "text")]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) event_id: Option<Id>,
    #[serde(default, deserialize_with = "present")]
    pub(super) customer_id: Option<Id>,
    #[serde(default, borrow, deserialize_with = "text")]
    pub(super) time: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "present")]
    track_id: Option<Id>,
    #[serde(default, deserialize_with = "present")]
    mobile: Option<bool>,
    #[serde(default, borrow, deserialize_with = "text")]
    zip: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "id_text")]
    ad: Option<Id>,
    #[serde(default, deserialize_with = "id_text")]
    campaign: Option<Id>,
    #[serde(default, borrow, deserialize_with = "text")]
    decision_id: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "present")]
    level: Option<Membership>,
}

/// Unlike a plain `Option`, refuses an explicit `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Borrows a text without escapes, and refuses an explicit `null`.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    Text::deserialize(deserializer).map(|text| Some(text.0))
}

/// An id that must be written as text.
fn id_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Id>, D::Error> {
    let text = text(deserializer)?.unwrap_or_default();
    Id::parse(&text).map(Some).map_err(serde::de::Error::custom)
}

impl Fields<'_> {
    /// The event that these fields describe.
    ///
    /// # Errors
    /// A field is missing, surplus or unreadable: which one, and what to send.
    pub(super) fn event(self, context: &Context) -> Result<Event, String> {
        let kind_name = self
            .kind
            .as_deref()
            .ok_or("type is missing; send play, click, impression, void or membership")?;
        let allowed: &[&str] = match kind_name {
            "play" => &["track_id", "mobile", "zip"],
            "click" => &["ad", "decision_id"],
            "impression" => &["campaign", "decision_id"],
            "void" => &["decision_id"],
            "membership" => &["level"],
            other => {
                return Err(format!(
                    "type {} is not known; send play, click, impression, void or membership",
                    Excerpt::of(other)
                ));
            }
        };
        self.refuse_others(kind_name, allowed)?;
        let missing = |field: &str| format!("{field} is missing; a {kind_name} needs it");
        let kind = match kind_name {
            "play" => {
                if self.zip.as_ref().is_some_and(|zip| zip.chars().count() > MAX_ZIP_LENGTH) {
                    return Err(format!("zip is longer than {MAX_ZIP_LENGTH} characters"));
                }
                EventKind::Play {
                    track: self.track_id.ok_or_else(|| missing("track_id"))?,
                    mobile: self.mobile.ok_or_else(|| missing("mobile"))?,
                }
            }
            "click" => EventKind::Click { of: click_of(self.ad, self.decision_id.as_deref())? },
            "void" => {
                let decision = self.decision_id.as_deref().ok_or_else(|| missing("decision_id"))?;
                EventKind::Void { decision: decision_id(decision)? }
            }
            "membership" => EventKind::Membership(self.level.ok_or_else(|| missing("level"))?),
            _ => EventKind::Impression(impression_of(self.campaign, self.decision_id.as_deref())?),
        };
        let time = self.time.ok_or_else(|| missing("time"))?;
        Ok(Event {
            customer: self.customer_id.ok_or_else(|| missing("customer_id"))?,
            id: self.event_id.ok_or_else(|| missing("event_id"))?,
            time: Time::parse(&time, &context.zone).map_err(|error| error.to_string())?,
            kind,
        })
    }

    fn refuse_others(&self, kind_name: &str, allowed: &[&str]) -> Result<(), String> {
        let present = [
            ("track_id", self.track_id.is_some()),
            ("mobile", self.mobile.is_some()),
            ("zip", self.zip.is_some()),
            ("ad", self.ad.is_some()),
            ("campaign", self.campaign.is_some()),
            ("decision_id", self.decision_id.is_some()),
            ("level", self.level.is_some()),
        ];
        match present.iter().find(|(field, there)| *there && !allowed.contains(field)) {
            Some((field, _)) => Err(format!("{field} does not belong to a {kind_name}; leave it out")),
            None => Ok(()),
        }
    }
}

fn impression_of(campaign: Option<Id>, decision: Option<&str>) -> Result<ImpressionOf, String> {
    match (campaign, decision) {
        (Some(campaign), None) => Ok(ImpressionOf::Campaign(campaign)),
        (None, Some(decision)) => decision_id(decision).map(ImpressionOf::Decision),
        _ => Err("an impression needs either campaign or decision_id, not both".to_owned()),
    }
}

fn click_of(ad: Option<Id>, decision: Option<&str>) -> Result<ClickOf, String> {
    match (ad, decision) {
        (Some(ad), None) => Ok(ClickOf::Ad(ad)),
        (None, Some(decision)) => {
            decision_id(decision).map(|decision| ClickOf::Decision { decision, ad: None })
        }
        _ => Err("a click needs either ad or decision_id, not both".to_owned()),
    }
}

fn decision_id(text: &str) -> Result<DecisionId, String> {
    let unreadable = "decision_id is not 16 lower-case hexadecimal digits; send it as the decision gave it";
    DecisionId::parse(text).ok_or_else(|| unreadable.to_owned())
}

/// Reads one event.
pub(super) fn event(text: &str, context: &Context) -> Result<Row, String> {
    if text.len() > context.max_event_bytes {
        return Err(format!(
            "the event has {} bytes; at most {} are allowed",
            text.len(),
            context.max_event_bytes
        ));
    }
    match plain::event(text, &context.zone) {
        Some(event) => Ok(Row::Event(event)),
        None => any_event(text, context).map(Row::Event),
    }
}

/// Reads one event of any form with serde.
///
/// # Errors
/// What is wrong with it.
fn any_event(text: &str, context: &Context) -> Result<Event, String> {
    object::<Fields>(text)?.event(context)
}

/// Reads a JSON object. Without the check, serde would also accept an array of the fields' values.
pub(super) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    if text.trim_ascii_start().starts_with('[') {
        return Err("a list where an object is expected".to_owned());
    }
    serde_json::from_str(text).map_err(|error| bounded_message(error.to_string()))
}

pub(super) fn utf8(body: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(body)
        .map_err(|error| Malformed(format!("the body is not UTF-8 from byte {} on", error.valid_up_to())))
}

/// One object, or an array of them.
pub(super) fn rows<'a>(body: &'a [u8], context: &'a Context) -> Result<Rows<'a>, Malformed> {
    let body = utf8(body)?;
    match body.trim_start().as_bytes().first() {
        Some(b'[') => {
            if let Some(events) = plain::list(body, &context.zone, context.max_event_bytes) {
                let rows = events.into_iter().map(|event| Ok(Row::Event(event)));
                return Ok(Rows { rows: Box::new(rows), single: false });
            }
            let events = elements(body)?.map(|element| event(element, context));
            Ok(Rows { rows: Box::new(events), single: false })
        }
        Some(b'{') => {
            let row = event(body, context);
            // A body that could be read as an event is valid JSON.
            if row.is_err() {
                serde_json::from_str::<&RawValue>(body)
                    .map_err(|error| Malformed(format!("the body is not JSON: {error}")))?;
            }
            Ok(Rows { rows: Box::new(std::iter::once(row)), single: true })
        }
        Some(_) => {
            Err(Malformed("the body is neither a JSON object nor an array; send one event or a list".into()))
        }
        None => Err(Malformed("the body is empty; send one event or a list".into())),
    }
}

/// One event per line; blank lines are skipped, but counted in line numbers.
pub(super) fn line_rows<'a>(body: &'a [u8], context: &'a Context) -> Rows<'a> {
    let mut ends = memchr::memchr_iter(b'\n', body);
    let (mut start, mut line_number) = (0, 0);
    let lines = std::iter::from_fn(move || {
        let end = ends.next().unwrap_or(body.len());
        let line = body.get(start..end)?;
        (start, line_number) = (end + 1, line_number + 1);
        Some((line_number, line))
    });
    let filled = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    let events = filled.map(|(line_number, line)| {
        std::str::from_utf8(line)
            .map_err(|_| "not UTF-8".to_owned())
            .and_then(|line| event(line, context))
            .map_err(|detail| format!("line {line_number}: {detail}"))
    });
    Rows { rows: Box::new(events), single: false }
}

#[cfg(test)]
mod tests;
