//! Objects as they are stored, as text, and the forms in which they are shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::fault::Fault;
use super::kinds::Kind;

/// One state of an object without its version. The version differs when a deletion, or leaving a selector, is
/// reported with the object's last state.
#[derive(Debug, PartialEq)]
pub(super) struct Body {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) created: String,
    pub(super) labels: BTreeMap<String, String>,
    /// The fields of the metadata without the resource version, as text without braces.
    metadata: String,
    /// The other fields except kind and API version, as text without braces, each after a comma.
    others: String,
}

/// A state of an object and the revision that made it.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) revision: u64,
    pub(super) body: Arc<Body>,
}

impl Body {
    /// Makes a body of a whole object. Its metadata must have a name.
    pub(super) fn new(mut object: Map<String, Value>) -> Self {
        object.remove("apiVersion");
        object.remove("kind");
        let metadata = object.remove("metadata");
        let Some(Value::Object(mut metadata)) = metadata else { panic!("no metadata") };
        metadata.remove("resourceVersion");
        let text = |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default();
        let labels = metadata.get("labels").and_then(Value::as_object);
        let labels = labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| value.as_str().map(|value| (key.clone(), value.to_owned())));
        let others = fields(&object);
        Self {
            namespace: text("namespace").to_owned(),
            name: text("name").to_owned(),
            uid: text("uid").to_owned(),
            created: text("creationTimestamp").to_owned(),
            labels: labels.collect(),
            metadata: fields(&metadata),
            others: if others.is_empty() { others } else { format!(",{others}") },
        }
    }

    /// Returns the object without kind, API version and resource version.
    pub(super) fn value(&self) -> Value {
        let text = format!(r#"{{"metadata":{{{}}}{}}}"#, self.metadata, self.others);
        serde_json::from_str(&text).unwrap()
    }

    pub(super) fn key(&self) -> (String, String) {
        (self.namespace.clone(), self.name.clone())
    }
}

fn fields(map: &Map<String, Value>) -> String {
    let text = serde_json::to_string(map).unwrap();
    text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap().to_owned()
}

/// The defect of an object that is shown.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Spoil {
    /// A field of its spec or status.
    Content,
    /// Its labels.
    Metadata,
}

impl Spoil {
    pub(super) fn of(fault: Option<&Fault>) -> Option<Self> {
        match fault {
            Some(Fault::BadObject) => Some(Self::Content),
            Some(Fault::BadMetadata) => Some(Self::Metadata),
            _ => None,
        }
    }
}

/// The form in which a request wants objects to be shown.
pub(super) struct Shape {
    kind: Kind,
    /// `true` for metadata only.
    partial: bool,
}

impl Shape {
    pub(super) fn new(kind: &Kind, accept: &str) -> Self {
        Self { kind: kind.clone(), partial: accept.contains("as=PartialObjectMetadata") }
    }

    fn types(&self) -> String {
        if self.partial {
            r#""apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","#.to_owned()
        } else {
            let (version, kind) = (self.kind.api_version(), &self.kind.kind);
            format!(r#""apiVersion":"{version}","kind":"{kind}","#)
        }
    }

    /// Returns the object as in the answer to a single request, and in a watch.
    pub(super) fn object(&self, body: &Body, revision: u64) -> String {
        self.text(&self.types(), body, revision)
    }

    fn text(&self, types: &str, body: &Body, revision: u64) -> String {
        let others = if self.partial { "" } else { &body.others };
        let metadata = &body.metadata;
        format!(r#"{{{types}"metadata":{{"resourceVersion":"{revision}",{metadata}}}{others}}}"#)
    }

    /// Returns the object with a field of a wrong type, so that a decoder of the kind refuses it.
    pub(super) fn spoiled(&self, body: &Body, revision: u64, spoil: Spoil) -> String {
        let mut object: Value = serde_json::from_str(&self.object(body, revision)).unwrap();
        match self.kind.kind.as_str() {
            _ if self.partial || spoil == Spoil::Metadata => {
                object["metadata"]["labels"] = 7.into()
            }
            "Pod" | "Namespace" => object["status"]["phase"] = 7.into(),
            "Event" => object["count"] = "seven".into(),
            _ => {
                object["spec"] = 7.into();
                object["status"] = 7.into();
            }
        }
        object.to_string()
    }

    /// Returns a page of a list; `metadata` are further fields of the list's own metadata. The first item is
    /// spoiled on request.
    pub(super) fn list(
        &self,
        versions: &[Version],
        revision: u64,
        metadata: &str,
        spoil: Option<Spoil>,
    ) -> String {
        let (version, kind) = match self.partial {
            true => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata"),
            false => (self.kind.api_version(), self.kind.kind.as_str()),
        };
        let mut out = format!(r#"{{"kind":"{kind}List","apiVersion":"{version}","#);
        out.push_str(&format!(r#""metadata":{{"resourceVersion":"{revision}"{metadata}}},"#));
        out.push_str(r#""items":["#);
        let named = self.partial || self.kind.custom;
        let types = if named { self.types() } else { String::new() };
        for (index, version) in versions.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(&match spoil.filter(|_| index == 0) {
                Some(spoil) => self.spoiled(&version.body, version.revision, spoil),
                None => self.text(&types, &version.body, version.revision),
            });
        }
        out.push_str("]}\n");
        out
    }

    /// Returns the line of a bookmark, annotated at the end of the initial events.
    pub(super) fn bookmark(&self, revision: u64, initial_events_end: bool) -> String {
        let types = self.types();
        let mark = match initial_events_end {
            true => r#","annotations":{"k8s.io/initial-events-end":"true"}"#,
            false => "",
        };
        let left = if self.partial { "" } else { self.kind.left_in_bookmarks() };
        let metadata = format!(r#""metadata":{{"resourceVersion":"{revision}"{mark}}}"#);
        format!(r#"{{"type":"BOOKMARK","object":{{{types}{metadata}{left}}}}}"#)
    }
}
