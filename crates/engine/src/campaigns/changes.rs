//! What a version of the campaigns changed, for people to read: each value as a document writes it.

use std::collections::BTreeSet;

use serde::Serialize;
use toml::ser::ValueSerializer;
use upbeat_core::campaign::{Campaign, Creative, Document};

use super::NamedModel;

/// The most changes that a version lists; how many more there were is said after them.
const MOST_CHANGES: usize = 100;

/// The longest text of a value, in characters: as long as eight caps.
const MOST_LETTERS: usize = 400;

/// The longest text of a value of a creative, in characters.
const MOST_LETTERS_OF_CREATIVE: usize = 60;

/// What stands for the value of a key that is not there.
const ABSENT: &str = "absent";

/// The keys of a table with their values as TOML; `None` where a key is absent.
type Keys = Vec<(&'static str, Option<String>)>;

/// The changes between two documents, as in `gold-one-day: impression_cost 0.02 → 0.03`.
pub(super) fn between(before: &Document, after: &Document) -> Vec<String> {
    let mut changes = Vec::new();
    for campaign in &after.campaign {
        let id = &campaign.id;
        match before.campaign.iter().find(|earlier| earlier.id == *id) {
            None => changes.push(format!("{id} added")),
            Some(earlier) => {
                compare(&format!("{id}: "), &of_campaign(earlier), &of_campaign(campaign), &mut changes);
            }
        }
    }
    let is_gone = |earlier: &&Campaign| after.campaign.iter().all(|campaign| campaign.id != earlier.id);
    changes.extend(before.campaign.iter().filter(is_gone).map(|campaign| format!("{} removed", campaign.id)));
    compare("", &of_document(before), &of_document(after), &mut changes);
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
        named.map_or_else(|| ABSENT.to_owned(), |named| named.id.to_string())
    };
    // Where all that give a name have a promoted model, nothing is served under the name itself.
    let is_promoted = |models: &[NamedModel], name: &str| {
        models.iter().any(|named| named.parts() != (None, name) && named.parts().1 == name)
    };
    let both = names(before.0).intersection(&names(after.0)).cloned().collect::<Vec<_>>();
    let changes = both.into_iter().map(|name| (id(before.1, &name), id(after.1, &name), name));
    let changes = changes.filter(|(earlier, later, name)| {
        let hidden = |id: &str, models| id == ABSENT && is_promoted(models, name);
        earlier != later && !hidden(earlier, before.1) && !hidden(later, after.1)
    });
    changes.map(|(earlier, later, name)| format!("model {name}: {earlier} → {later}")).collect()
}

/// The campaigns of both documents that decide by another model because one was promoted for them, before or after, as in
/// `gold-one-day: model 4017e3471abc → 8f4f04b9886b`.
pub(super) fn of_promoted(
    before: (&Document, &[NamedModel]),
    after: (&Document, &[NamedModel]),
) -> Vec<String> {
    // The id of a campaign's model, and whether it was promoted.
    let model = |campaign: &Campaign, models: &[NamedModel]| {
        let id = campaign.id.to_string();
        let own = models.iter().find(|named| named.parts() == (Some(&id), &campaign.model));
        let named = own.or_else(|| models.iter().find(|named| named.parts() == (None, &campaign.model)));
        (named.map_or_else(|| ABSENT.to_owned(), |named| named.id.to_string()), own.is_some())
    };
    let change = |later: &Campaign| {
        let earlier = before.0.campaign.iter().find(|earlier| earlier.id == later.id)?;
        let ((was, was_promoted), (is, is_promoted)) = (model(earlier, before.1), model(later, after.1));
        let changes = was != is && (was_promoted || is_promoted);
        changes.then(|| format!("{}: model {was} → {is}", later.id))
    };
    after.0.campaign.iter().filter_map(change).collect()
}

/// The keys over all campaigns.
fn of_document(document: &Document) -> Keys {
    let Document { currency, holdout_all, cap, campaign: _ } = document;
    vec![("currency", written(currency)), ("holdout_all", written(holdout_all)), ("cap", written(cap))]
}

