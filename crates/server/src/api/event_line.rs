//! Events as `POST /events` takes them.

use serde_json::{Value, json};
use upbeat_core::event::{ClickOf, Event, EventKind, Id, ImpressionOf};

/// An id as it may be sent: a number where it is one.
#[must_use]
pub fn id_value(id: &Id) -> Value {
    match id {
        Id::Number(number) => json!(number),
        Id::Text(text) => json!(&**text),
    }
}

/// An event in the form that `POST /events` takes.
#[must_use]
pub fn event_line(event: &Event) -> Value {
    let mut line = json!({
        "type": event.kind.name(),
        "event_id": id_value(&event.id),
        "customer_id": id_value(&event.customer),
        "time": event.time,
    });
    match &event.kind {
        EventKind::Play { track, mobile } => {
            line["track_id"] = id_value(track);
            line["mobile"] = json!(mobile);
        }
        EventKind::Click { of: ClickOf::Ad(ad) } => line["ad"] = json!(ad.to_string()),
        EventKind::Impression(ImpressionOf::Campaign(campaign)) => {
            line["campaign"] = json!(campaign.to_string());
        }
        EventKind::Click { of: ClickOf::Decision { decision, .. } }
        | EventKind::Impression(ImpressionOf::Decision(decision))
        | EventKind::Void { decision } => {
            line["decision_id"] = json!(decision.to_string());
        }
        EventKind::Membership(level) => line["level"] = json!(level.name()),
    }
    line
}
