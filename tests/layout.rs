//! The rules of the layout that Cargo cannot check: which crates may depend on which, no I/O and no clock in the inner
//! crates, the length of files, and the words that CONTRIBUTING.md retires.

use std::fs;
use std::path::{Path, PathBuf};

/// Each crate, and the crates of this workspace that it may depend on. Dev-dependencies are free.
const ARROWS: &[(&str, &[&str])] = &[
    ("svm", &[]),
    ("simulate", &[]),
    ("journal", &[]),
    ("core", &["svm"]),
    ("ingest", &["core"]),
    ("engine", &["core", "svm", "journal"]),
    ("client", &["core", "ingest"]),
    ("closed-loop", &["client", "core", "simulate"]),
    ("batch", &["ingest", "core", "svm"]),
    ("learn", &["core", "svm", "ingest", "engine"]),
    ("server", &["core", "svm", "ingest", "engine", "journal", "learn"]),
];

/// Crates of plain values and functions, and the names of I/O and clocks that they must not use.
const INNER: &[&str] = &["core", "svm"];
#[rustfmt::skip]
const OUTSIDE: &[&str] = &[
    "std::fs", "std::net", "std::process", "Instant", "SystemTime", "Timestamp::now", "Zoned::now", "tokio", "hyper", "axum",
];

/// The longest file allowed, in lines, without its inline tests.
const MAX_LINES: usize = 400;

/// Words that no identifier, file name or heading may contain; names that no type may have; beginnings that no function's
/// name may have.
#[rustfmt::skip]
const RETIRED: &[&str] = &[
    "guest", "mail", "patience", "forget_silent", "forgetting", "anew", "give_way", "put_aside", "settle", "parted",
    "last_words", "deaf", "go_on", "both_ways", "short_way", "short_path", "mend",
];
const RETIRED_TYPES: &[&str] = &["How", "What", "Left", "Told"];
const RIDDLES: &[&str] = &["who_", "what_is_", "what_was_"];

/// All files below a path, without build output and downloads, with their paths from the root and their texts.
fn texts(below: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join(below);
    if !path.is_dir() {
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{below}: {error}"));
        return vec![(PathBuf::from(below), String::from_utf8_lossy(&bytes).into_owned())];
    }
    let entries = fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let names = entries.map(|name| name.into_string().expect("a name of text"));
    let skipped = ["target", "node_modules", "build", "seeds", "corpus", "artifacts", "layout.rs"];
    let kept = names.filter(|name| !name.starts_with('.') && !skipped.contains(&name.as_str()));
    kept.flat_map(|name| texts(&format!("{below}/{name}"))).collect()
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    extensions.contains(&path.extension().map_or("", |found| found.to_str().expect("text")))
}

/// The code of a source: whole lines of comment are left out, and so are comments at the end of lines.
fn code(text: &str) -> String {
    let starts = ["//", "#", "/*", "* ", "--"];
    let lines = text.lines().filter(|line| !starts.iter().any(|start| line.trim_start().starts_with(start)));
    lines.map(|line| line.split(" // ").next().unwrap_or(line).to_owned() + "\n").collect()
}

/// A source without its inline test module.
fn without_tests(text: &str) -> &str {
    let begins_module = |line: &str| {
        let declared = line.strip_prefix("pub(crate) ").unwrap_or(line);
        declared.starts_with("mod ") && declared.ends_with('{')
    };
    let mut marks = text.match_indices("#[cfg(test)]\n");
    let inline = marks.find(|(at, mark)| text[at + mark.len()..].lines().next().is_some_and(begins_module));
    inline.map_or(text, |(at, _)| &text[..at])
}

fn identifiers(code: &str) -> Vec<&str> {
    let parts = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    parts.filter(|word| !word.is_empty()).collect()
}

/// Whether code names a path such as `std::fs`, by itself or in a group such as `use std::{fs, io}`.
fn names(code: &str, path: &str) -> bool {
    let words: Vec<&str> = path.split("::").collect();
    let group = format!("{}::{{", words[0]);
    let in_group = |statement: &str| statement.contains(&group) && identifiers(statement).contains(&words[1]);
    identifiers(code).windows(words.len()).any(|window| window == words)
        || (words.len() == 2 && code.split(';').any(in_group))
}

