//! Parses the JSON of watches and lists, no deeper than is needed to pass the objects on.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::api::{ApiError, Status};

/// A line of a watch.
#[derive(Deserialize)]
pub(super) struct Line<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    #[serde(borrow)]
    pub(super) object: &'a RawValue,
}

/// A page of a list. Each item is parsed separately, so that an invalid one does not affect the others.
#[derive(Deserialize)]
pub(super) struct Page<'a> {
    #[serde(default)]
    pub(super) metadata: PageMeta,
    #[serde(borrow)]
    pub(super) items: Option<Vec<&'a RawValue>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PageMeta {
    pub(super) resource_version: String,
    pub(super) r#continue: String,
}

/// The identity and version of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Head {
    pub(super) metadata: HeadMeta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HeadMeta {
    #[serde(deserialize_with = "text")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(super) namespace: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(super) uid: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(super) resource_version: Option<String>,
    annotations: serde_json::Value,
}

/// Deserializes a string. `None` for any other type: one invalid field must not hide the others.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Ok(Some(text)),
        _ => Ok(None),
    }
}

impl Head {
    /// Parses the head as far as possible: an object with invalid metadata must not stop a watch.
    pub(super) fn of(json: &RawValue) -> Self {
        serde_json::from_str(json.get()).unwrap_or_default()
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref().filter(|version| !version.is_empty())
    }

    pub(super) fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Returns `true` for the bookmark that ends a streamed list.
    pub(super) fn ends_list(&self) -> bool {
        self.metadata.annotations["k8s.io/initial-events-end"] == "true"
    }
}

/// Returns the error that an ERROR line of a stream stands for.
pub(super) fn error(object: &RawValue) -> ApiError {
    let status: Status = serde_json::from_str(object.get()).unwrap_or_default();
    status.error(None, None)
}

/// Returns the object's JSON with its kind. Items of lists have none, and objects in metadata form have another.
pub(super) fn with_kind(json: &RawValue, api_version: &str, kind: &str) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kinded<'a> {
        api_version: Option<&'a str>,
        kind: Option<&'a str>,
        #[serde(borrow)]
        metadata: Option<&'a RawValue>,
    }
    let text = json.get();
    let head = serde_json::from_str::<Kinded<'_>>(text);
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let (api_version, kind) = (quoted(api_version), quoted(kind));
    match head {
        Ok(Kinded { kind: Some("PartialObjectMetadata"), metadata: Some(metadata), .. }) => {
            format!(r#"{{"apiVersion":{api_version},"kind":{kind},"metadata":{metadata}}}"#)
        }
        Ok(Kinded { api_version: Some(_), kind: Some(_), .. }) => text.to_owned(),
        // Invalid JSON is quarantined by a later stage, with the reason.
        _ => match text.trim_start().strip_prefix('{') {
            Some(rest) if rest.trim_start().starts_with('}') => {
                format!(r#"{{"apiVersion":{api_version},"kind":{kind}{rest}"#)
            }
            Some(rest) => format!(r#"{{"apiVersion":{api_version},"kind":{kind},{rest}"#),
            None => text.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            ".{0,8}".prop_map(serde_json::Value::from),
        ];
        let key = prop_oneof![
            Just("metadata"),
            Just("kind"),
            Just("apiVersion"),
            Just("items"),
            Just("type"),
            Just("object"),
            Just("uid"),
            Just("resourceVersion"),
            Just("annotations"),
            Just("x"),
        ];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            let members = prop::collection::btree_map(key.clone(), inner.clone(), 0..5);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(serde_json::Value::from),
                members.prop_map(|members| {
                    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_comes_is_an_item_or_a_fault(json in any_json()) {
            let text = json.to_string();
            let raw: &RawValue = serde_json::from_str(&text).unwrap();
            let head = Head::of(raw);
            prop_assert!(head.uid().len() <= text.len());
            prop_assert!(head.version().is_none_or(|version| !version.is_empty()));
            prop_assert!(!head.ends_list());
            drop(error(raw).to_string());
            drop(serde_json::from_str::<Line<'_>>(&text).map(|line| line.kind.len()));
            drop(serde_json::from_str::<Page<'_>>(&text).map(|page| page.items.is_some()));
            // The result is JSON again, and an object stays an object.
            let kinded = with_kind(raw, "v1", "Pod");
            let again: serde_json::Value = serde_json::from_str(&kinded).unwrap();
            prop_assert_eq!(again.is_object(), json.is_object());
        }
    }

    #[test]
    fn an_odd_field_of_the_metadata_hides_no_other() {
        let json = r#"{"metadata":{"uid":"u","labels":7,"annotations":{"a":1},"name":{},"resourceVersion":"3"}}"#;
        let head = Head::of(serde_json::from_str(json).unwrap());
        assert_eq!(
            (head.uid(), head.version(), head.metadata.name.as_deref()),
            ("u", Some("3"), None)
        );
        assert_eq!(Head::of(serde_json::from_str(r#"{"metadata":7}"#).unwrap()).uid(), "");
    }

    fn kinded(json: &str) -> String {
        with_kind(serde_json::from_str(json).unwrap(), "apps/v1", "Deployment")
    }

    #[test]
    fn every_object_gets_its_kind() {
        assert_eq!(
            kinded(r#"{"metadata":{"name":"a"},"spec":{}}"#),
            r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{}}"#
        );
        let whole = r#"{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"a"}}"#;
        assert_eq!(kinded(whole), whole);
        assert_eq!(
            kinded(
                r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a"}}"#
            ),
            r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"}}"#
        );
        assert_eq!(kinded("{}"), r#"{"apiVersion":"apps/v1","kind":"Deployment"}"#);
        assert_eq!(kinded("7"), "7");
    }
}
