//! The caller's own part of a model file.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Most bytes of JSON text that a model file may carry for its caller.
pub(crate) const MAX_METADATA_BYTES: usize = 4 << 10;

/// A JSON value that a model carries for its caller: how the rows were made, say. The crate never interprets it and
/// keeps its text byte for byte, so that a model that is read and written again has the same bytes.
///
/// At most 4 KiB; [`Model::new`](crate::Model::new) refuses more.
///
/// ```
/// use upbeat_svm::Metadata;
///
/// let metadata = Metadata::new(&["last 30 days", "phone only"]);
/// assert_eq!(metadata.as_str(), r#"["last 30 days","phone only"]"#);
/// let back: Vec<String> = metadata.read()?;
/// assert_eq!(back[1], "phone only");
/// assert_eq!(Metadata::default().as_str(), "null");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(Box<RawValue>);

impl Metadata {
    /// The JSON of a value.
    ///
    /// # Panics
    /// When the value has no form in JSON: a map with keys that are not text, or a `Serialize` that fails.
    pub fn new(value: &impl Serialize) -> Self {
        let raw = serde_json::value::to_raw_value(value);
        Self(raw.expect("a value with text keys always serialises"))
    }

    /// The value read back.
    ///
    /// # Errors
    /// The text is JSON, but not of a `T`; [`serde_json::Error`] says where.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The fields with plain values of an object, in the order of its text: text without quotes, numbers as written,
    /// `true` and `false`. Nothing for any other value.
    pub(crate) fn scalars(&self) -> Vec<(String, String)> {
        let Ok(Fields(fields)) = self.read() else { return Vec::new() };
        let scalar = |(key, value): (String, Box<RawValue>)| {
            let text = value.get();
            match text.as_bytes().first()? {
                b'"' => Some((key, serde_json::from_str(text).ok()?)),
                b'{' | b'[' | b'n' => None,
                _ => Some((key, text.to_owned())),
            }
        };
        fields.into_iter().filter_map(scalar).collect()
    }
}

impl Default for Metadata {
    /// JSON's `null`.
    fn default() -> Self {
        Self::new(&())
    }
}

impl PartialEq for Metadata {
    /// Whether the texts are the same; `{"a":1}` and `{ "a": 1 }` are not.
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Metadata {}

/// An object's fields in the order of its text, the first of equal keys.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if fields.iter().all(|(known, _)| *known != key) {
                        fields.push((key, value));
                    }
                }
                Ok(Fields(fields))
            }
        }

        from.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_keeps_its_text_byte_for_byte() {
        let text = "{ \"plays\" : 256.0,\"ünit\":\"\\u00e9\" }";
        let metadata: Metadata = serde_json::from_str(text).unwrap();
        assert_eq!(metadata.as_str(), text);
        assert_eq!(serde_json::to_string(&metadata).unwrap(), text);
        assert_eq!(metadata, metadata.clone());
        assert_ne!(metadata, serde_json::from_str(&text.replace(" ", "")).unwrap());
    }

    #[test]
    fn scalars_come_in_the_order_of_the_text() {
        let pairs = |text: &str| serde_json::from_str::<Metadata>(text).unwrap().scalars();
        let fields = pairs(r#"{"z":1.50,"a":"x\"y","l":[1],"o":{},"n":null,"t":true,"z":2}"#);
        let wanted = [("z", "1.50"), ("a", "x\"y"), ("t", "true")];
        assert_eq!(fields, wanted.map(|(key, value)| (key.to_owned(), value.to_owned())));
        for text in ["null", "[1]", "\"text\"", "3"] {
            assert!(pairs(text).is_empty());
        }
    }
}
