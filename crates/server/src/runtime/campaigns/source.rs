//! Where the campaigns of a start or a reload come from: the file of campaigns, or the `[campaign]` table.

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use upbeat_core::campaign::{Document, Money, Single};
use upbeat_engine::campaigns::{Invalid, MAX_BYTES, parse};

use crate::config::Config;
use crate::runtime::ordinary_file::{is_there, read_at_most};

/// The file of campaigns beside the configuration.
const FILE_NAME: &str = "campaigns.toml";

/// How a document begins that the `[campaign]` table gives.
const OF_TABLE: &str = "# From the [campaign] table of upbeat.toml.";

/// The models of campaigns, beside the file of campaigns.
const MODELS: &str = "models";

/// Why no campaigns are taken.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be read.
    #[error("campaigns {}: cannot be read: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// Something is wrong with the document.
    #[error("campaigns {name}: {invalid}")]
    Invalid {
        /// The document's name in messages.
        name: String,
        /// What is wrong, and where.
        invalid: Invalid,
    },
    /// Two places say what the campaigns are.
    #[error(
        "campaigns {}: the configuration has a [campaign] table as well, and one of the two has to be left out: move what the table says \
         into the file, and remove the table", .0.display()
    )]
    Both(PathBuf),
}

/// A document of campaigns that somebody wrote into a file.
#[derive(Debug)]
pub(crate) struct Source {
    /// The text.
    pub(crate) toml: String,
    /// What it says.
    pub(crate) document: Document,
    /// Its name in messages.
    pub(crate) name: String,
    /// Whether nobody wrote it: there is no file, and no table.
    pub(crate) is_default: bool,
}

impl Source {
    /// Reads the file of campaigns; where there is none, what the `[campaign]` table says.
    ///
    /// # Errors
    /// The file cannot be read, or says something wrong.
    pub(crate) fn read(config: &Config) -> Result<Self, SourceError> {
        let has_table = config.campaign != Single::default();
        let Some(path) = file(config) else {
            let source = Self::new(text_of(&config.campaign), "of the [campaign] table".to_owned())?;
            return Ok(Self { is_default: !has_table, ..source });
        };
        if has_table {
            return Err(SourceError::Both(path));
        }
        let toml = read(&path).map_err(|error| SourceError::Io { path: path.clone(), error })?;
        Self::new(toml, path.display().to_string())
    }

    fn new(toml: String, name: String) -> Result<Self, SourceError> {
        match parse(&toml) {
            Ok(document) => Ok(Self { toml, document, name, is_default: false }),
            Err(invalid) => Err(SourceError::Invalid { name, invalid }),
        }
    }
}

/// The file of campaigns: the one that is named, else the one beside the configuration if it is there.
fn file(config: &Config) -> Option<PathBuf> {
    if !config.campaigns.as_os_str().is_empty() {
        return Some(config.campaigns.clone());
    }
    config.directory.as_ref().map(|directory| directory.join(FILE_NAME)).filter(|path| is_there(path))
}

/// Whether a document is one that the `[campaign]` table gave.
pub(super) fn is_of_table(toml: &str) -> bool {
    toml.starts_with(OF_TABLE)
}

/// The directory of the models that campaigns name; `None` where there is neither a configuration nor a file of campaigns.
pub(super) fn models(config: &Config) -> Option<PathBuf> {
    let named = config.campaigns.parent().filter(|_| !config.campaigns.as_os_str().is_empty());
    named.or(config.directory.as_deref()).map(|directory| directory.join(MODELS))
}

/// Reads a text of a document's length at most; a longer one is refused when it is parsed.
fn read(path: &Path) -> io::Result<String> {
    let bytes = read_at_most(path, MAX_BYTES as u64 + 1)?;
    // A text that is too long may end within a character.
    if bytes.len() > MAX_BYTES {
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

/// The `[campaign]` table as a document. A version is made when this text changes, so it must never change of itself.
pub(super) fn text_of(table: &Single) -> String {
    let Single { id, ad, audience, min_plays, threshold, cap, impression_cost, click_value } = table;
    let audience: Vec<_> = audience.iter().map(|level| format!("{:?}", level.name())).collect();
    let mut text = format!("{OF_TABLE}\n[[campaign]]\n");
    // Writing to a text does not fail.
    let _ = write!(
        text,
        "id = \"{id}\"\nad = \"{ad}\"\naudience = [{}]\nmin_plays = {min_plays}\nthreshold = {{ score = {threshold:?} }}\n\
         caps = [{{ impressions = {}, hours = {} }}]\nimpression_cost = {}\nclick_value = {}\n",
        audience.join(", "),
        cap.impressions,
        cap.hours,
        Money::nearest(*impression_cost),
        Money::nearest(*click_value),
    );
    text
}

#[cfg(test)]
mod tests {
    use upbeat_core::campaign::Cap;
    use upbeat_core::event::{Id, Membership};

    use super::*;

    #[test]
    fn text_of_the_table_says_what_the_table_says_and_never_changes() {
        let default = text_of(&Single::default());
        assert_eq!(
            default,
            "# From the [campaign] table of upbeat.toml.\n[[campaign]]\nid = \"gold-one-day\"\nad = \"ADV_REDUCED_1DAY\"\n\
             audience = [\"free\", \"silver\"]\nmin_plays = 10\nthreshold = { score = 0.0 }\n\
             caps = [{ impressions = 1, hours = 24 }]\nimpression_cost = 0.02\nclick_value = 0.5\n"
        );
        let other = Single {
            id: Id::Number(7),
            ad: Id::Text("a:1".into()),
            audience: vec![Membership::Gold],
            min_plays: 300,
            threshold: -1e-9,
            cap: Cap { impressions: 64, hours: 8760 },
            impression_cost: 1e9,
            click_value: 0.000_001,
        };
        for table in [Single::default(), other] {
            assert_eq!(parse(&text_of(&table)).expect("a document"), table.document());
        }
    }

    #[test]
    fn file_beside_the_configuration_is_taken_and_a_named_one_before_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let named = folder.path().join("named.toml");
        let mut config = Config { directory: Some(folder.path().to_owned()), ..Config::default() };
        assert_eq!(Source::read(&config).expect("the table").name, "of the [campaign] table");
        std::fs::write(folder.path().join(FILE_NAME), "campaign = []").expect("a file");
        assert!(Source::read(&config).expect("the file").name.ends_with(FILE_NAME));
        config.campaign.min_plays = 3;
        assert!(matches!(Source::read(&config), Err(SourceError::Both(_))));
        config.campaign = Single::default();
        config.campaigns.clone_from(&named);
        assert!(matches!(Source::read(&config), Err(SourceError::Io { .. })), "a named one must be there");
        std::fs::write(&named, "holdout_all = 5").expect("a file");
        let refused = Source::read(&config).expect_err("five is no share").to_string();
        assert!(refused.contains("named.toml") && refused.contains("line 1"), "{refused}");
        std::fs::write(&named, [0xff]).expect("a file");
        assert!(Source::read(&config).expect_err("no text").to_string().contains("UTF-8"));
    }
}
