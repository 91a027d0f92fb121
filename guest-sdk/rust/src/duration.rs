//! Lengths of time, in settings and in arithmetic.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Units of a text, longest first, each with its milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A length of time, to the millisecond. In settings it is a number and a unit: `90s`, `30m`, `2h`, `1d`.
///
/// ```
/// use klaxon_sdk::Duration;
///
/// assert_eq!(Duration::minutes(90).to_string(), "90m");
/// assert!(Duration::hours(2) > Duration::minutes(90));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    millis: u64,
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self::millis(0);

    /// Creates a duration from milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self { millis }
    }

    /// Creates a duration from seconds.
    pub const fn seconds(seconds: u32) -> Self {
        Self::of(seconds, 1000)
    }

    /// Creates a duration from minutes.
    pub const fn minutes(minutes: u32) -> Self {
        Self::of(minutes, 60_000)
    }

    /// Creates a duration from hours.
    pub const fn hours(hours: u32) -> Self {
        Self::of(hours, 3_600_000)
    }

    /// Creates a duration from days.
    pub const fn days(days: u32) -> Self {
        Self::of(days, 86_400_000)
    }

    /// Returns milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.millis
    }

    // `u64::from` is not const. Both factors have 32 bits, so the product fits.
    const fn of(count: u32, unit_millis: u32) -> Self {
        Self::millis(count as u64 * unit_millis as u64)
    }

    /// Returns seconds, rounded up, at most those that the contract can express.
    pub(crate) fn whole_seconds(self) -> u32 {
        u32::try_from(self.millis.div_ceil(1000)).unwrap_or(u32::MAX)
    }

    fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at_checked(end)?;
        let (_, unit_millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let millis = number.parse::<u64>().ok()?.checked_mul(*unit_millis)?;
        // A longer duration cannot be the time to live of a value in the state.
        (millis <= Self::seconds(u32::MAX).millis).then_some(Self { millis })
    }
}

impl fmt::Display for Duration {
    /// Formats the duration in the largest unit that has an integer value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_whole = |(_, unit): &&(&str, u64)| self.millis.is_multiple_of(*unit);
        let unit = UNITS.iter().find(is_whole).filter(|_| self.millis > 0);
        let (name, unit) = unit.unwrap_or(&("s", 1000));
        write!(f, "{}{name}", self.millis / unit)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "{text:?} is not a length of time; write one such as 30m, 90s, 2h"
            ))
        })
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    // Settings take whole seconds. The unit `ms` exists for durations that are stored and read again.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]+[smhd]$",
            "description": "a length of time: a number and a unit (s, m, h, d), such as 30m"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_units_and_no_more_than_the_state_can_express() {
        assert_eq!(Duration::parse("90s"), Some(Duration::seconds(90)));
        assert_eq!(Duration::parse("2h"), Some(Duration::hours(2)));
        for text in ["90s", "30m", "2h", "1d", "0s", "1500ms"] {
            assert_eq!(Duration::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Duration::parse("4294967295s"), Some(Duration::seconds(u32::MAX)));
        for wrong in ["", "30", "s", "+3s", "3é", "3 s", "4294967296s", "99999999999999999999d"] {
            assert_eq!(Duration::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_constructor_overflows() {
        assert_eq!(Duration::days(u32::MAX).as_millis(), 86_400_000 * u64::from(u32::MAX));
        assert_eq!(Duration::minutes(u32::MAX).whole_seconds(), u32::MAX);
    }

    #[test]
    fn seconds_are_rounded_up() {
        let seconds = |millis| Duration::millis(millis).whole_seconds();
        assert_eq!([0, 1, 1000, 1001].map(seconds), [0, 1, 1, 2]);
    }
}