/// The keys of a campaign but for its id, in the order of its fields.
fn of_campaign(campaign: &Campaign) -> Keys {
    let Campaign {
        id: _,
        ad,
        paused,
        priority,
        audience,
        signed_up_days,
        start,
        end,
        time_zone,
        weekdays,
        hours,
        min_plays,
        caps,
        cooldown_after_impression,
        cooldown_after_click,
        cooldown_after_upgrade,
        impression_cost,
        click_value,
        daily_budget,
        total_budget,
        pacing,
        bill,
        reserve,
        threshold,
        model,
        mode,
        holdout,
        exploration,
        creative: Creative { title, text, media_url, click_url },
    } = campaign;
    let shortened = |text: &Option<String>| {
        text.as_deref().and_then(|text| written(&cut(text, MOST_LETTERS_OF_CREATIVE)))
    };
    vec![
        // A number is an id as well, and both are written as text.
        ("ad", written(&ad.to_string())),
        ("paused", written(paused)),
        ("priority", written(priority)),
        ("audience", written(audience)),
        ("signed_up_days", written(signed_up_days)),
        ("start", written(start)),
        ("end", written(end)),
        ("time_zone", written(time_zone)),
        ("weekdays", written(weekdays)),
        ("hours", written(hours)),
        ("min_plays", written(min_plays)),
        ("caps", written(caps)),
        ("cooldown_after_impression", written(cooldown_after_impression)),
        ("cooldown_after_click", written(cooldown_after_click)),
        ("cooldown_after_upgrade", written(cooldown_after_upgrade)),
        ("impression_cost", Some(impression_cost.to_string())),
        ("click_value", Some(click_value.to_string())),
        ("daily_budget", daily_budget.as_ref().map(ToString::to_string)),
        ("total_budget", total_budget.as_ref().map(ToString::to_string)),
        ("pacing", written(pacing)),
        ("bill", written(bill)),
        ("reserve", written(reserve)),
        ("threshold", written(threshold)),
        ("model", written(model)),
        ("mode", written(mode)),
        ("holdout", written(holdout)),
        ("exploration", written(exploration)),
        ("creative.title", shortened(title)),
        ("creative.text", shortened(text)),
        ("creative.media_url", shortened(media_url)),
        ("creative.click_url", shortened(click_url)),
    ]
}

/// A value as TOML, on one line; `None` of one that is absent.
fn written(value: &impl Serialize) -> Option<String> {
    let mut text = String::new();
    // Nothing else than `None` is without a form in TOML.
    value.serialize(ValueSerializer::new(&mut text)).ok()?;
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    Some(cut(&line, MOST_LETTERS))
}