/// Whether an identifier in any case, or a heading, contains a retired word.
fn is_retired(text: &str) -> bool {
    let mut snake = String::from("_");
    for letter in text.chars() {
        if letter.is_uppercase() && snake.ends_with(char::is_lowercase) && text.contains(char::is_lowercase) {
            snake.push('_');
        }
        snake.extend(if letter.is_alphanumeric() { letter } else { '_' }.to_lowercase());
    }
    RETIRED.iter().any(|word| format!("{snake}_").contains(&format!("_{word}_")))
}

/// The retired identifiers, names of types and names of functions in code.
fn retired_in(code: &str) -> Vec<&str> {
    let words = identifiers(code);
    let declared = words.windows(2).filter(|pair| match pair[0] {
        "struct" | "enum" | "trait" | "type" | "class" => RETIRED_TYPES.contains(&pair[1]),
        "fn" | "def" => RIDDLES.iter().any(|start| pair[1].starts_with(start)),
        _ => false,
    });
    let declared = declared.map(|pair| pair[1]);
    words.iter().copied().filter(|word| is_retired(word)).chain(declared).collect()
}

fn retired_headings(markdown: &str) -> Vec<&str> {
    let outside_of_code = markdown.split("```").step_by(2).flat_map(str::lines);
    outside_of_code.filter(|line| line.starts_with('#') && is_retired(line)).collect()
}

/// The crates of this workspace that a manifest depends on, by a scan of its lines.
fn dependencies(manifest: &str) -> Vec<&str> {
    let (mut section, mut found) = ("", Vec::new());
    for line in manifest.lines() {
        let name = match line.trim_end_matches(']').rsplit_once("dependencies.") {
            Some((before, name)) if line.starts_with('[') => Some(name).filter(|_| !before.ends_with("dev-")),
            _ => Some(line).filter(|_| section.ends_with("dependencies]") && !section.contains("dev-")),
        };
        section = if line.starts_with('[') { line } else { section };
        found.extend(name.and_then(|name| identifiers(name.strip_prefix("upbeat-")?).first().copied()));
    }
    found
}

/// The names of a justfile's recipes, by a scan of its lines.
fn recipes(justfile: &str) -> Vec<&str> {
    let heads = justfile.lines().filter(|line| line.starts_with(|letter: char| letter.is_ascii_lowercase()));
    let heads = heads.filter(|line| !line.contains(":="));
    heads.filter_map(|line| line.split_once(':')?.0.split_whitespace().next()).collect()
}

/// The recipes that a text names in backticks, as `just torture`.
fn named_recipes(text: &str) -> Vec<&str> {
    let commands = text.match_indices("`just ").map(|(at, mark)| &text[at + mark.len()..]);
    let words =
        commands.filter_map(|rest| rest.split(|letter: char| letter == '`' || letter.is_whitespace()).next());
    words.filter(|word| !word.starts_with('-')).collect()
}

#[test]
fn recipes_have_names_of_their_own_and_pages_name_only_recipes_that_there_are() {
    let justfile = &texts("justfile")[0].1;
    let recipes = recipes(justfile);
    let mut distinct = recipes.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), recipes.len(), "`just` refuses a name that two recipes have: {recipes:?}");
    let pages = ["docs", "crates", "tests", "src", "benches", "scripts", "fuzz"].map(texts).concat();
    let more = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(texts).concat();
    for (path, text) in pages.iter().chain(&more) {
        for name in named_recipes(text) {
            assert!(distinct.contains(&name), "{}: there is no recipe `{name}`", path.display());
        }
    }
}

