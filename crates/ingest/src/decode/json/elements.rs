//! The elements of a JSON array, in memory that its length bounds.

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Malformed;

/// No event is as short as this many bytes. An array of shorter elements on the whole is not kept as a list, which could take
/// sixteen times its length.
const SHORTEST_EVENT_BYTES: usize = 64;

/// The elements of the array that `body` is, read as JSON but not yet as events.
///
/// # Errors
/// The body is not an array, or somewhere not JSON.
pub(in super::super) fn elements(body: &str) -> Result<impl Iterator<Item = &str>, Malformed> {
    let list = |error| Malformed(format!("the body is not a JSON array: {error}"));
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let most = body.len() / SHORTEST_EVENT_BYTES;
    let elements = deserializer.deserialize_seq(Elements { most }).and_then(|elements| {
        deserializer.end()?;
        Ok(elements)
    });
    let (kept, scanned) = match elements.map_err(list)? {
        Some(elements) => (elements, None),
        None => (Vec::new(), body.trim_ascii_start().strip_prefix('[').map(|rest| Scan { rest })),
    };
    Ok(kept.into_iter().map(RawValue::get).chain(scanned.into_iter().flatten()))
}

/// Reads an array to its end, and keeps its elements if there are at most so many.
struct Elements {
    most: usize,
}

impl<'de> Visitor<'de> for Elements {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(element) = elements.next_element()? {
            if kept.len() == self.most {
                drop(kept);
                while elements.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(None);
            }
            kept.push(element);
        }
        Ok(Some(kept))
    }
}

/// Finds one element after another behind the bracket of an array that was read as JSON before.
struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Scan<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n', ',']);
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let element = stream.next()?.ok()?;
        self.rest = &rest[stream.byte_offset()..];
        Some(element.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_the_same_whether_kept_or_scanned() {
        let one = r#" {"a": [1, "x]"]} , 7 ,null,"b,c" ,[ ] , -1.5e3"#;
        for body in
            ["[]".to_owned(), " [ ] ".to_owned(), format!("[{one}]"), format!(" [{one},{one}\n,{one}] ")]
        {
            let wanted: Vec<&RawValue> = serde_json::from_str(&body).expect("JSON");
            let read = Vec::from_iter(elements(&body).expect("an array"));
            assert_eq!(read, wanted.iter().map(|element| element.get()).collect::<Vec<_>>(), "{body}");
            let padded = format!("{body}{}", " ".repeat(10_000));
            assert_eq!(Vec::from_iter(elements(&padded).expect("an array")), read, "{body}");
        }
        for body in ["", "[", "{}", "[1,]", "[1 2]", "[1]]", "[1],", "7"] {
            for body in [body.to_owned(), format!("{body}{}", " ".repeat(10_000))] {
                assert!(elements(&body).is_err(), "{body}");
                assert!(serde_json::from_str::<Vec<&RawValue>>(&body).is_err(), "{body}");
            }
        }
    }
}
