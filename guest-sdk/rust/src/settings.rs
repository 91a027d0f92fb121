//! Settings of a rule: the author's type, its JSON Schema, and errors with a path in the JSON.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Problem;

/// Settings of a rule that has none.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

impl Problem {
    /// Creates a problem with the settings; `path` is a JSON Pointer to the wrong value, such as `/repeat`.
    pub fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
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
    serde_path_to_error::deserialize(&mut json)
        .map_err(|error| Problem::at(pointer(error.path()), error.inner().to_string()))
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
    use crate::Duration;

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
    fn an_empty_text_is_an_empty_object() {
        assert!(parse::<NoSettings>("").is_ok());
        assert!(parse::<NoSettings>(r#"{"x":1}"#).is_err());
    }
}
