//! The guide's page on metrics has a row for everything that a server tells of itself, and for nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

use super::durability::Kept;

/// The first cells of the page's rows whose name satisfies `is_ours`, without labels.
fn rows(is_ours: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let page = include_str!("../../docs/guides/metrics.md");
    let mut found = BTreeSet::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<&str> = line.trim_end_matches(" |").split(" | ").collect();
        let name = cells[0].trim_end_matches('`').split('{').next().expect("a name");
        if is_ours(name) {
            assert_eq!(cells.len(), 4, "{name}: what, what is normal, and what to do when it is not");
            assert!(cells.iter().all(|cell| !cell.trim().is_empty()), "{name}: a cell is empty");
            assert!(found.insert(name.to_owned()), "{name} has two rows");
        }
    }
    found
}

#[test]
fn page_on_metrics_has_a_row_for_each_and_for_no_other() {
    let server = Kept::new();
    let server = server.start();
    let text = server.admin_get("/metrics").text();
    let told = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next());
    let told: BTreeSet<String> = told.map(str::to_owned).collect();
    assert!(told.len() > 50, "{told:?}");
    let rows = rows(|name| name.starts_with("upbeat_"));
    let missing: Vec<_> = told.difference(&rows).collect();
    let stale: Vec<_> = rows.difference(&told).collect();
    assert!(missing.is_empty() && stale.is_empty(), "no row for {missing:?}; no such metric: {stale:?}");
}

#[test]
fn page_on_metrics_has_a_row_for_each_key_of_readiness() {
    fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        for (key, value) in value.as_object().expect("an object") {
            let path = format!("{path}{key}");
            if value.is_object() {
                keys(value, &format!("{path}."), found);
            } else {
                found.insert(path);
            }
        }
    }
    let kept = Kept::new();
    let server = kept.start();
    let mut told = BTreeSet::new();
    keys(&server.get("/readyz?verbose").ok(), "", &mut told);
    assert_eq!(rows(|name| !name.starts_with("upbeat_")), told);
}
