//! A decision in JSON, written directly into the bytes of the reply.

use serde::Serialize;
use serde_json::value::RawValue;

use upbeat_core::decision::Score;
use upbeat_core::event::{Id, hex_digits};
use upbeat_engine::campaigns::Current;
use upbeat_engine::{Decision, ModelId};

/// The longest answer, in bytes: three ids of 64 characters, two numbers and the field names.
pub(crate) const MAX_BYTES: usize = 512;

/// Appends one decision for `customer` by a campaign of these, as an object without blanks.
///
/// Ids are always text. Numbers are written as by `serde_json`, in the fewest digits that read back the same. A score
/// that is missing or not finite is `null`.
pub(crate) fn write(out: &mut Vec<u8>, customer: &Id, campaigns: &Current, decision: &Decision) {
    out.extend_from_slice(b"{\"customer\":");
    id(out, customer);
    out.extend_from_slice(if decision.reason.shows() {
        b",\"show\":true,\"reason\":\""
    } else {
        b",\"show\":false,\"reason\":\""
    });
    out.extend_from_slice(decision.reason.name().as_bytes());
    out.extend_from_slice(b"\",\"campaign\":");
    match decision.campaign.and_then(|slot| campaigns.campaign(slot)) {
        Some(campaign) => id(out, campaign),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"score\":");
    value(out, &decision.score.map(|score| score.value));
    out.extend_from_slice(b",\"probability\":");
    value(out, &decision.score.and_then(|Score { probability, .. }| probability));
    out.extend_from_slice(b",\"model\":");
    model(out, decision.model.as_ref());
    out.extend_from_slice(b",\"decision_id\":\"");
    out.extend_from_slice(&hex_digits(decision.id.0));
    out.extend_from_slice(b"\"}");
}

/// The same, as a part of a larger JSON value.
///
/// # Errors
/// The written bytes are not JSON, which a test rules out.
pub(crate) fn raw(
    customer: &Id,
    campaigns: &Current,
    decision: &Decision,
) -> serde_json::Result<Box<RawValue>> {
    let mut out = Vec::with_capacity(MAX_BYTES);
    write(&mut out, customer, campaigns, decision);
    serde_json::from_slice(&out)
}

/// Writes an id as text; no character of an id needs an escape in JSON.
fn id(out: &mut Vec<u8>, id: &Id) {
    out.push(b'"');
    match id {
        Id::Number(number) => value(out, number),
        Id::Text(text) => out.extend_from_slice(text.as_bytes()),
    }
    out.push(b'"');
}

/// Model ids are hexadecimal digits, which need no escape; finding that out takes a tenth of what serde does.
fn model(out: &mut Vec<u8>, model: Option<&ModelId>) {
    match model {
        Some(id) if id.as_bytes().iter().all(u8::is_ascii_alphanumeric) => {
            out.push(b'"');
            out.extend_from_slice(id.as_bytes());
            out.push(b'"');
        }
        other => value(out, &other),
    }
}

fn value(out: &mut Vec<u8>, value: &impl Serialize) {
    // Writing these types of values to memory cannot fail.
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use upbeat_core::campaign::Slot;
    use upbeat_core::decision::Reason;
    use upbeat_core::event::DecisionId;

    fn written(customer: &Id, decision: &Decision) -> Vec<u8> {
        let mut out = Vec::new();
        let app = crate::tests::app();
        write(&mut out, customer, &app.engine.running(), decision);
        out
    }

    /// The same answer for serde.
    #[derive(Serialize)]
    struct Plain {
        customer: String,
        show: bool,
        reason: &'static str,
        campaign: Option<&'static str>,
        score: Option<f64>,
        probability: Option<f64>,
        model: Option<ModelId>,
        decision_id: String,
    }

    proptest! {
        #[test]
        fn answer_equals_what_serde_writes(
            number in any::<u64>(),
            text in "[A-Za-z0-9_:-][A-Za-z0-9._:-]{0,63}",
            is_text: bool,
            reason in proptest::sample::select(Reason::ALL.to_vec()),
            score in proptest::option::of((any::<f64>(), proptest::option::of(0.0..=1.0f64))),
            model in proptest::option::of("[a-f0-9\"é]{0,12}"),
            id in any::<u64>(),
            campaign in proptest::option::of(Just(Slot(0))),
        ) {
            let customer = if is_text { Id::parse(&text).expect("an id") } else { Id::Number(number) };
            let score = score.map(|(value, probability)| Score { value, probability });
            let model = model.as_deref().map(ModelId::new);
            let bytes = written(&customer, &Decision { reason, score, campaign, model, id: DecisionId(id) });
            prop_assert!(bytes.len() <= MAX_BYTES);
            let expected = Plain {
                customer: customer.to_string(),
                show: reason.shows(),
                reason: reason.name(),
                campaign: campaign.map(|_| "gold-one-day"),
                score: score.map(|score| score.value),
                probability: score.and_then(|score| score.probability),
                model,
                decision_id: DecisionId(id).to_string(),
            };
            let expected = serde_json::to_string(&expected).expect("JSON");
            prop_assert_eq!(String::from_utf8(bytes).expect("text"), expected);
        }
    }

    #[test]
    fn answer_has_the_documented_form() {
        let score = Some(Score { value: -1.5, probability: Some(0.25) });
        let decision = Decision {
            reason: Reason::LikelyToClick,
            score,
            campaign: Some(Slot(0)),
            model: Some(ModelId::new("4017e3471abc")),
            id: DecisionId(0x1a20),
        };
        let expected = "{\"customer\":\"48\",\"show\":true,\"reason\":\"likely_to_click\",\"campaign\":\"gold-one-day\",\
                        \"score\":-1.5,\"probability\":0.25,\"model\":\"4017e3471abc\",\
                        \"decision_id\":\"0000000000001a20\"}";
        assert_eq!(String::from_utf8(written(&Id::Number(48), &decision)).expect("text"), expected);
    }
}