#[test]
fn crates_depend_only_on_those_that_the_layout_allows() {
    let manifests = texts("crates").into_iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
    for (path, manifest) in manifests {
        let name = path.iter().nth(1).expect("a crate").to_str().expect("text");
        let crate_and_allowed = ARROWS.iter().find(|(known, _)| *known == name);
        let (_, allowed) = crate_and_allowed.unwrap_or_else(|| panic!("crates/{name} is not in ARROWS"));
        for dependency in dependencies(&manifest) {
            assert!(allowed.contains(&dependency), "crates/{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn sources_are_short_and_inner_crates_have_no_io_and_no_clock() {
    let is_source = |path: &Path| has_extension(path, &["rs"]) && path.iter().any(|part| part == "src");
    for (path, text) in [texts("crates"), texts("src")].concat().iter().filter(|(path, _)| is_source(path)) {
        let product = without_tests(text);
        let lines = product.lines().count();
        assert!(lines <= MAX_LINES, "{}: {lines} lines; usually that is two files", path.display());
        let is_inner = INNER.iter().any(|name| path.starts_with(Path::new("crates").join(name)));
        let is_test = path.to_string_lossy().ends_with("tests.rs") || path.iter().any(|part| part == "tests");
        for name in OUTSIDE.iter().filter(|_| is_inner && !is_test) {
            let named = names(&code(product), name);
            assert!(!named, "{} names {name}; pass the value in instead", path.display());
        }
    }
}

#[test]
fn identifiers_file_names_and_headings_have_no_retired_words() {
    let mut found = Vec::new();
    for (path, text) in ["crates", "src", "tests", "benches", "fuzz", "scripts"].map(texts).concat() {
        if has_extension(&path, &["rs", "py", "ts", "mjs", "c", "h", "lua", "sh"]) || text.starts_with("#!") {
            found.extend(retired_in(&code(&text)).iter().map(|word| format!("{}: {word}", path.display())));
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("text");
            found.extend(is_retired(stem).then(|| path.display().to_string()));
        }
    }
    let pages =
        ["docs", "README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(texts).concat();
    for (path, text) in pages.iter().filter(|(path, _)| has_extension(path, &["md"])) {
        found.extend(retired_headings(text).iter().map(|heading| format!("{}: {heading}", path.display())));
    }
    assert!(found.is_empty(), "retired words:\n{}", found.join("\n"));
}

#[test]
fn scanners_find_planted_faults() {
    assert_eq!(
        dependencies("[dependencies]\nupbeat-core.workspace = true\n[dev-dependencies]\nupbeat-svm = 1"),
        ["core"]
    );
    assert_eq!(
        dependencies("[target.a.dependencies.upbeat-engine]\n[dev-dependencies.upbeat-svm]"),
        ["engine"]
    );
    let justfile = "a := \"b\"\n# c: d\n[private]\ndefault:\n    @just --list\ntorture seeds=\"0..9\": (part seeds)\npart seeds:\n";
    assert_eq!(recipes(justfile), ["default", "torture", "part"]);
    assert_eq!(named_recipes("`just torture 1` and `just --list`, just so"), ["torture"]);
    for (text, path) in
        [("use std::{fs, io};", "std::fs"), ("x = std::net::A", "std::net"), ("Instant::now()", "Instant")]
    {
        assert!(names(text, path) && !names("use std::{io, fmt}; fn filesystem() {}", path), "{path}");
    }
    for planted in
        ["fn made_anew() {}", "const PATIENCE: u8", "struct PutAside;", "enum What {", "fn who_asks() {}"]
    {
        assert_eq!(retired_in(&code(planted)).len(), 1, "{planted}");
    }
    assert!(retired_in(&code("fn mending() {} // mend\nlet how = settled; struct Mailbox;")).is_empty());
    for (text, product) in [
        ("a\n#[cfg(test)]\nmod tests {\nb", "a\n"),
        ("a\n#[cfg(test)]\npub(crate) mod tests {\nb", "a\n"),
        ("a\n#[cfg(test)]\nmod tests;\nb", "a\n#[cfg(test)]\nmod tests;\nb"),
    ] {
        assert_eq!(without_tests(text), product);
    }
    assert_eq!(retired_headings("# Both ways\n```\n# mend\n```\nmend"), ["# Both ways"]);
}
