//! What watches and lists carry, read no deeper than is needed to pass it on.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::api::{Fault, Status};

/// A line of a watch.
#[derive(Deserialize)]
pub(super) struct Line<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    #[serde(borrow)]
    pub(super) object: &'a RawValue,
}

/// A page of a list. Each item is read by itself, so that one that cannot be read harms no other.
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

/// Identity and version of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Head {
    pub(super) metadata: HeadMeta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HeadMeta {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
    pub(super) annotations: Option<std::collections::BTreeMap<String, Option<String>>>,
}

impl Head {
    pub(super) fn of(json: &RawValue) -> Result<Self, Fault> {
        serde_json::from_str(json.get())
            .map_err(|fault| Fault::Broken(format!("an object's metadata cannot be read: {fault}")))
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref().filter(|version| !version.is_empty())
    }

    pub(super) fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Whether it is the bookmark that ends a streaming list.
    pub(super) fn ends_list(&self) -> bool {
        let annotations = self.metadata.annotations.as_ref();
        let mark = annotations.and_then(|all| all.get("k8s.io/initial-events-end"));
        mark.is_some_and(|value| value.as_deref() == Some("true"))
    }
}

/// What an ERROR in a stream means.
pub(super) fn error(object: &RawValue) -> Fault {
    let status: Status = serde_json::from_str(object.get()).unwrap_or_default();
    status.fault(None, None)
}

/// The object with its kind: items of lists leave it out, and metadata alone says another.
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
        // What cannot be read is set aside further on, with its reason.
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
    use super::*;

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
