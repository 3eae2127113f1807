//! The layout's promises, read off the sources: imports point one way, the core does no I/O and reads no clock, only
//! `store/` names dashmap, and files stay readable.
//!
//! The rules are those of ARCHITECTURE.md. Test code inside `src/` is free to import what it likes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Modules from left to right; a module may import from those to its left only.
const LAYERS: &[&[&str]] = &[
    &["event"],
    &["profile"],
    &["feature"],
    &["svm"],
    &["campaign"],
    &["decision"],
    &["store"],
    &["engine"],
    // The edges: they may use each other, but nothing to their left may use them.
    &["client", "config", "heap", "http", "ingest", "journal", "learn", "simulate"],
    &["cli"],
];

/// Plain values and functions: no I/O, no clock, no wire formats.
const CORE: &[&str] = &["event", "profile", "feature", "svm", "campaign", "decision"];

/// What the core may not name.
const OUTSIDE_THE_CORE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::time::Instant",
    "std::time::SystemTime",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
    "axum",
    "hyper",
    "tokio",
];

/// Longest file, in lines, inline tests not counted.
const MAX_LINES: usize = 400;

/// Files that are longer, each with its reason. An entry that is no longer needed fails the test too.
const LONG_FILES: &[(&str, &str)] = &[];

#[test]
fn the_sources_keep_the_layout() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    collect(&root, &root, &mut sources);
    assert!(sources.len() > 10, "found only {} sources under {}", sources.len(), root.display());
    let mut faults: Vec<String> = sources.iter().flat_map(|(path, text)| faults(path, text)).collect();
    faults.extend(file_length_faults(&sources, LONG_FILES));
    assert!(
        faults.is_empty(),
        "{}",
        faults.iter().fold(String::new(), |mut all, fault| {
            let _ = writeln!(all, "{fault}");
            all
        })
    );
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<(PathBuf, String)>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a readable source");
            sources.push((path.strip_prefix(root).expect("below src").to_owned(), text));
        }
    }
}

/// What is wrong with one file, by its path below `src/`.
fn faults(path: &Path, text: &str) -> Vec<String> {
    let segments = module_path(path);
    let Some(module) = segments.first() else {
        return Vec::new(); // main.rs and lib.rs wire everything together
    };
    if path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests") {
        return Vec::new();
    }
    let at = path.display();
    let Some(layer) = layer_of(module) else {
        return vec![format!("src/{at}: module `{module}` is not in LAYERS; give it a place")];
    };
    let code = without_comments(product_part(text));
    let named = paths_in(&code);
    let mut faults = Vec::new();
    for target in named.iter().filter_map(|name| crate_module(&segments, name)).collect::<BTreeSet<_>>() {
        let free = target == *module || layer_of(&target).is_none_or(|other| other < layer) || {
            let edges = LAYERS.len() - 2;
            layer == edges && layer_of(&target) == Some(edges)
        };
        if !free {
            faults.push(format!("src/{at}: `{module}` imports `{target}`, which is not to its left"));
        }
    }
    if CORE.contains(&module.as_str()) {
        for name in OUTSIDE_THE_CORE {
            if named.iter().any(|path| path == name || contains_segments(path, name)) {
                faults.push(format!("src/{at}: the core names `{name}`; pass the value in instead"));
            }
        }
    }
    if *module != "store" && named.iter().any(|path| path.starts_with("dashmap")) {
        faults.push(format!("src/{at}: only store/ names dashmap"));
    }
    faults
}

