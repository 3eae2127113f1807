//! Numbers of a JSON file, exactly as written.
//!
//! `serde_json` parses fast and may be off in the last digit (its feature `float_roundtrip` applies to
//! the whole program, and is slower). A model read back must score as it did, bit by bit, so its numbers go
//! through the standard library, which rounds correctly.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::data::rows::{finite, shorten};

fn parse<E: Error>(raw: &RawValue) -> Result<f64, E> {
    let text = raw.get();
    finite(text).ok_or_else(|| E::custom(format!("`{}` is not a finite number", shorten(text))))
}

/// A number.
pub(crate) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    parse(<&RawValue>::deserialize(from)?)
}

/// A number or null.
pub(crate) fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Option::<&RawValue>::deserialize(from)?.map(parse).transpose()
}

/// A list of numbers.
pub(crate) fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    Vec::<Number>::deserialize(from).map(|list| list.into_iter().map(|number| number.0).collect())
}

/// A list of numbers or null.
pub(crate) fn optional_numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<f64>>, D::Error> {
    let list = Option::<Vec<Number>>::deserialize(from)?;
    Ok(list.map(|list| list.into_iter().map(|number| number.0).collect()))
}

/// A number of a model file, exactly as written.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Number(pub f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        number(from).map(Self)
    }
}
