//! The common structure of nearly every kind: identity, metadata, spec and status.

use serde::Deserialize;

use super::Want;
use super::lax::{Text, nullable};
use super::meta::RawMeta;
use klaxon_model::Meta;

/// An object with types for its spec and status.
#[derive(Deserialize, Default)]
#[serde(
    rename_all = "camelCase",
    default,
    bound(deserialize = "Spec: Default + Deserialize<'de>, Status: Default + Deserialize<'de>, \
                         'de: 'a")
)]
pub(super) struct Envelope<'a, Spec, Status> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    metadata: RawMeta<'a>,
    #[serde(deserialize_with = "nullable")]
    spec: Spec,
    #[serde(deserialize_with = "nullable")]
    status: Status,
}

/// Reads an object: its metadata is decoded, its spec and status are returned as read.
pub(super) fn open<'a, Spec, Status>(
    json: &'a str,
    want: Want<'_>,
) -> Result<(Meta, Spec, Status), serde_json::Error>
where
    Spec: Default + Deserialize<'a>,
    Status: Default + Deserialize<'a>,
{
    let envelope: Envelope<'a, Spec, Status> = serde_json::from_str(json)?;
    let meta = envelope.metadata.build(envelope.api_version, envelope.kind, want);
    Ok((meta, envelope.spec, envelope.status))
}
