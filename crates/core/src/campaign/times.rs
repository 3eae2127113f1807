//! The times of documents: lengths, local times without an offset, hours of the day and weekdays.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;

use crate::excerpt::Excerpt;

/// Minutes in a day of 24 hours.
pub(super) const DAY_MINUTES: u16 = 24 * 60;

/// A length of time in whole seconds, written as a whole number and a unit: `90s`, `30m`, `72h`, `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    seconds: u32,
}

impl Span {
    /// A length of whole seconds.
    #[must_use]
    pub const fn seconds(seconds: u32) -> Self {
        Self { seconds }
    }

    /// A length of whole minutes.
    #[must_use]
    pub const fn minutes(minutes: u32) -> Self {
        Self { seconds: minutes * 60 }
    }

    /// The length in milliseconds.
    #[must_use]
    pub const fn ms(self) -> i64 {
        self.seconds as i64 * 1000
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{} is not a length of time; write 90s, 30m, 72h or 30d", Excerpt::of(text));
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let unit_s = match &text[digits..] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(form()),
        };
        let number: u32 = text[..digits].parse().map_err(|_| form())?;
        let seconds = number.checked_mul(unit_s).ok_or_else(|| format!("{text} is too long"))?;
        Ok(Self { seconds })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
        let whole =
            units.into_iter().find(|(unit_s, _)| self.seconds > 0 && self.seconds.is_multiple_of(*unit_s));
        let (unit_s, unit) = whole.unwrap_or((1, 's'));
        write!(f, "{}{unit}", self.seconds / unit_s)
    }
}

/// A date and time of day without an offset, written `2026-11-01T00:00:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTime(pub(super) DateTime);

impl FromStr for LocalTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            format!(
                "{} is not a local time; write it as 2026-11-01T00:00:00, without an offset: time_zone says whose time",
                Excerpt::of(text)
            )
        };
        let separated = text.as_bytes().get(10).is_some_and(|byte| matches!(byte, b'T' | b' '));
        let time: DateTime = text.parse().map_err(|_| form())?;
        if text.len() != 19 || !separated || time.subsec_nanosecond() != 0 {
            return Err(form());
        }
        Ok(Self(time))
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Hours of the day, written `07:00-23:00`: from the first time on and before the second. Where the second is not later
/// than the first they go on after midnight, and that part belongs to the weekday on which they began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HourRange {
    /// The first minute of the day, `0..=1439`.
    pub(super) from: u16,
    /// The minute before which it ends, `0..=1440`, never equal to `from`.
    pub(super) to: u16,
}

impl FromStr for HourRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{} are not hours of the day; write 07:00-23:00", Excerpt::of(text));
        let (from, to) = text.split_once('-').ok_or_else(form)?;
        let (from, to) = (minute_of_day(from).ok_or_else(form)?, minute_of_day(to).ok_or_else(form)?);
        if from == to || from == DAY_MINUTES {
            return Err(format!("{text} begins when it ends; write 00:00-24:00 for the whole day"));
        }
        Ok(Self { from, to })
    }
}

fn minute_of_day(text: &str) -> Option<u16> {
    let [h1, h2, b':', m1, m2] = *text.as_bytes() else { return None };
    let number = |tens: u8, ones: u8| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        digits.then(|| u16::from(tens - b'0') * 10 + u16::from(ones - b'0'))
    };
    let (hour, minute) = (number(h1, h2)?, number(m1, m2)?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= DAY_MINUTES).then_some(minutes)
}

impl fmt::Display for HourRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

/// Text forms of types in documents, by their `FromStr` and `Display`.
macro_rules! text_in_documents {
    ($($name:ident: $what:literal, $example:literal),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl<'de> serde::de::Visitor<'de> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "{} in quotes, as in {:?}", $what, $example)
                    }

                    /// Dates and times without quotes come as maps from TOML.
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, _: A) -> Result<$name, A::Error> {
                        Err(serde::de::Error::custom(format_args!(
                            "{} is a text; write it in quotes, as in {:?}", $what, $example
                        )))
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    )*};
}

text_in_documents!(
    Span: "a length of time", "30m",
    LocalTime: "a local time", "2026-11-01T00:00:00",
    HourRange: "a range of hours", "07:00-23:00"
);

/// A day of the week, written by its first three letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say all")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    /// Every weekday, from Monday on.
    pub const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_whole_numbers_with_a_unit() {
        for (text, ms) in [("90s", 90_000), ("30m", 1_800_000), ("72h", 259_200_000), ("30d", 2_592_000_000)]
        {
            assert_eq!(text.parse::<Span>().expect(text).ms(), ms);
        }
        for text in ["0s", "90s", "30m", "7h", "3d"] {
            assert_eq!(text.parse::<Span>().expect(text).to_string(), text);
        }
        for text in ["", "5", "m", "1.5h", "-1h", "5 m", "5w", "99999999999s", "50000d", "é"] {
            text.parse::<Span>().expect_err(text);
        }
    }

    #[test]
    fn local_times_have_no_offset() {
        let time: LocalTime = "2026-11-01T00:00:00".parse().expect("a time");
        assert_eq!(time.to_string(), "2026-11-01T00:00:00");
        for text in [
            "2026-11-01",
            "2026-11-01T00:00",
            "2026-11-01T00:00:00Z",
            "2026-11-01T00:00:00+09:00",
            "2026-02-30T00:00:00",
            "2026-11-01T24:00:00",
            "20261101T0000000000",
            "",
        ] {
            text.parse::<LocalTime>().expect_err(text);
        }
    }

    #[test]
    fn hours_have_two_digits_and_end_at_another_time_than_they_begin() {
        for text in ["07:00-23:00", "22:00-02:00", "00:00-24:00", "00:00-00:01", "23:59-00:00"] {
            assert_eq!(text.parse::<HourRange>().expect(text).to_string(), text);
        }
        for text in
            ["7:00-23:00", "07:00", "07:00-25:00", "07:60-08:00", "24:00-01:00", "07:00-07:00", "a-b", ""]
        {
            text.parse::<HourRange>().expect_err(text);
        }
    }
}
