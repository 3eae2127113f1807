use upbeat_core::campaign::Label;
use upbeat_core::profile::Window;

use super::*;
use crate::job::Verdict;

const CAMPAIGN: Id = Id::Number(7);

fn known(id: &str) -> Known {
    Known {
        id: id.to_owned(),
        label: Label::Impression,
        source: Source::Trained,
        registered_ms: 1,
        properties: Properties {
            kernel: "linear".into(),
            support_vectors: 0,
            window: Window::default(),
            calibrated: true,
            constant: false,
            converged: Some(true),
        },
        trained_until_ms: None,
        has_decided: false,
        gate: Vec::new(),
        standing: None,
        sentence: None,
        rows: None,
        agreement: None,
        would_have_profit_micro: None,
    }
}

fn serving(name: &str, id: &str) -> Vec<Serving> {
    serving_of(CAMPAIGN, name, id)
}

fn serving_of(campaign: Id, name: &str, id: &str) -> Vec<Serving> {
    vec![Serving { campaign, name: name.to_owned(), model: Some(known(id)) }]
}

fn challenger(id: &str) -> Challenger {
    Challenger {
        id: id.to_owned(),
        number: 1,
        trained_until_ms: 50,
        fixed_ms: 60,
        cost_micro: 20_000,
        value_micro: 500_000,
    }
}

fn judged(id: &str, standing: Standing) -> Judged {
    Judged {
        id: id.to_owned(),
        standing,
        sentence: "It is judged.".into(),
        verdicts: vec![Verdict {
            check: "profit".into(),
            ok: Some(false),
            value: Some(1.0),
            limit: 2.0,
            sentence: "It is too little.".into(),
        }],
        rows: 9,
        agreement: Some(0.5),
        would_have_profit_micro: Some(3.0),
    }
}

/// A registry whose campaign is served by `one`, and challenged by `two`.
fn challenged() -> Registry {
    let mut registry = Registry::default();
    registry.see(&serving("default", "one"), 10);
    registry.challenge(&CAMPAIGN, known("two"), challenger("two"), 55);
    registry
}

fn roles(registry: &Registry) -> Vec<(String, Role)> {
    registry.listed().iter().map(|listed| (listed.model.id.clone(), listed.role)).collect()
}

fn of(registry: &Registry) -> &OfCampaign {
    registry.of(&CAMPAIGN).expect("it is known")
}

#[test]
fn challenger_that_is_dropped_has_spent_its_share_and_the_next_has_the_next_number() {
    for standing in [Standing::Futile, Standing::TooOld] {
        let mut registry = challenged();
        assert_eq!(roles(&registry), [("one".into(), Role::Champion), ("two".into(), Role::Challenger)]);
        assert_eq!(registry.judge(&CAMPAIGN, &judged("two", standing)), Some(standing));
        assert_eq!(roles(&registry), [("one".into(), Role::Champion), ("two".into(), Role::Former)]);
        let former = of(&registry).known("two").expect("it is known").clone();
        assert_eq!((former.rows, former.gate.len(), former.standing), (Some(9), 1, Some(standing)));
        registry.challenge(&CAMPAIGN, known("three"), challenger("three"), 55);
        assert_eq!(of(&registry).challenger.as_ref().map(|it| it.number), Some(2));
        assert_eq!(of(&registry).trained_until_ms, Some(55));
    }
}

#[test]
fn challenger_that_stays_or_has_passed_stays_and_another_is_not_judged() {
    for standing in [Standing::Stays, Standing::NotComputed, Standing::Promote] {
        let mut registry = challenged();
        assert_eq!(registry.judge(&CAMPAIGN, &judged("two", standing)), Some(standing));
        assert_eq!(of(&registry).challenger.as_ref().map(|it| it.number), Some(1));
        let before = registry.clone();
        assert_eq!(registry.judge(&CAMPAIGN, &judged("nine", Standing::Futile)), None);
        assert_eq!(registry, before);
    }
}

#[test]
fn promotion_is_remembered_and_begins_another_reign() {
    let mut registry = challenged();
    registry.judge(&CAMPAIGN, &judged("two", Standing::Futile));
    registry.challenge(&CAMPAIGN, known("three"), challenger("three"), 55);
    let over = Promoted { id: "three".into(), over: "default".into() };
    registry.promote(&CAMPAIGN, known("three"), Some(over.clone()), ("gate", 70));
    let promotion =
        Promotion { time_ms: 70, who: "gate".into(), from: Some("one".into()), to: "three".into() };
    assert_eq!(of(&registry).promotions, [promotion]);
    assert_eq!((of(&registry).reign.number(), of(&registry).since_ms), (1, Some(70)));
    assert_eq!(of(&registry).challenger, None);
    assert_eq!(registry.promoted(&CAMPAIGN, "default"), Some(&over));
    assert_eq!(registry.promoted(&CAMPAIGN, "other"), None);
    // That it serves is no news.
    let before = registry.clone();
    registry.see(&serving("default", "three"), 80);
    assert_eq!(of(&registry).since_ms, Some(70));
    assert_eq!(roles(&registry), roles(&before));
    assert_eq!(of(&registry).known("three").map(|known| known.has_decided), Some(true));
}

