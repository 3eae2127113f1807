//! Documents agree with the code: snippets, reasons, links.

use std::fs;
use std::path::{Path, PathBuf};

use upbeat_core::decision::Reason;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn readme_shows_the_tested_snippets() {
    let readme = read("README.md");
    for snippet in ["should_show_ad.py", "should-show-ad.mjs", "ShouldShowAd.java"] {
        let code = read(&format!("tests/contract/snippets/{snippet}"));
        assert!(readme.contains(code.trim_end()), "README.md shows another {snippet}");
    }
}

#[test]
fn every_reason_is_in_the_table_and_in_the_contract() {
    let (table, contract) = (read("docs/guides/decisions.md"), read("openapi.yaml"));
    for reason in Reason::ALL {
        let name = reason.name();
        assert!(table.contains(&format!("| `{name}` |")), "docs/guides/decisions.md lacks {name}");
        assert!(contract.contains(name), "openapi.yaml lacks {name}");
    }
}

/// A path of the contract that has been added to the admin listener is added to its page, too.
#[test]
fn page_of_the_admin_listener_names_its_paths() {
    let (page, contract) = (read("crates/server/src/admin/index.html"), read("openapi.yaml"));
    let paths = contract.lines().filter_map(|line| line.strip_prefix("  /")?.strip_suffix(':'));
    let of_data = ["should-show-ad/{customer}", "decisions", "events", "healthz", "readyz"];
    let is_listed =
        |path: &&str| !path.is_empty() && !of_data.contains(path) && !path.starts_with("backups/");
    let paths: Vec<_> = paths.filter(is_listed).collect();
    assert!(paths.len() > 10, "{paths:?}");
    for path in paths {
        assert!(page.contains(&format!(">/{path}<")), "/{path} is not on the page");
    }
}

/// Every `[text](target)` of a document whose target is not on the web.
fn local_links(markdown: &str) -> Vec<String> {
    let targets = markdown.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    local.map(|target| target.split('#').next().unwrap_or(target).to_owned()).collect()
}

fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().expect("a name").to_string_lossy().into_owned();
        if entry.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            documents(&entry, found);
        } else if name.ends_with(".md") {
            found.push(entry);
        }
    }
}

#[test]
fn links_between_documents_resolve() {
    let mut found = Vec::new();
    documents(&root(), &mut found);
    assert!(found.len() > 5, "only {} documents found", found.len());
    for document in found {
        let text = fs::read_to_string(&document).expect("a document");
        for link in local_links(&text) {
            let target = document.parent().expect("a folder").join(&link);
            assert!(target.exists(), "{}: {link} does not exist", document.display());
        }
    }
}
