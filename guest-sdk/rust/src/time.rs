//! Formatting of timestamps.

use crate::Timestamp;

/// Formats a time as RFC 3339 in UTC with milliseconds, such as `2026-11-20T10:00:00.123Z`. A time outside
/// the supported years becomes the nearest supported time.
pub fn rfc3339(time: Timestamp) -> String {
    said(time).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Formats a time like [`rfc3339`] without milliseconds, such as `2026-11-20T10:00:00Z`: the format of
/// Kubernetes' own times.
pub fn rfc3339_seconds(time: Timestamp) -> String {
    said(time).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn said(time: Timestamp) -> jiff::Timestamp {
    let bounds = jiff::Timestamp::MIN.as_millisecond()..=jiff::Timestamp::MAX.as_millisecond();
    let time = time.clamp(*bounds.start(), *bounds.end());
    jiff::Timestamp::from_millisecond(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_of_milliseconds() {
        assert_eq!(rfc3339(1_767_225_600_000), "2026-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(rfc3339_seconds(1_767_225_600_999), "2026-01-01T00:00:00Z");
        assert_eq!(rfc3339_seconds(-1), "1969-12-31T23:59:59Z");
        assert_eq!(rfc3339(i64::MAX).len(), 24);
        assert!(!rfc3339(i64::MIN).is_empty());
    }
}
