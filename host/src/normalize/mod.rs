//! From the JSON of a Kubernetes object to the typed object that rules see.
//!
//! Decoding is narrow: it goes straight from bytes to the fields that an event can carry, and skips
//! the rest. Nulls and missing parts are allowed everywhere, as the API server writes them in many
//! places; a value of the wrong type is not, and makes the object undecodable.

mod document;
mod header;
mod job;
mod kubernetes_event;
mod lax;
mod meta;
mod node;
mod pod;
mod status;
mod workload;

use std::sync::Arc;

use crate::model::{Object, Subject};

pub use document::{evaluate_fields, parse_path};
pub use header::{Header, header};

/// What the rules of this host need of objects, beyond what is always read.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Names of the annotations to keep.
    pub annotations: Vec<String>,
    /// Kinds, as (API group, kind), of which the whole document is needed for fields or field
    /// selectors.
    pub documents: Vec<(String, String)>,
}

/// Why an object cannot be decoded: what serde says, with its place in the JSON.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be decoded: {source}")]
pub struct Undecodable {
    what: String,
    source: serde_json::Error,
}

/// Decodes an object of any kind.
///
/// # Errors
/// Where the bytes are no JSON object, or a field that is read has the wrong type.
pub fn decode(json: &[u8], wanted: &Wanted) -> Result<Object, Undecodable> {
    let header = header(json).map_err(|source| undecodable("an object", source))?;
    decode_kind(json, &header, wanted).map_err(|source| undecodable(&header.kind, source))
}

fn undecodable(what: &str, source: serde_json::Error) -> Undecodable {
    let what = if what.is_empty() { "an object without a kind" } else { what };
    Undecodable { what: what.to_owned(), source }
}

fn decode_kind(
    json: &[u8],
    header: &Header<'_>,
    wanted: &Wanted,
) -> Result<Object, serde_json::Error> {
    let (meta, subject) = match (header.group(), &*header.kind) {
        ("", "Pod") => pod::decode(json, wanted)?,
        ("" | "events.k8s.io", "Event") => kubernetes_event::decode(json, wanted)?,
        ("apps", "Deployment" | "ReplicaSet" | "StatefulSet") => workload::decode(json, wanted)?,
        ("apps", "DaemonSet") => workload::decode_daemon_set(json, wanted)?,
        ("batch", "Job") => job::decode(json, wanted)?,
        ("", "Node") => node::decode(json, wanted)?,
        _ => (meta::decode(json, wanted)?, Subject::Other),
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
