//! CloudEvents 1.0 in structured JSON mode, one or a batch: `data` is an event as in plain JSON.
//!
//! Fields that `data` does not have are taken from the envelope: `type` from the last part of the CloudEvent's type
//! (`com.example.play`), `event_id` from `id` and `source` (`event_id`), `time` from `time`, `customer_id` from
//! `subject`. Extension attributes are allowed and ignored. Source: CloudEvents specification 1.0.2 and its JSON event
//! format.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::json::{Fields, elements, object, utf8};
use super::{Context, Malformed, Row, Rows};
use upbeat_core::event::{Id, IdError, MAX_ID_LENGTH, hex_digits};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow)]
    datacontenttype: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_base64: Option<&'a RawValue>,
}

/// Bytes of a composed event id after the CloudEvent's own: a colon and 16 hexadecimal digits.
const SOURCE_SUFFIX_LENGTH: usize = 17;

/// The id of a CloudEvent among all of a customer's events. Its `id` is unique within its `source` only, so the two
/// together make the event's: the first 47 characters of `id`, a colon, and the first 16 hexadecimal digits of the
/// SHA-256 of `source`, a zero byte and the whole `id`. A zero byte is in neither.
///
/// # Errors
/// `id` is not one of ours.
fn event_id(id: &str, source: &str) -> Result<Id, IdError> {
    Id::parse(id)?;
    let hash = Sha256::new().chain_update(source).chain_update([0]).chain_update(id).finalize();
    let digits = hex_digits(hash.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)));
    // An id is ASCII, so that it can be cut anywhere.
    let kept = &id[..id.len().min(MAX_ID_LENGTH - SOURCE_SUFFIX_LENGTH)];
    Id::parse(&format!("{kept}:{}", str::from_utf8(&digits).unwrap_or_default()))
}

/// Whether a media type is JSON: its subtype is `json` or ends with `+json` (CloudEvents JSON format, section 3.1).
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let subtype = essence.split_once('/').map_or("", |(_, subtype)| subtype);
    subtype == "json" || subtype.ends_with("+json")
}

fn event(text: &str, context: &Context) -> Result<Row, String> {
    if text.len() > context.max_event_bytes {
        return Err(format!(
            "the event has {} bytes; at most {} are allowed",
            text.len(),
            context.max_event_bytes
        ));
    }
    let envelope: Envelope = object(text)?;
    if envelope.specversion != "1.0" {
        return Err("specversion is not 1.0".to_owned());
    }
    if envelope.id.is_empty() || envelope.source.is_empty() {
        return Err("id and source must not be empty".to_owned());
    }
    if envelope.data_base64.is_some() {
        return Err("data_base64 is not read; send the event as a JSON object in data".to_owned());
    }
    if !envelope.datacontenttype.as_deref().is_none_or(is_json) {
        return Err(
            "datacontenttype is not JSON; send application/json or a type that ends with +json".to_owned()
        );
    }
    let data = envelope.data.ok_or("data is missing; send the event as a JSON object in data")?;
    let mut fields: Fields = object(data.get()).map_err(|error| format!("data: {error}"))?;
    if fields.kind.is_none() {
        let last = envelope.kind.rsplit('.').next().unwrap_or_default();
        fields.kind = Some(Cow::Owned(last.to_owned()));
    }
    if fields.event_id.is_none() {
        let id = event_id(&envelope.id, &envelope.source).map_err(|error| format!("id: {error}"))?;
        fields.event_id = Some(id);
    }
    if fields.time.is_none() {
        fields.time = envelope.time;
    }
    if let (None, Some(subject)) = (&fields.customer_id, envelope.subject) {
        fields.customer_id = Some(Id::parse(&subject).map_err(|error| format!("subject: {error}"))?);
    }
    fields.event(context).map(Row::Event)
}

/// One CloudEvent.
pub(super) fn row<'a>(body: &'a [u8], context: &'a Context) -> Result<Rows<'a>, Malformed> {
    let body = utf8(body)?;
    let object: &RawValue = serde_json::from_str(body)
        .map_err(|error| Malformed(format!("the body is not a JSON object: {error}")))?;
    if !object.get().starts_with('{') {
        let hint = "the body is not a JSON object; a list goes as application/cloudevents-batch+json";
        return Err(Malformed(hint.into()));
    }
    Ok(Rows { rows: Box::new(std::iter::once(event(object.get(), context))), single: true })
}

/// A batch of CloudEvents.
pub(super) fn rows<'a>(body: &'a [u8], context: &'a Context) -> Result<Rows<'a>, Malformed> {
    let events = elements(utf8(body)?)?.map(|element| event(element, context));
    Ok(Rows { rows: Box::new(events), single: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_id_is_composed_of_id_and_source() {
        // printf '/player\0e-1' | sha256sum
        assert_eq!(event_id("e-1", "/player").expect("an id").to_string(), "e-1:b28304ec0da5a711");
        let long = "x".repeat(64);
        let composed = event_id(&long, "/player").expect("an id").to_string();
        assert_eq!((composed.len(), &composed[..48]), (64, &*format!("{}:", "x".repeat(47))));
        let other = event_id(&format!("{}y", &long[..63]), "/player").expect("an id").to_string();
        assert_ne!(composed, other, "the part that is cut off counts too");
        assert!(event_id("a b", "/player").is_err());
        assert!(event_id(&"x".repeat(65), "/player").is_err());
    }

    #[test]
    fn media_type_is_json_by_its_subtype() {
        for json in
            ["application/json", "Application/JSON; charset=utf-8", "text/json", "application/vnd.play+json"]
        {
            assert!(is_json(json), "{json}");
        }
        for other in ["", "json", "application/xml", "application/jsonp", "application/json+xml"] {
            assert!(!is_json(other), "{other}");
        }
    }
}