/// The first so many characters of a text, and a sign where there are more.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn compare(prefix: &str, before: &Keys, after: &Keys, changes: &mut Vec<String>) {
    let differing = before.iter().zip(after).filter(|(earlier, later)| earlier != later);
    let told = |value: &Option<String>| value.as_deref().unwrap_or(ABSENT).to_owned();
    changes
        .extend(differing.map(|((key, earlier), (_, later))| {
            format!("{prefix}{key} {} → {}", told(earlier), told(later))
        }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaigns::parse;

    const BARE: &str = "[[campaign]]\nid = \"a\"\nad = \"A\"\n";

    /// Every key of a campaign: as a document writes it, and its value before where that is not absent.
    const EVERY: [(&str, &str, &str); 31] = [
        ("ad", "\"B\"", "\"A\""),
        ("paused", "true", "false"),
        ("priority", "-3", "0"),
        ("audience", "[\"silver\", \"gold\"]", "[\"free\", \"silver\"]"),
        ("signed_up_days", "{ min = 7, max = 90 }", ABSENT),
        ("start", "\"2026-11-01T00:00:00\"", ABSENT),
        ("end", "\"2027-01-01T00:00:00\"", ABSENT),
        ("time_zone", "\"Asia/Seoul\"", "\"UTC\""),
        ("weekdays", "[\"sat\", \"sun\"]", "[\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]"),
        ("hours", "[\"07:00-23:00\", \"23:30-02:00\"]", "[]"),
        ("min_plays", "20", "10"),
        ("caps", "[{ impressions = 1, hours = 24 }, { impressions = 3, days = 7 }]", "[]"),
        ("cooldown_after_impression", "\"30m\"", ABSENT),
        ("cooldown_after_click", "\"3d\"", ABSENT),
        ("cooldown_after_upgrade", "\"30d\"", ABSENT),
        ("impression_cost", "0.02", "0"),
        ("click_value", "0.000001", "0"),
        ("daily_budget", "100", ABSENT),
        ("total_budget", "999999999.999999", ABSENT),
        ("pacing", "\"traffic\"", "\"none\""),
        ("bill", "\"impression\"", "\"show\""),
        ("reserve", "\"90s\"", "\"30m\""),
        ("threshold", "{ probability = 0.2 }", "{ score = 0.0 }"),
        ("model", "\"gold-one-day\"", "\"default\""),
        ("mode", "\"auto\"", "\"frozen\""),
        ("holdout", "0.05", "0.0"),
        ("exploration", "0.02", "0.0"),
        ("creative.title", "\"Half price\"", ABSENT),
        ("creative.text", "'\"Gold\" for a day'", ABSENT),
        ("creative.media_url", "\"https://ads.example/gold.mp3\"", ABSENT),
        ("creative.click_url", "\"https://ads.example/gold\"", ABSENT),
    ];

    fn read(toml: &str) -> Document {
        parse(toml).expect("a document")
    }

    #[test]
    fn changes_name_what_was_added_changed_and_removed() {
        let before = read("[[campaign]]\nid = \"a\"\nad = \"A\"\n[[campaign]]\nid = \"b\"\nad = \"B\"\n");
        let after = read(
            "currency = \"USD\"\n[[campaign]]\nid = \"a\"\nad = \"A\"\npaused = true\n[[campaign]]\nid = \"c\"\nad = \"B\"\n",
        );
        let expected = ["a: paused false → true", "c added", "b removed", "currency absent → \"USD\""];
        assert_eq!(between(&before, &after), expected);
        assert!(between(&after, &after).is_empty());
    }

    #[test]
    fn every_key_is_told_as_documents_write_it() {
        let before = read(BARE);
        // Alone, which some values may not be: they are read without a check.
        for (key, value, earlier) in EVERY {
            let text =
                if key == "ad" { BARE.replace("\"A\"", value) } else { format!("{BARE}{key} = {value}\n") };
            let after: Document = toml::from_str(&text).expect(&text);
            assert_eq!(between(&before, &after), [format!("a: {key} {earlier} → {value}")]);
            assert_eq!(between(&after, &before), [format!("a: {key} {value} → {earlier}")]);
        }
        // Those are all keys that there are.
        let lines =
            EVERY.iter().filter(|(key, ..)| *key != "ad").map(|(key, value, _)| format!("{key} = {value}\n"));
        let all = read(&(BARE.to_owned() + &lines.collect::<String>()));
        let table = toml::Table::try_from(&all.campaign[0]).expect("a table");
        let mut keys = Vec::new();
        for (key, value) in &table {
            match value.as_table().filter(|_| key == "creative") {
                Some(creative) => keys.extend(creative.keys().map(|name| format!("creative.{name}"))),
                None => keys.push(key.clone()),
            }
        }
        keys.retain(|key| key != "id");
        let mut told = EVERY.map(|(key, ..)| key.to_owned());
        keys.sort();
        told.sort();
        assert_eq!(keys, told);
    }

    #[test]
    fn every_key_over_all_campaigns_is_told_as_documents_write_it() {
        let whole = "currency = \"USD\"\nholdout_all = 0.01\n[[cap]]\nimpressions = 3\nhours = 24\n";
        let expected = [
            "currency absent → \"USD\"",
            "holdout_all 0.0 → 0.01",
            "cap [] → [{ impressions = 3, hours = 24 }]",
        ];
        let after = read(whole);
        assert_eq!(between(&Document::default(), &after), expected);
        let keys = toml::Table::try_from(&after).expect("a table");
        assert_eq!(keys.len(), of_document(&after).len() + 1, "and the campaigns");
    }

    #[test]
    fn long_texts_and_long_lists_of_changes_are_cut_and_eight_caps_are_not() {
        let caps = ["{ impressions = 64, hours = 8760 }"; 8].join(", ");
        let title = format!("creative.title = \"{}\"\n", "é".repeat(1000));
        let after = read(&format!("{BARE}caps = [{caps}]\n{title}creative.text = \"\"\"one\ntwo\"\"\"\n"));
        let expected =
            [format!("a: caps [] → [{caps}]"), format!("a: creative.title absent → \"{}…\"", "é".repeat(60))];
        let changes = between(&read(BARE), &after);
        assert_eq!(changes[..2], expected);
        assert!(changes[2].contains("one") && !changes[2].contains('\n'), "{changes:?}");
        let many = |paused: bool| {
            let of = |number: u32| {
                format!(
                    "[[campaign]]\nid = \"{number}\"\nad = \"A\"\npaused = {paused}\npriority = {}\n",
                    i32::from(paused)
                )
            };
            read(&(0..60).map(of).collect::<String>())
        };
        let changes = between(&many(false), &many(true));
        assert_eq!((changes.len(), changes[100].as_str()), (101, "and 20 more"));
    }
}
