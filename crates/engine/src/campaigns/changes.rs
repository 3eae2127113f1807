//! What a version of the campaigns changed, for people to read.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use upbeat_core::campaign::Document;

use super::NamedModel;

/// The most changes that a version lists; how many more there were is said after them.
const MOST_CHANGES: usize = 100;

/// The longest text of a value, in characters.
const MOST_LETTERS: usize = 60;

/// The changes between two documents, as in `gold-one-day: impression_cost 0.02 → 0.03`.
pub(super) fn between(before: &Document, after: &Document) -> Vec<String> {
    let mut changes = Vec::new();
    let campaigns = |document: &Document| document.campaign.iter().map(keys).collect::<Vec<_>>();
    let (old, new) = (campaigns(before), campaigns(after));
    for (id, campaign) in &new {
        match old.iter().find(|(other, _)| other == id) {
            None => changes.push(format!("{id} added")),
            Some((_, earlier)) => compare(&format!("{id}: "), earlier, campaign, &mut changes),
        }
    }
    let removed = old.iter().filter(|(id, _)| new.iter().all(|(other, _)| other != id));
    changes.extend(removed.map(|(id, _)| format!("{id} removed")));
    let whole = |document: &Document| {
        let mut whole = object(document);
        whole.remove("campaign");
        whole
    };
    compare("", &whole(before), &whole(after), &mut changes);
    if changes.len() > MOST_CHANGES {
        let more = changes.len() - MOST_CHANGES;
        changes.truncate(MOST_CHANGES);
        changes.push(format!("and {more} more"));
    }
    changes
}

/// The models that both documents name and that are others now, as in `model gold-one-day: 4017e3471abc → 8f4f04b9886b`. Those that
/// only one of them names come and go with its campaigns.
pub(super) fn of_models(
    before: (&Document, &[NamedModel]),
    after: (&Document, &[NamedModel]),
) -> Vec<String> {
    let names = |document: &Document| -> BTreeSet<String> {
        document.campaign.iter().map(|campaign| campaign.model.clone()).collect()
    };
    let id = |models: &[NamedModel], name: &str| {
        let named = models.iter().find(|named| named.name == name);
        named.map_or_else(|| "none".to_owned(), |named| named.id.to_string())
    };
    let both = names(before.0).intersection(&names(after.0)).cloned().collect::<Vec<_>>();
    let changes = both.into_iter().map(|name| (id(before.1, &name), id(after.1, &name), name));
    let changes = changes.filter(|(earlier, later, _)| earlier != later);
    changes.map(|(earlier, later, name)| format!("model {name}: {earlier} → {later}")).collect()
}

fn keys(campaign: &upbeat_core::campaign::Campaign) -> (String, Map<String, Value>) {
    (campaign.id.to_string(), object(campaign))
}

/// The keys of what is serialised as an object.
fn object(of: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(keys)) => keys,
        _ => Map::new(),
    }
}

fn compare(prefix: &str, before: &Map<String, Value>, after: &Map<String, Value>, changes: &mut Vec<String>) {
    for (key, value) in after {
        let earlier = before.get(key).unwrap_or(&Value::Null);
        if earlier != value {
            changes.push(format!("{prefix}{key} {} → {}", text(earlier), text(value)));
        }
    }
}

fn text(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    match text.char_indices().nth(MOST_LETTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaigns::parse;

    #[test]
    fn changes_name_what_was_added_changed_and_removed() {
        let read = |toml: &str| parse(toml).expect("a document");
        let before = read("[[campaign]]\nid = \"a\"\nad = \"A\"\n[[campaign]]\nid = \"b\"\nad = \"B\"\n");
        let after = read(
            "currency = \"USD\"\n[[campaign]]\nid = \"a\"\nad = \"A\"\npaused = true\n[[campaign]]\nid = \"c\"\nad = \"B\"\n",
        );
        let expected = ["a: paused false → true", "c added", "b removed", "currency none → USD"];
        assert_eq!(between(&before, &after), expected);
        assert!(between(&after, &after).is_empty());
    }
}