fn file_length_faults(sources: &[(PathBuf, String)], listed: &[(&str, &str)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut long = BTreeSet::new();
    for (path, text) in sources {
        let lines = product_part(text).lines().count();
        if lines > MAX_LINES {
            let name = path.to_string_lossy().into_owned();
            if !listed.iter().any(|(file, _)| *file == name) {
                faults.push(format!(
                    "src/{name}: {lines} lines; usually that is two files. If not, list it in LONG_FILES with the reason"
                ));
            }
            long.insert(name);
        }
    }
    for (file, _) in listed.iter().filter(|(file, _)| !long.contains(*file)) {
        faults.push(format!("src/{file}: listed in LONG_FILES, but not long; take it off the list"));
    }
    faults
}

/// `["svm", "model"]` for `svm/model.rs`, `["svm"]` for `svm/mod.rs` and `svm.rs`, nothing for the crate roots.
fn module_path(path: &Path) -> Vec<String> {
    let mut segments: Vec<String> =
        path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let last = segments.last().map(String::as_str);
    if last == Some("mod") || (segments.len() == 1 && matches!(last, Some("main" | "lib"))) {
        segments.pop();
    }
    segments
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The file without its inline test module.
fn product_part(text: &str) -> &str {
    let mut offset = 0;
    let mut after_cfg_test = None;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_end();
        if let Some(start) = after_cfg_test
            && trimmed.starts_with("mod ")
            && trimmed.ends_with('{')
        {
            return &text[..start];
        }
        after_cfg_test = (trimmed == "#[cfg(test)]").then_some(offset);
        offset += line.len();
    }
    text
}

/// Line comments (docs included) blanked out. A `//` in a string ends that line early, which is harmless here.
fn without_comments(text: &str) -> String {
    text.lines()
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Every `a::b::c` in the code, groups as in `use a::{b, c::d};` taken apart.
fn paths_in(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let bytes = code.as_bytes();
    let mut position = 0;
    while position < bytes.len() {
        if is_word(bytes[position]) {
            position = read_path(code, position, "", &mut paths);
        } else {
            position += 1;
        }
    }
    paths
}

/// Reads the path that starts at `start`, pushes it (or, for a group, each of its members) and returns what follows.
fn read_path(code: &str, start: usize, prefix: &str, paths: &mut Vec<String>) -> usize {
    let bytes = code.as_bytes();
    let mut position = start;
    let mut path = prefix.to_owned();
    loop {
        let word_start = position;
        while position < bytes.len() && is_word(bytes[position]) {
            position += 1;
        }
        path.push_str(&code[word_start..position]);
        if !code[position..].starts_with("::") {
            paths.push(path);
            return position;
        }
        position += 2;
        path.push_str("::");
        if bytes.get(position) == Some(&b'{') {
            position += 1;
            while position < bytes.len() && bytes[position] != b'}' {
                if is_word(bytes[position]) {
                    position = read_path(code, position, &path, paths);
                } else {
                    position += 1;
                }
            }
            return position + 1;
        }
        if !bytes.get(position).is_some_and(|byte| is_word(*byte)) {
            paths.push(path); // a glob or a turbofish
            return position;
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The top-level module that a path leads to from the module `from`, if it leads into this crate by name.
fn crate_module(from: &[String], path: &str) -> Option<String> {
    let mut parts = path.split("::").peekable();
    match *parts.peek()? {
        "crate" | "upbeat" => {
            parts.next();
        }
        "super" => {
            let ups = path.split("::").take_while(|part| *part == "super").count();
            if ups < from.len() {
                return None; // stays within the top-level module
            }
            parts = path.split("::").peekable();
            for _ in 0..ups {
                parts.next();
            }
        }
        _ => return None,
    }
    parts.next().filter(|part| !part.is_empty()).map(str::to_owned)
}

/// Whether `name` (as in `std::fs`) stands in `path` from one `::` to another.
fn contains_segments(path: &str, name: &str) -> bool {
    let path: Vec<&str> = path.split("::").collect();
    let name: Vec<&str> = name.split("::").collect();
    path.windows(name.len()).any(|window| window == name)
}

mod the_checker_itself {
    use super::*;

    fn faults_of(path: &str, text: &str) -> Vec<String> {
        faults(Path::new(path), text)
    }

    #[test]
    fn finds_an_arrow_that_points_back() {
        for (path, text) in [
            ("event/id.rs", "use crate::profile::Profile;"),
            ("profile/mod.rs", "use crate::feature;"),
            ("feature.rs", "fn f() { crate::svm::Model::default(); }"),
            ("svm/model.rs", "use super::super::engine::Engine;"),
            ("decision/mod.rs", "use super::engine;"),
            ("campaign.rs", "use crate::{event::Id, http::Limits};"),
            ("engine/mod.rs", "use crate::{\n    store::Store,\n    ingest::{self, Row},\n};"),
            ("ingest/json.rs", "use crate::cli::serve;"),
            ("store.rs", "pub use crate::engine::*;"),
        ] {
            assert_eq!(faults_of(path, text).len(), 1, "{path}: {text}: {:?}", faults_of(path, text));
        }
    }

    #[test]
    fn lets_arrows_to_the_left_pass() {
        for (path, text) in [
            ("svm/model.rs", "use crate::feature::FeatureVector;\nuse super::scaling::Scaling;"),
            ("engine/mod.rs", "use crate::{event::Id, store::Store, decision::{self, Reason}};"),
            (
                "http/events.rs",
                "use crate::ingest::rows; use crate::engine::Engine; use super::problem::Problem;",
            ),
            ("cli/serve.rs", "use crate::http; use crate::config::Config; use std::fs;"),
            ("event/mod.rs", "//! See [`crate::engine`].\nfn f() {} // crate::engine\n"),
            ("profile/tests.rs", "use crate::engine::Engine;"),
            ("profile/mod.rs", "struct P;\n#[cfg(test)]\nmod tests {\n    use crate::engine::Engine;\n}\n"),
            ("lib.rs", "pub mod cli; pub mod event; use crate::cli;"),
            ("main.rs", "fn main() { upbeat::cli::main() }"),
        ] {
            assert_eq!(faults_of(path, text), Vec::<String>::new(), "{path}: {text}");
        }
    }

    #[test]
    fn finds_io_and_clocks_in_the_core() {
        for text in [
            "use std::fs::File;",
            "use std::{fs, io};",
            "use std::net::TcpStream;",
            "let now = std::time::SystemTime::now();",
            "use std::time::{Duration, Instant};",
            "let now = jiff::Timestamp::now();",
            "use tokio::sync::Mutex;",
            "use axum::Json;",
        ] {
            assert!(!faults_of("svm/model.rs", text).is_empty(), "{text}");
            assert_eq!(faults_of("http/mod.rs", text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(
            faults_of("event/time.rs", "use std::time::Duration; use std::io::Read;"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn finds_dashmap_outside_the_store() {
        assert_eq!(faults_of("engine/mod.rs", "use dashmap::DashMap;").len(), 1);
        assert_eq!(faults_of("store.rs", "use dashmap::DashMap;"), Vec::<String>::new());
    }

    #[test]
    fn finds_a_module_without_a_place() {
        assert_eq!(faults_of("utilities.rs", "fn f() {}").len(), 1);
    }

    #[test]
    fn finds_long_files_and_stale_entries() {
        let line = "fn f() {}\n";
        let long = (PathBuf::from("engine/mod.rs"), line.repeat(MAX_LINES + 1));
        let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", line.repeat(MAX_LINES), line.repeat(300));
        let short = (PathBuf::from("event/mod.rs"), tests);
        let sources = [long, short];
        assert_eq!(file_length_faults(&sources, &[]).len(), 1);
        assert_eq!(file_length_faults(&sources, &[("engine/mod.rs", "one story")]), Vec::<String>::new());
        let stale = [("engine/mod.rs", "one story"), ("event/mod.rs", "no longer")];
        assert_eq!(file_length_faults(&sources, &stale).len(), 1);
    }
}
