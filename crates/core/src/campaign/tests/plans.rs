//! What a plan makes of a document and its models.

use std::sync::Arc;

use super::*;
use crate::feature::{FEATURE_DEFINITION, FEATURE_NAMES};

/// A model whose score is the share of morning plays.
pub(crate) fn served(name: &str, label: Label, calibrated: bool) -> Served {
    of_score(name, label, calibrated, 1.0, 0.0)
}

/// A model whose score is so many times the share of morning plays, plus a bias.
pub(crate) fn of_score(name: &str, label: Label, calibrated: bool, morning: f64, bias: f64) -> Served {
    let names = FEATURE_NAMES.join("\",\"");
    let calibration = if calibrated { r#"{"a":-1.0,"b":0.0}"# } else { "null" };
    let text = format!(
        r#"{{"format":"upbeat-model","version":1,"name":null,
        "features":{{"definition":"{FEATURE_DEFINITION}","names":["{names}"],"count":6}},
        "window":{{"plays":256,"days":28}},"labels":{{"positive":"1","negative":"0"}},"scaling":null,
        "kernel":{{"type":"linear"}},"weights":[{morning:?},0,0,0,0,0],"bias":{bias:?},
        "calibration":{calibration},"training":null}}"#
    );
    let model = crate::model::read(text.as_bytes()).expect("a model");
    Served::new(name, format!("id-of-{name}"), label, Arc::new(model))
}

pub(crate) fn slots(document: &Document) -> Vec<(Id, Slot)> {
    document.campaign.iter().enumerate().map(|(n, campaign)| (campaign.id.clone(), Slot(n as u16))).collect()
}

pub(crate) fn plan(document: &Document, models: &[Served]) -> Result<Plan, Invalid> {
    Plan::new(document, &slots(document), models)
}

pub(crate) fn of(campaigns: Vec<Campaign>) -> Document {
    Document { campaign: campaigns, ..Document::default() }
}

#[test]
fn campaigns_stand_by_priority_and_then_by_id() {
    let with = |id: &str, priority| Campaign { priority, ..campaign(id) };
    let document = of(vec![with("c", 0), with("b", 5), with("10", 0), with("9", 0), with("a", -1)]);
    let plan = plan(&document, &[]).expect("a plan");
    let order: Vec<_> =
        plan.campaigns.iter().map(|campaign| (campaign.id.to_string(), campaign.slot.0)).collect();
    let expected =
        [("b", 1), ("9", 3), ("10", 2), ("c", 0), ("a", 4)].map(|(id, slot)| (id.to_owned(), slot));
    assert_eq!(order, expected);
    assert_eq!(plan.find(&"c".parse().expect("an id")), Some(3));
}

#[test]
fn campaigns_of_one_model_share_it() {
    let with = |id: &str, model: &str| Campaign { model: model.to_owned(), ..campaign(id) };
    let document = of(vec![with("a", "x"), with("b", "default"), with("c", "x")]);
    let models = [served("default", Label::Impression, true), served("x", Label::Impression, true)];
    let shared = plan(&document, &models).expect("a plan");
    assert_eq!(shared.models.len(), 2);
    assert_eq!(shared.campaigns[0].model, shared.campaigns[2].model);
    let alone = shared.alone(1);
    assert_eq!((alone.campaigns.len(), alone.models.len(), alone.models[0].name.as_str()), (1, 1, "default"));
    let without = plan(&of(vec![campaign("a")]), &[]).expect("no model is loaded yet");
    assert_eq!(without.campaigns[0].model, None);
}

#[test]
fn first_explorer_of_the_file_gives_the_local_day_of_tosses() {
    let with = |id: &str, exploration| Campaign { exploration, ..campaign(id) };
    let document = of(vec![with("z", 0.0), with("y", 0.1), with("a", 0.1)]);
    let plan = plan(&document, &[]).expect("a plan");
    assert_eq!(plan.campaigns[plan.first_explorer.expect("explorers")].id.to_string(), "y");
}

#[test]
fn model_that_cannot_judge_what_is_asked_is_refused_with_what_to_do() {
    let profit = |id: &str| Campaign { threshold: Threshold::Profit, ..campaign(id) };
    let probable = |id: &str| Campaign { threshold: Threshold::Probability(0.2), ..campaign(id) };
    let unknown = Campaign { model: "nowhere".to_owned(), ..campaign("a") };
    let (customer, impression) = (Label::Customer, Label::Impression);
    let label = "Name a model of the label impression";
    for (campaigns, model, path, said) in [
        (vec![profit("a")], served("default", customer, true), "campaign[0].threshold", label),
        (vec![campaign("a"), campaign("b")], served("default", customer, true), "campaign[0].model", label),
        (vec![profit("a")], served("default", impression, false), "campaign[0].model", "no calibration"),
        (vec![probable("a")], served("default", customer, false), "campaign[0].model", "no calibration"),
        (vec![unknown], served("default", impression, true), "campaign[0].model", "no model nowhere is here"),
    ] {
        let invalid = plan(&of(campaigns), &[model]).expect_err(said);
        assert_eq!(invalid.path, path);
        assert!(invalid.reason.contains(said), "{invalid}");
    }
    plan(&of(vec![campaign("a")]), &[served("default", customer, false)])
        .expect("a score is all that is asked");
    plan(&of(vec![probable("a")]), &[served("default", customer, true)])
        .expect("a probability of either label");
    plan(&of(vec![profit("a"), campaign("b")]), &[served("default", impression, true)]).expect("a contest");
    let unnumbered = Plan::new(&of(vec![campaign("a")]), &[], &[]).expect_err("no slot");
    assert_eq!(unnumbered.path, "campaign[0].id");
}
