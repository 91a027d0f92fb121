//! The header of an object, API version and kind, found without reading the rest.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::lax::Text;
use klaxon_model::api_group;

/// API version and kind of an object; empty if missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Header<'a> {
    /// API version, such as `apps/v1`.
    pub(super) api_version: Cow<'a, str>,
    /// Kind, such as `Deployment`.
    pub(super) kind: Cow<'a, str>,
}

impl Header<'_> {
    /// Returns the part of the API version before the slash, empty for the core group.
    pub(super) fn group(&self) -> &str {
        api_group(&self.api_version)
    }
}

/// Reads API version and kind, and stops as soon as both are found: they come first in nearly all
/// objects, and the decoder of the kind reads the rest.
///
/// # Errors
/// If the bytes up to there are not a JSON object, or one of the two is not a string.
pub(super) fn header(json: &str) -> Result<Header<'_>, serde_json::Error> {
    let mut found = Found::default();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let outcome = deserializer.deserialize_map(Stop(&mut found));
    match (found.api_version.take(), found.kind.take()) {
        (Some(api_version), Some(kind)) => {
            Ok(Header { api_version: into_cow(api_version), kind: into_cow(kind) })
        }
        (api_version, kind) => outcome.map(|()| Header {
            api_version: into_cow(api_version.unwrap_or_default()),
            kind: into_cow(kind.unwrap_or_default()),
        }),
    }
}

fn into_cow(text: Text<'_>) -> Cow<'_, str> {
    text.0
}

#[derive(Default)]
struct Found<'a> {
    api_version: Option<Text<'a>>,
    kind: Option<Text<'a>>,
}

struct Stop<'f, 'a>(&'f mut Found<'a>);

impl<'de> Visitor<'de> for Stop<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match key.as_str() {
                "apiVersion" => self.0.api_version = Some(map.next_value()?),
                "kind" => self.0.kind = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            if self.0.api_version.is_some() && self.0.kind.is_some() {
                // serde cannot leave a map early except by an error; this one is discarded.
                return Err(A::Error::custom("both are known"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stops_at_the_second_of_the_two() {
        let found = header(r#"{"kind":"Pod","apiVersion":"v1", and then no JSON"#).unwrap();
        assert_eq!((&*found.api_version, &*found.kind), ("v1", "Pod"));
    }

    #[test]
    fn the_order_does_not_matter_and_both_may_be_missing() {
        let found = header(r#"{"metadata":{"name":"a"},"kind":"B","apiVersion":"c/v1"}"#).unwrap();
        assert_eq!((found.group(), &*found.kind), ("c", "B"));
        assert_eq!(header("{}").unwrap(), Header::default());
        assert!(header("[1]").is_err());
        assert!(header(r#"{"kind":3}"#).is_err());
    }
}
