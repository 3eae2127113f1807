//! The keys that environment variables set.

use std::collections::BTreeMap;

use super::{Config, ENV_PREFIX};

/// A key that an environment variable can set.
pub(super) struct Key {
    pub(super) path: Vec<String>,
    is_text: bool,
}

impl Key {
    /// The value of a variable: text for a key of text, otherwise parsed as TOML, so that the type is checked
    /// afterwards.
    pub(super) fn value(&self, text: &str) -> toml::Value {
        let as_text = || toml::Value::String(text.to_owned());
        if self.is_text {
            return as_text();
        }
        let read: Result<BTreeMap<String, toml::Value>, _> = toml::from_str(&format!("value = {text}"));
        read.ok().and_then(|mut table| table.remove("value")).unwrap_or_else(as_text)
    }
}

/// Every key, by the environment variable that sets it.
pub(super) fn environment_keys() -> BTreeMap<String, Key> {
    fn walk(table: &toml::Table, path: &mut Vec<String>, keys: &mut BTreeMap<String, Key>) {
        for (name, value) in table {
            path.push(name.clone());
            if let toml::Value::Table(inner) = value {
                walk(inner, path, keys);
            } else {
                let variable = format!("{ENV_PREFIX}{}", path.join("_").to_uppercase());
                keys.insert(variable, Key { path: path.clone(), is_text: value.is_str() });
            }
            path.pop();
        }
    }
    let mut keys = BTreeMap::new();
    let table = toml::Table::try_from(Config::default()).expect("the defaults can be written as TOML");
    walk(&table, &mut Vec::new(), &mut keys);
    keys
}

/// Sets the value at a path of keys.
pub(super) fn set(table: &mut toml::Table, path: &[String], value: toml::Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [section, rest @ ..] => {
            let inner = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}
