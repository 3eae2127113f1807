//! Amounts of money, shares of customers and rates of coins: integers, so that nothing is lost in sums and comparisons.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};

/// The most money that a document may name, in whole units of its currency.
pub const MAX_MONEY: i64 = 1_000_000_000;

/// Micro-units in one unit of a currency.
const MICRO: i64 = 1_000_000;

/// An amount of money in millionths of a unit of its currency.
///
/// In documents it is a decimal number, as in `0.02`, of at most six decimals. [`Document::check`](super::Document::check)
/// refuses negative ones and those above [`MAX_MONEY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of `micro` millionths.
    #[must_use]
    pub fn from_micro(micro: i64) -> Self {
        Self(micro)
    }

    /// The amount in millionths.
    #[must_use]
    pub fn micro(self) -> i64 {
        self.0
    }

    /// The amount nearest to a number of units, for configurations that allow more than six decimals.
    #[must_use]
    pub fn nearest(units: f64) -> Self {
        Self((units * MICRO as f64).round() as i64)
    }

    /// Reads a decimal number of at most six decimals, without an exponent, as in `-12.5`.
    ///
    /// # Errors
    /// A sentence: it is not such a number, or too large for the type.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || format!("{text} is not an amount of money; write a decimal number, as in 0.02");
        let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, decimals) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(decimals) {
            return Err(form());
        }
        let decimals = decimals.trim_end_matches('0');
        if decimals.len() > 6 {
            return Err(format!(
                "{text} has {} decimals; money has at most 6, so the least amount is 0.000001",
                decimals.len()
            ));
        }
        let micro = format!("{whole}{decimals:0<6}").parse::<i64>();
        let micro = micro.map_err(|_| format!("{text} is too large; at most {MAX_MONEY} is allowed"))?;
        Ok(Self(if negative { -micro } else { micro }))
    }
}

/// As documents write it: `0.02`, `100`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, micro) = (self.0.unsigned_abs() / MICRO as u64, self.0.unsigned_abs() % MICRO as u64);
        let decimals = format!("{micro:06}");
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{sign}{whole}"),
            decimals => write!(f, "{sign}{whole}.{decimals}"),
        }
    }
}

/// As a number, in whole units where there are no decimals.
impl serde::Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % MICRO == 0 {
            return serializer.serialize_i64(self.0 / MICRO);
        }
        // The number nearest to the decimal text: up to 10^9 units its shortest text is that text again.
        match self.to_string().parse::<f64>() {
            Ok(number) => serializer.serialize_f64(number),
            Err(error) => Err(serde::ser::Error::custom(error)),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Decimal;

        impl Visitor<'_> for Decimal {
            type Value = Money;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of money: a decimal number, as in 0.02")
            }

            fn visit_i64<E: Error>(self, units: i64) -> Result<Money, E> {
                let micro = units.checked_mul(MICRO);
                micro.map(Money).ok_or_else(|| {
                    E::custom(format_args!("{units} is too large; at most {MAX_MONEY} is allowed"))
                })
            }

            fn visit_u64<E: Error>(self, units: u64) -> Result<Money, E> {
                let signed =
                    i64::try_from(units).map_err(|_| E::invalid_value(Unexpected::Unsigned(units), &self))?;
                self.visit_i64(signed)
            }

            /// The shortest text that reads back as this number is what was written, up to 15 digits, which is what
            /// amounts within bounds have.
            fn visit_f64<E: Error>(self, units: f64) -> Result<Money, E> {
                if !units.is_finite() {
                    return Err(E::invalid_value(Unexpected::Float(units), &self));
                }
                Money::parse(&units.to_string()).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Decimal)
    }
}

/// A share of all customers, or of all tosses, as a count of 2^64 equally likely hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Share(u64);

impl Share {
    /// The share of so many of 2^64 hashes; the highest count is all.
    #[must_use]
    pub const fn of_count(count: u64) -> Self {
        Self(count)
    }

    /// None.
    pub const NONE: Self = Self(0);
    /// All: the highest count, which no other share rounds to.
    pub const ALL: Self = Self(u64::MAX);

    /// The share nearest to a number `0.0..=1.0`; a number outside is taken as the nearer end.
    #[must_use]
    pub fn of(share: f64) -> Self {
        // The conversion saturates: 1 becomes the highest count, and the number before it is 2^11 lower.
        Self((share * TWO_TO_64) as u64)
    }

    /// Whether this hash, one of 2^64 equally likely ones, is in the share.
    #[must_use]
    pub fn takes(self, hash: u64) -> bool {
        hash < self.0 || self == Self::ALL
    }

