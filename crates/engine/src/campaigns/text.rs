//! The text of a document that came without one.

use toml::{Table, Value};
use upbeat_core::campaign::{Campaign, Document};
use upbeat_core::event::Id;

/// A document as TOML, without the keys that have their defaults.
pub(super) fn of(document: &Document) -> String {
    let mut table = table_of(document);
    let defaults = table_of(&Document::default());
    table.retain(|key, value| defaults.get(key) != Some(value));
    let own = Id::Number(0);
    let mut defaults = table_of(&Campaign::new(own.clone(), own));
    // These have none.
    defaults.remove("id");
    defaults.remove("ad");
    if let Some(Value::Array(campaigns)) = table.get_mut("campaign") {
        for campaign in campaigns.iter_mut().filter_map(Value::as_table_mut) {
            campaign.retain(|key, value| defaults.get(key) != Some(value));
        }
    }
    // An empty document is none that is read.
    if table.is_empty() {
        table.insert("campaign".to_owned(), Value::Array(Vec::new()));
    }
    table.to_string()
}

/// No document has a value that TOML cannot write.
fn table_of(value: &impl serde::Serialize) -> Table {
    Table::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use upbeat_core::campaign::Single;

    use super::*;
    use crate::campaigns::parse;

    #[test]
    fn text_of_a_document_reads_back_as_the_document_and_has_no_defaults() {
        let single = Single { threshold: -1.25, impression_cost: 0.03, ..Single::default() };
        for document in [Document::default(), Single::default().document(), single.document()] {
            let text = of(&document);
            assert_eq!(parse(&text), Ok(document), "{text}");
            assert!(!text.contains("weekdays"), "{text}");
        }
    }
}
