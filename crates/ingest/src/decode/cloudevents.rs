//! CloudEvents 1.0 in structured JSON mode, one or a batch: `data` is an event as in plain JSON.
//!
//! Fields that `data` does not have are taken from the envelope: `type` from the last part of the CloudEvent's type
//! (`com.example.play`), `event_id` from `id`, `time` from `time`, `customer_id` from `subject`. Extension
//! attributes are allowed and ignored. Source: CloudEvents specification 1.0.2 and its JSON event format.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Fields, elements, object, utf8};
use super::{Context, Malformed, Row, Rows};
use upbeat_core::event::Id;

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
    let content_type = envelope.datacontenttype.as_deref().unwrap_or("application/json");
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err("datacontenttype is not application/json".to_owned());
    }
    let data = envelope.data.ok_or("data is missing; send the event as a JSON object in data")?;
    let mut fields: Fields = object(data.get()).map_err(|error| format!("data: {error}"))?;
    if fields.kind.is_none() {
        let last = envelope.kind.rsplit('.').next().unwrap_or_default();
        fields.kind = Some(Cow::Owned(last.to_owned()));
    }
    if fields.event_id.is_none() {
        fields.event_id = Some(Id::parse(&envelope.id).map_err(|error| format!("id: {error}"))?);
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
    let events = elements(utf8(body)?)?.into_iter().map(|element| event(element.get(), context));
    Ok(Rows { rows: Box::new(events), single: false })
}
