//! Durations and sizes as they are written in files.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A duration: `20ms`, `15s`, `72h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        span(&text).map(Self).ok_or_else(|| de::Error::custom(format!("{text:?} {SPAN_MEND}")))
    }
}

const SPAN_MEND: &str = "is no length of time; write one such as 20ms, 15s, 30m, 72h";

/// Parses a duration. `None` if the text is invalid or the duration is negative.
pub fn span(text: &str) -> Option<Duration> {
    // jiff accepts days only relative to a calendar; here a day has 24 hours.
    let is_days = |days: &str| !days.is_empty() && days.bytes().all(|byte| byte.is_ascii_digit());
    let (days, rest) = match text.split_once('d').filter(|(days, _)| is_days(days)) {
        Some((days, rest)) => (days.parse::<u64>().ok()?, rest.trim_start()),
        None => (0, text),
    };
    let days = Duration::from_secs(days.checked_mul(86_400)?);
    if rest.is_empty() && text != rest {
        return Some(days);
    }
    let span: jiff::SignedDuration = rest.parse().ok()?;
    Duration::try_from(span).ok()?.checked_add(days)
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(ms|s|m|h|d)([0-9]+(ms|s|m|h))*$",
            "description": "a length of time, such as 20ms, 15s, 30m or 72h"
        })
    }
}

/// A number of bytes: `64KiB`, `32MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub usize);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = text.parse::<bytesize::ByteSize>().ok();
        bytes.and_then(|size| usize::try_from(size.as_u64()).ok()).map(Self).ok_or_else(|| {
            de::Error::custom(format!("{text:?} is no size; write one such as 64KiB, 32MiB"))
        })
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB|KB|MB|GB|kB)?$",
            "description": "a number of bytes, such as 64KiB or 32MiB"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_every_unit_that_the_schema_allows() {
        let seconds = |text: &str| span(text).map(|span| span.as_secs_f64());
        assert_eq!(seconds("20ms"), Some(0.02));
        assert_eq!(seconds("90s"), Some(90.0));
        assert_eq!(seconds("1h30m"), Some(5400.0));
        assert_eq!(seconds("7d"), Some(604_800.0));
        assert_eq!(seconds("1d12h"), Some(129_600.0));
        for wrong in ["", "d", "soon", "-1s", "1", "99999999999999999999d", "1dd"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