#[test]
fn another_champion_ends_the_challenge_with_a_sentence() {
    let mut registry = challenged();
    registry.see(&serving("default", "nine"), 90);
    assert_eq!((of(&registry).challenger.as_ref(), of(&registry).reign.number()), (None, 1));
    let sentence = of(&registry).known("two").and_then(|known| known.sentence.clone()).expect("a sentence");
    assert!(sentence.contains("The champion is another since then (nine)"), "{sentence}");
    // The same, where somebody has promoted a third.
    let mut registry = challenged();
    registry.promote(&CAMPAIGN, known("nine"), None, ("ada", 90));
    assert_eq!(of(&registry).challenger, None);
    assert_eq!(of(&registry).known("two").map(|known| known.sentence.is_some()), Some(true));
}

#[test]
fn promotion_ends_with_a_document_that_names_another_model_or_leaves_the_campaign_out() {
    let promoted = || {
        let mut registry = challenged();
        let over = Promoted { id: "two".into(), over: "default".into() };
        registry.promote(&CAMPAIGN, known("two"), Some(over), ("ada", 70));
        registry
    };
    let mut registry = promoted();
    registry.see(&serving("default", "two"), 80);
    assert!(registry.promoted(&CAMPAIGN, "default").is_some(), "the same name");
    registry.see(&serving("mine", "three"), 80);
    registry.see(&serving("default", "one"), 90);
    assert_eq!(registry.promoted(&CAMPAIGN, "default"), None, "it does not come back with the name");
    let mut registry = promoted();
    registry.see(&[], 80);
    assert_eq!((of(&registry).champion.as_ref(), of(&registry).since_ms), (None, None));
    assert_eq!(registry.promoted(&CAMPAIGN, "default"), None);
}

#[test]
fn last_ten_stay_and_no_file_of_a_model_that_has_decided_goes() {
    let mut registry = challenged();
    for number in 0..8 {
        registry.see(&serving("default", &format!("decided-{number}")), 10);
        let id = format!("tried-{number}");
        registry.challenge(&CAMPAIGN, known(&id), challenger(&id), 55);
        registry.judge(&CAMPAIGN, &judged(&id, Standing::Futile));
    }
    for number in 0..12 {
        assert!(registry.upload(known(&format!("sent-{number}"))));
        assert!(!registry.upload(known(&format!("sent-{number}"))), "it is known");
    }
    let mut gone = registry.trim();
    gone.sort();
    // Of seventeen the oldest seven go; half of them have decided.
    assert_eq!(gone, ["sent-0", "sent-1", "tried-0", "tried-1", "two"]);
    let formers = registry.listed().iter().filter(|listed| listed.role == Role::Former).count();
    assert_eq!((formers, registry.uploaded.len()), (KEPT_MODELS, KEPT_MODELS));
    assert_eq!(of(&registry).champion.as_deref(), Some("decided-7"));
    assert!(registry.trim().is_empty());
    for number in 0..150 {
        registry.promote(&CAMPAIGN, known(&format!("{number}")), None, ("ada", number));
    }
    assert_eq!(of(&registry).promotions.len(), KEPT_PROMOTIONS);
}

#[test]
fn uploaded_model_belongs_to_the_campaign_that_it_is_promoted_for() {
    let mut registry = challenged();
    registry.upload(known("sent"));
    assert_eq!(roles(&registry).last(), Some(&("sent".into(), Role::Uploaded)));
    registry.promote(&CAMPAIGN, known("sent"), None, ("ada", 70));
    assert!(registry.uploaded.is_empty());
    assert_eq!(roles(&registry)[0], ("sent".into(), Role::Champion));
    assert!(!registry.upload(known("sent")));
}

#[test]
fn registry_is_read_as_it_was_written() {
    let mut registry = challenged();
    registry.judge(&CAMPAIGN, &judged("two", Standing::Stays));
    registry.say(&CAMPAIGN, "It is said.", 5);
    registry.of_mut(&Id::Text("other".into())).job_ms = Some(6);
    registry.promote(
        &CAMPAIGN,
        known("three"),
        Some(Promoted { id: "three".into(), over: "a".into() }),
        ("ada", 7),
    );
    registry.upload(known("sent"));
    let text = serde_json::to_string(&registry).expect("JSON");
    assert_eq!(serde_json::from_str::<Registry>(&text).expect("a registry"), registry);
}

#[test]
fn training_of_a_clock_that_had_jumped_ahead_is_forgotten_by_the_next() {
    let mut registry = Registry::default();
    registry.see(&serving("a", "one"), 0);
    registry.of_mut(&CAMPAIGN).trained_until_ms = Some(i64::MAX);
    let next = challenger("two");
    let newest_ms = next.fixed_ms - 1;
    registry.challenge(&CAMPAIGN, known("two"), next, newest_ms);
    assert_eq!(of(&registry).trained_until_ms, Some(newest_ms));
}

#[test]
fn campaigns_that_do_not_run_any_more_are_forgotten_beyond_the_last_64() {
    let mut registry = challenged();
    for number in 100..200 {
        let others = [serving("a", "one"), serving_of(Id::Number(number), "a", "other")].concat();
        registry.see(&others, 7);
        let id = format!("of-{number}");
        registry.challenge(&Id::Number(number), known(&id), challenger(&id), 55);
    }
    registry.see(&serving("a", "one"), 200);
    let gone = registry.trim();
    assert_eq!(registry.campaigns.len(), 1 + KEPT_CAMPAIGNS);
    assert!(registry.of(&CAMPAIGN).is_some_and(|of| of.challenger.is_some()), "what runs stays as it is");
    assert!(registry.of(&Id::Number(135)).is_none() && registry.of(&Id::Number(136)).is_some());
    let expected: Vec<_> = (100..136).map(|number| format!("of-{number}")).collect();
    assert_eq!(gone, expected, "files of models that have decided stay");
}
