//! Whole numbers of documents. One that its type cannot hold is refused in the words of a check of its range.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Reads a whole number. One beyond the type `T` is said to be beyond `LEAST..=MOST`; whether one that the type holds is within is for
/// [`Document::check`](super::Document::check), which knows its path.
pub(super) fn whole<'de, D, T, const LEAST: i64, const MOST: i64>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i128>,
{
    deserializer.deserialize_any(Whole::<T, LEAST, MOST>(PhantomData))
}

/// The same of a key that may be absent, and has no number then.
pub(super) fn some_whole<'de, D, T, const LEAST: i64, const MOST: i64>(
    deserializer: D,
) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i128>,
{
    let read = Option::<Within<T, LEAST, MOST>>::deserialize(deserializer)?;
    Ok(read.map(|Within(number)| number))
}

/// A number that [`whole`] reads.
struct Within<T, const LEAST: i64, const MOST: i64>(T);

impl<'de, T: TryFrom<i128>, const LEAST: i64, const MOST: i64> Deserialize<'de> for Within<T, LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        whole::<D, T, LEAST, MOST>(deserializer).map(Self)
    }
}

struct Whole<T, const LEAST: i64, const MOST: i64>(PhantomData<T>);

impl<T: TryFrom<i128>, const LEAST: i64, const MOST: i64> Visitor<'_> for Whole<T, LEAST, MOST> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {LEAST} to {MOST}")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_i128(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_i128(number.into())
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<T, E> {
        let out_of_range =
            || E::custom(format_args!("{number} is out of range; it must be from {LEAST} to {MOST}"));
        T::try_from(number).map_err(|_| out_of_range())
    }
}
