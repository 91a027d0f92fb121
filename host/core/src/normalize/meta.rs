//! Metadata of any object.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::Want;
use super::document::LAST_APPLIED;
use super::envelope::open;
use super::lax::{List, Text, count, nullable};
use klaxon_model::{Identity, Label, Meta, Owner, Timestamp};

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawMeta<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
    #[serde(borrow)]
    resource_version: Text<'a>,
    #[serde(deserialize_with = "count")]
    generation: u32,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<Timestamp>,
    #[serde(borrow)]
    labels: Pairs<'a>,
    #[serde(borrow)]
    annotations: Pairs<'a>,
    #[serde(borrow)]
    owner_references: List<RawOwner<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawOwner<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
    #[serde(deserialize_with = "nullable")]
    controller: bool,
}

/// Labels or annotations in the order of the JSON; a null value is empty.
#[derive(Default)]
struct Pairs<'a>(Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Pairs::default())
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Pairs::default())
            }

            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
                inner.deserialize_map(self)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_option(PairsVisitor)
    }
}

fn labels(pairs: Pairs<'_>, keep: impl Fn(&str) -> bool) -> Vec<Label> {
    let mut labels: Vec<Label> = pairs
        .0
        .into_iter()
        .filter(|(key, _)| keep(key.as_str()))
        .map(|(key, value)| Label { key: key.into_string(), value: value.into_string() })
        .collect();
    labels.sort_by(|a, b| a.key.cmp(&b.key));
    // The last value of a repeated key is used, as in any JSON map.
    labels.reverse();
    labels.dedup_by(|a, b| a.key == b.key);
    labels.reverse();
    labels
}

impl RawMeta<'_> {
    pub(super) fn build(self, api_version: Text<'_>, kind: Text<'_>, want: Want<'_>) -> Meta {
        Meta {
            identity: Identity {
                api_version: api_version.into_string(),
                kind: kind.into_string(),
                namespace: self.namespace.into_string(),
                name: self.name.into_string(),
                uid: self.uid.into_string(),
            },
            resource_version: self.resource_version.into_string(),
            generation: self.generation,
            created_at: self.creation_timestamp,
            deleted_at: self.deletion_timestamp,
            labels: labels(self.labels, |_| true),
            // This annotation contains the whole object again, with everything that is redacted
            // elsewhere.
            annotations: labels(self.annotations, |key| {
                key != LAST_APPLIED && want.annotations.iter().any(|name| name == key)
            }),
            owners: match want.parts.owners {
                true => self.owner_references.0.into_iter().map(RawOwner::build).collect(),
                false => Vec::new(),
            },
        }
    }
}

impl RawOwner<'_> {
    fn build(self) -> Owner {
        Owner {
            api_version: self.api_version.into_string(),
            kind: self.kind.into_string(),
            name: self.name.into_string(),
            uid: self.uid.into_string(),
            controller: self.controller,
        }
    }
}

/// Decodes only identity and metadata of an object.
pub(super) fn decode(json: &str, want: Want<'_>) -> Result<Meta, serde_json::Error> {
    let (meta, _, _) = open::<IgnoredAny, IgnoredAny>(json, want)?;
    Ok(meta)
}
