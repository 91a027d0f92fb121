//! Lengths of time and sizes as people write them.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A length of time: `20ms`, `15s`, `72h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        span(&text).map(Self).ok_or_else(|| de::Error::custom(format!("{text:?} {SPAN_MEND}")))
    }
}

const SPAN_MEND: &str = "is no length of time; write one such as 20ms, 15s, 30m, 72h";

/// A length of time from text; none where it is no length of time, or one below zero.
pub fn span(text: &str) -> Option<Duration> {
    let span: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(span).ok()
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
