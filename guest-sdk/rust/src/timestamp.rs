//! Times of the event clock and of the cluster.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Duration;

/// A moment, to the millisecond. Its text is RFC 3339 in UTC, such as `2026-11-20T10:00:00.123Z`: in
/// `Display`, in [`FromStr`], and as JSON. Arithmetic beyond the range saturates.
///
/// ```
/// use klaxon_sdk::{Duration, Timestamp};
///
/// let start: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
/// let end = start + Duration::minutes(5);
/// assert_eq!(end.since(start), Duration::minutes(5));
/// assert_eq!(end.to_string(), "2026-11-20T10:05:00.000Z");
/// assert!(end > start);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    millis: i64,
}

impl Timestamp {
    /// Creates a timestamp from milliseconds since the Unix epoch, the form in the contract.
    pub const fn from_millis(millis: i64) -> Self {
        Self { millis }
    }

    /// Returns milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.millis
    }

    /// Returns the time that passed since another timestamp; zero if the other one is later.
    pub const fn since(self, earlier: Self) -> Duration {
        match self.checked_since(earlier) {
            Some(passed) => passed,
            None => Duration::ZERO,
        }
    }

    /// Returns the time that passed since another timestamp; `None` if the other one is later.
    pub const fn checked_since(self, earlier: Self) -> Option<Duration> {
        if self.millis < earlier.millis {
            return None;
        }
        Some(Duration::millis(self.millis.abs_diff(earlier.millis)))
    }

    /// Formats the timestamp without milliseconds, such as `2026-11-20T10:00:00Z`: the form of Kubernetes'
    /// own times.
    pub fn to_rfc3339_seconds(self) -> String {
        self.civil().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Returns the timestamp for formatting; outside of the years that it supports, the nearest one.
    fn civil(self) -> jiff::Timestamp {
        let (min, max) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
        let millis = self.millis.clamp(min.as_millisecond(), max.as_millisecond());
        jiff::Timestamp::from_millisecond(millis).unwrap_or_default()
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self { millis: self.millis.saturating_add_unsigned(duration.as_millis()) }
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self { millis: self.millis.saturating_sub_unsigned(duration.as_millis()) }
    }
}

impl fmt::Display for Timestamp {
    /// Formats the timestamp as RFC 3339 in UTC with milliseconds. A time outside of the supported years
    /// becomes the nearest supported time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.civil().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Parses RFC 3339 with any offset; digits after the milliseconds are dropped.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(Self { millis: time.as_millisecond() }),
            Err(_) => Err(TimestampError { text: text.to_owned() }),
        }
    }
}

/// The error of parsing a [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampError {
    text: String,
}

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no time in RFC 3339, such as 2026-11-20T10:00:00Z", self.text)
    }
}

impl std::error::Error for TimestampError {}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Timestamp = Timestamp::from_millis(i64::MIN);
    const MAX: Timestamp = Timestamp::from_millis(i64::MAX);
    const NEW_YEAR: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    #[test]
    fn times_have_three_digits_of_milliseconds() {
        assert_eq!(NEW_YEAR.to_string(), "2026-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(-1).to_string(), "1969-12-31T23:59:59.999Z");
        assert_eq!(MAX.to_string().len(), 24);
        assert!(!MIN.to_string().is_empty());
        assert_eq!(format!("{NEW_YEAR:?}"), NEW_YEAR.to_string());
    }

    #[test]
    fn times_of_kubernetes_have_no_milliseconds() {
        let late = NEW_YEAR + Duration::millis(999);
        assert_eq!(late.to_rfc3339_seconds(), "2026-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_millis(-1).to_rfc3339_seconds(), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn arithmetic_is_exact_within_the_range() {
        let later = NEW_YEAR + Duration::minutes(5);
        assert_eq!(later.as_millis() - NEW_YEAR.as_millis(), 300_000);
        assert_eq!(later - Duration::minutes(5), NEW_YEAR);
        assert_eq!(later.since(NEW_YEAR), Duration::minutes(5));
        assert_eq!(later.checked_since(NEW_YEAR), Some(Duration::minutes(5)));
        assert_eq!(NEW_YEAR.checked_since(NEW_YEAR), Some(Duration::ZERO));
        assert!(NEW_YEAR < later && NEW_YEAR.max(later) == later);
    }

    #[test]
    fn arithmetic_beyond_the_range_saturates() {
        assert_eq!(MAX + Duration::millis(1), MAX);
        assert_eq!(MIN - Duration::days(u32::MAX), MIN);
        assert_eq!(MIN + Duration::millis(u64::MAX), MAX);
        assert_eq!(MAX - Duration::millis(u64::MAX), MIN);
        assert_eq!(MAX.since(MIN), Duration::millis(u64::MAX));
        assert_eq!(MIN.since(MAX), Duration::ZERO);
        assert_eq!(MIN.checked_since(MAX), None);
    }

    #[test]
    fn a_text_in_rfc_3339_is_parsed_with_its_offset() {
        let parsed = |text: &str| text.parse::<Timestamp>();
        assert_eq!(parsed("2026-01-01T00:00:00Z"), Ok(NEW_YEAR));
        assert_eq!(parsed("2026-01-01T02:00:00.0009+02:00"), Ok(NEW_YEAR));
        for wrong in ["", "soon", "2026-01-01", "2026-13-01T00:00:00Z"] {
            let error = parsed(wrong).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{wrong:?} is no time")), "{error}");
        }
    }

    #[test]
    fn json_is_the_text() {
        let json = serde_json::to_string(&NEW_YEAR).unwrap();
        assert_eq!(json, r#""2026-01-01T00:00:00.000Z""#);
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), NEW_YEAR);
        assert!(serde_json::from_str::<Timestamp>("1767225600000").is_err());
    }
}
