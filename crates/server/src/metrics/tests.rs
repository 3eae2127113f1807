use std::collections::{BTreeMap, BTreeSet};

use upbeat_core::feedback::FeedbackKind;

use super::*;
use crate::api::Kind;
use crate::tests::app;

/// A family of the classic format: its help, its type, and its samples with their labels.
#[derive(Default)]
struct Described {
    help: String,
    kind: String,
    samples: BTreeMap<String, String>,
}

/// All families, as an app shows them from the start.
fn families() -> BTreeMap<String, Described> {
    let mut families: BTreeMap<String, Described> = BTreeMap::new();
    let text = app().metrics.render(Format::Classic).expect("text");
    let mut last = String::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
            last = name.to_owned();
        } else {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            assert!(name.starts_with(&last), "{name} stands among the samples of {last}");
            let family = families.get_mut(&last).expect("a family");
            assert!(family.samples.insert(name.to_owned(), value.to_owned()).is_none(), "{name} twice");
        }
    }
    families
}

#[test]
fn every_family_has_help_a_type_and_samples_from_the_start() {
    let families = families();
    assert!(families.len() > 20, "{}", families.len());
    for (name, Described { help, kind, samples }) in families {
        assert!(help.len() > 10 && help.ends_with('.'), "the help of {name} is {help:?}");
        assert!(matches!(kind.as_str(), "counter" | "gauge" | "histogram"), "{name} is of type {kind:?}");
        // Which model scores is not known beforehand, and not every campaign has a budget.
        let of_models = name.starts_with("upbeat_learning_cha");
        // What jobs have yet to find has no sample.
        let is_watched = ["calibration_ratio", "click_rate", "held_out_ratio", "sample_ratio_p", "watch_bad"]
            .iter()
            .any(|watched| name == format!("upbeat_campaign_{watched}"));
        let may_be_empty = name == "upbeat_model"
            || of_models
            || is_watched
            || name.starts_with("upbeat_consistency_")
            || name.starts_with("upbeat_campaign_budget");
        assert_eq!(samples.is_empty(), may_be_empty, "{name}: {samples:?}");
        if kind == "counter" {
            let counted: Vec<_> =
                samples.iter().filter(|(_, value)| value.parse::<f64>() != Ok(0.0)).collect();
            assert!(counted.is_empty(), "{counted:?} before anything has happened");
        }
    }
}

/// A label, and the values that it may have.
type Label<'a> = (&'a str, Vec<&'a str>);

/// The names of a family's samples for these labels and values, in every combination.
fn combinations(family: &str, labels: &[Label<'_>]) -> BTreeSet<String> {
    let mut all = vec![String::new()];
    for (label, values) in labels {
        let with = |before: &String| {
            let comma = if before.is_empty() { "" } else { "," };
            let with = values.iter().map(|value| format!("{before}{comma}{label}=\"{value}\""));
            with.collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    all.into_iter().map(|labels| format!("{family}{{{labels}}}")).collect()
}

#[test]
fn every_known_combination_of_labels_is_a_series_from_the_start() {
    use upbeat_core::decision::Reason;
    use upbeat_engine::{LogRefusal, Outcome, RowKind, RowProblem};
    let listeners = || ("listener", Listener::ALL.map(Listener::name).to_vec());
    let expected: [(&str, &[Label<'_>]); 14] = [
        ("upbeat_decisions_total", &[("reason", Reason::ALL.map(Reason::name).to_vec())]),
        (
            "upbeat_events_total",
            &[
                ("kind", RowKind::ALL.map(RowKind::name).to_vec()),
                ("outcome", Outcome::ALL.map(Outcome::name).to_vec()),
            ],
        ),
        ("upbeat_problems_total", &[("type", Kind::ALL.iter().map(|kind| kind.slug()).collect())]),
        (
            "upbeat_rows_refused_total",
            &[("type", RowProblem::ALL.iter().map(|problem| problem.slug()).collect())],
        ),
        (
            "upbeat_feedback_total",
            &[
                ("event", vec!["click", "impression", "void"]),
                ("kind", FeedbackKind::ALL.iter().map(|kind| kind.name()).collect()),
            ],
        ),
        ("upbeat_journal_refused_total", &[("cause", LogRefusal::ALL.map(LogRefusal::name).to_vec())]),
        ("upbeat_journal_state", &[("state", StateLabels::ALL.to_vec())]),
        (
            "upbeat_learning_jobs_total",
            &[(
                "outcome",
                crate::runtime::learning::Outcome::ALL.map(crate::runtime::learning::Outcome::name).to_vec(),
            )],
        ),
        ("upbeat_backups_total", &[("outcome", BackupOutcome::ALL.map(BackupOutcome::name).to_vec())]),
        ("upbeat_http_connections", &[listeners()]),
        ("upbeat_http_connections_refused_total", &[listeners()]),
        ("upbeat_http_accept_errors_total", &[listeners()]),
        ("upbeat_http_connection_errors_total", &[listeners()]),
        (
            "upbeat_http_connections_cut_total",
            &[listeners(), ("cause", CutCause::ALL.map(CutCause::name).to_vec())],
        ),
    ];
    let mut families = families();
    for (family, labels) in expected {
        let samples = families.remove(family).unwrap_or_else(|| panic!("no {family}")).samples;
        assert_eq!(samples.into_keys().collect::<BTreeSet<_>>(), combinations(family, labels));
    }
    let requests = families.remove("upbeat_http_requests_total").expect("requests").samples;
    for (route, statuses) in ROUTES {
        for status in *statuses {
            let name = format!("upbeat_http_requests_total{{route=\"{route}\",status=\"{status}\"}}");
            assert!(requests.contains_key(&name), "no {name}");
        }
    }
    for (name, family) in families {
        // A newcomer with labels belongs above. A histogram's buckets, the model and the build are no combinations.
        let has_labels = family.samples.keys().any(|sample| sample.contains('{'));
        let is_histogram =
            family.samples.keys().all(|sample| !sample.contains('{') || sample.contains("{le="));
        let of_campaigns = name.starts_with("upbeat_campaign_");
        let is_known = is_histogram || of_campaigns || matches!(&*name, "upbeat_model" | "upbeat_build");
        assert!(
            !has_labels || is_known,
            "{name} has labels: add them to the list above, with all their values"
        );
    }
}

#[test]
fn routes_and_their_statuses_are_those_of_the_contract() {
    let mut contract: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
    let mut path = "";
    let paths = crate::OPENAPI_YAML.split_once("\npaths:\n").expect("paths").1;
    for line in paths.lines().take_while(|line| line.is_empty() || line.starts_with(' ')) {
        if let Some(name) = line.strip_prefix("  /") {
            path = &line[2..3 + name.trim_end_matches(':').len()];
        } else if let Some(status) = line.strip_prefix("        \"").and_then(|rest| rest.get(..3)) {
            contract.entry(path).or_default().insert(status.parse().expect("a status"));
        }
    }
    // A head that is too large never reaches a route.
    contract.values_mut().for_each(|statuses| statuses.retain(|status| *status != 431));
    let routes = ROUTES.iter().map(|(route, statuses)| (*route, statuses.iter().copied().collect()));
    assert_eq!(routes.collect::<BTreeMap<_, _>>(), contract);
}
