//! Records of the log as lines of JSON.

use serde_json::{Map, Value, json};
use upbeat_core::event::Id;
use upbeat_engine::campaigns::KeptCampaigns;
use upbeat_engine::ledger::{Change, Charge, Confirmed, Voided};
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

/// Anything else that is in the log, with the ids of campaigns by their numbers. These types are none that `POST /events` takes.
pub(super) fn other(entry: &Entry, campaigns: &[Id]) -> Value {
    let campaign =
        |slot: Option<u16>| slot.map(|slot| campaigns.get(usize::from(slot)).map_or(json!(slot), id));
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
        Entry::ShownInPlan { customer, facts, charge, answer } => json!({
            "type": "shown",
            "customer_id": id(customer),
            "decision_id": facts.id.to_string(),
            "campaign": campaign(facts.campaign),
            "time_ms": facts.time_ms,
            "reason": facts.reason.name(),
            "eligible": facts.eligible,
            "model": facts.model.map(|model| model.to_string()),
            "plays": facts.counts.map(|counts| counts.plays),
            "parts": facts.counts.map(|counts| counts.parts),
            "campaigns_version": facts.version,
            "cost_micro": charge.cost,
            "day": charge.day,
            "expires_s": charge.expires_s,
            "request_id": answer.as_ref().map(|answer| answer.request.as_str().to_owned()),
        }),
        Entry::Decided { customer, facts, has_state } => json!({
            "type": "decided",
            "customer_id": id(customer),
            "decision_id": facts.id.to_string(),
            "campaign": campaign(facts.campaign),
            "time_ms": facts.time_ms,
            "reason": facts.reason.name(),
            "eligible": facts.eligible,
            "has_state": has_state,
            "model": facts.model.map(|model| model.to_string()),
            "plays": facts.counts.map(|counts| counts.plays),
            "parts": facts.counts.map(|counts| counts.parts),
            "campaigns_version": facts.version,
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
        Entry::Campaigns(kept) => json!({
            "type": "campaigns",
            "version": kept.version.version,
            "time_ms": kept.version.time_ms,
            "who": kept.version.who,
            "changed": kept.version.changed,
            "slots": kept.slots,
            "models": models(kept),
            "toml": &*kept.toml,
        }),
        Entry::Tossed { customer, day } => json!({
            "type": "tossed",
            "customer_id": id(customer),
            "day": day,
        }),
        Entry::Promoted { model } => json!({"type": "promoted", "model": model.to_string()}),
        Entry::Leased { until, shown_until } => {
            json!({"type": "leased", "until": until, "shown_until": shown_until})
        }
        Entry::Money { slot, change } => money(*slot, change),
    }
}

/// The ids of the models by which a version of the campaigns decides, by name; nothing where that is not kept.
fn models(kept: &KeptCampaigns) -> Value {
    let models = kept.models.as_ref();
    models.map_or(Value::Null, |models| {
        models.iter().map(|named| (named.name.clone(), json!(named.id))).collect::<Map<_, _>>().into()
    })
}

/// A change of the account of the campaign with this number; amounts in micro-units.
fn money(slot: u16, change: &Change) -> Value {
    let of_show = |what: &str, charge: &Charge| {
        let Charge { expires_s, day, bill, cost } = charge;
        json!({"change": what, "day": day, "cost": cost, "bill": bill, "held_until_s": expires_s})
    };
    let mut line = match change {
        Change::Shown { charge, time_ms } => {
            let mut line = of_show("shown", charge);
            line["time_ms"] = json!(time_ms);
            line
        }
        Change::Expired { through_s } => json!({"change": "expired", "through_s": through_s}),
        Change::Confirmed(charge, Confirmed::Held) => of_show("confirmed", charge),
        Change::Confirmed(charge, Confirmed::Late) => of_show("confirmed_late", charge),
        Change::Confirmed(charge, Confirmed::Overrun) => of_show("confirmed_overrun", charge),
        Change::Confirmed(charge, Confirmed::Found) => of_show("confirmed_lost", charge),
        Change::Voided(charge, Voided::Held) => of_show("voided", charge),
        Change::Voided(charge, Voided::Spent) => of_show("voided_spent", charge),
        Change::Clicked { day, value } => json!({"change": "clicked", "day": day, "value": value}),
        Change::Upgraded { day } => json!({"change": "upgraded", "day": day}),
        Change::Configured(terms, budgets) => json!({
            "change": "configured",
            "from_ms": terms.from_ms,
            "time_zone": terms.zone,
            "cost": terms.cost,
            "bill": terms.bill,
            "reserve_ms": terms.reserve_ms,
            "click_value": terms.click_value,
            "daily": budgets.daily,
            "total": budgets.total,
            "from_day": budgets.from_day,
        }),
        Change::Leased { day, until } => json!({"change": "leased", "day": day, "until": until}),
        Change::Lost { day, amount } => json!({"change": "lost", "day": day, "amount": amount}),
    };
    line["type"] = json!(if matches!(change, Change::Leased { .. }) { "budget_leased" } else { "money" });
    line["slot"] = json!(slot);
    line
}