    /// The share as a number `0.0..=1.0`.
    #[must_use]
    pub fn value(self) -> f64 {
        if self == Self::ALL { 1.0 } else { self.0 as f64 / TWO_TO_64 }
    }

    /// How many of 2^64 hashes it has; [`Share::ALL`] has one more.
    #[must_use]
    pub fn count(self) -> u64 {
        self.0
    }
}

const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// The probability of a pacing coin in 65,535ths: exact, and in two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub u16);

impl Rate {
    /// The coin never falls.
    pub const NEVER: Self = Self(0);
    /// The coin always falls.
    pub const ALWAYS: Self = Self(u16::MAX);

    /// The rate nearest to a number `0.0..=1.0`; a number outside is taken as the nearer end.
    #[must_use]
    pub fn of(probability: f64) -> Self {
        Self((probability * f64::from(u16::MAX)).round() as u16)
    }

    /// The probability, `0.0..=1.0`.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / f64::from(u16::MAX)
    }

    /// Whether the coin of this hash falls. `hash` is called only where the rate leaves it open.
    #[inline]
    pub fn falls(self, hash: impl FnOnce() -> u64) -> bool {
        match self {
            Self::ALWAYS => true,
            Self::NEVER => false,
            Self(rate) => hash() % u64::from(u16::MAX) < u64::from(rate),
        }
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self::ALWAYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_exactly_and_written_as_read() {
        for (text, micro) in [
            ("0", 0),
            ("0.1", 100_000),
            ("0.02", 20_000),
            ("0.000001", 1),
            ("0.3", 300_000),
            ("123.45", 123_450_000),
            ("999999999.999999", 999_999_999_999_999),
            ("1000000000", 1_000_000_000_000_000),
            ("-0.5", -500_000),
        ] {
            let number: serde_json::Value = serde_json::from_str(text).expect(text);
            let money: Money = serde_json::from_value(number).expect(text);
            assert_eq!((money.micro(), money.to_string()), (micro, text.to_owned()));
        }
    }

    #[test]
    fn every_amount_survives_being_written_and_read() {
        let amounts = (0..40_000).map(|step| step * 24_999_999_983 + 1);
        for micro in amounts.chain(0..10_000).chain(MAX_MONEY * MICRO - 5_000..=MAX_MONEY * MICRO) {
            let money = Money::from_micro(micro);
            let text = serde_json::to_string(&money).expect("a number");
            assert_eq!(serde_json::from_str::<Money>(&text).expect("money"), money, "{text}");
            assert_eq!(Money::parse(&money.to_string()), Ok(money));
        }
    }

    #[test]
    fn amount_that_would_be_rounded_or_is_none_is_refused() {
        for (text, said) in [
            ("5e-7", "0.0000005 has 7 decimals; money has at most 6"),
            ("0.1234567", "has 7 decimals"),
            ("1e300", "too large"),
            ("10000000000000000", "too large"),
            ("\"5\"", "an amount of money: a decimal number"),
            ("true", "an amount of money"),
        ] {
            let error = serde_json::from_str::<Money>(text).expect_err(text).to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(Money::parse("").is_err() && Money::parse(".5").is_err() && Money::parse("1,5").is_err());
    }

    #[test]
    fn shares_are_exact_counts_of_hashes() {
        assert_eq!(Share::of(0.5).count(), 1 << 63);
        assert_eq!(Share::of(0.25).count(), 1 << 62);
        assert_eq!((Share::of(0.0), Share::of(1.0)), (Share::NONE, Share::ALL));
        assert!(Share::ALL.takes(u64::MAX) && !Share::NONE.takes(0));
        let half = Share::of(0.5);
        assert!(half.takes((1 << 63) - 1) && !half.takes(1 << 63));
        let nearly = Share::of(1.0_f64.next_down());
        assert!(nearly < Share::ALL && !nearly.takes(u64::MAX));
        for share in [0.0, 0.05, 0.1, 0.5, 1.0] {
            assert_eq!(Share::of(share).value(), share);
        }
    }

    #[test]
    fn rates_are_exact_65535ths() {
        assert_eq!((Rate::of(1.0), Rate::of(0.0)), (Rate::ALWAYS, Rate::NEVER));
        assert_eq!(Rate::of(0.5).0, 32_768);
        for rate in [0, 1, 77, 32_768, 65_534, 65_535] {
            let falling = (0..65_535).filter(|hash| Rate(rate).falls(|| *hash)).count();
            assert_eq!(falling, usize::from(rate));
            assert_eq!(Rate::of(Rate(rate).value()), Rate(rate));
        }
    }
}
