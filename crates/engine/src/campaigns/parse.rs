//! Reading `campaigns.toml`: what is wrong with it is said with its key and its line.

use upbeat_core::campaign::{self, Document};
use upbeat_core::excerpt::bounded_message;

/// The longest document, in bytes.
pub const MAX_BYTES: usize = 256 << 10;

/// What a threshold may be.
const THRESHOLDS: &str = r#"give one of "profit", { probability = 0.2 } and { score = 0.0 }"#;

/// Where a document of campaigns is wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{path}: {reason}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct Invalid {
    /// The key, as in `campaign[2].daily_budget`, counted from 0.
    pub path: String,
    /// The line of the text, counted from 1; `None` where it cannot be told.
    pub line: Option<usize>,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl From<campaign::Invalid> for Invalid {
    fn from(invalid: campaign::Invalid) -> Self {
        Self { path: invalid.path, line: None, reason: invalid.reason }
    }
}

impl Invalid {
    /// What is wrong with a key of this text.
    #[must_use]
    pub fn within(invalid: campaign::Invalid, toml: &str) -> Self {
        let line = line_of(toml, &invalid.path);
        Self { line, ..Self::from(invalid) }
    }
}

/// Reads and checks a document.
///
/// # Errors
/// It is not TOML, empty, or longer than [`MAX_BYTES`]; a key is unknown or has a wrong value, or two do not fit together.
pub fn parse(toml: &str) -> Result<Document, Invalid> {
    if toml.len() > MAX_BYTES {
        let reason = format!("has {} bytes; at most {MAX_BYTES} are read", toml.len());
        return Err(Invalid { path: "the document".to_owned(), line: None, reason });
    }
    // What an editor or a shell leaves for a moment, and what a client sends that did not find its file.
    if toml.parse::<toml::Table>().is_ok_and(|table| table.is_empty()) {
        let reason = "is empty; where no campaign is to run, write: campaign = []".to_owned();
        return Err(Invalid { path: "the document".to_owned(), line: Some(1), reason });
    }
    let document = read(toml)?;
    document.check().map_err(|invalid| Invalid::within(invalid, toml))?;
    Ok(document)
}

/// Reads a document that was checked before.
pub(super) fn read(toml: &str) -> Result<Document, Invalid> {
    toml::from_str(toml).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + toml.as_bytes().iter().take(start).filter(|byte| **byte == b'\n').count();
        let path = path_at(toml, line);
        Invalid { reason: reason(&path, error.message()), path, line: Some(line) }
    })
}

/// What TOML's reader says of a key, in the words of a document.
fn reason(path: &str, message: &str) -> String {
    let wants_list = message == "invalid type: map, expected a sequence";
    match path {
        // The table of upbeat.toml has this name.
        "campaign" | "cap" if wants_list => {
            format!("there may be several; write [[{path}]], in double brackets, above the keys of each")
        }
        _ if wants_list => "it is a table; write a list of them, in [ ]".to_owned(),
        // Of all keys a threshold alone is one of several tables; its name says more than how many elements were found.
        _ if path.ends_with(".threshold") && message.starts_with("wanted ") => THRESHOLDS.to_owned(),
        _ if message == "wanted string or table" => "write it in quotes".to_owned(),
        _ => {
            let words =
                [("expected f64", "expected a number"), ("expected a sequence", "expected a list, in [ ]")];
            let said = words.iter().fold(message.to_owned(), |said, (of, word)| said.replace(of, word));
            bounded_message(said)
        }
    }
}

/// The longest path that is said whole, in characters: longer than any of a good document.
const MAX_PATH: usize = 120;

/// A path, cut where it is no path of a document anyway.
fn bounded_path(path: String) -> String {
    match path.char_indices().nth(MAX_PATH) {
        None => path,
        Some((end, _)) => format!("{}… ({} bytes, cut)", &path[..end], path.len()),
    }
}

