//! Decoding of a Kubernetes object's JSON into the typed object that rules see.
//!
//! Decoding is narrow: it reads only the fields that an event can carry straight from the bytes, and
//! skips the rest. Nulls and missing fields are allowed everywhere, because the API server writes them in
//! many places. A value of the wrong type makes the object undecodable.

mod document;
mod envelope;
mod header;
mod job;
mod kubernetes_event;
mod lax;
mod meta;
mod node;
mod path;
mod pod;
mod status;
mod workload;

use std::sync::Arc;

use klaxon_model::{Identity, Meta, Object, Parts, Subject};

use header::{Header, header};
pub use path::{FieldPath, FieldsOverBudget};

/// The parts of objects that the rules of this host need, in addition to those always decoded.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Names of the annotations to decode.
    pub annotations: Vec<String>,
    /// Optional parts to decode, by kind; none are decoded of other kinds.
    pub parts: Vec<KindParts>,
    /// Kinds, as (API group, kind), of which the whole document is needed for fields or field selectors.
    pub documents: Vec<(String, String)>,
}

/// The optional parts that some rule wants of a kind.
#[derive(Debug, Clone)]
pub struct KindParts {
    /// API group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// The union of the parts that rules want.
    pub parts: Parts,
}

impl Wanted {
    /// Adds parts of a kind to those requested before.
    pub fn add_parts(&mut self, group: &str, kind: &str, parts: Parts) {
        match self.parts.iter_mut().find(|one| one.group == group && one.kind == kind) {
            Some(wanted) => wanted.parts = wanted.parts.or(parts),
            None => {
                self.parts.push(KindParts { group: group.to_owned(), kind: kind.to_owned(), parts })
            }
        }
    }

    fn parts_of(&self, group: &str, kind: &str) -> Parts {
        let wanted = self.parts.iter().find(|wanted| wanted.group == group && wanted.kind == kind);
        wanted.map_or(Parts::default(), |wanted| wanted.parts)
    }
}

/// The optional parts to decode of one object.
#[derive(Debug, Clone, Copy)]
struct Want<'a> {
    annotations: &'a [String],
    parts: Parts,
}

/// An object that cannot be decoded: the error of `serde_json`, with line and column.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be decoded: {source}")]
pub struct Undecodable {
    what: String,
    source: serde_json::Error,
}

/// Decodes an object of any kind.
///
/// # Errors
/// If the bytes are not a JSON object, or a field that is read has the wrong type.
pub fn decode(json: &str, wanted: &Wanted) -> Result<Object, Undecodable> {
    let header = header(json).map_err(|source| undecodable("an object", source))?;
    decode_headed(json, &header, wanted)
}

/// Decodes an object if its kind, as (API group, kind), is wanted. Returns `None` if it is not.
///
/// # Errors
/// As [`decode`].
pub fn decode_wanted(
    json: &str,
    wanted: &Wanted,
    wants_kind: impl FnOnce(&str, &str) -> bool,
) -> Result<Option<Object>, Undecodable> {
    let header = header(json).map_err(|source| undecodable("an object", source))?;
    if !wants_kind(header.group(), &header.kind) {
        return Ok(None);
    }
    decode_headed(json, &header, wanted).map(Some)
}

/// Decodes identity and metadata of an object whose other parts may be undecodable. `None` if the
/// metadata is undecodable too.
pub fn head(json: &str) -> Option<Meta> {
    meta::decode(json, Want { annotations: &[], parts: Parts::default() }).ok()
}

/// Returns uid, namespace and name of an object whose metadata cannot be decoded as a whole; each is
/// empty if it is not a string. API version and kind are always empty.
pub fn partial_identity(json: &str) -> Identity {
    let object: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    let (uid, namespace, name) = (text("uid"), text("namespace"), text("name"));
    Identity { uid, namespace, name, ..Identity::default() }
}

fn decode_headed(json: &str, header: &Header<'_>, wanted: &Wanted) -> Result<Object, Undecodable> {
    decode_kind(json, header, wanted).map_err(|source| undecodable(&header.kind, source))
}

fn undecodable(what: &str, source: serde_json::Error) -> Undecodable {
    let what = if what.is_empty() { "an object without a kind" } else { what };
    Undecodable { what: what.to_owned(), source }
}

fn decode_kind(
    json: &str,
    header: &Header<'_>,
    wanted: &Wanted,
) -> Result<Object, serde_json::Error> {
    let want = Want {
        annotations: &wanted.annotations,
        parts: wanted.parts_of(header.group(), &header.kind),
    };
    let (meta, subject) = match (header.group(), &*header.kind) {
        ("", "Pod") => pod::decode(json, want)?,
        ("" | "events.k8s.io", "Event") => kubernetes_event::decode(json, want)?,
        ("apps", "Deployment" | "ReplicaSet" | "StatefulSet") => workload::decode(json, want)?,
        ("apps", "DaemonSet") => workload::decode_daemon_set(json, want)?,
        ("batch", "Job") => job::decode(json, want)?,
        ("", "Node") => node::decode(json, want)?,
        _ => (meta::decode(json, want)?, Subject::Other),
    };
    let needs_document = wanted
        .documents
        .iter()
        .any(|(group, kind)| group == header.group() && *kind == *header.kind);
    let document = if needs_document { Some(Arc::new(document::redacted(json)?)) } else { None };
    Ok(Object { meta, subject, document })
}

#[cfg(test)]
mod tests;
