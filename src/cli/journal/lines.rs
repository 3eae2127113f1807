//! Records of the log as lines of JSON.

use serde_json::{Value, json};
use upbeat_engine::{Entry, Tombstone};
pub(super) use upbeat_server::event_line as event;
use upbeat_server::id_value as id;

/// Somebody who was erased, up to which time, and when. `null` is a time that is not known.
fn tombstone(tombstone: &Tombstone) -> Value {
    let digest: String = tombstone.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let known = |ms: i64, unknown: i64| if ms == unknown { Value::Null } else { json!(ms) };
    json!({
        "type": "tombstone",
        "digest": digest,
        "erased_until_ms": known(tombstone.erased_until_ms, i64::MIN),
        "made_ms": known(tombstone.made_ms, 0),
    })
}

/// Anything else that is in the log. These types are none that `POST /events` takes.
pub(super) fn other(entry: &Entry) -> Value {
    match entry {
        Entry::Event { event: of, .. } => event(of),
        Entry::Shown { customer, decision, campaign, time_ms, answer } => json!({
            "type": "shown",
            "customer_id": id(customer),
            "decision_id": decision.to_string(),
            "campaign": campaign.to_string(),
            "time_ms": time_ms,
            "request_id": answer.as_ref().map(|answer| answer.request.as_str().to_owned()),
        }),
        Entry::Erased { customer } => json!({"type": "erased", "customer_id": id(customer)}),
        Entry::Erasure { customer, tombstone } => {
            let mut line = self::tombstone(tombstone);
            line["type"] = json!("erased");
            line["customer_id"] = id(customer);
            line
        }
        Entry::Tombstone(of) => tombstone(of),
        Entry::Evicted { customer, kept } => json!({
            "type": "evicted",
            "customer_id": id(customer),
            "kept_level": kept.as_ref().map(|kept| kept.level.name()),
        }),
        Entry::LastEvent { customer, last_event_s } => json!({
            "type": "last_event_corrected",
            "customer_id": id(customer),
            "last_event_s": last_event_s,
        }),
        Entry::Track { id: of, track } => json!({
            "type": "track",
            "track_id": id(of),
            "title": &*track.title,
            "artist": &*track.artist,
            "length_s": track.length_s,
        }),
        Entry::Started(started) => json!({
            "type": "started",
            "window": started.window,
            "campaign": started.campaign,
        }),
        Entry::Promoted { model } => json!({"type": "promoted", "model": model.to_string()}),
        Entry::Leased { until, shown_until } => {
            json!({"type": "leased", "until": until, "shown_until": shown_until})
        }
    }
}