/// The keys of a text by its lines: the path of each key and table that begins a line. Arrays of several lines have no keys of
/// their own, so a look at each line's beginning suffices.
fn paths(toml: &str) -> impl Iterator<Item = (usize, String)> {
    let (mut table, mut campaigns, mut caps, mut own_caps) = (String::new(), 0, 0, 0);
    toml.lines().enumerate().filter_map(move |(index, line)| {
        let text = line.trim_start();
        let header = |open: &str, close: &str| {
            let inner = text.strip_prefix(open)?.split_once(close)?.0;
            Some(inner.trim().to_owned())
        };
        let path = if let Some(name) = header("[[", "]]") {
            let (name, count) = match (name.as_str(), usize::checked_sub(campaigns, 1)) {
                ("campaign", _) => {
                    own_caps = 0;
                    (name, &mut campaigns)
                }
                ("cap", _) => (name, &mut caps),
                ("campaign.caps", Some(last)) => (format!("campaign[{last}].caps"), &mut own_caps),
                _ => return Some((index + 1, name)),
            };
            table = format!("{name}[{count}]");
            *count += 1;
            table.clone()
        } else if let Some(name) = header("[", "]").filter(|name| !name.contains(['"', '{', ',', '['])) {
            let last = usize::checked_sub(campaigns, 1).map(|last| format!("campaign[{last}]"));
            table = match (name.strip_prefix("campaign"), last) {
                (Some(rest), Some(campaign)) => format!("{campaign}{rest}"),
                _ => name,
            };
            table.clone()
        } else {
            let (key, _) = text.split_once('=')?;
            let key = key.trim();
            let is_key = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
            if key.is_empty() || !key.chars().all(is_key) {
                return None;
            }
            if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
        };
        Some((index + 1, path))
    })
}

/// The path of what is written in this line, counted from 1.
fn path_at(toml: &str, line: usize) -> String {
    let before = paths(toml).take_while(|(of, _)| *of <= line).last();
    before.map_or_else(|| "the document".to_owned(), |(_, path)| bounded_path(path))
}

/// The line of a key, or of the table or array that it is in.
fn line_of(toml: &str, path: &str) -> Option<usize> {
    let is_above =
        |of: &str| path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    let above = paths(toml).filter(|(_, of)| is_above(of));
    // The longest is the nearest.
    above.max_by_key(|(_, of)| of.len()).map(|(line, _)| line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "currency = \"USD\"\n\n[[campaign]]\nid = \"one\"\nad = \"A\"\n\n[[campaign]]\nid = \"two\"\nad = \"B\"\n\
                       caps = [\n  { impressions = 1, hours = 24 },\n]\n";

    fn refused(toml: &str) -> (String, Option<usize>, String) {
        let Invalid { path, line, reason } = parse(toml).expect_err(toml);
        (path, line, reason)
    }

    #[test]
    fn document_is_read_and_each_error_names_its_key_and_line() {
        let document = parse(TWO).expect("two campaigns");
        assert_eq!(document.campaign.len(), 2);
        assert_eq!(parse("campaign = []").expect("no campaigns").campaign.len(), 0);
        for empty in ["", " \n\t", "# gone\n"] {
            assert!(parse(empty).expect_err("nothing is there").reason.contains("campaign = []"));
        }
        let cases = [
            ("\"two\"", "\"one\"", "campaign[1].id", 8),
            ("ad = \"B\"", "colour = \"B\"", "campaign[1].colour", 9),
            ("ad = \"B\"", "ad = \"B\"\nimpression_cost = -1", "campaign[1].impression_cost", 10),
            ("impressions = 1", "impressions = 0", "campaign[1].caps[0].impressions", 10),
            ("\"USD\"", "\"dollars\"", "currency", 1),
            ("\"USD\"", "USD", "currency", 1),
        ];
        for (from, to, path, line) in cases {
            let (found, at, reason) = refused(&TWO.replace(from, to));
            assert_eq!((found.as_str(), at), (path, Some(line)), "{to}: {reason}");
            assert!(!reason.is_empty());
        }
    }

    #[test]
    fn document_that_is_too_long_is_refused_before_it_is_read() {
        assert!(refused(&"#".repeat(MAX_BYTES + 1)).2.contains("at most"));
    }
}
