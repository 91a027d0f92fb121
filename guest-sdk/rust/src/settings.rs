//! Settings of a rule: the author's type, its JSON Schema, and errors with a path in the JSON.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Problem;

/// Settings of a rule that has none.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// A duration in settings, written as a number and a unit: `90s`, `30m`, `2h`, `1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration {
    seconds: u32,
}

impl Duration {
    /// Creates a duration from minutes.
    pub const fn minutes(minutes: u32) -> Self {
        Self { seconds: minutes * 60 }
    }

    /// Returns whole seconds.
    pub const fn seconds(self) -> u32 {
        self.seconds
    }

    /// Returns milliseconds, the unit of a timestamp.
    pub const fn millis(self) -> i64 {
        self.seconds as i64 * 1000
    }

    fn parse(text: &str) -> Option<Self> {
        let unit = text.chars().last()?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Self { seconds: number.checked_mul(factor)? })
    }
}

impl fmt::Display for Duration {
    /// Formats the duration in the largest unit that has an integer value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
        let whole = |(seconds, _): &&(u32, char)| self.seconds.is_multiple_of(*seconds);
        let unit = units.iter().find(whole).filter(|_| self.seconds > 0);
        let (seconds, unit) = unit.unwrap_or(&(1, 's'));
        write!(f, "{}{unit}", self.seconds / seconds)
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
            D::Error::custom(format!(
                "{text:?} is not a length of time; write one such as 30m, 90s, 2h"
            ))
        })
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]+[smhd]$",
            "description": "a length of time: a number and a unit (s, m, h, d), such as 30m"
        })
    }
}

/// Returns the JSON Schema of a settings type, as text.
pub(crate) fn schema<S: JsonSchema>() -> String {
    schemars::schema_for!(S).as_value().to_string()
}

/// Parses settings; an empty text stands for `{}`.
pub(crate) fn parse<S: DeserializeOwned>(text: &str) -> Result<S, Problem> {
    let text = if text.is_empty() { "{}" } else { text };
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| Problem {
        path: pointer(error.path()),
        message: error.inner().to_string(),
    })
}

/// Converts serde's path to a JSON Pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only its place in an error is looked at")]
        nested: Vec<Duration>,
    }

    #[test]
    fn a_problem_points_at_the_wrong_value() {
        let problem = parse::<Sample>(r#"{"nested":["30m","soon"]}"#).unwrap_err();
        assert_eq!(problem.path, "/nested/1");
        assert!(problem.message.contains("\"soon\" is not a length of time"));
    }

    #[test]
    fn spans_read_units_and_refuse_what_overflows() {
        assert_eq!(Duration::parse("90s"), Some(Duration { seconds: 90 }));
        assert_eq!(Duration::parse("2h"), Some(Duration { seconds: 7200 }));
        for text in ["90s", "30m", "2h", "1d", "0s"] {
            assert_eq!(Duration::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Duration::parse("99999999d"), None);
        assert_eq!(Duration::parse("30"), None);
        assert_eq!(Duration::parse("3é"), None);
    }

    #[test]
    fn an_empty_text_is_an_empty_object() {
        assert!(parse::<NoSettings>("").is_ok());
        assert!(parse::<NoSettings>(r#"{"x":1}"#).is_err());
    }
}
